//! gzip and deflate. A decoder that fills look-up tables before the first symbol takes twice as long for an answer that
//! is let go at its first key; this one has none, and decodes into a flat buffer as long as the look.

mod bits;
mod blocks;
mod code;
mod header;

use self::{
    bits::Bits,
    blocks::{Blocks, Progress},
    header::Header,
};
use super::{output::Output, sink::Sink};
use crate::challenge::Verdict;

/// Decodes gzip or deflate as it arrives.
#[derive(Debug, Default)]
pub(in crate::challenge) struct Inflate {
    stage: Stage,
    gzip: bool,
    bits: Bits,
    blocks: Blocks,
    output: Output,
}

#[derive(Clone, Copy, Debug, Default)]
enum Stage {
    /// In the header of a gzip member.
    Gzip {
        header: Header,
        is_first: bool,
    },
    /// At the start of "deflate", which is zlib by the RFC and raw with some servers; the second byte tells.
    Deflate(Option<u8>),
    Blocks,
    /// In the trailer of a gzip member, with so many bytes to go. Its checksum is not compared: the look ends before.
    Trailer(u8),
    /// Not coded at all, whatever the header says: some proxies decode and leave the header.
    Plain,
    /// The data ended, or are broken.
    #[default]
    Over,
}

impl Inflate {
    /// Gets ready for the start of a body.
    pub(super) fn start(&mut self, gzip: bool) {
        self.gzip = gzip;
        self.stage = match gzip {
            true => Stage::Gzip {
                header: Header::default(),
                is_first: true,
            },
            false => Stage::Deflate(None),
        };
        self.bits = Bits::default();
        self.output.start();
    }

    pub(super) fn is_over(&self) -> bool {
        matches!(self.stage, Stage::Over)
    }

    pub(super) fn push(&mut self, mut bytes: &[u8], mut sink: impl Sink) -> Verdict {
        // The header that nearly all servers send, in one go.
        if let (
            Stage::Gzip {
                header,
                is_first: true,
            },
            Some(rest),
        ) = (self.stage, header::after_ordinary(bytes))
        {
            if header.is_new() {
                self.stage = self.start_blocks();
                bytes = rest;
            }
        }
        loop {
            match self.stage {
                Stage::Plain => return sink(bytes),
                Stage::Over => return Verdict::More,
                Stage::Blocks => {
                    let Self {
                        bits,
                        blocks,
                        output,
                        ..
                    } = self;
                    self.stage = match blocks.run(bits, &mut bytes, output, &mut sink) {
                        Progress::More => return Verdict::More,
                        Progress::Decided(verdict) => return verdict,
                        Progress::Ended if self.gzip => Stage::Trailer(8),
                        Progress::Ended | Progress::Broken => Stage::Over,
                    };
                    self.bits.align();
                    continue;
                }
                Stage::Gzip { .. } | Stage::Deflate(_) | Stage::Trailer(_) => {}
            }
            // No bits are held before the blocks. Bits that are held behind them come before `bytes`.
            let start = bytes;
            let Some(byte) = self.bits.next_byte(&mut bytes) else {
                return Verdict::More;
            };
            self.stage = match self.stage {
                Stage::Gzip { header, is_first } if header.is_new() && byte != 0x1F => {
                    match is_first {
                        true => {
                            bytes = start;
                            Stage::Plain
                        }
                        // Padding, or garbage, after the last member.
                        false => Stage::Over,
                    }
                }
                Stage::Gzip {
                    mut header,
                    is_first,
                } => match header.byte(byte) {
                    Some(true) => self.start_blocks(),
                    Some(false) => Stage::Over,
                    None => Stage::Gzip { header, is_first },
                },
                Stage::Deflate(None) => Stage::Deflate(Some(byte)),
                Stage::Deflate(Some(first)) => self.start_deflate(first, byte),
                Stage::Trailer(1) => Stage::Gzip {
                    header: Header::default(),
                    is_first: false,
                },
                Stage::Trailer(left) => Stage::Trailer(left - 1),
                stage @ (Stage::Blocks | Stage::Plain | Stage::Over) => stage,
            };
        }
    }

    fn start_blocks(&mut self) -> Stage {
        self.blocks.start();
        self.output.start_part();
        Stage::Blocks
    }

    fn start_deflate(&mut self, first: u8, second: u8) -> Stage {
        let head = [first, second];
        let zlib = first & 0x0F == 8 && u16::from_be_bytes(head) % 31 == 0;
        if zlib && second & 0x20 != 0 {
            // It needs a preset dictionary, which HTTP does not have.
            return Stage::Over;
        }
        if !zlib {
            self.bits.refill(16, &mut &head[..]);
        }
        self.start_blocks()
    }
}
