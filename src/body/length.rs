//! How long a request's body is: whether a copy of it can be kept, and whether a challenge would cost it.

use http::{HeaderMap, header::CONTENT_LENGTH};
use http_body::SizeHint;

/// How long a request's body is, as far as that is told before it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyLength {
    Known(u64),
    AtLeast(u64),
    /// It may turn out short enough to be kept.
    Unknown,
}

impl BodyLength {
    /// By the body's own hint, or by the `Content-Length` where the hint says nothing.
    #[inline]
    pub(crate) fn of(hint: &SizeHint, headers: &HeaderMap) -> Self {
        if let Some(exact) = hint.exact() {
            return Self::Known(exact);
        }
        match declared_in(headers) {
            Some(length) => Self::Known(length),
            // More than this is certain to come.
            None if hint.lower() > 0 => Self::AtLeast(hint.lower()),
            None => Self::Unknown,
        }
    }

    #[inline]
    pub(crate) fn is_within(self, limit: usize) -> bool {
        match self {
            Self::Known(length) | Self::AtLeast(length) => length <= limit as u64,
            Self::Unknown => true,
        }
    }

    /// Whether it is told exactly.
    pub(crate) fn is_known(self) -> bool {
        matches!(self, Self::Known(_))
    }
}

fn declared_in(headers: &HeaderMap) -> Option<u64> {
    headers
        .get(CONTENT_LENGTH)?
        .to_str()
        .ok()?
        .trim()
        .parse()
        .ok()
}
