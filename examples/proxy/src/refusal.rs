//! Requests that the upstream never sees, and the errors that the proxy answers with: ArcGIS's JSON, which its clients read.

use bytes::Bytes;
use http::{
    HeaderValue, Response, StatusCode,
    header::{ALLOW, CONTENT_TYPE},
};
use http_body_util::Full;
use serde_json::json;

use crate::headers::set_no_store;

/// What ArcGIS knows, and what others might.
const ALLOWED: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

/// Why a request goes no further.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Refusal {
    /// Its method is none that the proxy passes on.
    Method,
    /// Its target is no path.
    Target,
}

impl Refusal {
    /// What the caller gets.
    pub(crate) fn answer(self) -> Response<Full<Bytes>> {
        match self {
            Self::Method => {
                let mut answer = error(
                    StatusCode::METHOD_NOT_ALLOWED,
                    "This method is not allowed here.",
                    "The proxy serves one ArcGIS; it opens no tunnels and answers neither TRACE nor TRACK.",
                );
                answer
                    .headers_mut()
                    .insert(ALLOW, HeaderValue::from_static(ALLOWED));
                answer
            }
            Self::Target => error(
                StatusCode::BAD_REQUEST,
                "This request target is not served here.",
                "It must be a path, beginning with a slash.",
            ),
        }
    }
}

/// An error of the proxy's own.
pub(crate) fn error(status: StatusCode, message: &str, detail: &str) -> Response<Full<Bytes>> {
    let body = json!({
        "error": { "code": status.as_u16(), "message": message, "details": [detail] }
    });
    let mut response = Response::new(Full::from(body.to_string()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    set_no_store(headers);
    response
}
