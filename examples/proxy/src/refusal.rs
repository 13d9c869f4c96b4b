//! Requests that the upstream never sees, and the errors that the proxy answers with: ArcGIS's JSON, which its clients read.

use bytes::Bytes;
use http::{
    HeaderValue, Response, StatusCode,
    header::{ALLOW, CONTENT_TYPE, RETRY_AFTER},
};
use http_body_util::Full;
use serde_json::json;

use crate::headers::set_no_store;

/// What ArcGIS knows, and what others might.
const ALLOWED: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

/// Why a request goes no further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Its method is none that the proxy passes on.
    Method,
    /// Its target is no path.
    Target,
    /// It is for nothing that the file of `--config` lists.
    Unlisted,
    /// It is for a host that is not the proxy's.
    Host,
    /// A page of another origin asks.
    Origin,
    /// A page of another site has it as an image, a link or a form.
    CrossSite,
    /// It is for a login or a token service.
    Login,
    /// It is for the server's administration.
    Administration,
    /// No `--allow-path` covers it.
    Path,
    /// No `--allow-referer` has its page.
    Referer,
    /// Its client has had its requests.
    Rate {
        /// Seconds until there is another one.
        retry_after: u64,
    },
    /// Its client has all the places that one address may have.
    Places,
    /// Its body does not follow HTTP.
    MalformedBody,
    /// Its body stopped coming.
    SlowBody,
    /// Its body is larger than bodies may be.
    LargeBody,
}

impl Refusal {
    /// A short, stable name, fit for a log field.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Method => "method",
            Self::Target => "target",
            Self::Unlisted => "unlisted",
            Self::Host => "host",
            Self::Origin => "origin",
            Self::CrossSite => "cross_site",
            Self::Login => "login",
            Self::Administration => "administration",
            Self::Path => "path",
            Self::Referer => "referer",
            Self::Rate { .. } => "rate",
            Self::Places => "places",
            Self::MalformedBody => "malformed_body",
            Self::SlowBody => "slow_body",
            Self::LargeBody => "large_body",
        }
    }

    /// What the caller gets.
    pub(crate) fn answer(self) -> Response<Full<Bytes>> {
        let (status, message, detail) = self.words();
        let mut answer = error(status, message, detail);
        let headers = answer.headers_mut();
        match self {
            Self::Method => {
                headers.insert(ALLOW, HeaderValue::from_static(ALLOWED));
            }
            Self::Rate { retry_after } => {
                headers.insert(RETRY_AFTER, retry_after.into());
            }
            _ => {}
        }
        answer
    }

    fn words(self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::Method => (
                StatusCode::METHOD_NOT_ALLOWED,
                "This method is not allowed here.",
                "The proxy serves one ArcGIS; it opens no tunnels and answers neither TRACE nor TRACK.",
            ),
            Self::Target => (
                StatusCode::BAD_REQUEST,
                "This request target is not served here.",
                "It must be a path, beginning with a slash, or a URL behind `/proxy?`.",
            ),
            Self::Unlisted => (
                StatusCode::FORBIDDEN,
                "This is not served by this proxy.",
                "What may be asked for is what the file of --config lists, with all below it where that says so.",
            ),
            Self::Host => (
                StatusCode::MISDIRECTED_REQUEST,
                "This proxy is not the host that the request is for.",
                "If it is reached by that name, start it with --public-host NAME.",
            ),
            Self::Origin => (
                StatusCode::FORBIDDEN,
                "Pages of this origin may not ask this proxy.",
                "If they may, start it with --allow-origin ORIGIN, or with --public-host NAME where the page is its own.",
            ),
            Self::CrossSite => (
                StatusCode::FORBIDDEN,
                "Pages of another site may not ask this proxy.",
                "If they may, start it with --allow-origin ORIGIN; the page has to send a Referer.",
            ),
            Self::Login => (
                StatusCode::FORBIDDEN,
                "Logins and token services are not served by this proxy.",
                "It logs in by itself. If its callers have to as well, start it with --allow-logins.",
            ),
            Self::Administration => (
                StatusCode::FORBIDDEN,
                "The server's administration is not served by this proxy.",
                "If its callers have to reach it, start it with --allow-admin.",
            ),
            Self::Path => (
                StatusCode::FORBIDDEN,
                "This path is not served by this proxy.",
                "What may be asked for is what --allow-path PREFIX names.",
            ),
            Self::Referer => (
                StatusCode::FORBIDDEN,
                "This page may not ask this proxy.",
                "The pages that may are what --allow-referer PAGE names, and their requests have to have a Referer.",
            ),
            Self::Rate { .. } => (
                StatusCode::TOO_MANY_REQUESTS,
                "Too many requests from this address.",
                "How many there may be is what --rate-limit says. The header Retry-After has the seconds to wait.",
            ),
            Self::Places => (
                StatusCode::SERVICE_UNAVAILABLE,
                "Too many requests at once from this address.",
                "How many there may be is what --max-connections-per-address says.",
            ),
            Self::MalformedBody => (
                StatusCode::BAD_REQUEST,
                "The request's body is malformed, or broke off.",
                "It does not follow HTTP.",
            ),
            Self::SlowBody => (
                StatusCode::REQUEST_TIMEOUT,
                "The request's body stopped coming.",
                "How long it may make no progress is what --body-timeout says.",
            ),
            Self::LargeBody => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "The request's body is too large.",
                "How large it may be is what --max-body-size says.",
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
