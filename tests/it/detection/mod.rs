//! What is a challenge, and what only looks like one.

mod codes;
mod corpus;
mod pages;
mod peeking;
mod properties;

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use tower_arcgis_auth::{Challenge, RequestFacts, Verdict, detect};

const REQUIRED: Verdict = Verdict::Challenge(Challenge::TokenRequired);
const INVALID: Verdict = Verdict::Challenge(Challenge::TokenInvalid);
const LOGIN_PAGE: Verdict = Verdict::Challenge(Challenge::LoginPage);
const LOGIN_REDIRECT: Verdict = Verdict::Challenge(Challenge::LoginRedirect);
const CHALLENGE: &str = r#"{"error":{"code":499,"message":"Token Required","details":[]}}"#;

/// A response, with the usual for everything a test does not care for.
struct Response {
    status: u16,
    headers: HeaderMap,
    body: Vec<u8>,
    token: bool,
    method: Method,
}

fn response(status: u16, body: impl AsRef<[u8]>) -> Response {
    Response {
        status,
        headers: HeaderMap::new(),
        body: body.as_ref().to_vec(),
        token: false,
        method: Method::GET,
    }
}

fn ok(body: impl AsRef<[u8]>) -> Response {
    response(200, body)
}

impl Response {
    fn signed(mut self) -> Self {
        self.token = true;
        self
    }

    fn header(mut self, name: HeaderName, value: &str) -> Self {
        self.headers
            .append(name, HeaderValue::from_str(value).unwrap());
        self
    }

    fn prefix(&self, len: usize, ended: bool) -> Verdict {
        detect(
            StatusCode::from_u16(self.status).unwrap(),
            &self.headers,
            RequestFacts::new(&self.method, self.token),
            &self.body[..len],
            ended,
        )
    }

    fn verdict(&self) -> Verdict {
        self.prefix(self.body.len(), true)
    }

    /// How many bytes it takes to decide.
    fn decided_after(&self) -> usize {
        (0..=self.body.len())
            .find(|len| self.prefix(*len, false) != Verdict::More)
            .unwrap()
    }

    /// Once decided, a verdict stays, and it is the one the whole response has.
    fn assert_steady(&self) {
        let whole = self.verdict();
        assert_ne!(whole, Verdict::More);
        let mut decided = false;
        for len in 0..=self.body.len() {
            let verdict = self.prefix(len, false);
            assert!(
                verdict == whole || (verdict == Verdict::More && !decided),
                "{verdict:?} after {len} bytes, {whole:?} in the end"
            );
            decided |= verdict != Verdict::More;
        }
    }
}
