//! The checksum echoes and streams carry: 64-bit FNV-1a, in hexadecimal.

const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x0000_0100_0000_01b3;

/// A checksum of `bytes`, as the stand-in's echo (`bodyDigest`) and stream (`x-stand-in-digest` trailer) report it:
/// 64-bit FNV-1a as 16 hexadecimal digits.
///
/// ```
/// assert_eq!(arcgis_stand_in::digest(b""), "cbf29ce484222325");
/// assert_eq!(arcgis_stand_in::digest(b"a"), "af63dc4c8601ec8c");
/// ```
#[must_use]
pub fn digest(bytes: &[u8]) -> String {
    let mut digest = Digest::new();
    digest.update(bytes);
    digest.text()
}

/// The checksum while bytes are still arriving.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Digest(u64);

impl Digest {
    pub(crate) fn new() -> Self {
        Self(OFFSET)
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0 = bytes.iter().fold(self.0, |sum, byte| {
            (sum ^ u64::from(*byte)).wrapping_mul(PRIME)
        });
    }

    pub(crate) fn value(self) -> u64 {
        self.0
    }

    pub(crate) fn text(self) -> String {
        format!("{:016x}", self.0)
    }
}
