//! Canonical Huffman codes (RFC 1951, 3.2.2), decoded without look-up tables: filling those costs more than the few
//! symbols that a look mostly takes.

use super::bits::{Bits, Stop};

const MAX_BITS: usize = 15;

/// A code of at most `N` symbols.
#[derive(Debug)]
pub(super) struct Code<const N: usize> {
    /// The symbols in the order of their codes.
    symbols: [u16; N],
    /// By length: what is behind the last code, in 16 bits, the first bit of the code highest.
    limits: [u32; MAX_BITS + 1],
    /// By length: what makes a code an index into the symbols.
    bases: [i32; MAX_BITS + 1],
    shortest: usize,
    longest: usize,
}

impl<const N: usize> Default for Code<N> {
    fn default() -> Self {
        Self {
            symbols: [0; N],
            limits: [0; MAX_BITS + 1],
            bases: [0; MAX_BITS + 1],
            shortest: 0,
            longest: 0,
        }
    }
}

impl<const N: usize> Code<N> {
    /// The code in which each symbol's is as long as `lengths` has it, 0 for none. Each bit that may come must have a
    /// meaning, but in a code with less than two symbols where that `may_be_short`.
    pub(super) fn build(&mut self, lengths: &[u8], may_be_short: bool) -> Result<(), Stop> {
        let mut counts = [0_u32; MAX_BITS + 1];
        for length in lengths {
            counts[usize::from(*length) % counts.len()] += 1;
        }
        counts[0] = 0;

        let mut indexes = [0_u32; MAX_BITS + 1];
        let (mut code, mut index) = (0_u32, 0_u32);
        (self.shortest, self.longest) = (0, 0);
        for length in 1..=MAX_BITS {
            indexes[length] = index;
            self.bases[length] = index as i32 - code as i32;
            code += counts[length];
            index += counts[length];
            if counts[length] > 0 {
                self.longest = length;
                if self.shortest == 0 {
                    self.shortest = length;
                }
            }
            if code > 1 << length {
                return Err(Stop::Broken);
            }
            self.limits[length] = code << (16 - length);
            code <<= 1;
        }
        let is_complete = self.limits[MAX_BITS] == 1 << 16;
        if !(is_complete || may_be_short && self.longest <= 1) {
            return Err(Stop::Broken);
        }
        for (symbol, length) in lengths.iter().enumerate() {
            if *length > 0 {
                let index = &mut indexes[usize::from(*length) % (MAX_BITS + 1)];
                *self.symbols.get_mut(*index as usize).ok_or(Stop::Broken)? = symbol as u16;
                *index += 1;
            }
        }
        Ok(())
    }

    #[inline]
    pub(super) fn decode(&self, bits: &mut Bits) -> Result<usize, Stop> {
        // Bits that have not arrived read as zero. What is not below a limit with them is not without them.
        let window = bits.window();
        let limits = self.limits.get(self.shortest..).unwrap_or_default();
        let longer = limits.iter().position(|limit| window < *limit);
        let length = self.shortest + longer.ok_or(Stop::Broken)?;
        bits.skip(length as u32)?;
        let index = self.bases[length % (MAX_BITS + 1)] + (window >> (16 - length)) as i32;
        let symbol = self.symbols.get(index as usize).ok_or(Stop::Broken)?;
        Ok((*symbol).into())
    }
}
