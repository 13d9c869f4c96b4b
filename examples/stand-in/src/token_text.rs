//! Random texts for tokens: the real alphabet, real lengths, never the same twice.

use std::hash::{BuildHasher, Hasher, RandomState};

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";
/// Lengths before the padding: those of real servers.
const LENGTHS: [usize; 3] = [64, 128, 160];

/// Where new texts come from.
#[derive(Debug, Default)]
pub(crate) struct TokenTexts {
    random: RandomState,
    count: u64,
}

impl TokenTexts {
    /// A token: one of the real lengths, and none, one or two full stops at its end.
    pub(crate) fn token(&mut self) -> String {
        let index = usize::try_from(self.count + 1).unwrap_or_default();
        let mut text = self.of_length(LENGTHS[index % LENGTHS.len()]);
        text.push_str(&".."[..index % 3]);
        text
    }

    /// So many characters.
    pub(crate) fn of_length(&mut self, length: usize) -> String {
        self.count += 1;
        let mut text = String::with_capacity(length + 2);
        let mut block = 0_u64;
        while text.len() < length {
            let mut hasher = self.random.build_hasher();
            hasher.write_u64(self.count);
            hasher.write_u64(block);
            block += 1;
            let bits = hasher.finish();
            // Ten characters of six bits fit into 64.
            for character in 0..10 {
                if text.len() < length {
                    let value = (bits >> (character * 6)) & 63;
                    text.push(char::from(
                        ALPHABET[usize::try_from(value).unwrap_or_default()],
                    ));
                }
            }
        }
        text
    }
}
