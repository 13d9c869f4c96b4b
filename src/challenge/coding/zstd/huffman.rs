//! The Huffman codes of literals, and the literals, decoded as they are asked for (RFC 8878, 3.1.1.3.1 and 4.2).

use super::{
    bits::Backward,
    fse::{Counts, State, Table},
};

const MAX_BITS: u32 = 11;
const MAX_SYMBOLS: usize = 256;

/// A code as a table: what the next bits stand for, and how many of them.
#[derive(Debug)]
pub(super) struct Huffman {
    cells: [Cell; 1 << MAX_BITS],
    /// The longest code; 0 where there is none.
    log: u32,
    /// For the weights of a code that are coded themselves.
    weights: Table<64>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Cell {
    symbol: u8,
    bits: u8,
}

impl Default for Huffman {
    fn default() -> Self {
        Self {
            cells: [Cell::default(); 1 << MAX_BITS],
            log: 0,
            weights: Table::default(),
        }
    }
}

impl Huffman {
    pub(super) fn forget(&mut self) {
        self.log = 0;
    }

    pub(super) fn is_ready(&self) -> bool {
        self.log > 0
    }

    /// Reads a description, and gives what is behind it.
    pub(super) fn read<'a>(&mut self, bytes: &'a [u8]) -> Option<&'a [u8]> {
        self.log = 0;
        let (&head, rest) = bytes.split_first()?;
        let mut weights = [0_u8; MAX_SYMBOLS];
        let (count, rest) = if head >= 128 {
            let count = usize::from(head) - 127;
            let (packed, rest) = rest.split_at_checked(count.div_ceil(2))?;
            for (pair, byte) in weights.chunks_mut(2).zip(packed) {
                pair[0] = byte >> 4;
                pair[1] = byte & 0x0F;
            }
            (count, rest)
        } else {
            let (coded, rest) = rest.split_at_checked(usize::from(head))?;
            (self.read_weights(coded, &mut weights)?, rest)
        };
        self.build(&mut weights, count)?;
        Some(rest)
    }

    /// Two states take turns; the data end where one cannot go on, and the other has one symbol more.
    fn read_weights(&mut self, coded: &[u8], weights: &mut [u8; MAX_SYMBOLS]) -> Option<usize> {
        let (counts, used) = Counts::read(coded, MAX_BITS as usize + 1, 6)?;
        self.weights.build(&counts)?;
        let table = &self.weights;
        let mut bits = Backward::new(coded.get(used..)?)?;
        let mut one = State::first(table, &mut bits)?;
        let mut other = State::first(table, &mut bits)?;
        // The weight of the last symbol is not written.
        let room = &mut weights[..MAX_SYMBOLS - 1];
        let mut count = 0;
        loop {
            *room.get_mut(count)? = one.symbol(table);
            count += 1;
            if !one.next(table, &mut bits) {
                *room.get_mut(count)? = other.symbol(table);
                return Some(count + 1);
            }
            std::mem::swap(&mut one, &mut other);
        }
    }

    fn build(&mut self, weights: &mut [u8; MAX_SYMBOLS], count: usize) -> Option<()> {
        let mut counts = [0_u32; MAX_BITS as usize + 1];
        for weight in &weights[..count] {
            *counts.get_mut(usize::from(*weight))? += 1;
        }
        let sum: u32 = (1..=MAX_BITS)
            .map(|weight| counts[weight as usize] << (weight - 1))
            .sum();
        let log = sum.checked_ilog2()? + 1;
        let last = (1 << log) - sum;
        if log > MAX_BITS || !last.is_power_of_two() {
            return None;
        }
        let last = last.ilog2() + 1;
        *weights.get_mut(count)? = last as u8;
        counts[last as usize] += 1;

        let mut starts = [0_usize; MAX_BITS as usize + 2];
        for weight in 1..=MAX_BITS as usize {
            starts[weight + 1] = starts[weight] + ((counts[weight] as usize) << (weight - 1));
        }
        for (symbol, weight) in weights[..=count].iter().enumerate() {
            let Some(shift) = weight.checked_sub(1) else {
                continue;
            };
            let start = &mut starts[usize::from(*weight)];
            let end = *start + (1 << shift);
            self.cells[*start..end].fill(Cell {
                symbol: symbol as u8,
                bits: (log + 1) as u8 - weight,
            });
            *start = end;
        }
        self.log = log;
        Some(())
    }

    /// Decodes one stream into `out`; false where it ends too early.
    fn decode(&self, bits: &mut Backward<'_>, out: &mut [u8]) -> bool {
        for byte in out {
            let cell = self.cells[bits.peek(self.log) as usize % (1 << MAX_BITS)];
            *byte = cell.symbol;
            if !bits.skip(u32::from(cell.bits)) {
                return false;
            }
        }
        true
    }
}

/// The literals of a block.
#[derive(Debug)]
pub(super) enum Literals<'a> {
    Raw(&'a [u8]),
    Run {
        byte: u8,
        left: usize,
    },
    Coded {
        code: &'a Huffman,
        streams: [Backward<'a>; 4],
        /// The stream at hand, and how many bytes it still gives.
        stream: usize,
        stream_left: usize,
        /// How many bytes a stream gives; the last one gives what is missing.
        each: usize,
        left: usize,
    },
}

impl<'a> Literals<'a> {
    /// Reads the section of the literals, and gives what is behind it.
    pub(super) fn read(bytes: &'a [u8], code: &'a mut Huffman) -> Option<(Self, &'a [u8])> {
        let first = usize::from(*bytes.first()?);
        let format = first >> 2 & 3;
        let header = |len: usize| -> Option<(usize, &'a [u8])> {
            let (head, rest) = bytes.split_at_checked(len)?;
            let mut word = [0; 8];
            word[..len].copy_from_slice(head);
            Some((usize::try_from(u64::from_le_bytes(word) >> 4).ok()?, rest))
        };
        match first & 3 {
            kind @ (0 | 1) => {
                let (len, rest) = match format {
                    0 | 2 => (first >> 3, bytes.get(1..)?),
                    1 => header(2)?,
                    _ => header(3)?,
                };
                if kind == 0 {
                    let (raw, rest) = rest.split_at_checked(len)?;
                    return Some((Self::Raw(raw), rest));
                }
                let (&byte, rest) = rest.split_first()?;
                Some((Self::Run { byte, left: len }, rest))
            }
            kind => {
                let (len, width) = match format {
                    0 | 1 => (3, 10),
                    2 => (4, 14),
                    _ => (5, 18),
                };
                let (sizes, rest) = header(len)?;
                let left = sizes & ((1 << width) - 1);
                let coded = sizes >> width & ((1 << width) - 1);
                let (mut coded, rest) = rest.split_at_checked(coded)?;
                if kind == 2 {
                    coded = code.read(coded)?;
                } else if !code.is_ready() {
                    return None;
                }
                let mut streams = [Backward::default(); 4];
                let each = if format == 0 {
                    streams[0] = Backward::new(coded)?;
                    left
                } else {
                    let (lens, mut coded) = coded.split_at_checked(6)?;
                    for (stream, len) in streams.iter_mut().zip(lens.chunks_exact(2)) {
                        let len = usize::from(u16::from_le_bytes([len[0], len[1]]));
                        let (own, rest) = coded.split_at_checked(len)?;
                        *stream = Backward::new(own)?;
                        coded = rest;
                    }
                    streams[3] = Backward::new(coded)?;
                    left.div_ceil(4)
                };
                let literals = Self::Coded {
                    code,
                    streams,
                    stream: 0,
                    stream_left: each,
                    each,
                    left,
                };
                Some((literals, rest))
            }
        }
    }

    pub(super) fn left(&self) -> usize {
        match self {
            Self::Raw(raw) => raw.len(),
            Self::Run { left, .. } | Self::Coded { left, .. } => *left,
        }
    }

    /// Fills `out` with the next literals; `None` where there are not as many.
    pub(super) fn take(&mut self, mut out: &mut [u8]) -> Option<()> {
        match self {
            Self::Raw(raw) => {
                let (now, rest) = raw.split_at_checked(out.len())?;
                out.copy_from_slice(now);
                *raw = rest;
            }
            Self::Run { byte, left } => {
                *left = left.checked_sub(out.len())?;
                out.fill(*byte);
            }
            Self::Coded {
                code,
                streams,
                stream,
                stream_left,
                each,
                left,
            } => {
                *left = left.checked_sub(out.len())?;
                while !out.is_empty() {
                    if *stream_left == 0 {
                        *stream += 1;
                        *stream_left = *each;
                    }
                    let (now, later) = out.split_at_mut(out.len().min(*stream_left));
                    *stream_left -= now.len();
                    if !code.decode(streams.get_mut(*stream)?, now) {
                        return None;
                    }
                    out = later;
                }
            }
        }
        Some(())
    }
}
