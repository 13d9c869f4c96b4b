//! Whether a code verifier belongs to a code challenge (RFC 7636).

use crate::portal::sha256::sha256;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// What came with a request for a code.
#[derive(Debug, Clone)]
pub(crate) struct Challenge {
    text: String,
    hashed: bool,
}

impl Challenge {
    /// The method is `S256` or `plain`; none is `plain`.
    pub(crate) fn new(text: &str, method: Option<&str>) -> Self {
        Self {
            text: text.to_owned(),
            hashed: method.is_some_and(|method| method.eq_ignore_ascii_case("S256")),
        }
    }

    pub(crate) fn met_by(&self, verifier: &str) -> bool {
        if self.hashed {
            self.text == base64url(&sha256(verifier.as_bytes()))
        } else {
            self.text == verifier
        }
    }
}

/// Without padding.
fn base64url(bytes: &[u8]) -> String {
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let byte = |index: usize| u32::from(group.get(index).copied().unwrap_or_default());
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for digit in 0..=group.len() {
            let value = (bits >> (18 - 6 * digit)) & 63;
            text.push(char::from(ALPHABET[value as usize]));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_rfc_is_met() {
        let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        let challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
        assert!(Challenge::new(challenge, Some("S256")).met_by(verifier));
        assert!(!Challenge::new(challenge, Some("plain")).met_by(verifier));
        assert!(Challenge::new(verifier, None).met_by(verifier));
    }
}
