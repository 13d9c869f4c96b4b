//! A response as the detector gets it, with the usual for everything that a test does not care for.
#![allow(
    clippy::unwrap_used,
    dead_code,
    unreachable_pub,
    reason = "test code outside of test functions, of which every test binary uses its own part"
)]

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use tower_arcgis_auth::{Challenge, RequestFacts, Verdict, detect};

pub const REQUIRED: Verdict = Verdict::Challenge(Challenge::TokenRequired);
pub const INVALID: Verdict = Verdict::Challenge(Challenge::TokenInvalid);
pub const LOGIN_PAGE: Verdict = Verdict::Challenge(Challenge::LoginPage);
pub const LOGIN_REDIRECT: Verdict = Verdict::Challenge(Challenge::LoginRedirect);

pub const CHALLENGE: &str = r#"{"error":{"code":499,"message":"Token Required","details":[]}}"#;

#[derive(Clone)]
pub struct Received {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
    pub token: bool,
    pub method: Method,
}

/// The answer to a GET without a token.
pub fn received(status: u16, body: impl AsRef<[u8]>) -> Received {
    Received {
        status,
        headers: HeaderMap::new(),
        body: body.as_ref().to_vec(),
        token: false,
        method: Method::GET,
    }
}

impl Received {
    /// The request had a token.
    pub fn signed(mut self) -> Self {
        self.token = true;
        self
    }

    /// The request had this method.
    pub fn to(mut self, method: Method) -> Self {
        self.method = method;
        self
    }

    pub fn header(mut self, name: HeaderName, value: &str) -> Self {
        self.headers
            .append(name, HeaderValue::from_str(value).unwrap());
        self
    }

    /// The verdict on so much of the body.
    pub fn after(&self, len: usize, ended: bool) -> Verdict {
        detect(
            StatusCode::from_u16(self.status).unwrap(),
            &self.headers,
            RequestFacts::new(&self.method, self.token),
            &self.body[..len],
            ended,
        )
    }

    pub fn verdict(&self) -> Verdict {
        self.after(self.body.len(), true)
    }

    /// How many bytes it takes to decide.
    pub fn decided_after(&self) -> usize {
        (0..=self.body.len())
            .find(|len| self.after(*len, false) != Verdict::More)
            .unwrap()
    }
}
