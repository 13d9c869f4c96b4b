//! What status, headers and request say about a body before it is looked at.

use http::{HeaderMap, StatusCode, header};

use crate::challenge::{Challenge, RequestFacts, Verdict, head::Noted, starts_with};

/// What status, headers and request say about the body to come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Situation {
    /// The challenge if the body says nothing.
    pub(super) base: Option<Challenge>,
    /// A token was on the request.
    pub(super) token: bool,
    /// The status is 498 or 499: a challenge from ArcGIS, "client closed request" from others.
    pub(super) code_status: bool,
    /// An nginx sent a 499, which is its own invention, so the body must show that ArcGIS sent it.
    pub(super) nginx: bool,
    /// The status is 401.
    pub(super) unauthorized: bool,
    /// The status is an error: such answers are short, so reading on is cheap.
    pub(super) failed: bool,
    /// The content type is HTML.
    pub(super) html: bool,
}

impl Situation {
    pub(super) fn new(
        status: StatusCode,
        headers: &HeaderMap,
        noted: Noted,
        facts: RequestFacts,
    ) -> Self {
        let base = match status.as_u16() {
            498 => Some(Challenge::TokenInvalid),
            499 => Some(Challenge::TokenRequired),
            // With `WWW-Authenticate` it is the web tier that asks, and no token will please it.
            401 if !facts.token && !headers.contains_key(header::WWW_AUTHENTICATE) => {
                Some(Challenge::TokenRequired)
            }
            _ => None,
        };
        Self {
            base,
            token: facts.token,
            code_status: matches!(status.as_u16(), 498 | 499),
            nginx: status.as_u16() == 499
                && headers.get(header::SERVER).is_some_and(|server| {
                    [&b"nginx"[..], b"openresty", b"tengine"]
                        .iter()
                        .any(|name| starts_with(server.as_bytes(), name))
                }),
            unauthorized: status == StatusCode::UNAUTHORIZED,
            failed: status.as_u16() >= 400,
            html: noted.any(Noted::HTML),
        }
    }

    /// The verdict where there is no body, or one that has no say.
    pub(super) fn without_body(self) -> Verdict {
        match self.nginx {
            true => Verdict::Clean,
            false => self.base.into(),
        }
    }
}
