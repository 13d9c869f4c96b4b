//! Where decoders put what they decode.

use crate::challenge::Verdict;

/// What a decoder hands its output to, piece by piece, until that decides.
pub(super) trait Sink: FnMut(&[u8]) -> Verdict {}

impl<F: FnMut(&[u8]) -> Verdict> Sink for F {}
