//! Keeping the token out of what goes up: answers to signed requests that repeat it, or that would make the browser
//! above the account the layer logged in as.

use std::ops::Range;

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{CONTENT_LOCATION, LINK, LOCATION, REFRESH, SET_COOKIE},
};
use memchr::memmem;

use crate::{challenge::Noted, token::Token};

/// The cookies by which ArcGIS Server, Portal and ArcGIS Online know a signed-in browser.
const SESSION_COOKIES: [&[u8]; 3] = [b"agstoken", b"esri_auth", b"esri_aopc"];

/// Takes session cookies and the text of `token` out of the headers of an answer to a request signed with it.
#[inline]
pub(crate) fn clean(headers: &mut HeaderMap, noted: Noted, token: &Token) {
    if noted.cookies {
        clean_cookies(headers);
    }
    if noted.links {
        for name in [LOCATION, CONTENT_LOCATION, LINK, REFRESH] {
            clean_header(headers, &name, token);
        }
    }
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

/// Whether `text` has the token in it, plain or under percent-encodings: a login redirect carries the signed URL in a
/// parameter, and that one may carry another.
fn mentions(text: &[u8], token: &Token) -> bool {
    !Unescaped::of(text)
        .find(token.expose().as_bytes())
        .is_empty()
}

/// The value with every spelling of the token cut out; `None` where one is left that cannot be cut out cleanly.
fn without_token(value: &HeaderValue, token: &Token) -> Option<HeaderValue> {
    let text = value.as_bytes();
    let needle = token.expose().as_bytes();
    let mut kept = Vec::with_capacity(text.len());
    let mut rest = 0;
    for spelling in Unescaped::of(text).find(needle) {
        kept.extend_from_slice(&text[rest..spelling.start]);
        rest = spelling.end;
    }
    kept.extend_from_slice(&text[rest..]);
    // Escapes of escapes that no encoder makes can still hide one.
    let twice = Unescaped::of(&Unescaped::of(&kept).bytes);
    if !twice.find(needle).is_empty() {
        return None;
    }
    HeaderValue::from_bytes(&kept).ok()
}

/// A text with its percent-encodings resolved, however often they were applied, in one pass: each byte and where it
/// stood. `%2541` is `%41` encoded once more, and stands for `A` like it.
struct Unescaped {
    bytes: Vec<u8>,
    /// Where each byte began; one more for the end.
    starts: Vec<usize>,
}

impl Unescaped {
    fn of(text: &[u8]) -> Self {
        let mut bytes = Vec::with_capacity(text.len());
        let mut starts = Vec::with_capacity(text.len() + 1);
        let mut at = 0;
        while let Some(first) = text.get(at) {
            starts.push(at);
            let mut digits = at + 1;
            while *first == b'%'
                && text
                    .get(digits..)
                    .is_some_and(|rest| rest.starts_with(b"25"))
                && hex(text, digits + 2).is_some()
            {
                digits += 2;
            }
            match hex(text, digits).filter(|_| *first == b'%') {
                Some(byte) => {
                    bytes.push(byte);
                    at = digits + 2;
                }
                None => {
                    bytes.push(*first);
                    at += 1;
                }
            }
        }
        starts.push(text.len());
        Self { bytes, starts }
    }

    /// Where the spellings of `needle` stand in the text.
    fn find(&self, needle: &[u8]) -> Vec<Range<usize>> {
        memmem::find_iter(&self.bytes, needle)
            .map(|at| self.starts[at]..self.starts[at + needle.len()])
            .collect()
    }
}

fn hex(text: &[u8], at: usize) -> Option<u8> {
    let digit = |at: usize| char::from(*text.get(at)?).to_digit(16);
    u8::try_from(digit(at)? * 16 + digit(at + 1)?).ok()
}
