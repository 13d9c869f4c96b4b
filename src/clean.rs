//! Keeping the token out of what goes up: answers to signed requests that repeat it, or that would make the browser
//! above the account the layer logged in as.

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{CONTENT_LOCATION, LINK, LOCATION, REFRESH, SET_COOKIE},
};
use memchr::memmem;
use percent_encoding::{NON_ALPHANUMERIC, percent_decode, percent_encode};

use crate::token::Token;

/// The cookies by which ArcGIS Server, Portal and ArcGIS Online know a signed-in browser.
const SESSION_COOKIES: [&[u8]; 3] = [b"agstoken", b"esri_auth", b"esri_aopc"];

/// Takes session cookies and the text of `token` out of the headers of an answer to a request signed with it.
pub(crate) fn clean(headers: &mut HeaderMap, token: &Token) {
    let mut has_cookies = false;
    let mut has_links = false;
    for name in headers.keys() {
        has_cookies |= *name == SET_COOKIE;
        has_links |= is_link(name);
    }
    if has_cookies {
        clean_cookies(headers);
    }
    if has_links {
        for name in [LOCATION, CONTENT_LOCATION, LINK, REFRESH] {
            clean_header(headers, &name, token);
        }
    }
}

fn is_link(name: &HeaderName) -> bool {
    *name == LOCATION || *name == CONTENT_LOCATION || *name == LINK || *name == REFRESH
}

fn clean_cookies(headers: &mut HeaderMap) {
    if !headers.get_all(SET_COOKIE).iter().any(is_session_cookie) {
        return;
    }
    let kept: Vec<HeaderValue> = headers
        .get_all(SET_COOKIE)
        .iter()
        .filter(|cookie| !is_session_cookie(cookie))
        .cloned()
        .collect();
    headers.remove(SET_COOKIE);
    for cookie in kept {
        headers.append(SET_COOKIE, cookie);
    }
}

fn is_session_cookie(cookie: &HeaderValue) -> bool {
    let name = cookie
        .as_bytes()
        .split(|byte| matches!(byte, b'=' | b';'))
        .next()
        .unwrap_or_default()
        .trim_ascii();
    SESSION_COOKIES.contains(&name)
}

fn clean_header(headers: &mut HeaderMap, name: &HeaderName, token: &Token) {
    if !headers
        .get_all(name)
        .iter()
        .any(|value| mentions(value.as_bytes(), token))
    {
        return;
    }
    let cleaned: Vec<HeaderValue> = headers
        .get_all(name)
        .iter()
        .filter_map(|value| without_token(value, token))
        .collect();
    headers.remove(name);
    for value in cleaned {
        headers.append(name.clone(), value);
    }
}

/// Whether `text` has the token in it, plain or under any number of percent-encodings: a login redirect carries the
/// signed URL in a parameter, and that one may carry another.
fn mentions(text: &[u8], token: &Token) -> bool {
    let needle = token.expose().as_bytes();
    let mut text = text.to_vec();
    loop {
        if memmem::find(&text, needle).is_some() {
            return true;
        }
        let decoded: Vec<u8> = percent_decode(&text).collect();
        // Each decoding that changes anything makes the text shorter, so this ends.
        if decoded.len() == text.len() {
            return false;
        }
        text = decoded;
    }
}

/// The value with every spelling of the token cut out; `None` where one is left that cannot be cut out cleanly.
fn without_token(value: &HeaderValue, token: &Token) -> Option<HeaderValue> {
    let plain = token.expose().as_bytes();
    let mut text = value.as_bytes().to_vec();
    let mut spelling = plain.to_vec();
    for _ in 0..4 {
        text = cut(&text, &spelling);
        spelling = percent_encode(&spelling, NON_ALPHANUMERIC)
            .to_string()
            .into_bytes();
        text = cut(&text, &spelling);
        text = cut(&text, &spelling.to_ascii_lowercase());
    }
    text = cut(&text, token.encoded());
    if mentions(&text, token) {
        return None;
    }
    HeaderValue::from_bytes(&text).ok()
}

fn cut(text: &[u8], part: &[u8]) -> Vec<u8> {
    let mut rest = text;
    let mut kept = Vec::with_capacity(text.len());
    while let Some(at) = memmem::find(rest, part) {
        kept.extend_from_slice(&rest[..at]);
        rest = &rest[at + part.len()..];
    }
    kept.extend_from_slice(rest);
    kept
}
