//! Decodes gzip and deflate for the look, never more than the look needs, so that a bomb is no more
//! than its first bytes.

use flate2::{Decompress, FlushDecompress, Status};
use http::{HeaderMap, header};

use crate::challenge::{LOOK, Verdict};

/// How a body is coded.
#[derive(Debug)]
pub(super) enum Coding {
    Identity,
    Inflate(Box<Inflate>),
    /// A coding, or several, that are not decoded here.
    Unknown,
}

impl Coding {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let mut coding = Self::Identity;
        for value in headers.get_all(header::CONTENT_ENCODING) {
            for name in value.as_bytes().split(|byte| *byte == b',') {
                let name = name.trim_ascii();
                if name.is_empty() || name.eq_ignore_ascii_case(b"identity") {
                    continue;
                }
                let stage =
                    if name.eq_ignore_ascii_case(b"gzip") || name.eq_ignore_ascii_case(b"x-gzip") {
                        Stage::Gzip(Header::default())
                    } else if name.eq_ignore_ascii_case(b"deflate") {
                        Stage::Deflate(None)
                    } else {
                        return Self::Unknown;
                    };
                if !matches!(coding, Self::Identity) {
                    return Self::Unknown;
                }
                coding = Self::Inflate(Box::new(Inflate {
                    stage,
                    gzip: false,
                    decompress: Decompress::new(false),
                    out: vec![0; usize::from(LOOK)],
                }));
            }
        }
        coding
    }
}

/// An inflater that is fed as the body arrives.
#[derive(Debug)]
pub(super) struct Inflate {
    stage: Stage,
    gzip: bool,
    decompress: Decompress,
    /// As long as the look: an inflater that meets broken data drops what it could not hand out, and
    /// then the verdict would depend on how the body is cut into frames.
    out: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
enum Stage {
    /// In the header of a gzip member.
    Gzip(Header),
    /// At the start of "deflate", which is zlib by the book and raw by custom; the second byte tells.
    Deflate(Option<u8>),
    Body,
    /// In the trailer of a gzip member, with so many bytes to go. Nobody checks it here.
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
    /// Whether nothing will come out any more.
    pub(super) fn is_stuck(&self) -> bool {
        matches!(self.stage, Stage::Over)
    }

    /// Decodes, handing pieces to `sink` until it decides or the bytes are used up.
    pub(super) fn push(
        &mut self,
        mut bytes: &[u8],
        mut sink: impl FnMut(&[u8]) -> Verdict,
    ) -> Verdict {
        loop {
            if let Stage::Body = self.stage {
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
                        self.stage = Stage::Body;
                        self.gzip = true;
                        self.decompress.reset(false);
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
                        // A preset dictionary nobody has.
                        true if byte & 0x20 != 0 => Stage::Over,
                        _ => Stage::Body,
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
                Stage::Body => continue,
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

    fn inflate(&mut self, bytes: &mut &[u8], sink: &mut impl FnMut(&[u8]) -> Verdict) -> Verdict {
        while let Stage::Body = self.stage {
            let (read, written) = (self.decompress.total_in(), self.decompress.total_out());
            let status = self
                .decompress
                .decompress(bytes, &mut self.out, FlushDecompress::None);
            let read = (self.decompress.total_in() - read) as usize;
            let written = (self.decompress.total_out() - written) as usize;
            *bytes = bytes.get(read..).unwrap_or_default();
            match status {
                Ok(Status::StreamEnd) if self.gzip => self.stage = Stage::Trailer(8),
                Ok(Status::StreamEnd) | Err(_) => self.stage = Stage::Over,
                Ok(_) => {}
            }
            if written > 0 {
                match sink(self.out.get(..written).unwrap_or_default()) {
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
