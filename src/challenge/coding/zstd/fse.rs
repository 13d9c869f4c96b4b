//! Finite state entropy: the tables that sequences and the weights of Huffman codes are coded by (RFC 8878, 4.1).

use super::bits::{Backward, Forward};

/// More symbols than any alphabet here has.
const SYMBOLS: usize = 64;

/// How often each symbol of an alphabet comes: -1 for "less than once".
#[derive(Debug)]
pub(super) struct Counts {
    counts: [i16; SYMBOLS],
    log: u32,
}

impl Counts {
    pub(super) fn preset(preset: &[i16], log: u32) -> Self {
        let mut counts = [0; SYMBOLS];
        counts[..preset.len()].copy_from_slice(preset);
        Self { counts, log }
    }

    /// Reads a description, and how long it is.
    pub(super) fn read(bytes: &[u8], max_symbol: usize, max_log: u32) -> Option<(Self, usize)> {
        let mut bits = Forward::new(bytes);
        let log = bits.peek(4) + 5;
        bits.skip(4);
        if log > max_log {
            return None;
        }
        let mut counts = [0; SYMBOLS];
        let mut symbol = 0;
        let mut left = 1_i32 << log;
        while left > 0 {
            // A value is as long as what is left needs, the lower ones are one bit shorter.
            let max = left as u32 + 1;
            let len = max.ilog2() + 1;
            let short = (1 << len) - 1 - max;
            let mut value = bits.peek(len);
            let low = value & ((1 << (len - 1)) - 1);
            if low < short {
                value = low;
                bits.skip(len - 1);
            } else {
                if value >= 1 << (len - 1) {
                    value -= short;
                }
                bits.skip(len);
            }
            let count = value as i32 - 1;
            left -= count.abs();
            if symbol > max_symbol || left < 0 {
                return None;
            }
            *counts.get_mut(symbol)? = count as i16;
            symbol += 1;
            // Behind a zero it says how many more there are, in parts of three at most.
            let mut goes_on = count == 0;
            while goes_on {
                let repeat = bits.peek(2);
                bits.skip(2);
                symbol += repeat as usize;
                // What runs on behind the alphabet must not go on for ever.
                if symbol > max_symbol + 1 {
                    return None;
                }
                goes_on = repeat == 3;
            }
        }
        Some((Self { counts, log }, bits.used()?))
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Cell {
    symbol: u8,
    bits: u8,
    base: u16,
}

/// A table of up to `N` states.
#[derive(Debug)]
pub(super) struct Table<const N: usize> {
    cells: [Cell; N],
    log: u32,
    ready: bool,
}

impl<const N: usize> Default for Table<N> {
    fn default() -> Self {
        Self {
            cells: [Cell::default(); N],
            log: 0,
            ready: false,
        }
    }
}

impl<const N: usize> Table<N> {
    pub(super) fn forget(&mut self) {
        self.ready = false;
    }

    pub(super) fn is_ready(&self) -> bool {
        self.ready
    }

    /// The table of one symbol, which takes no bits.
    pub(super) fn set_only(&mut self, symbol: u8) {
        self.cells[0] = Cell {
            symbol,
            bits: 0,
            base: 0,
        };
        self.log = 0;
        self.ready = true;
    }

    pub(super) fn build(&mut self, counts: &Counts) -> Option<()> {
        self.ready = false;
        self.log = counts.log;
        let size = 1_usize << counts.log;
        let cells = self.cells.get_mut(..size)?;

        // The rare symbols come last, the others are spread over what is before them.
        let mut high = size;
        let mut next = [0_u16; SYMBOLS];
        for (symbol, count) in counts.counts.iter().enumerate() {
            next[symbol] = count.unsigned_abs();
            if *count == -1 {
                high = high.checked_sub(1)?;
                cells[high].symbol = symbol as u8;
            }
        }
        let step = (size >> 1) + (size >> 3) + 3;
        let mut at = 0;
        for (symbol, count) in counts.counts.iter().enumerate() {
            for _ in 0..*count {
                cells[at].symbol = symbol as u8;
                at = (at + step) & (size - 1);
                while at >= high {
                    at = (at + step) & (size - 1);
                }
            }
        }
        if at != 0 {
            return None;
        }
        for cell in cells {
            let next = next.get_mut(usize::from(cell.symbol))?;
            let bits = counts.log - u32::from(*next).checked_ilog2()?;
            cell.bits = bits as u8;
            cell.base = ((usize::from(*next) << bits) - size) as u16;
            *next += 1;
        }
        self.ready = true;
        Some(())
    }
}

/// A place in a table.
#[derive(Clone, Copy, Debug)]
pub(super) struct State(u16);

impl State {
    pub(super) fn first<const N: usize>(table: &Table<N>, bits: &mut Backward<'_>) -> Option<Self> {
        Some(Self(bits.read(table.log)? as u16))
    }

    #[inline]
    pub(super) fn symbol<const N: usize>(self, table: &Table<N>) -> u8 {
        table.cells[usize::from(self.0) % N].symbol
    }

    /// Goes on to the next state; false if the bits have run out.
    #[inline]
    pub(super) fn next<const N: usize>(
        &mut self,
        table: &Table<N>,
        bits: &mut Backward<'_>,
    ) -> bool {
        let cell = table.cells[usize::from(self.0) % N];
        let count = u32::from(cell.bits);
        self.0 = cell.base + bits.peek(count) as u16;
        bits.skip(count)
    }
}
