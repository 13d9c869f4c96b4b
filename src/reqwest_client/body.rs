//! Request bodies as reqwest takes them.

use bytes::Bytes;
use http::{
    HeaderValue, Method, Request,
    header::{CONTENT_LENGTH, TRANSFER_ENCODING},
};
use http_body::Body;
use http_body_util::BodyExt;

use crate::error::BoxError;

/// The body as a stream, because reqwest takes no others that are not `Sync`, as axum's are not. A stream has no length of its
/// own: it goes into the headers.
pub(super) fn streamed<B>(request: Request<B>) -> Request<reqwest::Body>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let (mut head, body) = request.into_parts();
    let is_empty = body.is_end_stream();
    let length = if is_empty {
        Some(0)
    } else {
        body.size_hint().exact()
    };
    let says_length = [CONTENT_LENGTH, TRANSFER_ENCODING]
        .iter()
        .any(|name| head.headers.contains_key(name));
    // Web servers want a length with these, and IIS answers 411 where there is none.
    let wants_length = [Method::POST, Method::PUT, Method::PATCH].contains(&head.method);
    let length_to_say = length.filter(|length| !says_length && (*length > 0 || wants_length));
    if let Some(length) = length_to_say {
        let length = HeaderValue::from(length);
        head.headers.insert(CONTENT_LENGTH, length);
    }
    let body = if length == Some(0) {
        reqwest::Body::default()
    } else {
        reqwest::Body::wrap_stream(body.into_data_stream())
    };
    Request::from_parts(head, body)
}
