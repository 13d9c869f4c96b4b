//! The head of a request that has come, with what several steps ask of it: found out once.

use http::{HeaderValue, request::Parts};

use crate::{headers::Present, request_id};

/// A request without its body.
pub(crate) struct Arrived {
    pub(crate) head: Parts,
    /// The request's name, which its head has too.
    pub(crate) id: HeaderValue,
    /// True of the headers as they came.
    pub(crate) present: Present,
}

impl Arrived {
    pub(crate) fn new(mut head: Parts) -> Self {
        Self {
            present: Present::of(&head.headers),
            id: request_id::of_request(&mut head.headers),
            head,
        }
    }
}
