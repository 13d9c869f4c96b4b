//! The token that a request presents, in its query, form, headers or cookies.

use http::HeaderMap;
use http::header::{AUTHORIZATION, COOKIE};

use crate::request_parts::{Fields, RequestHead};

const ESRI_AUTHORIZATION: &str = "x-esri-authorization";

/// The token of a request. Of several tokens the first counts, in the order query, form, header, cookie.
#[derive(Debug, Default)]
pub(crate) struct PresentedToken {
    pub(crate) token: Option<String>,
    /// There were several, and they differ.
    pub(crate) conflicting: bool,
}

impl PresentedToken {
    pub(crate) fn find(head: &RequestHead, form: &Fields) -> Self {
        let mut found: Vec<String> = Vec::new();
        found.extend(head.query.all("token").into_iter().map(str::to_owned));
        found.extend(form.all("token").into_iter().map(str::to_owned));
        found.extend(bearers(&head.headers, ESRI_AUTHORIZATION));
        found.extend(bearers(&head.headers, AUTHORIZATION.as_str()));
        found.extend(cookies(&head.headers));
        let conflicting = found.iter().any(|token| *token != found[0]);
        Self {
            token: found.into_iter().next(),
            conflicting,
        }
    }
}

fn bearers(headers: &HeaderMap, name: &str) -> Vec<String> {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok()?.trim().split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim().to_owned())
        .filter(|token| !token.is_empty())
        .collect()
}

fn cookies(headers: &HeaderMap) -> Vec<String> {
    headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().strip_prefix("agstoken="))
        .map(|value| cookie_token(value).to_owned())
        .filter(|token| !token.is_empty())
        .collect()
}

/// Two spellings are in use: `agstoken=TOKEN` and `agstoken="token": "TOKEN"`.
fn cookie_token(value: &str) -> &str {
    let value = value.strip_prefix(r#""token":"#).unwrap_or(value);
    value.trim().trim_matches('"')
}

#[cfg(test)]
mod tests {
    use super::cookie_token;

    #[test]
    fn both_cookie_spellings_are_read() {
        assert_eq!(cookie_token("abc."), "abc.");
        assert_eq!(cookie_token(r#""abc""#), "abc");
        assert_eq!(cookie_token(r#""token": "abc""#), "abc");
    }
}
