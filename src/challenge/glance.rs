//! A glance at the first bytes of an ordinary answer. It lets nearly all of them go, and no detector is made for those.

use crate::challenge::{json, situation::Situation};

/// What a glance goes by: the answer's status is 200 and its body is not coded, so that nothing but the body decides.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Glance {
    /// A token was on the request.
    pub(super) token: bool,
    /// The content type is HTML.
    pub(super) html: bool,
}

impl Glance {
    /// Whether a body that begins like this is clean whatever follows. Where it is not, the detector may still find it so.
    #[inline]
    pub(crate) fn is_clean(self, bytes: &[u8]) -> bool {
        match bytes {
            [b'{', behind @ ..] => json::begins_with_data(behind),
            // Perhaps a mark, white space, markup or a callback.
            []
            | [
                0xEF | b' ' | b'\t' | b'\r' | b'\n' | b'<' | b'(' | b'_' | b'$' | b'/' | b';',
                ..,
            ] => false,
            [first, ..] => !first.is_ascii_alphabetic() && !self.html,
        }
    }

    pub(super) fn situation(self) -> Situation {
        Situation {
            base: None,
            token: self.token,
            code_status: false,
            nginx: false,
            unauthorized: false,
            failed: false,
            html: self.html,
        }
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, Method, StatusCode, header::CONTENT_TYPE};
    use proptest::prelude::*;

    use crate::challenge::{Detector, Noted, RequestFacts, Start, Verdict};

    fn start(content_type: &'static str, token: bool) -> Start {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        let facts = RequestFacts::new(&Method::GET, token);
        Detector::start(StatusCode::OK, &headers, Noted::of(&headers), facts, false)
    }

    fn is_clean(content_type: &'static str, body: &[u8]) -> bool {
        match start(content_type, false) {
            Start::Glance(glance) => glance.is_clean(body),
            other => panic!("no glance but {other:?}"),
        }
    }

    #[test]
    fn ordinary_answers_are_let_go_at_their_first_key_or_byte() {
        for body in [
            &b"{\"objectIdFieldName\":"[..],
            b"{\"currentVersion\"",
            b"{ \n \"layers\"",
            b"{\"id\"",
            b"{\"\"",
            b"{\"errorless\"",
            b"\x89PNG",
            b"\xff\xd8",
            b"\x1f\x8b",
            b"[1]",
            b"%PDF",
            b"\x1a\x05roads",
        ] {
            assert!(is_clean("application/json", body), "{body:?}");
        }
    }

    #[test]
    fn what_may_be_a_challenge_is_looked_at() {
        for body in [
            &b""[..],
            b"{",
            b"{\"",
            b"{\"lay",
            b"{\"err\\u006fr\"",
            b"{\"id\\",
            b"{\"error\"",
            b"{\"code\"",
            b"{\"details\"",
            b"{\"request_id\"",
            b"{}",
            b" {\"layers\"",
            b"<html>",
            b"callback({",
            b"\xef\xbb\xbf{\"layers\"",
        ] {
            assert!(!is_clean("application/json", body), "{body:?}");
        }
        assert!(!is_clean("text/html", b"404"));
        assert!(is_clean("application/json", b"404"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(3000))]

        #[test]
        fn what_a_glance_lets_go_the_detector_lets_go(
            first in prop::sample::select(vec![
                "{", "{\"", "{ \"", "{\n\t\"", "", " ", "\u{feff}", "<", "(", "cb(", "/**/", "4", "[", "-", "%", "\u{0}", "é",
            ]),
            key in "(error|code|status|message|messages|subcode|messageCode|description|details?|requestId|success|path\
                    |errorCode|timestamp|layers|id|e|[a-z]{0,20})(\"|\\\\u006f|\\\\\"|x\")?:?",
            rest in "(\\{\"code\":499|\"error\"|\\[|,\"code\":499\\}|,\"messages\":\\[\"token\"\\]|\\}|<title>|\"){0,4}",
            html: bool,
            token: bool,
        ) {
            let body = format!("{first}{key}{rest}");
            let content_type = if html { "text/html" } else { "text/plain" };
            let Start::Glance(glance) = start(content_type, token) else {
                return Err(TestCaseError::fail("no glance"));
            };
            let judge = |body: &[u8]| {
                let mut detector = Detector::of(glance);
                match detector.push(body) {
                    Verdict::More => detector.finish(),
                    verdict => verdict,
                }
            };
            let body = body.as_bytes();
            for end in 0..=body.len() {
                if glance.is_clean(&body[..end]) {
                    prop_assert_eq!(judge(&body[..end]), Verdict::Clean, "{:?}", &body[..end]);
                    prop_assert_eq!(judge(body), Verdict::Clean, "{:?}", body);
                }
            }
        }
    }
}
