//! gzip and deflate, by `miniz_oxide`, into a flat buffer as long as the look.

mod header;

use std::fmt;

use miniz_oxide::inflate::{
    TINFLStatus,
    core::{
        DecompressorOxide, decompress_with_limit,
        inflate_flags::{
            TINFL_FLAG_HAS_MORE_INPUT, TINFL_FLAG_IGNORE_ADLER32,
            TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF,
        },
    },
};

use self::header::Header;
use super::sink::Sink;
use crate::challenge::{LOOK, Verdict};

/// How much is decoded at first: an answer is mostly let go at its first key.
const FIRST_STEP: usize = 32;

/// The buffer holds all of the look, so the decoder needs no window of its own. No checksum is compared: the look mostly
/// ends before it.
const FLAGS: u32 = TINFL_FLAG_HAS_MORE_INPUT
    | TINFL_FLAG_IGNORE_ADLER32
    | TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;

/// Decodes gzip or deflate as it arrives.
pub(in crate::challenge) struct Inflate {
    stage: Stage,
    gzip: bool,
    decoder: DecompressorOxide,
    /// What has been decoded. What an earlier body left behind `at` is never read.
    output: [u8; LOOK as usize],
    at: usize,
    /// Where the member at hand begins: nothing in it refers to what is before it.
    member: usize,
    /// How much is decoded next.
    step: usize,
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
    Data,
    /// In the trailer of a gzip member, with so many bytes to go.
    Trailer(u8),
    /// Not coded at all, whatever the header says: some proxies decode and leave the header.
    Plain,
    /// The data ended, or are broken, or the look ended.
    #[default]
    Over,
}

impl Default for Inflate {
    fn default() -> Self {
        Self {
            stage: Stage::Over,
            gzip: false,
            decoder: DecompressorOxide::new(),
            output: [0; LOOK as usize],
            at: 0,
            member: 0,
            step: FIRST_STEP,
        }
    }
}

impl fmt::Debug for Inflate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inflate")
            .field("stage", &self.stage)
            .finish_non_exhaustive()
    }
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
        self.at = 0;
        self.step = FIRST_STEP;
    }

    pub(super) fn is_over(&self) -> bool {
        matches!(self.stage, Stage::Over)
    }

    pub(super) fn push(&mut self, mut bytes: &[u8], mut sink: impl Sink) -> Verdict {
        loop {
            if let Stage::Data = self.stage {
                match self.decode(&mut bytes, &mut sink) {
                    Verdict::More => {}
                    verdict => return verdict,
                }
            }
            let Some((&byte, rest)) = bytes.split_first() else {
                return Verdict::More;
            };
            self.stage = match self.stage {
                Stage::Gzip {
                    header,
                    is_first: true,
                } if header.is_new() && byte != 0x1F => Stage::Plain,
                Stage::Gzip {
                    mut header,
                    is_first,
                } => match header.byte(byte) {
                    Some(true) => self.start_data(),
                    // Broken; or padding, or garbage, after the last member.
                    Some(false) => Stage::Over,
                    None => Stage::Gzip { header, is_first },
                },
                Stage::Deflate(None) => Stage::Deflate(Some(byte)),
                Stage::Deflate(Some(first)) => match self.start_deflate([first, byte], &mut sink) {
                    Verdict::More => self.stage,
                    verdict => return verdict,
                },
                Stage::Trailer(1) => Stage::Gzip {
                    header: Header::default(),
                    is_first: false,
                },
                Stage::Trailer(left) => Stage::Trailer(left - 1),
                stage @ (Stage::Data | Stage::Plain | Stage::Over) => stage,
            };
            match self.stage {
                Stage::Plain => return sink(bytes),
                Stage::Over => return Verdict::More,
                _ => bytes = rest,
            }
        }
    }

    fn start_data(&mut self) -> Stage {
        self.decoder.init();
        self.member = self.at;
        Stage::Data
    }

    fn start_deflate(&mut self, head: [u8; 2], sink: &mut impl Sink) -> Verdict {
        let [first, second] = head;
        let is_zlib = first & 0x0F == 8 && u16::from_be_bytes(head).is_multiple_of(31);
        if is_zlib && second & 0x20 != 0 {
            // It needs a preset dictionary, which HTTP does not have.
            self.stage = Stage::Over;
            return Verdict::More;
        }
        self.stage = self.start_data();
        match is_zlib {
            true => Verdict::More,
            false => self.decode(&mut &head[..], sink),
        }
    }

    /// Decodes until the bytes are used up, the data end, or the sink has decided.
    fn decode(&mut self, bytes: &mut &[u8], sink: &mut impl Sink) -> Verdict {
        loop {
            let before = self.at;
            let (status, read, written) = decompress_with_limit(
                &mut self.decoder,
                bytes,
                &mut self.output[self.member..],
                before - self.member,
                self.step,
                FLAGS,
            );
            *bytes = &bytes[read..];
            self.at += written;
            match status {
                TINFLStatus::NeedsMoreInput => {}
                TINFLStatus::HasMoreOutput if self.at < self.output.len() => {}
                TINFLStatus::Done if self.gzip => self.stage = Stage::Trailer(8),
                _ => self.stage = Stage::Over,
            }
            if written > 0 {
                self.step = LOOK.into();
                match sink(&self.output[before..self.at]) {
                    Verdict::More => {}
                    verdict => return verdict,
                }
            }
            if status != TINFLStatus::HasMoreOutput || self.is_over() {
                return Verdict::More;
            }
        }
    }
}
