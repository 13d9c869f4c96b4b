//! Bits as deflate has them: from the lowest of the first byte on.

/// Why decoding does not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// The bits that have arrived are not enough.
    More,
    Broken,
}

/// Bits that have arrived and were not used yet. They come before the bytes behind them.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Bits {
    /// The next bit is the highest, as codes have it. What has not arrived is zero.
    held: u64,
    count: u32,
}

impl Bits {
    /// Takes as many bytes as there is room for, unless as many bits as are needed are there: 48 at most.
    #[inline]
    pub(super) fn refill(&mut self, needed: u32, bytes: &mut &[u8]) {
        if self.count < needed {
            self.take(bytes);
        }
    }

    fn take(&mut self, bytes: &mut &[u8]) {
        if let Some(eight) = bytes.first_chunk() {
            self.held |= u64::from_le_bytes(*eight).reverse_bits() >> self.count;
            let taken = (63 - self.count) / 8;
            self.count += taken * 8;
            // The rest of the eight comes again.
            self.held &= u64::MAX << (64 - self.count);
            *bytes = bytes.get(taken as usize..).unwrap_or_default();
            return;
        }
        while let (Some((&byte, rest)), ..=55) = (bytes.split_first(), self.count) {
            self.held |= u64::from(byte.reverse_bits()) << (56 - self.count);
            self.count += 8;
            *bytes = rest;
        }
    }

    /// The next 16 bits, the first one highest.
    #[inline]
    pub(super) fn window(&self) -> u32 {
        (self.held >> 48) as u32
    }

    /// Goes on by so many bits.
    #[inline]
    pub(super) fn skip(&mut self, count: u32) -> Result<(), Stop> {
        self.count = self.count.checked_sub(count).ok_or(Stop::More)?;
        self.held <<= count;
        Ok(())
    }

    /// The next bits, up to 32, as a number: the first one lowest.
    #[inline]
    pub(super) fn read(&mut self, count: u32) -> Result<u32, Stop> {
        let bits = self.held.reverse_bits() & ((1 << count) - 1);
        self.skip(count)?;
        Ok(bits as u32)
    }

    /// Goes on to the next whole byte.
    pub(super) fn align(&mut self) {
        let part = self.count % 8;
        self.held <<= part;
        self.count -= part;
    }

    /// The next byte, be it held or behind. The bits are aligned.
    pub(super) fn next_byte(&mut self, bytes: &mut &[u8]) -> Option<u8> {
        if let Ok(byte) = self.read(8) {
            return Some(byte as u8);
        }
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        Some(byte)
    }
}
