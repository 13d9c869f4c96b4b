//! gzip and deflate, by `miniz_oxide`'s core: it decodes into one flat buffer as long as the look, so that it needs no
//! window of its own.

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

use super::{FIRST_STEP, Sink};
use crate::challenge::{LOOK, Verdict};

/// Decodes gzip or deflate as it arrives.
pub(in crate::challenge) struct Inflate {
    stage: Stage,
    gzip: bool,
    core: DecompressorOxide,
    /// All that was decoded. What an earlier body left behind `at` is never read.
    out: [u8; LOOK as usize],
    at: usize,
    /// Where the gzip member at hand begins: nothing in it refers to what is before it.
    member: usize,
    step: usize,
}

impl Default for Inflate {
    fn default() -> Self {
        Self {
            stage: Stage::Over,
            gzip: false,
            core: DecompressorOxide::default(),
            out: [0; LOOK as usize],
            at: 0,
            member: 0,
            step: FIRST_STEP,
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Stage {
    /// In the header of a gzip member.
    Gzip(Header),
    /// At the start of "deflate", which is zlib by the RFC and raw with some servers; the second byte tells.
    Deflate(Option<u8>),
    Data,
    /// In the trailer of a gzip member, with so many bytes to go. Its checksum is not compared: the look ends before.
    Trailer(u8),
    /// Not coded at all, whatever the header says: some proxies decode and leave the header.
    Plain,
    /// The data ended, or are broken.
    Over,
}

/// A gzip header, byte by byte.
#[derive(Clone, Copy, Debug, Default)]
struct Header {
    at: u8,
    flags: u8,
    skip: u16,
    part: Part,
    /// This is not the first member.
    again: bool,
}

#[derive(Clone, Copy, Debug, Default)]
enum Part {
    #[default]
    Fixed,
    ExtraLow,
    ExtraHigh,
    Extra,
    Name,
    Comment,
    Checksum,
}

const CHECKSUM: u8 = 2;
const EXTRA: u8 = 4;
const NAME: u8 = 8;
const COMMENT: u8 = 16;

impl Inflate {
    /// Gets ready for the start of a body.
    pub(super) fn start(&mut self, gzip: bool) {
        self.gzip = gzip;
        self.stage = if gzip {
            Stage::Gzip(Header::default())
        } else {
            Stage::Deflate(None)
        };
        self.step = FIRST_STEP;
        self.start_member(0);
    }

    fn start_member(&mut self, at: usize) {
        self.core.init();
        self.at = at;
        self.member = at;
    }

    pub(super) fn is_over(&self) -> bool {
        matches!(self.stage, Stage::Over)
    }

    pub(super) fn push(&mut self, mut bytes: &[u8], mut sink: impl Sink) -> Verdict {
        loop {
            if let Stage::Data = self.stage {
                match self.inflate(&mut bytes, &mut sink) {
                    Verdict::More => {}
                    verdict => return verdict,
                }
            }
            let Some((&byte, rest)) = bytes.split_first() else {
                return Verdict::More;
            };
            match &mut self.stage {
                Stage::Gzip(header) if header.at == 0 && byte != 0x1F => {
                    if !header.again {
                        self.stage = Stage::Plain;
                        continue;
                    }
                    // Padding, or rubbish, after the last member.
                    self.stage = Stage::Over;
                }
                Stage::Gzip(header) => match header.byte(byte) {
                    Some(true) => {
                        self.stage = Stage::Data;
                        self.start_member(self.at);
                    }
                    Some(false) => self.stage = Stage::Over,
                    None => {}
                },
                Stage::Deflate(first @ None) => *first = Some(byte),
                Stage::Deflate(Some(first)) => {
                    let first = *first;
                    let zlib =
                        first & 0x0F == 8 && (u16::from(first) << 8 | u16::from(byte)) % 31 == 0;
                    self.stage = match zlib {
                        // It needs a preset dictionary, which HTTP does not have.
                        true if byte & 0x20 != 0 => Stage::Over,
                        _ => Stage::Data,
                    };
                    if !zlib {
                        for byte in [first, byte] {
                            match self.inflate(&mut &[byte][..], &mut sink) {
                                Verdict::More => {}
                                verdict => return verdict,
                            }
                        }
                    }
                }
                Stage::Data => continue,
                Stage::Trailer(left) => {
                    *left -= 1;
                    if *left == 0 {
                        self.stage = Stage::Gzip(Header {
                            again: true,
                            ..Header::default()
                        });
                    }
                }
                Stage::Plain => return sink(bytes),
                Stage::Over => return Verdict::More,
            }
            bytes = rest;
        }
    }

    fn inflate(&mut self, bytes: &mut &[u8], sink: &mut impl Sink) -> Verdict {
        while let Stage::Data = self.stage {
            let before = self.at;
            let (status, read, written) = decompress_with_limit(
                &mut self.core,
                bytes,
                &mut self.out[self.member..],
                before - self.member,
                self.step,
                TINFL_FLAG_HAS_MORE_INPUT
                    | TINFL_FLAG_IGNORE_ADLER32
                    | TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF,
            );
            self.step = usize::from(LOOK);
            self.at += written;
            *bytes = bytes.get(read..).unwrap_or_default();
            match status {
                TINFLStatus::Done if self.gzip => self.stage = Stage::Trailer(8),
                TINFLStatus::NeedsMoreInput | TINFLStatus::HasMoreOutput => {}
                // The end, or broken data.
                _ => self.stage = Stage::Over,
            }
            if written > 0 {
                match sink(&self.out[before..self.at]) {
                    Verdict::More => {}
                    verdict => return verdict,
                }
            }
            if read == 0 && written == 0 {
                if !bytes.is_empty() {
                    self.stage = Stage::Over;
                }
                break;
            }
        }
        Verdict::More
    }
}

impl Header {
    /// Takes a byte: true when the header is complete, false when it is none.
    fn byte(&mut self, byte: u8) -> Option<bool> {
        match self.part {
            Part::Fixed => {
                match (self.at, byte) {
                    (0, 0x1F) | (1, 0x8B) | (2, 8) | (4..=9, _) => {}
                    (3, flags) => self.flags = flags,
                    _ => return Some(false),
                }
                self.at += 1;
                if self.at < 10 { None } else { self.next(EXTRA) }
            }
            Part::ExtraLow => {
                self.skip = u16::from(byte);
                self.part = Part::ExtraHigh;
                None
            }
            Part::ExtraHigh => {
                self.skip |= u16::from(byte) << 8;
                self.part = Part::Extra;
                if self.skip == 0 {
                    self.next(NAME)
                } else {
                    None
                }
            }
            Part::Extra => {
                self.skip -= 1;
                if self.skip == 0 {
                    self.next(NAME)
                } else {
                    None
                }
            }
            Part::Name if byte == 0 => self.next(COMMENT),
            Part::Comment if byte == 0 => self.next(CHECKSUM),
            Part::Name | Part::Comment => None,
            Part::Checksum => {
                self.skip -= 1;
                (self.skip == 0).then_some(true)
            }
        }
    }

    /// Goes on to the first part, from this one on, that is there.
    fn next(&mut self, part: u8) -> Option<bool> {
        let rest = match part {
            EXTRA => [EXTRA, NAME, COMMENT, CHECKSUM],
            NAME => [NAME, COMMENT, CHECKSUM, 0],
            COMMENT => [COMMENT, CHECKSUM, 0, 0],
            _ => [CHECKSUM, 0, 0, 0],
        };
        self.part = match rest.into_iter().find(|part| self.flags & part != 0) {
            Some(EXTRA) => Part::ExtraLow,
            Some(NAME) => Part::Name,
            Some(COMMENT) => Part::Comment,
            Some(_) => {
                self.skip = 2;
                Part::Checksum
            }
            None => return Some(true),
        };
        None
    }
}
