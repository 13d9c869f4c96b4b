//! Building answers: JSON as ArcGIS labels it, HTML, bytes, redirects.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue, LOCATION};
use http::{Response, StatusCode};
use http_body_util::{BodyExt, Full};
use serde_json::Value;

use crate::body::Body;
use crate::pages;

/// What ArcGIS Server calls its JSON.
pub(crate) const JSON: &str = "text/plain;charset=utf-8";
pub(crate) const HTML: &str = "text/html;charset=utf-8";
pub(crate) const PNG: &str = "image/png";
pub(crate) const PBF: &str = "application/x-protobuf";

pub(crate) type Answer = Response<Body>;

/// An answer of known length under HTTP 200.
pub(crate) fn bytes(content_type: &'static str, body: impl Into<Bytes>) -> Answer {
    let body = Full::new(body.into())
        .map_err(|never| match never {})
        .boxed_unsync();
    labelled(content_type, body)
}

/// An answer of any body under HTTP 200.
pub(crate) fn labelled(content_type: &'static str, body: Body) -> Answer {
    let mut answer = Response::new(body);
    answer
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}

pub(crate) fn json(value: &Value) -> Answer {
    bytes(JSON, value.to_string())
}

pub(crate) fn html(page: String) -> Answer {
    bytes(HTML, page)
}

/// The REST error envelope as text. `details` is JSON: an array nearly everywhere, a string from the token service.
pub(crate) fn error_text(code: u16, message: &str, details: &Value) -> String {
    let message = Value::from(message);
    format!(r#"{{"error":{{"code":{code},"message":{message},"details":{details}}}}}"#)
}

/// The REST error envelope under HTTP 200.
pub(crate) fn error(code: u16, message: &str) -> Answer {
    bytes(JSON, error_text(code, message, &Value::Array(Vec::new())))
}

/// The envelope of ArcGIS Server's administrator API.
pub(crate) fn admin_error_text(code: u16, message: &str) -> String {
    let message = Value::from(message);
    format!(r#"{{"status":"error","messages":[{message}],"code":{code}}}"#)
}

pub(crate) fn status(answer: Answer, status: u16) -> Answer {
    let mut answer = answer;
    *answer.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    answer
}

/// The 404 of a place that is not there at all.
pub(crate) fn not_found() -> Answer {
    status(html(pages::plain("404 Not Found")), 404)
}

pub(crate) fn redirect(location: &str) -> Answer {
    with_header(status(bytes(HTML, Bytes::new()), 302), LOCATION, location)
}

/// Adds a header; a value no header can hold is left out.
pub(crate) fn with_header(mut answer: Answer, name: HeaderName, value: &str) -> Answer {
    if let Ok(value) = HeaderValue::from_str(value) {
        answer.headers_mut().append(name, value);
    }
    answer
}

/// A string as it goes into a query.
pub(crate) fn encoded(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}
