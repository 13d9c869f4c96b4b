//! The header of a gzip member (RFC 1952, 2.3).

/// A gzip header, byte by byte.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Header {
    at: u8,
    flags: u8,
    skip: u16,
    part: Part,
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

impl Header {
    /// Nothing of it has been taken.
    pub(super) fn is_new(&self) -> bool {
        self.at == 0
    }

    /// Takes a byte: true when the header is complete, false when it is none.
    pub(super) fn byte(&mut self, byte: u8) -> Option<bool> {
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
