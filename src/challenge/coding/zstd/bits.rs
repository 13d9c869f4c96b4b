//! Bits as zstd has them: tables are described forwards, data are written backwards.

/// Reads bits from the first on.
#[derive(Debug)]
pub(super) struct Forward<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Forward<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// The next bits, up to 16, which stay there; what is behind the end reads as zero.
    pub(super) fn peek(&self, count: u32) -> u32 {
        let mut word = [0; 4];
        for (to, from) in word
            .iter_mut()
            .zip(self.bytes.get(self.at / 8..).unwrap_or_default())
        {
            *to = *from;
        }
        (u32::from_le_bytes(word) >> (self.at % 8)) & ((1 << count) - 1)
    }

    pub(super) fn skip(&mut self, count: u32) {
        self.at += count as usize;
    }

    /// How many bytes have been read, in whole or in part; `None` if there were not as many.
    pub(super) fn used(&self) -> Option<usize> {
        let used = self.at.div_ceil(8);
        (used <= self.bytes.len()).then_some(used)
    }
}

/// Reads bits from the last on. The highest bit that is set ends the data.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Backward<'a> {
    bytes: &'a [u8],
    left: usize,
}

impl<'a> Backward<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Option<Self> {
        let last = bytes.last().filter(|last| **last != 0)?;
        let left = bytes.len() * 8 - 1 - last.leading_zeros() as usize;
        Some(Self { bytes, left })
    }

    /// The next bits, up to 32, which stay there; what is before the start reads as zero.
    #[inline]
    pub(super) fn peek(&self, count: u32) -> u32 {
        match self.left.checked_sub(count as usize) {
            Some(start) => self.at(start, count),
            None => self.at(0, self.left as u32) << (count - self.left as u32),
        }
    }

    #[inline]
    fn at(&self, start: usize, count: u32) -> u32 {
        let rest = self.bytes.get(start / 8..).unwrap_or_default();
        let word = match rest.first_chunk() {
            Some(eight) => u64::from_le_bytes(*eight),
            None => {
                let mut eight = [0; 8];
                eight[..rest.len()].copy_from_slice(rest);
                u64::from_le_bytes(eight)
            }
        };
        ((word >> (start % 8)) & ((1 << count) - 1)) as u32
    }

    /// Goes on by so many bits; false if there were not as many.
    #[inline]
    pub(super) fn skip(&mut self, count: u32) -> bool {
        match self.left.checked_sub(count as usize) {
            Some(left) => {
                self.left = left;
                true
            }
            None => {
                self.left = 0;
                false
            }
        }
    }

    #[inline]
    pub(super) fn read(&mut self, count: u32) -> Option<u32> {
        let bits = self.peek(count);
        self.skip(count).then_some(bits)
    }
}
