//! Tokens: their text, what they are bound to, how long they live.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};

use tokio::time::Instant;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";
/// Lengths before the padding: those of real servers.
const LENGTHS: [usize; 3] = [64, 128, 160];

#[derive(Debug)]
struct Issued {
    user: String,
    /// The `Referer` every request must carry; none for tokens bound to an address or not bound.
    referer: Option<String>,
    expires: Instant,
}

/// What a token is worth.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    Good {
        user: String,
    },
    /// Unknown, revoked or expired.
    Dead,
    /// Alive, but bound to another `Referer`.
    WrongReferer,
}

/// All tokens of one stand-in.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    issued: HashMap<String, Issued>,
    random: RandomState,
    count: u64,
}

impl Tokens {
    pub(crate) fn issue(
        &mut self,
        user: &str,
        referer: Option<String>,
        expires: Instant,
    ) -> String {
        let text = self.unused_text();
        self.issued.insert(
            text.clone(),
            Issued {
                user: user.to_owned(),
                referer,
                expires,
            },
        );
        text
    }

    /// A token text never given out before.
    pub(crate) fn unused_text(&mut self) -> String {
        self.count += 1;
        let index = usize::try_from(self.count).unwrap_or_default();
        let length = LENGTHS[index % LENGTHS.len()];
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
        // Real tokens end in none, one or two full stops.
        text.push_str(&".."[..index % 3]);
        text
    }

    pub(crate) fn standing(&self, text: &str, referer: Option<&str>, now: Instant) -> Standing {
        match self.issued.get(text) {
            Some(token) if now < token.expires => match &token.referer {
                Some(bound) if Some(bound.as_str()) != referer => Standing::WrongReferer,
                _ => Standing::Good {
                    user: token.user.clone(),
                },
            },
            _ => Standing::Dead,
        }
    }

    pub(crate) fn revoke(&mut self, text: &str) -> bool {
        self.issued.remove(text).is_some()
    }

    pub(crate) fn revoke_all(&mut self) -> usize {
        let count = self.issued.len();
        self.issued.clear();
        count
    }

    pub(crate) fn expire_all(&mut self, now: Instant) {
        for token in self.issued.values_mut() {
            token.expires = token.expires.min(now);
        }
    }

    pub(crate) fn live(&self, now: Instant) -> usize {
        self.issued
            .values()
            .filter(|token| now < token.expires)
            .count()
    }
}
