//! A glance at the first bytes of an ordinary answer. It lets nearly all of them go, and no detector is made for those.

use http::StatusCode;

use crate::challenge::{Noted, RequestFacts, json, situation::Situation};

/// What a glance goes by: the answer's status is 200 and its body is not coded, so that nothing but the body decides.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Glance {
    /// A token was on the request.
    token: bool,
    /// The content type is HTML.
    html: bool,
}

impl Glance {
    /// `None` where more than the body has a say, or nothing can be in it.
    #[inline]
    pub(crate) fn of(
        status: StatusCode,
        noted: Noted,
        facts: RequestFacts,
        body_is_empty: bool,
    ) -> Option<Self> {
        let is_plain = !noted.any(Noted::CODING | Noted::ATTACHMENT | Noted::STREAM);
        let only_body = status == StatusCode::OK && is_plain && !facts.head && !body_is_empty;
        only_body.then_some(Self {
            token: facts.token,
            html: noted.any(Noted::HTML),
        })
    }

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
    use http::{HeaderMap, HeaderValue, Method, header::CONTENT_TYPE};
    use proptest::prelude::*;

    use super::*;
    use crate::challenge::{Detector, Verdict};

    fn glance(content_type: &'static str, token: bool) -> Glance {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        let facts = RequestFacts::new(&Method::GET, token);
        Glance::of(StatusCode::OK, Noted::of(&headers), facts, false).expect("a glance")
    }

    fn is_clean(content_type: &'static str, body: &[u8]) -> bool {
        glance(content_type, false).is_clean(body)
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
            let glance = glance(content_type, token);
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
