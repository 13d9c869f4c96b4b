//! The head of an answer, as far as the layer has to do with it.

use http::{
    HeaderMap,
    header::{
        CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_LOCATION, CONTENT_TYPE, LINK, LOCATION,
        REFRESH, SET_COOKIE,
    },
};

use crate::challenge::starts_with;

/// What an answer's headers say. One walk over the names costs less than a hashed look-up for each, and bits in one register
/// less than a truth value for each.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Noted(u8);

impl Noted {
    /// `Content-Encoding` is there.
    pub(crate) const CODING: u8 = 1;
    /// `Set-Cookie` is there.
    pub(crate) const COOKIES: u8 = 1 << 1;
    /// A header with URLs in it is there.
    pub(crate) const LINKS: u8 = 1 << 2;
    /// The answer is a file to be saved: its bytes are a user's data, even if they look like an answer of ArcGIS.
    pub(crate) const ATTACHMENT: u8 = 1 << 3;
    /// The content type is HTML.
    pub(crate) const HTML: u8 = 1 << 4;
    /// The content type is that of an endless body: looking would hold back the first events.
    pub(crate) const STREAM: u8 = 1 << 5;
    /// A content type is there. The first one counts.
    const TYPED: u8 = 1 << 6;

    #[inline]
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let mut noted = 0;
        for (name, value) in headers {
            // Nearly all names are told from those that matter by their length.
            noted |= match name.as_str().len() {
                4 if *name == LINK => Self::LINKS,
                7 if *name == REFRESH => Self::LINKS,
                8 if *name == LOCATION => Self::LINKS,
                10 if *name == SET_COOKIE => Self::COOKIES,
                12 if *name == CONTENT_TYPE && noted & Self::TYPED == 0 => {
                    Self::TYPED | content(value.as_bytes())
                }
                16 if *name == CONTENT_ENCODING => Self::CODING,
                16 if *name == CONTENT_LOCATION => Self::LINKS,
                19 if *name == CONTENT_DISPOSITION => disposition(value.as_bytes()),
                _ => 0,
            };
        }
        Self(noted)
    }

    /// Whether any of these is so.
    #[inline]
    pub(crate) fn any(self, bits: u8) -> bool {
        self.0 & bits != 0
    }
}

/// What the content type says, as far as it is believed.
#[inline]
fn content(value: &[u8]) -> u8 {
    match value {
        // Images, and `application/` without the `x` of XHTML: nearly all answers.
        [b'i', ..] => 0,
        [b'a', ..] if value.get(12) != Some(&b'x') && value.get(12) != Some(&b'X') => 0,
        _ => named_content(value),
    }
}

fn named_content(value: &[u8]) -> u8 {
    let value = value.trim_ascii_start();
    let is = |prefix| starts_with(value, prefix);
    if is(b"text/html") || is(b"application/xhtml") {
        Noted::HTML
    } else if is(b"text/event-stream") || is(b"multipart/x-mixed-replace") {
        Noted::STREAM
    } else {
        0
    }
}

/// What the disposition says.
fn disposition(value: &[u8]) -> u8 {
    let kind = value
        .trim_ascii_start()
        .split(|byte| *byte == b';' || byte.is_ascii_whitespace())
        .next();
    match kind.is_some_and(|kind| kind.eq_ignore_ascii_case(b"attachment")) {
        true => Noted::ATTACHMENT,
        false => 0,
    }
}
