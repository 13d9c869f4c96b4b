//! zstd (RFC 8878), as far as a look goes. The decoders to be had decode whole blocks, of up to 128 KiB and, if they
//! are hostile, of any size. This one decodes sequence by sequence into a flat buffer as long as the look and stops
//! there. It allocates nothing, compares no checksum, and knows no dictionary.

mod bits;
mod fse;
mod huffman;
mod sequences;

use self::{
    huffman::{Huffman, Literals},
    sequences::{History, Sequences},
};
use super::{output::Output, sink::Sink};
use crate::challenge::{LOOK, Verdict};

/// How a frame begins.
const FRAME: u32 = 0xFD2F_B528;
/// How a frame to be skipped begins, and which of the bits say so.
const SKIPPABLE: (u32, u32) = (0x184D_2A50, 0xFFFF_FFF0);
/// What the content coding allows (RFC 9659).
const MAX_WINDOW: u64 = 8 << 20;
const MAX_BLOCK: u64 = 128 << 10;

/// Decodes zstd as it arrives.
#[derive(Debug)]
pub(in crate::challenge) struct Zstd {
    stage: Stage,
    /// Coded bytes that may still come: what ends behind them is never complete.
    left: usize,
    /// What is being collected until it is complete: a header or a block.
    collected: [u8; LOOK as usize],
    have: usize,
    first_frame: bool,
    frame: Frame,
    huffman: Huffman,
    history: History,
    output: Output,
}

#[derive(Clone, Copy, Debug)]
enum Stage {
    Magic,
    SkipLength,
    Skip(u32),
    Descriptor,
    FrameHeader(u8),
    BlockHeader,
    Raw(usize),
    Run(usize),
    Block(usize),
    Checksum,
    /// Not coded at all, whatever the header says: some proxies decode and leave the header.
    Plain,
    /// The data ended, or are broken, or need more than a look may take.
    Over,
}

#[derive(Clone, Copy, Debug, Default)]
struct Frame {
    max_block: usize,
    checksum: bool,
    last_block: bool,
}

impl Default for Zstd {
    fn default() -> Self {
        Self {
            stage: Stage::Over,
            left: 0,
            collected: [0; LOOK as usize],
            have: 0,
            first_frame: true,
            frame: Frame::default(),
            huffman: Huffman::default(),
            history: History::default(),
            output: Output::default(),
        }
    }
}

impl Zstd {
    /// Gets ready for the start of a body.
    pub(super) fn start(&mut self) {
        self.stage = Stage::Magic;
        self.left = LOOK.into();
        self.have = 0;
        self.first_frame = true;
        self.output.start();
    }

    pub(super) fn is_over(&self) -> bool {
        matches!(self.stage, Stage::Over)
    }

    pub(super) fn push(&mut self, mut bytes: &[u8], mut sink: impl Sink) -> Verdict {
        loop {
            let needed = match self.stage {
                Stage::Over => return Verdict::More,
                Stage::Plain => return sink(bytes),
                Stage::Skip(left) => {
                    let now = bytes.len().min(left as usize);
                    bytes = self.advance(bytes, now);
                    if now < left as usize {
                        self.stage = Stage::Skip(left - now as u32);
                        return Verdict::More;
                    }
                    self.stage = Stage::Magic;
                    continue;
                }
                Stage::Raw(left) => {
                    let now = bytes.len().min(left);
                    self.output.push(&bytes[..now]);
                    bytes = self.advance(bytes, now);
                    match self.output.show(&mut sink) {
                        Verdict::More => {}
                        verdict => return verdict,
                    }
                    if now < left {
                        self.stage = Stage::Raw(left - now);
                        return Verdict::More;
                    }
                    self.stage = self.after_block();
                    continue;
                }
                Stage::Magic | Stage::SkipLength | Stage::Checksum => 4,
                Stage::Descriptor | Stage::Run(_) => 1,
                Stage::FrameHeader(descriptor) => header_len(descriptor),
                Stage::BlockHeader => 3,
                Stage::Block(len) => len,
            };
            let now = bytes.len().min(needed - self.have);
            self.collected[self.have..][..now].copy_from_slice(&bytes[..now]);
            bytes = self.advance(bytes, now);
            self.have += now;
            if self.have < needed {
                return Verdict::More;
            }
            self.have = 0;
            match self.complete(&mut sink) {
                Verdict::More => {}
                verdict => return verdict,
            }
        }
    }

    fn advance<'a>(&mut self, bytes: &'a [u8], by: usize) -> &'a [u8] {
        self.left = self.left.saturating_sub(by);
        &bytes[by..]
    }

    /// What was collected is complete.
    fn complete(&mut self, sink: &mut impl Sink) -> Verdict {
        let mut verdict = Verdict::More;
        let word = u32::from_le_bytes(*self.collected.first_chunk().unwrap_or(&[0; 4]));
        self.stage = match self.stage {
            Stage::Magic if word == FRAME => Stage::Descriptor,
            Stage::Magic if word & SKIPPABLE.1 == SKIPPABLE.0 => Stage::SkipLength,
            Stage::Magic if self.first_frame => {
                verdict = sink(&self.collected[..4]);
                Stage::Plain
            }
            Stage::Magic => Stage::Over,
            Stage::SkipLength => Stage::Skip(word),
            Stage::Descriptor => Stage::FrameHeader(self.collected[0]),
            Stage::FrameHeader(descriptor) => match self.start_frame(descriptor) {
                Some(()) => Stage::BlockHeader,
                None => Stage::Over,
            },
            Stage::BlockHeader => self.block_header(word & 0x00FF_FFFF),
            Stage::Run(len) => {
                self.output.fill(self.collected[0], len);
                verdict = self.output.show(sink);
                self.after_block()
            }
            Stage::Block(len) => {
                let decoded = self.block(len, sink);
                // What comes before the break counts, however the body arrives.
                verdict = match decoded {
                    Some(Verdict::More) | None => self.output.show(sink),
                    Some(verdict) => verdict,
                };
                match decoded {
                    Some(_) => self.after_block(),
                    None => Stage::Over,
                }
            }
            Stage::Checksum => Stage::Magic,
            stage @ (Stage::Skip(_) | Stage::Raw(_) | Stage::Plain | Stage::Over) => stage,
        };
        verdict
    }

    fn start_frame(&mut self, descriptor: u8) -> Option<()> {
        self.first_frame = false;
        let single_segment = descriptor & 0x20 != 0;
        let (window, rest) = self.collected.split_at(usize::from(!single_segment));
        let (dictionary, rest) = rest.split_at([0, 1, 2, 4][usize::from(descriptor & 3)]);
        let size_len = header_len(descriptor) - window.len() - dictionary.len();
        let window = match window.first() {
            Some(window) => {
                let base = 1024_u64 << (window >> 3);
                base + base / 8 * u64::from(window & 7)
            }
            None => {
                let mut size = [0; 8];
                size[..size_len].copy_from_slice(&rest[..size_len]);
                u64::from_le_bytes(size) + if size_len == 2 { 256 } else { 0 }
            }
        };
        let is_reserved = descriptor & 8 != 0;
        if is_reserved || window > MAX_WINDOW || dictionary.iter().any(|byte| *byte != 0) {
            return None;
        }
        self.frame = Frame {
            max_block: window.min(MAX_BLOCK) as usize,
            checksum: descriptor & 4 != 0,
            last_block: false,
        };
        self.huffman.forget();
        self.history.start();
        self.output.start_part();
        Some(())
    }

    fn block_header(&mut self, header: u32) -> Stage {
        let len = (header >> 3) as usize;
        self.frame.last_block = header & 1 != 0;
        if len > self.frame.max_block {
            return Stage::Over;
        }
        match header >> 1 & 3 {
            0 => Stage::Raw(len),
            1 => Stage::Run(len),
            // It is never seen whole, and nothing of it can be decoded before.
            2 if len > self.left => Stage::Over,
            2 => Stage::Block(len),
            _ => Stage::Over,
        }
    }

    fn after_block(&self) -> Stage {
        match self.frame {
            Frame {
                last_block: false, ..
            } => Stage::BlockHeader,
            Frame { checksum: true, .. } => Stage::Checksum,
            _ => Stage::Magic,
        }
    }

    /// Decodes a block, as far as the look goes; `None` where it is broken.
    fn block(&mut self, len: usize, sink: &mut impl Sink) -> Option<Verdict> {
        let output = &mut self.output;
        let block = self.collected.get(..len)?;
        let (mut literals, rest) = Literals::read(block, &mut self.huffman)?;
        let mut sequences = Sequences::read(rest, &mut self.history)?;
        while !sequences.is_over() && !output.is_full() {
            let sequence = sequences.next()?;
            output.write(sequence.literals, |room| literals.take(room))?;
            output.repeat(sequence.offset, sequence.copied)?;
            if output.is_due() {
                match output.show(sink) {
                    Verdict::More => {}
                    verdict => return Some(verdict),
                }
            }
        }
        // The first of them may be all that is needed.
        while literals.left() > 0 && !output.is_full() {
            let now = literals.left().min(output.step());
            output.write(now, |room| literals.take(room))?;
            match output.show(sink) {
                Verdict::More => {}
                verdict => return Some(verdict),
            }
        }
        Some(Verdict::More)
    }
}

/// How long a frame's header is behind its descriptor.
fn header_len(descriptor: u8) -> usize {
    let single_segment = descriptor & 0x20 != 0;
    let size = match descriptor >> 6 {
        0 => usize::from(single_segment),
        size => 1 << size,
    };
    usize::from(!single_segment) + [0, 1, 2, 4][usize::from(descriptor & 3)] + size
}
