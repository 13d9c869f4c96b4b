//! The blocks of a deflate stream (RFC 1951), as they arrive.

use super::{
    super::{output::Output, sink::Sink},
    bits::{Bits, Stop},
    code::Code,
};
use crate::challenge::Verdict;

/// Where the values of a length's or distance's code begin, and how many bits tell which one it is.
#[rustfmt::skip]
const LENGTHS: [(u16, u8); 29] = [
    (3, 0), (4, 0), (5, 0), (6, 0), (7, 0), (8, 0), (9, 0), (10, 0), (11, 1), (13, 1), (15, 1),
    (17, 1), (19, 2), (23, 2), (27, 2), (31, 2), (35, 3), (43, 3), (51, 3), (59, 3), (67, 4),
    (83, 4), (99, 4), (115, 4), (131, 5), (163, 5), (195, 5), (227, 5), (258, 0),
];
#[rustfmt::skip]
const DISTANCES: [(u16, u8); 30] = [
    (1, 0), (2, 0), (3, 0), (4, 0), (5, 1), (7, 1), (9, 2), (13, 2), (17, 3), (25, 3), (33, 4),
    (49, 4), (65, 5), (97, 5), (129, 6), (193, 6), (257, 7), (385, 7), (513, 8), (769, 8),
    (1025, 9), (1537, 9), (2049, 10), (3073, 10), (4097, 11), (6145, 11), (8193, 12), (12289, 12),
    (16385, 13), (24577, 13),
];

/// The order in which the lengths of the code for lengths come.
const ORDER: [usize; 19] = [
    16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15,
];

/// The most bits that are read at once: of one length, of a literal or a copy, and of anything else.
const MAX_LENGTH: u32 = 7 + 7;
const MAX_SYMBOL: u32 = 15 + 5 + 15 + 13;
const MAX_STEP: u32 = 7 + 32;

const END: usize = 256;
const MAX_LITERALS: usize = 286;
const MAX_DISTANCES: usize = 30;

/// What has come of the bytes at hand.
#[derive(Clone, Copy, Debug)]
pub(super) enum Progress {
    /// They are used up.
    More,
    /// The stream ended; what is behind it is left over.
    Ended,
    Broken,
    Decided(Verdict),
}

#[derive(Debug)]
pub(super) struct Blocks {
    state: State,
    last: bool,
    /// How many of the lengths at hand have been read.
    read: usize,
    /// The lengths of the codes, literals first. Before that, those of the code they are written in.
    lengths: [u8; MAX_LITERALS + MAX_DISTANCES],
    literals: Code<288>,
    /// Before the codes are complete, the one that their lengths are written in.
    distances: Code<32>,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Header,
    StoredLength,
    Stored(usize),
    Sizes,
    CodeLengths(Sizes),
    Lengths(Sizes),
    Symbols,
    Ended,
}

/// How many lengths there are.
#[derive(Clone, Copy, Debug)]
struct Sizes {
    code_lengths: usize,
    literals: usize,
    distances: usize,
}

impl Default for Blocks {
    fn default() -> Self {
        Self {
            state: State::Ended,
            last: true,
            read: 0,
            lengths: [0; MAX_LITERALS + MAX_DISTANCES],
            literals: Code::default(),
            distances: Code::default(),
        }
    }
}

impl Blocks {
    pub(super) fn start(&mut self) {
        self.state = State::Header;
        self.last = false;
    }

    /// Decodes what is there, and shows it to `sink`.
    pub(super) fn run(
        &mut self,
        bits: &mut Bits,
        bytes: &mut &[u8],
        output: &mut Output,
        sink: &mut impl Sink,
    ) -> Progress {
        loop {
            let step = self.step(bits, bytes, output);
            match step {
                Ok(State::Ended) | Err(_) => {}
                Ok(_) if output.is_due() || output.is_full() => {}
                Ok(_) => continue,
            }
            match output.show(sink) {
                Verdict::More if output.is_full() => return Progress::Broken,
                Verdict::More => {}
                verdict => return Progress::Decided(verdict),
            }
            match step {
                Ok(State::Ended) => return Progress::Ended,
                Ok(_) => {}
                Err(Stop::More) => return Progress::More,
                Err(Stop::Broken) => return Progress::Broken,
            }
        }
    }

    fn step(
        &mut self,
        bits: &mut Bits,
        bytes: &mut &[u8],
        output: &mut Output,
    ) -> Result<State, Stop> {
        if let State::Stored(left) = self.state {
            self.state = stored(left, bits, bytes, output);
            return match self.state {
                State::Stored(0) => Ok(self.go_on(self.after_block())),
                _ => Err(Stop::More),
            };
        }
        bits.refill(MAX_STEP, bytes);
        let state = match self.state {
            State::Header => self.header(bits)?,
            State::StoredLength => stored_length(bits)?,
            State::Sizes => self.sizes(bits)?,
            State::CodeLengths(sizes) => self.code_lengths(sizes, bits, bytes)?,
            State::Lengths(sizes) => self.lengths(sizes, bits, bytes)?,
            State::Symbols => self.symbols(bits, bytes, output)?,
            State::Stored(_) | State::Ended => State::Ended,
        };
        Ok(self.go_on(state))
    }

    fn go_on(&mut self, state: State) -> State {
        self.state = state;
        state
    }

    fn after_block(&self) -> State {
        match self.last {
            true => State::Ended,
            false => State::Header,
        }
    }

    fn header(&mut self, bits: &mut Bits) -> Result<State, Stop> {
        let header = bits.read(3)?;
        self.last = header & 1 != 0;
        match header >> 1 {
            0 => Ok(State::StoredLength),
            1 => {
                let mut lengths = [8; 288];
                lengths[144..256].fill(9);
                lengths[256..280].fill(7);
                self.literals.build(&lengths, false)?;
                self.distances.build(&[5; 32], false)?;
                Ok(State::Symbols)
            }
            2 => Ok(State::Sizes),
            _ => Err(Stop::Broken),
        }
    }

    fn sizes(&mut self, bits: &mut Bits) -> Result<State, Stop> {
        let sizes = bits.read(14)? as usize;
        let sizes = Sizes {
            literals: (sizes & 31) + 257,
            distances: (sizes >> 5 & 31) + 1,
            code_lengths: (sizes >> 10) + 4,
        };
        if sizes.literals > MAX_LITERALS || sizes.distances > MAX_DISTANCES {
            return Err(Stop::Broken);
        }
        self.lengths[..ORDER.len()].fill(0);
        self.read = 0;
        Ok(State::CodeLengths(sizes))
    }

    fn code_lengths(
        &mut self,
        sizes: Sizes,
        bits: &mut Bits,
        bytes: &mut &[u8],
    ) -> Result<State, Stop> {
        for symbol in &ORDER[self.read..sizes.code_lengths] {
            bits.refill(3, bytes);
            self.lengths[*symbol] = bits.read(3)? as u8;
            self.read += 1;
        }
        self.distances.build(&self.lengths[..ORDER.len()], false)?;
        self.read = 0;
        Ok(State::Lengths(sizes))
    }

    fn lengths(&mut self, sizes: Sizes, bits: &mut Bits, bytes: &mut &[u8]) -> Result<State, Stop> {
        let all = self
            .lengths
            .get_mut(..sizes.literals + sizes.distances)
            .ok_or(Stop::Broken)?;
        while let Some(next) = all.get_mut(self.read) {
            bits.refill(MAX_LENGTH, bytes);
            let mut ahead = *bits;
            let symbol = self.distances.decode(&mut ahead)?;
            if symbol < 16 {
                *next = symbol as u8;
                self.read += 1;
                *bits = ahead;
                continue;
            }
            let (length, times) = match symbol {
                16 => {
                    let before = self.read.checked_sub(1).ok_or(Stop::Broken)?;
                    (all[before], 3 + ahead.read(2)?)
                }
                17 => (0, 3 + ahead.read(3)?),
                _ => (0, 11 + ahead.read(7)?),
            };
            *bits = ahead;
            let repeated = all.get_mut(self.read..).unwrap_or_default();
            let repeated = repeated.get_mut(..times as usize).ok_or(Stop::Broken)?;
            repeated.fill(length);
            self.read += times as usize;
        }
        let (literals, distances) = all.split_at(sizes.literals);
        // A block that cannot end.
        if literals[END] == 0 {
            return Err(Stop::Broken);
        }
        self.literals.build(literals, true)?;
        self.distances.build(distances, true)?;
        Ok(State::Symbols)
    }

    fn symbols(
        &mut self,
        bits: &mut Bits,
        bytes: &mut &[u8],
        output: &mut Output,
    ) -> Result<State, Stop> {
        while !output.is_due() && !output.is_full() {
            bits.refill(MAX_SYMBOL, bytes);
            // What is not complete stays where it is.
            let mut ahead = *bits;
            match self.literals.decode(&mut ahead)? {
                END => {
                    *bits = ahead;
                    return Ok(self.after_block());
                }
                literal @ ..END => output.fill(literal as u8, 1),
                length => {
                    let (base, extra) = LENGTHS.get(length - END - 1).ok_or(Stop::Broken)?;
                    let length = u32::from(*base) + ahead.read((*extra).into())?;
                    let distance = self.distances.decode(&mut ahead)?;
                    let (base, extra) = DISTANCES.get(distance).ok_or(Stop::Broken)?;
                    let distance = u32::from(*base) + ahead.read((*extra).into())?;
                    output
                        .repeat(distance as usize, length as usize)
                        .ok_or(Stop::Broken)?;
                }
            }
            *bits = ahead;
        }
        Ok(State::Symbols)
    }
}

fn stored_length(bits: &mut Bits) -> Result<State, Stop> {
    bits.align();
    let lengths = bits.read(32)?;
    // The second is the first turned over.
    match lengths & 0xFFFF == !lengths >> 16 {
        true => Ok(State::Stored((lengths & 0xFFFF) as usize)),
        false => Err(Stop::Broken),
    }
}

/// Takes what has arrived of a block that is not coded.
fn stored(mut left: usize, bits: &mut Bits, bytes: &mut &[u8], output: &mut Output) -> State {
    while left > 0 {
        let Ok(byte) = bits.read(8) else {
            let now = bytes.len().min(left);
            output.push(&bytes[..now]);
            *bytes = &bytes[now..];
            left -= now;
            break;
        };
        output.fill(byte as u8, 1);
        left -= 1;
    }
    State::Stored(left)
}
