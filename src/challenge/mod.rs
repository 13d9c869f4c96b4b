//! What a response asks for: one pure, incremental function over status, headers, the facts of the
//! request and the first bytes of the body.
//!
//! ArcGIS rarely says "log in" with an HTTP status. It says so in a JSON envelope under 200, in a
//! redirect to a sign-in page, in a sign-in page itself, in an HTML error page, in a SOAP or OGC
//! fault. [`detect`] knows these forms. It never goes by words alone: a layer called "Token
//! Required" is a layer.

mod coding;
mod denial;
mod detector;
mod glance;
mod head;
mod html;
mod json;
mod markup;
mod redirect;
mod situation;
mod sniff;
mod tags;
mod words;
mod xml;

use std::fmt;

use http::{HeaderMap, Method, StatusCode};

pub(crate) use self::{
    detector::{Detector, Start},
    glance::Glance,
    head::Noted,
};

/// How much of a body is looked at, before and after decoding. Challenges are some hundred bytes
/// long in JSON and a few KiB in HTML.
const LOOK: u16 = 16 * 1024;

/// What a response asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Challenge {
    /// No token arrived: get one and ask again.
    TokenRequired,
    /// The token that was sent is expired, revoked or not one of this server's.
    TokenInvalid,
    /// A sign-in form in place of the answer: ArcGIS's own, or one that posts itself to an identity
    /// provider.
    LoginPage,
    /// A redirect to a sign-in page: ArcGIS's own, or an identity provider's.
    LoginRedirect,
}

impl Challenge {
    /// A short, stable name, fit for a log field.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TokenRequired => "token_required",
            Self::TokenInvalid => "token_invalid",
            Self::LoginPage => "login_page",
            Self::LoginRedirect => "login_redirect",
        }
    }
}

impl fmt::Display for Challenge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The facts of a request that the verdict on its response depends on.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct RequestFacts {
    /// The method was `HEAD`: whatever the headers promise, no body follows, so status and headers
    /// decide.
    pub head: bool,
    /// A token was on the request. Codes 401 and 403 mean different things with and without one.
    pub token: bool,
}

impl RequestFacts {
    /// The facts of a request with this method, with or without a token.
    #[must_use]
    pub fn new(method: &Method, token: bool) -> Self {
        Self {
            head: *method == Method::HEAD,
            token,
        }
    }
}

/// What is known so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Undecided: more of the body is needed.
    More,
    /// Not a challenge, as far as this layer is concerned.
    Clean,
    /// A challenge.
    Challenge(Challenge),
}

impl From<Option<Challenge>> for Verdict {
    fn from(challenge: Option<Challenge>) -> Self {
        challenge.map_or(Self::Clean, Self::Challenge)
    }
}

/// Judges a response by what has arrived of it.
///
/// `prefix` is the body so far, as it came, and `ended` says whether that is all of it. A verdict
/// other than [`Verdict::More`] stays the same whatever follows, and once `ended` is true the verdict
/// is never [`Verdict::More`].
///
/// # What is looked at
///
/// The first 16 KiB of the body, decoded if `Content-Encoding` is one of `gzip`, `deflate`, `br` and
/// `zstd`. A coding needs no more than 1 MiB of memory, and windows above 8 MiB are not decoded. The
/// answer to a `HEAD`, a download (`Content-Disposition: attachment`), an event stream and a body in
/// another coding, or in several, are judged by status and headers alone.
///
/// # Identity providers
///
/// In front of ArcGIS there may be an identity provider. It is known by the protocol it is asked in,
/// never by the look of its page or by a `login` in its address:
///
/// - SAML: a redirect with a parameter `SAMLRequest`, or a form with a field of that name;
/// - WS-Federation: the same with `wa` and the value `wsignin1.0`; and AD FS's end point `/adfs/ls`;
/// - OAuth 2 and OpenID Connect: a redirect to a path that ends with `authorize`, `openid-connect/auth`
///   or the like, with a parameter `client_id`; or a form that is sent there with a field of that name.
///
/// A redirect that speaks no such protocol, as to the sign-in page of a web server in front, is no
/// challenge: an ArcGIS token does not open it.
///
/// # Example
///
/// ```
/// use http::{HeaderMap, Method, StatusCode};
/// use tower_arcgis_auth::{Challenge, RequestFacts, Verdict, detect};
///
/// let facts = RequestFacts::new(&Method::GET, false);
/// let judge = |body: &str, ended| {
///     detect(StatusCode::OK, &HeaderMap::new(), facts, body.as_bytes(), ended)
/// };
///
/// let challenge = r#"{"error":{"code":499,"message":"Token Required","details":[]}}"#;
/// assert_eq!(judge(challenge, true), Verdict::Challenge(Challenge::TokenRequired));
/// // The code is enough ...
/// assert_eq!(judge(&challenge[..21], false), Verdict::Challenge(Challenge::TokenRequired));
/// // ... but only all of it.
/// assert_eq!(judge(&challenge[..20], false), Verdict::More);
/// // An ordinary answer is let go at its first key.
/// assert_eq!(judge(r#"{"currentVersion":"#, false), Verdict::Clean);
/// ```
#[must_use]
pub fn detect(
    status: StatusCode,
    headers: &HeaderMap,
    facts: RequestFacts,
    prefix: &[u8],
    ended: bool,
) -> Verdict {
    let noted = Noted::of(headers);
    let is_empty = ended && prefix.is_empty();
    let glance = Glance::of(status, noted, facts, is_empty);
    if glance.is_some_and(|glance| glance.is_clean(prefix)) {
        return Verdict::Clean;
    }
    match Detector::start(status, headers, noted, facts, is_empty) {
        Start::Decided(verdict) => verdict,
        Start::Look(mut detector) => match detector.push(prefix) {
            Verdict::More if ended => detector.finish(),
            verdict => verdict,
        },
    }
}

/// What one scan of some bytes led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// More bytes are needed.
    More,
    /// The body says so itself, whatever the status.
    Decided(Option<Challenge>),
    /// The body will say nothing; the status decides.
    Silent,
}

/// Whether `text` starts with `prefix`, ignoring ASCII case.
fn starts_with(text: &[u8], prefix: &[u8]) -> bool {
    text.get(..prefix.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

/// Whether `text` ends with `suffix`, ignoring ASCII case.
fn ends_with(text: &[u8], suffix: &[u8]) -> bool {
    text.len()
        .checked_sub(suffix.len())
        .and_then(|at| text.get(at..))
        .is_some_and(|end| end.eq_ignore_ascii_case(suffix))
}
