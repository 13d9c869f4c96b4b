//! The tokens a request presents: query, form, headers, cookie.

use http::HeaderMap;
use http::header::{AUTHORIZATION, COOKIE};

use crate::asked::{Asked, Pairs};

const ESRI_AUTHORIZATION: &str = "x-esri-authorization";

/// What a request presents. Of several tokens the first counts, in the order query, form, header, cookie.
#[derive(Debug, Default)]
pub(crate) struct Presented {
    pub(crate) token: Option<String>,
    /// There were several, and they differ.
    pub(crate) conflicting: bool,
}

impl Presented {
    pub(crate) fn find(asked: &Asked, form: &Pairs) -> Self {
        let mut found: Vec<String> = Vec::new();
        found.extend(asked.query.all("token").into_iter().map(str::to_owned));
        found.extend(form.all("token").into_iter().map(str::to_owned));
        found.extend(bearers(&asked.headers, ESRI_AUTHORIZATION));
        found.extend(bearers(&asked.headers, AUTHORIZATION.as_str()));
        found.extend(cookies(&asked.headers));
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
