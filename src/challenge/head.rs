//! The head of an answer, as far as the layer has to do with it.

use http::{
    HeaderMap, HeaderName,
    header::{
        CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_LOCATION, CONTENT_TYPE, LINK, LOCATION,
        REFRESH, SET_COOKIE,
    },
};

use crate::challenge::starts_with;

/// What an answer's headers say. One walk over the names costs less than a hashed look-up for each.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Noted {
    /// `Content-Encoding` is there.
    pub(crate) coding: bool,
    /// `Set-Cookie` is there.
    pub(crate) cookies: bool,
    /// A header with URLs in it is there.
    pub(crate) links: bool,
    /// The answer is a file to be saved: its bytes are a user's data, even if they look like an answer of ArcGIS.
    pub(crate) attachment: bool,
    pub(crate) content: Content,
}

/// What the content type says, as far as it is believed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Content {
    #[default]
    Other,
    Html,
    /// Endless: looking would hold back the first events.
    Stream,
}

impl Noted {
    #[inline]
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let mut noted = Self::default();
        let mut typed = false;
        for (name, value) in headers {
            // Nearly all names are told from those that matter by their length.
            match name.as_str().len() {
                12 if *name == CONTENT_TYPE && !typed => {
                    typed = true;
                    noted.content = Content::of(value.as_bytes());
                }
                19 if *name == CONTENT_DISPOSITION => {
                    noted.attachment |= is_attachment(value.as_bytes());
                }
                4 | 7 | 8 | 10 | 16 => noted.note(name),
                _ => {}
            }
        }
        noted
    }

    #[inline]
    fn note(&mut self, name: &HeaderName) {
        self.coding |= *name == CONTENT_ENCODING;
        self.cookies |= *name == SET_COOKIE;
        self.links |=
            *name == LOCATION || *name == CONTENT_LOCATION || *name == LINK || *name == REFRESH;
    }
}

impl Content {
    #[inline]
    fn of(value: &[u8]) -> Self {
        match value {
            // Images, and `application/` without the `x` of XHTML: nearly all answers.
            [b'i', ..] => Self::Other,
            [b'a', ..] if value.get(12) != Some(&b'x') && value.get(12) != Some(&b'X') => {
                Self::Other
            }
            _ => Self::named(value),
        }
    }

    fn named(value: &[u8]) -> Self {
        let value = value.trim_ascii_start();
        let is = |prefix| starts_with(value, prefix);
        if is(b"text/html") || is(b"application/xhtml") {
            Self::Html
        } else if is(b"text/event-stream") || is(b"multipart/x-mixed-replace") {
            Self::Stream
        } else {
            Self::Other
        }
    }
}

fn is_attachment(value: &[u8]) -> bool {
    let kind = value
        .trim_ascii_start()
        .split(|byte| *byte == b';' || byte.is_ascii_whitespace())
        .next();
    kind.is_some_and(|kind| kind.eq_ignore_ascii_case(b"attachment"))
}
