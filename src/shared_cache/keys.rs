//! The keys of a shared cache: what seals and names its records, and what is derived from each.

use std::{fmt, sync::Arc};

use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Generate, Payload},
};
use hmac::{Hmac, Mac};
use secrecy::{ExposeSecret, zeroize::Zeroizing};
use sha2::Sha256;

use crate::{credential::Secret, error::ConfigError};

/// In front of every sealed record, and sealed with it: what a later version changes, this one leaves alone.
const FORMAT: u8 = 2;
const NONCE: usize = 24;

type Bytes32 = Zeroizing<[u8; 32]>;

/// The keys that seal what a [`SealedTokenCache`](crate::SealedTokenCache) keeps. The first seals, all open.
///
/// All processes that share tokens have the same. A program that has a key and reaches the cache has the tokens.
///
/// To change keys, each process in turn: first add the new key at the end, so that all can open what it seals; then put
/// it first; once the old one's tokens have run out, take that away. During the second step the processes that have it
/// first and those that have it last write apart: the two groups may log in once each, and try a wrong password once each.
///
/// ```
/// use tower_arcgis_auth::{Secret, TokenCacheKeys};
///
/// let new = "8f0b6d1c53a24e7f9b1d0a6c4e8f2b7d5c9a3e1f6b8d0c2a4e6f8b1d3c5a7e90";
/// let old = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
/// let keys = TokenCacheKeys::try_new(format!("{new}\n{old}\n"))?;
/// # drop(keys);
/// # let _ = |from_environment: Secret| TokenCacheKeys::try_new(from_environment);
/// let error = TokenCacheKeys::try_new("a password").unwrap_err();
/// assert!(error.to_string().contains("openssl rand -hex 32"));
/// # Ok::<_, tower_arcgis_auth::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct TokenCacheKeys {
    first: Arc<Key>,
    older: Arc<[Arc<Key>]>,
}

impl TokenCacheKeys {
    /// One key, or several with white space or commas between: each 64 hexadecimal digits, as `openssl rand -hex 32`
    /// prints them. A [`Secret`] from the environment or a file is read now, and not again.
    ///
    /// # Errors
    ///
    /// Where there is no key, one that is none, or the secret cannot be read.
    pub fn try_new(keys: impl Into<Secret>) -> Result<Self, ConfigError> {
        let text = keys.into().read().map_err(|error| {
            ConfigError::new(format!(
                "the key of the shared cache cannot be read: {error}"
            ))
        })?;
        let keys = text
            .expose_secret()
            .split(|between: char| between.is_whitespace() || between == ',')
            .filter(|key| !key.is_empty())
            .map(|key| parse(key).map(|key| Arc::new(Key::derived_from(&key))))
            .collect::<Option<Vec<_>>>()
            .unwrap_or_default();
        match &keys[..] {
            [first, older @ ..] => Ok(Self {
                first: Arc::clone(first),
                older: older.into(),
            }),
            [] => Err(ConfigError::new(
                "the key of the shared cache is not 64 hexadecimal digits; make one with `openssl rand -hex 32`, and \
                 give all processes the same",
            )),
        }
    }

    /// The one that seals.
    pub(super) fn first(&self) -> &Arc<Key> {
        &self.first
    }

    /// Those that only open.
    pub(super) fn older(&self) -> &[Arc<Key>] {
        &self.older
    }
}

impl fmt::Debug for TokenCacheKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = 1 + self.older.len();
        write!(f, "TokenCacheKeys([redacted]; {count})")
    }
}

fn parse(hex: &str) -> Option<Bytes32> {
    let mut key = Bytes32::default();
    let digits = hex.as_bytes();
    if digits.len() != 2 * key.len() {
        return None;
    }
    for (byte, pair) in key.iter_mut().zip(digits.chunks_exact(2)) {
        let mut value = 0;
        for digit in pair {
            value = value << 4 | char::from(*digit).to_digit(16)?;
        }
        *byte = u8::try_from(value).ok()?;
    }
    Some(key)
}

/// What one key is used for: keys of their own, so that none is used for two things.
pub(super) struct Key {
    naming: Bytes32,
    sealing: Bytes32,
    comparing: Bytes32,
}

impl Key {
    fn derived_from(key: &Bytes32) -> Self {
        let derived = |purpose: &str| {
            hmac(
                key,
                &[b"tower-arcgis-auth shared cache ", purpose.as_bytes()],
            )
        };
        Self {
            naming: derived("naming"),
            sealing: derived("sealing"),
            comparing: derived("comparing"),
        }
    }

    /// The name of the record about `subject`.
    pub(super) fn name(&self, subject: &[u8]) -> String {
        use std::fmt::Write;
        let digest = hmac(&self.naming, &[subject]);
        digest.iter().fold(String::new(), |mut name, byte| {
            // Writing to a string does not fail.
            let _ = write!(name, "{byte:02x}");
            name
        })
    }

    /// What `bytes` are recognised by among processes with the same key.
    pub(super) fn digest(&self, bytes: &[u8]) -> u64 {
        let digest = hmac(&self.comparing, &[bytes]);
        digest
            .iter()
            .take(8)
            .fold(0, |number, byte| number << 8 | u64::from(*byte))
    }

    /// `plain`, readable only with this key and as a record about `subject`; `None` where the machine has no random
    /// numbers to give.
    pub(super) fn seal(&self, plain: &[u8], subject: &[u8]) -> Option<Vec<u8>> {
        let nonce = XNonce::try_generate().ok()?;
        let associated = associated(subject);
        let payload = Payload {
            msg: plain,
            aad: &associated,
        };
        let sealed = self.cipher().encrypt(&nonce, payload).ok()?;
        let mut bytes = Vec::with_capacity(1 + NONCE + sealed.len());
        bytes.push(FORMAT);
        bytes.extend_from_slice(&nonce);
        bytes.extend_from_slice(&sealed);
        Some(bytes)
    }

    /// What was sealed with this key about `subject`; `None` for anything else.
    pub(super) fn open(&self, bytes: &[u8], subject: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (format, rest) = bytes.split_first()?;
        if *format != FORMAT || rest.len() < NONCE {
            return None;
        }
        let (nonce, sealed) = rest.split_at(NONCE);
        let nonce = XNonce::try_from(nonce).ok()?;
        let associated = associated(subject);
        let payload = Payload {
            msg: sealed,
            aad: &associated,
        };
        self.cipher()
            .decrypt(&nonce, payload)
            .ok()
            .map(Zeroizing::new)
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new((&*self.sealing).into())
    }
}

fn associated(subject: &[u8]) -> Zeroizing<Vec<u8>> {
    Zeroizing::new([&[FORMAT], subject].concat())
}

fn hmac(key: &Bytes32, parts: &[&[u8]]) -> Bytes32 {
    // As long as SHA-256's block: how HMAC (RFC 2104) takes a shorter key.
    let mut block = Zeroizing::new([0; 64]);
    for (place, byte) in block.iter_mut().zip(key.iter()) {
        *place = *byte;
    }
    let mut hmac = <Hmac<Sha256> as KeyInit>::new((&*block).into());
    for part in parts {
        hmac.update(part);
    }
    Zeroizing::new(hmac.finalize().into_bytes().into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(byte: u8) -> Key {
        Key::derived_from(&Zeroizing::new([byte; 32]))
    }

    proptest! {
        #[test]
        fn what_is_sealed_opens_with_its_key_and_subject_and_with_no_other(
            plain in prop::collection::vec(any::<u8>(), 0..300),
            subject in prop::collection::vec(any::<u8>(), 0..60),
            other in prop::collection::vec(any::<u8>(), 0..60),
        ) {
            let sealed = key(1).seal(&plain, &subject).unwrap();
            prop_assert_eq!(&*key(1).open(&sealed, &subject).unwrap(), &plain);
            prop_assert!(key(2).open(&sealed, &subject).is_none());
            prop_assert_eq!(key(1).open(&sealed, &other).is_some(), subject == other);
        }

        #[test]
        fn one_changed_bit_opens_nothing(
            plain in prop::collection::vec(any::<u8>(), 0..100),
            at in any::<prop::sample::Index>(),
            bit in 0_u32..8,
        ) {
            let mut sealed = key(1).seal(&plain, b"subject").unwrap();
            let at = at.index(sealed.len());
            sealed[at] ^= 1_u8 << bit;
            prop_assert!(key(1).open(&sealed, b"subject").is_none());
        }

        #[test]
        fn any_bytes_at_all_open_to_nothing(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(key(1).open(&bytes, b"subject").is_none());
        }
    }

    #[test]
    fn sealing_twice_gives_different_bytes() {
        assert_ne!(key(1).seal(b"text", b""), key(1).seal(b"text", b""));
    }

    #[test]
    fn hmac_is_that_of_rfc_4231() {
        let mut key = Bytes32::default();
        key[..4].copy_from_slice(b"Jefe");
        let digest = hmac(&key, &[b"what do ya want ", b"for nothing?"]);
        assert_eq!(digest[..4], [0x5b, 0xdc, 0xc1, 0x46]);
        assert_eq!(digest[28..], [0x64, 0xec, 0x38, 0x43]);
    }

    #[test]
    fn a_key_that_is_none_is_not_repeated() {
        for text in ["", "hunter2", &"g".repeat(64), &"ab".repeat(31), "é"] {
            let error = TokenCacheKeys::try_new(text).unwrap_err().to_string();
            assert!(error.contains("openssl rand -hex 32"), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
        let keys = TokenCacheKeys::try_new(format!("{},\n{}\n", "0a".repeat(32), "0B".repeat(32)))
            .unwrap();
        assert_eq!(keys.older().len(), 1);
        assert_eq!(format!("{keys:?}"), "TokenCacheKeys([redacted]; 2)");
    }
}
