//! Keeping the token out of what goes up: answers to signed requests that repeat it, or that would make the browser
//! above the account the layer logged in as.

use std::ops::Range;

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{CONTENT_LOCATION, LINK, LOCATION, REFRESH, SET_COOKIE},
};
use memchr::memmem;

use crate::{challenge::Noted, token::Token, url::Decoded};

/// The cookies by which ArcGIS Server, Portal and ArcGIS Online know a signed-in browser.
const SESSION_COOKIES: [&[u8]; 3] = [b"agstoken", b"esri_auth", b"esri_aopc"];

/// Takes session cookies and the text of `token` out of the headers of an answer to a request signed with it.
#[inline]
pub(crate) fn clean(headers: &mut HeaderMap, noted: Noted, token: &Token) {
    if noted.any(Noted::COOKIES) {
        clean_cookies(headers, &needle(token));
    }
    if noted.any(Noted::LINKS) {
        let needle = needle(token);
        for name in [LOCATION, CONTENT_LOCATION, LINK, REFRESH] {
            clean_field(headers, &name, &needle);
        }
    }
}

/// Takes the same out of the trailers of such an answer, whatever their names: few answers have any.
pub(crate) fn clean_trailers(trailers: &mut HeaderMap, token: &Token) {
    let needle = needle(token);
    clean_cookies(trailers, &needle);
    let names: Vec<HeaderName> = trailers.keys().cloned().collect();
    for name in names {
        clean_field(trailers, &name, &needle);
    }
}

/// The token's text as it is found: decoded, as what it is looked for in.
fn needle(token: &Token) -> Vec<u8> {
    Decoded::of(token.expose().as_bytes()).into_bytes()
}

fn clean_cookies(headers: &mut HeaderMap, needle: &[u8]) {
    replace_values(headers, &SET_COOKIE, |cookie| {
        if is_session_cookie(cookie) || mentions(cookie.as_bytes(), needle) {
            Cleaned::Drop
        } else {
            Cleaned::Keep
        }
    });
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

fn clean_field(headers: &mut HeaderMap, name: &HeaderName, needle: &[u8]) {
    replace_values(headers, name, |value| {
        let spellings = spellings(value.as_bytes(), needle);
        if spellings.is_empty() {
            return Cleaned::Keep;
        }
        cut_out(value.as_bytes(), &spellings, needle).map_or(Cleaned::Drop, Cleaned::Replace)
    });
}

/// What becomes of a header's value.
enum Cleaned {
    Keep,
    Replace(HeaderValue),
    Drop,
}

fn replace_values(
    headers: &mut HeaderMap,
    name: &HeaderName,
    clean: impl Fn(&HeaderValue) -> Cleaned,
) {
    let cleaned: Vec<Cleaned> = headers.get_all(name).iter().map(clean).collect();
    if cleaned
        .iter()
        .all(|cleaned| matches!(cleaned, Cleaned::Keep))
    {
        return;
    }
    let values: Vec<HeaderValue> = headers
        .get_all(name)
        .iter()
        .zip(cleaned)
        .filter_map(|(value, cleaned)| match cleaned {
            Cleaned::Keep => Some(value.clone()),
            Cleaned::Replace(value) => Some(value),
            Cleaned::Drop => None,
        })
        .collect();
    headers.remove(name);
    for value in values {
        headers.append(name.clone(), value);
    }
}

fn mentions(text: &[u8], needle: &[u8]) -> bool {
    !spellings(text, needle).is_empty()
}

/// Where the token stands in a text, plain or percent-encoded: a login redirect carries the signed URL in a parameter, and
/// that one may carry another.
fn spellings(text: &[u8], needle: &[u8]) -> Vec<Range<usize>> {
    // Without an escape, which is how nearly all texts are, the text is what it stands for.
    if memchr::memchr(b'%', text).is_none() && text.is_ascii() {
        return memmem::find_iter(text, needle)
            .map(|at| at..at + needle.len())
            .collect();
    }
    let decoded = Decoded::of(text);
    memmem::find_iter(decoded.as_bytes(), needle)
        .map(|at| decoded.start_of(at)..decoded.start_of(at + needle.len()))
        .collect()
}

/// The value without these spellings of the token; `None` where it cannot be cut out cleanly.
fn cut_out(text: &[u8], spellings: &[Range<usize>], needle: &[u8]) -> Option<HeaderValue> {
    // Browsers drop tabs, so that what is left may be another link than it seems.
    if text.iter().any(u8::is_ascii_control) {
        return None;
    }
    let mut kept = Vec::with_capacity(text.len());
    let mut rest = 0;
    for spelling in spellings {
        // Joined to what is before the token, anything else could make it a link to another host.
        if !ends_value(text.get(spelling.end).copied()) {
            return None;
        }
        kept.extend_from_slice(&text[rest..spelling.start]);
        rest = spelling.end;
    }
    kept.extend_from_slice(&text[rest..]);
    // What is left may make up another one.
    if mentions(&kept, needle) {
        return None;
    }
    HeaderValue::from_bytes(&kept).ok()
}

/// Whether a parameter's value ends before this byte, in a URL, in a link or at the end of the text.
fn ends_value(next: Option<u8>) -> bool {
    matches!(
        next,
        None | Some(b'&' | b'#' | b'%' | b';' | b',' | b' ' | b'"' | b'\'' | b'>' | b')')
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio::time::Instant;

    use super::*;
    use crate::token::IssuedToken;

    const TEXT: &str = "Tok_en-1..";

    fn token(text: &str) -> Token {
        Token::new(IssuedToken::try_new(text).unwrap(), 1, Instant::now()).unwrap()
    }

    /// What is left of this value of a `Location`.
    fn cleaned(text: &str, value: &str) -> Option<String> {
        let mut headers = HeaderMap::new();
        headers.insert(LOCATION, value.parse().unwrap());
        let noted = Noted::of(&headers);
        clean(&mut headers, noted, &token(text));
        let value = headers.get(LOCATION)?;
        Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
    }

    #[test]
    fn the_token_is_cut_out_under_any_mixture_of_encodings() {
        for (before, after) in [
            ("/x?token=Tok_en-1..&f=json", "/x?token=&f=json"),
            ("/x?token=%54ok_en-1%2e.", "/x?token="),
            ("/x?token=%25%35%34ok_en-1..&a", "/x?token=&a"),
            ("/x?token=%2554%256fk_en-1..", "/x?token="),
            ("/x?token=%2525%35%34ok_en-1%25252E.", "/x?token="),
            ("/x?token=%u0054ok_en-1..", "/x?token="),
            ("/x?token=%25u0054ok_en-1..", "/x?token="),
            (
                "/l?r=%2Fx%3Ftoken%3DTok_en-1..%26f",
                "/l?r=%2Fx%3Ftoken%3D%26f",
            ),
            ("/x?a=%zz&b=100%", "/x?a=%zz&b=100%"),
            ("/x\ty?a=%41", "/x\ty?a=%41"),
        ] {
            assert_eq!(cleaned(TEXT, before).as_deref(), Some(after), "{before}");
        }
    }

    #[test]
    fn a_link_that_could_lead_to_another_host_without_the_token_is_dropped() {
        for before in [
            "/Tok_en-1../evil.test/",
            "/Tok_en-1..\\evil.test/",
            "Tok_en-1..//evil.test/",
            "Tok_en-1..https://evil.test/",
            "https:Tok_en-1..//evil.test/",
            "https://gis.test\t/x?token=Tok_en-1..",
            "/\t/x?token=Tok_en-1..",
            "/x?token=Tok_en-1..\t",
        ] {
            assert_eq!(cleaned(TEXT, before), None, "{before}");
        }
    }

    #[test]
    fn a_token_left_over_by_the_cut_drops_the_link() {
        assert_eq!(cleaned("abab", "/x?token=ab%61bab&x=ab"), None);
        assert_eq!(cleaned("ab", "/x?token=a%61bb").as_deref(), None);
    }

    #[test]
    fn a_token_that_looks_encoded_is_found_as_well() {
        assert_eq!(
            cleaned("a%41%zz", "/x?token=a%2541%25zz&f=json").as_deref(),
            Some("/x?token=&f=json")
        );
        assert_eq!(
            cleaned("a%41%zz", "/x?token=a%41%zz").as_deref(),
            Some("/x?token=")
        );
    }

    #[test]
    fn a_cookie_that_repeats_the_token_stays_below() {
        let mut headers = HeaderMap::new();
        for cookie in [
            "agstoken=x; Path=/",
            "last=%2Fx%3Ftoken%3DTok_en-1..; Path=/",
            "lang=de",
        ] {
            headers.append(SET_COOKIE, cookie.parse().unwrap());
        }
        let noted = Noted::of(&headers);
        clean(&mut headers, noted, &token(TEXT));
        let left: Vec<_> = headers.get_all(SET_COOKIE).iter().collect();
        assert_eq!(left, ["lang=de"]);
    }

    #[test]
    fn trailers_are_cleaned_whatever_their_names() {
        let mut trailers = HeaderMap::new();
        trailers.append("x-url", "/x?token=Tok_en-1..".parse().unwrap());
        trailers.append("x-url", "/y".parse().unwrap());
        trailers.append("x-token", "Tok_en-1../x".parse().unwrap());
        trailers.append("x-sum", "12".parse().unwrap());
        trailers.append(SET_COOKIE, "esri_auth=x".parse().unwrap());
        clean_trailers(&mut trailers, &token(TEXT));
        let urls: Vec<_> = trailers.get_all("x-url").iter().collect();
        assert_eq!(urls, ["/x?token=", "/y"]);
        assert!(!trailers.contains_key("x-token"));
        assert!(!trailers.contains_key(SET_COOKIE));
        assert_eq!(trailers["x-sum"], "12");
    }

    /// Each character as it is, or under one to three encodings, each digit of which may be encoded again.
    fn encoded(text: &str, choices: &[u8]) -> String {
        let mut choices = choices.iter().cycle();
        let mut encode = |text: &str| -> String {
            text.bytes()
                .map(|byte| match choices.next() {
                    Some(0) | None => char::from(byte).to_string(),
                    Some(1) => format!("%{byte:02x}"),
                    Some(_) => format!("%{byte:02X}"),
                })
                .collect()
        };
        let once = encode(text);
        let twice = encode(&once);
        encode(&twice)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(500))]

        #[test]
        fn no_encoding_hides_the_token(choices in prop::collection::vec(0u8..3, 1..40)) {
            let value = format!("/l?r={}&f=json", encoded(TEXT, &choices));
            let left = cleaned(TEXT, &value);
            prop_assert_eq!(left.as_deref(), Some("/l?r=&f=json"), "{}", value);
        }
    }
}
