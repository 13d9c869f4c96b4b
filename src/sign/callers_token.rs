//! A token of the caller's own: seeing it, and taking it off.
//!
//! It is a non-empty `token` in the query or in a form body, `X-Esri-Authorization`, or `Authorization` where the site's
//! tokens stand there. An `agstoken` cookie is something else: a browser carries it along, asked for or not.

use http::{
    HeaderMap, HeaderName, HeaderValue, Request,
    header::{AUTHORIZATION, CONTENT_TYPE, COOKIE},
};

use crate::sign::{
    cookies,
    pairs::{QueryToken, rewrite, token_pairs},
    placement::{TokenPlacement, X_ESRI_AUTHORIZATION, remove_from_query},
};

/// What happens to a request that carries a token of the caller's own: a non-empty `token` in the query, its name in any
/// spelling; the same in a short form body; an `X-Esri-Authorization` header; or `Authorization` where the site's placement
/// is [`Bearer`](TokenPlacement::Bearer).
///
/// A form body is looked into where it is `application/x-www-form-urlencoded` and says that it has 64 KiB at most; longer
/// and other bodies are not. An `agstoken` cookie is no choice of the caller's, for a browser carries it along: such a
/// request goes out as it is, and is sent again with the site's token, and without the cookie, where it is challenged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum CallerToken {
    /// It wins: the request passes untouched, and its answer too.
    #[default]
    Keep,
    /// It is taken off, and the site's token put in its place.
    Replace,
}

/// Which headers a request has that may say something of a token of the caller's own. The query is looked into by
/// [`QueryToken`](crate::sign::QueryToken), a form body by [`form_has_token`].
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct CallersHeaders(u8);

impl CallersHeaders {
    const ESRI_HEADER: u8 = 1;
    const AUTHORIZATION: u8 = 1 << 1;
    const COOKIE: u8 = 1 << 2;
    const CONTENT_TYPE: u8 = 1 << 3;

    #[inline]
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let mut found = 0;
        // One walk over the names costs less than a hashed look-up for each, and nearly all are told from those that matter
        // by their length.
        for name in headers.keys() {
            found |= match name.as_str().len() {
                6 if *name == COOKIE => Self::COOKIE,
                12 if *name == CONTENT_TYPE => Self::CONTENT_TYPE,
                13 if *name == AUTHORIZATION => Self::AUTHORIZATION,
                20 if *name == X_ESRI_AUTHORIZATION => Self::ESRI_HEADER,
                _ => 0,
            };
        }
        Self(found)
    }

    #[inline]
    fn has(self, header: u8) -> bool {
        self.0 & header != 0
    }

    /// Whether the caller placed a token of its own in a header.
    #[inline]
    pub(crate) fn have_token(self, headers: &HeaderMap, placement: TokenPlacement) -> bool {
        (self.has(Self::ESRI_HEADER) && holds_token(headers, &X_ESRI_AUTHORIZATION))
            || (self.has(Self::AUTHORIZATION)
                && placement == TokenPlacement::Bearer
                && holds_token(headers, &AUTHORIZATION))
    }

    /// Whether there is an `agstoken` cookie with a value.
    #[inline]
    pub(crate) fn have_token_cookie(self, headers: &HeaderMap) -> bool {
        self.has(Self::COOKIE) && carries_token_cookie(headers)
    }

    /// Whether the body is a form, `application/x-www-form-urlencoded`, as its headers say.
    #[inline]
    pub(crate) fn say_form(self, headers: &HeaderMap) -> bool {
        self.has(Self::CONTENT_TYPE) && is_form(headers)
    }
}

/// Whether a header has a value, other than the word `Bearer` alone.
fn holds_token(headers: &HeaderMap, name: &HeaderName) -> bool {
    const SCHEME: &[u8] = b"bearer";
    headers.get_all(name).iter().any(|value| {
        let value = value.as_bytes().trim_ascii();
        !value.is_empty() && !value.eq_ignore_ascii_case(SCHEME)
    })
}

/// Takes the caller's own token off query and headers, the cookie too. The query is left with none, empty or not.
#[inline]
pub(crate) fn remove_token<B>(
    request: &mut Request<B>,
    placement: TokenPlacement,
    callers: CallersHeaders,
    query_token: QueryToken,
) {
    let headers = request.headers_mut();
    if callers.has(CallersHeaders::ESRI_HEADER) {
        headers.remove(&X_ESRI_AUTHORIZATION);
    }
    if callers.has(CallersHeaders::AUTHORIZATION) && placement == TokenPlacement::Bearer {
        headers.remove(AUTHORIZATION);
    }
    if callers.has(CallersHeaders::COOKIE) {
        remove_token_cookie(headers);
    }
    if query_token != QueryToken::None {
        remove_from_query(request.uri_mut());
    }
}

fn carries_token_cookie(headers: &HeaderMap) -> bool {
    headers.get_all(COOKIE).iter().any(cookies::have_token)
}

/// Takes the `agstoken` cookie off. The other cookies stay.
pub(crate) fn remove_token_cookie(headers: &mut HeaderMap) {
    if carries_token_cookie(headers) {
        cookies::merge(headers, None);
    }
}

fn is_form(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(is_form_type)
}

fn is_form_type(value: &HeaderValue) -> bool {
    const FORM: &[u8] = b"application/x-www-form-urlencoded";
    let value = value.as_bytes();
    let end = memchr::memchr(b';', value).unwrap_or(value.len());
    value[..end].trim_ascii().eq_ignore_ascii_case(FORM)
}

/// Whether a form body has a token in it.
pub(crate) fn form_has_token(form: &[u8]) -> bool {
    token_pairs(form).any(|pair| !pair.is_empty)
}

/// The form body without its tokens, empty ones included; `None` where it has none. All other text stays byte for byte.
pub(crate) fn form_without_token(form: &[u8]) -> Option<Vec<u8>> {
    token_pairs(form).next()?;
    let mut rest = Vec::with_capacity(form.len());
    rewrite(form, None, |piece| rest.extend_from_slice(piece));
    Some(rest)
}

#[cfg(test)]
mod tests {
    use http::Uri;

    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                )
            })
            .collect()
    }

    fn has(
        uri: &'static str,
        pairs: &[(&'static str, &'static str)],
        placement: TokenPlacement,
    ) -> bool {
        let headers = headers(pairs);
        QueryToken::of(&Uri::from_static(uri)) == QueryToken::Present
            || CallersHeaders::of(&headers).have_token(&headers, placement)
    }

    #[test]
    fn a_token_in_the_query_is_seen_in_any_spelling() {
        for uri in [
            "/x?token=mine",
            "/x?Token=mine",
            "/x?TOKEN=mine",
            "/x?%74oken=mine",
            "/x?f=json&tok%45n=mine&x=1",
            "/x?token=&token=mine",
        ] {
            assert!(has(uri, &[], TokenPlacement::EsriHeader), "{uri}");
        }
        for uri in ["/x", "/x?", "/x?token=", "/x?TOKEN", "/x?tokens=a&q=token"] {
            assert!(!has(uri, &[], TokenPlacement::Query), "{uri}");
        }
    }

    #[test]
    fn a_token_in_a_header_is_seen_where_it_may_be_one() {
        use TokenPlacement::{Bearer, Query};
        let esri = "x-esri-authorization";
        for (header, placement, is_token) in [
            ((esri, "Bearer mine"), Query, true),
            ((esri, "mine"), Query, true),
            ((esri, ""), Query, false),
            ((esri, "Bearer "), Query, false),
            (("authorization", "Bearer mine"), Bearer, true),
            (("authorization", "Basic dTpw"), Bearer, true),
            (("authorization", "Bearer mine"), Query, false),
            (("authorization", " bearer"), Bearer, false),
            (("cookie", "agstoken=mine"), Query, false),
            (("x-some-authorization", "mine"), Query, false),
        ] {
            assert_eq!(has("/x", &[header], placement), is_token, "{header:?}");
        }
    }

    #[test]
    fn the_token_cookie_comes_off_and_others_stay() {
        let mut carried = headers(&[("cookie", "a=1; agstoken=mine; b=2"), ("cookie", "c=3")]);
        assert!(carries_token_cookie(&carried));
        remove_token_cookie(&mut carried);
        assert_eq!(carried[COOKIE], "a=1; b=2; c=3");
        assert!(!carries_token_cookie(&carried));

        let mut alone = headers(&[("cookie", "agstoken=\"token\": \"mine\"")]);
        assert!(carries_token_cookie(&alone));
        remove_token_cookie(&mut alone);
        assert!(alone.is_empty());

        for cookies in [
            "a=1",
            "agstoken=",
            "agstoken=\"\"",
            "agstoken",
            "agstoken2=x; myagstoken=y",
        ] {
            let mut carried = headers(&[("cookie", cookies)]);
            assert!(!carries_token_cookie(&carried), "{cookies}");
            remove_token_cookie(&mut carried);
            assert_eq!(carried[COOKIE], cookies);
        }
        assert!(!carries_token_cookie(&headers(&[("accept", "agstoken=x")])));
    }

    fn says_form(pairs: &[(&'static str, &'static str)]) -> bool {
        let headers = headers(pairs);
        CallersHeaders::of(&headers).say_form(&headers)
    }

    #[test]
    fn a_form_is_known_by_its_content_type() {
        for value in [
            "application/x-www-form-urlencoded",
            "Application/X-WWW-Form-URLEncoded; charset=UTF-8",
            " application/x-www-form-urlencoded ;x",
        ] {
            assert!(says_form(&[("content-type", value)]), "{value}");
        }
        for value in [
            "",
            "application/json",
            "multipart/form-data; boundary=application/x-www-form-urlencoded",
            "application/x-www-form-urlencoded2",
        ] {
            assert!(!says_form(&[("content-type", value)]), "{value}");
        }
        assert!(!says_form(&[]));
    }

    #[test]
    fn a_token_in_a_form_is_seen_and_taken_out() {
        for (form, has, without) in [
            ("", false, None),
            ("f=json", false, None),
            ("f=json&token=", false, Some("f=json")),
            ("f=json&token=mine", true, Some("f=json")),
            (
                "Token=mine&f=json&features=%5B%7B%7D%5D&%74oken=mine",
                true,
                Some("f=json&features=%5B%7B%7D%5D"),
            ),
            ("features=[{\"token\":1}]&x=token=a", false, None),
            ("token=mine", true, Some("")),
        ] {
            assert_eq!(form_has_token(form.as_bytes()), has, "{form}");
            assert_eq!(
                form_without_token(form.as_bytes()).as_deref(),
                without.map(str::as_bytes),
                "{form}"
            );
        }
    }

    #[test]
    fn a_callers_token_comes_off_wherever_it_is() {
        let mut request = Request::get("/x?Token=mine&f=json&%74oken=mine&token=")
            .header("x-esri-authorization", "Bearer mine")
            .header("authorization", "Bearer mine")
            .header("cookie", "agstoken=mine; a=1")
            .body(())
            .unwrap();
        let mut remove = |placement| {
            let callers = CallersHeaders::of(request.headers());
            let query_token = QueryToken::of(request.uri());
            remove_token(&mut request, placement, callers, query_token);
            request.clone()
        };
        let request = remove(TokenPlacement::Query);
        assert_eq!(request.uri(), "/x?f=json");
        assert_eq!(
            request.headers(),
            &headers(&[("authorization", "Bearer mine"), ("cookie", "a=1")])
        );
        let request = remove(TokenPlacement::Bearer);
        assert_eq!(request.headers(), &headers(&[("cookie", "a=1")]));
    }
}
