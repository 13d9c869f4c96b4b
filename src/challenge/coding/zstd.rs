//! zstd (RFC 8878), by `ruzstd`, block by block: a block is decoded as soon as it is complete.

use std::{
    fmt,
    io::{self, Read},
};

use ruzstd::decoding::{
    BlockDecodingStrategy, FrameDecoder,
    errors::{FrameDecoderError, ReadFrameHeaderError},
};

use super::sink::Sink;
use crate::challenge::{LOOK, Verdict};

/// The largest window that is decoded; what the content coding allows (RFC 9659). It is not reserved: the decoder holds
/// what it has decoded, and that is the look and one block of 128 KiB at most.
const MAX_WINDOW: u64 = 8 << 20;
/// The most literals and sequences of a block that is decoded. In the 16 KiB of a look encoders write fewer; the format
/// allows so many of them that they would take megabytes.
const MAX_LITERALS: usize = 64 << 10;
const MAX_SEQUENCES: usize = 16 << 10;
/// Lengths, in bytes: of what a frame begins with, of that and a length in a frame to be skipped, and of other parts.
const MAGIC: usize = 4;
const SKIPPED_HEADER: usize = 8;
const BLOCK_HEADER: usize = 3;
const CHECKSUM: usize = 4;
/// In the byte behind the magic number.
const HAS_CHECKSUM: u8 = 4;
/// Kinds of blocks: one byte that is repeated, and what takes decoding.
const RUN: usize = 1;
const COMPRESSED: usize = 2;

/// Decodes zstd as it arrives.
#[derive(Default)]
pub(in crate::challenge) struct Zstd {
    stage: Stage,
    decoder: FrameDecoder,
    /// What has arrived of the body, as far as the look goes.
    coded: Vec<u8>,
    /// Where the part begins that is read next.
    at: usize,
    /// How much the sink has seen: of the frame at hand, and of the body.
    shown_of_frame: usize,
    shown: usize,
}

#[derive(Clone, Copy, Debug, Default)]
enum Stage {
    /// At the start of the body.
    #[default]
    Start,
    /// At the start of a further frame.
    Frame,
    Block {
        /// A checksum follows the last block.
        checksum: bool,
    },
    Checksum,
    /// Not coded at all, whatever the header says: some proxies decode and leave the header.
    Plain,
    /// The data ended, or are broken, or need more than a look may take.
    Over,
}

/// Why a part is not read.
#[derive(Clone, Copy, Debug)]
enum Stop {
    /// It is not complete.
    More,
    /// It is broken, or needs more than a look may take.
    Over,
}

impl fmt::Debug for Zstd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Zstd")
            .field("stage", &self.stage)
            .finish_non_exhaustive()
    }
}

impl Zstd {
    pub(super) fn is_over(&self) -> bool {
        matches!(self.stage, Stage::Over)
    }

    pub(super) fn push(&mut self, bytes: &[u8], mut sink: impl Sink) -> Verdict {
        if let Stage::Plain = self.stage {
            return sink(bytes);
        }
        let room = usize::from(LOOK) - self.coded.len();
        self.coded
            .extend_from_slice(&bytes[..bytes.len().min(room)]);
        loop {
            let read = match self.stage {
                Stage::Start | Stage::Frame => self.frame(),
                Stage::Block { checksum } => self.block(checksum),
                Stage::Checksum => self.checksum(),
                Stage::Plain => return sink(&self.coded),
                Stage::Over => return Verdict::More,
            };
            self.stage = match read {
                Ok(stage) => stage,
                Err(Stop::More) => return Verdict::More,
                Err(Stop::Over) => Stage::Over,
            };
            match self.show(&mut sink) {
                Verdict::More => {}
                verdict => return verdict,
            }
        }
    }

    /// The next part, if all of it has arrived.
    fn next(&self, len: usize) -> Result<&[u8], Stop> {
        match self.at.saturating_add(len) {
            end if end <= self.coded.len() => Ok(&self.coded[self.at..end]),
            // A part is read whole or not at all, and the look ends before the end of this one.
            end if end > LOOK.into() => Err(Stop::Over),
            _ => Err(Stop::More),
        }
    }

    /// Reads the header of a frame, or skips one.
    fn frame(&mut self) -> Result<Stage, Stop> {
        let header = &self.coded[self.at..];
        let mut rest = header;
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(MAX_WINDOW);
        match decoder.init(&mut rest) {
            Ok(()) => {
                let checksum = header[MAGIC] & HAS_CHECKSUM != 0;
                self.at = self.coded.len() - rest.len();
                self.decoder = decoder;
                self.shown_of_frame = 0;
                Ok(Stage::Block { checksum })
            }
            Err(FrameDecoderError::ReadFrameHeaderError(error)) => match error {
                ReadFrameHeaderError::BadMagicNumber(_) => Ok(match self.stage {
                    Stage::Start => Stage::Plain,
                    _ => Stage::Over,
                }),
                ReadFrameHeaderError::SkipFrame { length, .. } => {
                    let len = SKIPPED_HEADER.saturating_add(length as usize);
                    self.next(len)?;
                    self.at += len;
                    Ok(Stage::Frame)
                }
                ReadFrameHeaderError::InvalidFrameDescriptor(_) => Err(Stop::Over),
                _ => Err(Stop::More),
            },
            Err(_) => Err(Stop::Over),
        }
    }

    /// Decodes a block.
    fn block(&mut self, checksum: bool) -> Result<Stage, Stop> {
        let header = number(self.next(BLOCK_HEADER)?);
        let (is_last, kind, size) = (header & 1 != 0, header >> 1 & 3, header >> 3);
        let len = BLOCK_HEADER + if kind == RUN { 1 } else { size };
        let block = self.next(len)?;
        if kind == COMPRESSED && !is_affordable(&block[BLOCK_HEADER..]) {
            return Err(Stop::Over);
        }
        // The decoder shows all that it has decoded only behind the last block and the checksum. So each block is the
        // last, and something follows it. The checksum is not compared: the look mostly ends before it.
        self.coded[self.at] |= 1;
        let block = self.coded[self.at..][..len].chain(&[0; CHECKSUM][..]);
        self.decoder
            .decode_blocks(block, BlockDecodingStrategy::UptoBlocks(1))
            .map_err(|_| Stop::Over)?;
        self.at += len;
        Ok(match (is_last, checksum) {
            (false, _) => Stage::Block { checksum },
            (true, true) => Stage::Checksum,
            (true, false) => Stage::Frame,
        })
    }

    /// Skips the checksum.
    fn checksum(&mut self) -> Result<Stage, Stop> {
        self.next(CHECKSUM)?;
        self.at += CHECKSUM;
        Ok(Stage::Frame)
    }

    /// Shows what has been decoded since the last time.
    fn show(&mut self, sink: &mut impl Sink) -> Verdict {
        let mut look = Look {
            skip: self.shown_of_frame,
            seen: 0,
            verdict: Verdict::More,
            sink,
        };
        // It takes nothing out, so that later blocks can refer to it.
        let taken = self.decoder.collect_to_writer(&mut look);
        debug_assert!(matches!(taken, Ok(0)), "{taken:?}");
        let (seen, verdict) = (look.seen, look.verdict);
        self.shown_of_frame += seen;
        self.shown += seen;
        if verdict == Verdict::More && self.shown >= LOOK.into() {
            self.stage = Stage::Over;
        }
        verdict
    }
}

/// Shows bytes that the decoder would write, and takes none of them.
struct Look<'a, S> {
    skip: usize,
    seen: usize,
    verdict: Verdict,
    sink: &'a mut S,
}

impl<S: Sink> io::Write for Look<'_, S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let new = bytes.get(self.skip..).unwrap_or_default();
        if !new.is_empty() {
            self.seen = new.len();
            self.verdict = (self.sink)(new);
        }
        Ok(0)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whether this block says that it has no more literals and sequences than are decoded.
fn is_affordable(block: &[u8]) -> bool {
    sizes(block)
        .is_some_and(|(literals, sequences)| literals <= MAX_LITERALS && sequences <= MAX_SEQUENCES)
}

/// How many literals and sequences a block says it has; `None` where it is too short to say.
fn sizes(block: &[u8]) -> Option<(usize, usize)> {
    let first = *block.first()?;
    let is_coded = first & 2 != 0;
    let is_run = first & 3 == 1;
    let (header_len, bits) = match (is_coded, first >> 2 & 3) {
        (false, 0 | 2) => (1, 5),
        (false, 1) => (2, 12),
        (false, _) => (3, 20),
        (true, 0 | 1) => (3, 10),
        (true, 2) => (4, 14),
        (true, _) => (5, 18),
    };
    let header = number(block.get(..header_len)?) >> if bits == 5 { 3 } else { 4 };
    let literals = header & ((1 << bits) - 1);
    let literals_len = match (is_coded, is_run) {
        (true, _) => header >> bits,
        (false, true) => 1,
        (false, false) => literals,
    };
    let sequences = match *block.get(header_len + literals_len..)? {
        [count @ ..=127, ..] => usize::from(count),
        [high @ 128..=254, low, ..] => usize::from(high - 128) << 8 | usize::from(low),
        [255, low, high, ..] => 0x7F00 + usize::from(u16::from_le_bytes([low, high])),
        _ => return None,
    };
    Some((literals, sequences))
}

/// A number of up to 5 bytes, the low ones first.
fn number(bytes: &[u8]) -> usize {
    let number = bytes
        .iter()
        .rev()
        .fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    number as usize
}
