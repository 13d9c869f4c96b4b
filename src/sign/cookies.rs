//! The cookie `agstoken`, by which ArcGIS Server's own pages carry a token, among a request's other cookies.

use bytes::{BufMut, BytesMut};
use http::{HeaderMap, HeaderValue, header::COOKIE};

const TOKEN_COOKIE: &[u8] = b"agstoken";

/// Whether there is an `agstoken` with a value.
pub(super) fn have_token(cookies: &HeaderValue) -> bool {
    each(cookies.as_bytes()).any(|cookie| {
        let value = cookie.get(TOKEN_COOKIE.len() + 1..).unwrap_or_default();
        is_token_cookie(cookie) && !matches!(value.trim_ascii(), b"" | b"\"\"")
    })
}

fn each(cookies: &[u8]) -> impl Iterator<Item = &[u8]> {
    cookies
        .split(|byte| *byte == b';')
        .map(<[u8]>::trim_ascii)
        .filter(|cookie| !cookie.is_empty())
}

fn is_token_cookie(cookie: &[u8]) -> bool {
    cookie
        .strip_prefix(TOKEN_COOKIE)
        .is_some_and(|rest| matches!(rest.first(), None | Some(b'=')))
}

/// Joins the cookies, less any `agstoken`, and `pair` into one `Cookie` header. HTTP/2 may have split them over several.
pub(super) fn merge(headers: &mut HeaderMap, pair: Option<&HeaderValue>) {
    let length: usize = headers
        .get_all(COOKIE)
        .iter()
        .map(|value| value.len() + 2)
        .sum();
    if length == 0 {
        if let Some(pair) = pair {
            headers.insert(COOKIE, pair.clone());
        }
        return;
    }
    let mut merged = BytesMut::with_capacity(length + pair.map_or(0, HeaderValue::len));
    for cookie in headers
        .get_all(COOKIE)
        .iter()
        .flat_map(|value| each(value.as_bytes()))
        .filter(|cookie| !is_token_cookie(cookie))
        .chain(pair.map(HeaderValue::as_bytes))
    {
        if !merged.is_empty() {
            merged.put_slice(b"; ");
        }
        merged.put_slice(cookie);
    }
    if merged.is_empty() {
        headers.remove(COOKIE);
    } else if let Ok(mut value) = HeaderValue::from_maybe_shared(merged.freeze()) {
        // Parts of valid values, joined by valid bytes, make a valid value.
        value.set_sensitive(true);
        headers.insert(COOKIE, value);
    }
}
