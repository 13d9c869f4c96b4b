//! Words that tell an ArcGIS answer with status 498 or 499 from another server's, and the wordings
//! by which faults without a code are known.

use crate::challenge::Challenge;

/// Finds a few words in a body that arrives in pieces. They only ever confirm or doubt a status.
#[derive(Debug, Default)]
pub(super) struct Words {
    /// The last eight bytes, in lower case.
    window: u64,
    pub(super) token: bool,
    pub(super) closed: bool,
    pub(super) nginx: bool,
}

impl Words {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.window = self.window << 8 | u64::from(byte.to_ascii_lowercase());
            let window = self.window.to_be_bytes();
            self.token |= window.ends_with(b"token");
            self.nginx |= window.ends_with(b"nginx");
            self.closed |= matches!(
                &window,
                b"t closed" | b"t_closed" | b"t-closed" | b"canceled" | b"ancelled"
            );
        }
    }
}

/// What a fault with this text asks for. The text must say it and nothing else.
pub(super) fn wording(text: &str) -> Option<Challenge> {
    let mut text = collapse(text);
    text.make_ascii_lowercase();
    let mut text = text.as_str();
    let mut code = None;
    for (suffix, challenge) in [
        ("(status code 498)", Challenge::TokenInvalid),
        ("(status code 499)", Challenge::TokenRequired),
    ] {
        if let Some(rest) = text.trim_end_matches('.').strip_suffix(suffix) {
            text = rest.trim_end();
            code = Some(challenge);
        }
    }
    let said = match text.trim_end_matches('.') {
        "token required"
        | "authentication token required"
        | "token required but not passed in the request"
        | "unauthorized access. token not found"
        | "unauthorized access. token not found. you can generate a token using the 'generatetoken' operation" => {
            Challenge::TokenRequired
        }
        "invalid token" | "token expired" | "could not decrypt token. token may not be valid" => {
            Challenge::TokenInvalid
        }
        _ => return None,
    };
    Some(code.unwrap_or(said))
}

/// Trims the text and makes every run of white space one blank.
pub(super) fn collapse(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(word);
    }
    out
}
