//! Seeing and removing a token of the caller's own.
use super::placement::{self, TokenPlacement};
use crate::body::ReadForm;
use bytes::Bytes;
use http::{HeaderMap, Request, Uri};

pub(crate) const LONGEST_FORM: usize = 64 * 1024;
pub(crate) use placement::{has_token, remove_token};
pub(crate) fn carries_token_cookie(_headers: &HeaderMap) -> bool {
    false
}
pub(crate) fn remove_token_cookie(_headers: &mut HeaderMap) {}
pub(crate) fn is_short_form<B>(_request: &Request<B>) -> bool {
    false
}
pub(crate) fn form_has_token(_text: &[u8]) -> bool {
    false
}
pub(crate) fn replace_form<B>(_request: &mut Request<ReadForm<B>>, _text: &Bytes) {}
