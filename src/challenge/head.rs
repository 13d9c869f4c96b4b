//! The head of an answer, as far as the layer has to do with it.

use http::{
    HeaderMap,
    header::{CONTENT_ENCODING, CONTENT_LOCATION, LINK, LOCATION, REFRESH, SET_COOKIE},
};

/// Which headers an answer has of those that few have. One walk over the names costs less than a hashed look-up for
/// two of them.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Noted {
    /// `Content-Encoding`.
    pub(crate) coding: bool,
    /// `Set-Cookie`.
    pub(crate) cookies: bool,
    /// One of those with URLs in them.
    pub(crate) links: bool,
}

impl Noted {
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let mut noted = Self::default();
        for name in headers.keys() {
            noted.coding |= *name == CONTENT_ENCODING;
            noted.cookies |= *name == SET_COOKIE;
            noted.links |=
                *name == LOCATION || *name == CONTENT_LOCATION || *name == LINK || *name == REFRESH;
        }
        noted
    }
}
