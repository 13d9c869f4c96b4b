//! What a response asks for: one pure, incremental function over status, headers, the facts of the
//! request and the first bytes of the body.
//!
//! ArcGIS rarely says "log in" with an HTTP status. It says so in a JSON envelope under 200, in a
//! redirect to a sign-in page, in a sign-in page itself, in an HTML error page, in a SOAP or OGC
//! fault. [`detect`] knows these forms. It never goes by words alone: a layer called "Token
//! Required" is a layer.

mod coding;
mod head;
mod html;
mod json;
mod markup;
mod redirect;
mod sniff;
mod words;
mod xml;

use std::fmt;

use http::{HeaderMap, Method, StatusCode, header};

pub(crate) use self::head::Noted;
use self::{
    coding::{Coding, Inflate},
    sniff::Scan,
    words::Words,
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
    /// A sign-in form in place of the answer.
    LoginPage,
    /// A redirect to a sign-in page.
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
    /// The method was `HEAD`: whatever the headers promise, no body follows.
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
/// `prefix` is the body so far, as it came (still gzip- or deflate-coded if the headers say so), and
/// `ended` says whether that is all of it. A verdict other than [`Verdict::More`] stays the same
/// whatever follows, and once `ended` is true the verdict is never [`Verdict::More`].
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
    match Detector::start(status, headers, noted, facts, ended && prefix.is_empty()) {
        Start::Decided(verdict) => verdict,
        Start::Look(mut detector) => match detector.push(prefix) {
            Verdict::More if ended => detector.finish(),
            verdict => verdict,
        },
    }
}

/// The first step: status and headers decide, or the body must be looked at.
#[derive(Debug)]
pub(crate) enum Start {
    /// Decided without the body; never [`Verdict::More`].
    Decided(Verdict),
    /// The body decides.
    Look(Detector),
}

/// Looks at a body as it arrives.
#[derive(Debug)]
pub(crate) struct Detector {
    situation: Situation,
    /// Bytes that may still be looked at, as they come.
    left: u16,
    /// Bytes that may still be looked at, decoded.
    decoded_left: u16,
    words: Words,
    scan: Scan,
    inflate: Option<Box<Inflate>>,
}

/// What status, headers and request say about the body to come.
#[derive(Clone, Copy, Debug)]
struct Situation {
    /// The verdict should the body say nothing.
    base: Option<Challenge>,
    /// A token was on the request.
    token: bool,
    /// The status is 498 or 499: a challenge from ArcGIS, "client closed request" from others.
    code_status: bool,
    /// An nginx sent a 499, which is its own invention, so the body must vouch for ArcGIS.
    nginx: bool,
    /// The status is 401.
    unauthorized: bool,
    /// The status is an error: nobody streams megabytes here, so reading on is cheap.
    failed: bool,
    /// The content type is HTML.
    html: bool,
}

impl Detector {
    /// Decides by status and headers alone where that is possible.
    pub(crate) fn start(
        status: StatusCode,
        headers: &HeaderMap,
        noted: Noted,
        facts: RequestFacts,
        body_is_empty: bool,
    ) -> Start {
        if facts.head || status.is_informational() || matches!(status.as_u16(), 204..=206 | 304) {
            return Start::Decided(Verdict::Clean);
        }
        let content_type = headers
            .get(header::CONTENT_TYPE)
            .map_or(&b""[..], |value| value.as_bytes().trim_ascii_start());
        // Endless streams: looking would hold back their first events.
        if starts_with(content_type, b"text/event-stream")
            || starts_with(content_type, b"multipart/x-mixed-replace")
        {
            return Start::Decided(Verdict::Clean);
        }
        if matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
            && headers
                .get(header::LOCATION)
                .is_some_and(|location| redirect::is_login(location.as_bytes()))
        {
            return Start::Decided(Verdict::Challenge(Challenge::LoginRedirect));
        }

        let situation = Situation::new(status, headers, facts, content_type);
        if body_is_empty {
            return Start::Decided(if situation.nginx {
                Verdict::Clean
            } else {
                situation.base.into()
            });
        }
        let inflate = if noted.coding {
            match Coding::of(headers) {
                Coding::Identity => None,
                Coding::Inflate(inflate) => Some(inflate),
                Coding::Unknown => return Start::Decided(situation.base.into()),
            }
        } else {
            None
        };
        Start::Look(Self {
            situation,
            left: LOOK,
            decoded_left: LOOK,
            words: Words::default(),
            scan: Scan::default(),
            inflate,
        })
    }

    /// Takes the next bytes of the body. Not to be called again once it has decided.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Verdict {
        let bytes = &bytes[..bytes.len().min(usize::from(self.left))];
        self.left -= bytes.len() as u16;
        let verdict = match self.inflate.take() {
            None => self.scan(bytes),
            Some(mut inflate) => {
                let verdict = inflate.push(bytes, |plain| self.scan(plain));
                let stuck = inflate.is_stuck();
                self.inflate = Some(inflate);
                match verdict {
                    Verdict::More if stuck => self.finish(),
                    verdict => verdict,
                }
            }
        };
        match verdict {
            Verdict::More if self.left == 0 => self.finish(),
            verdict => verdict,
        }
    }

    /// The body ended, or nobody wants to wait for more of it. Never [`Verdict::More`].
    pub(crate) fn finish(&mut self) -> Verdict {
        match self.scan.finish(&self.situation) {
            Step::Decided(challenge) => challenge.into(),
            Step::More | Step::Silent => self.by_status(),
        }
    }

    fn scan(&mut self, plain: &[u8]) -> Verdict {
        let plain = &plain[..plain.len().min(usize::from(self.decoded_left))];
        self.decoded_left -= plain.len() as u16;
        if self.situation.code_status {
            self.words.push(plain);
        }
        match self.scan.push(plain, &self.situation) {
            Step::Decided(challenge) => challenge.into(),
            // Under 498 and 499 every word to the end counts: waiting for the end keeps the verdict
            // the same however the body is cut into frames.
            Step::Silent if !self.situation.code_status => self.situation.base.into(),
            _ if self.decoded_left == 0 => self.finish(),
            _ => Verdict::More,
        }
    }

    /// The body does not decide, so the status does.
    fn by_status(&self) -> Verdict {
        if !self.situation.code_status {
            return self.situation.base.into();
        }
        // "499 client closed request" in any dress, and cancelled calls behind gRPC gateways.
        if self.words.closed {
            return Verdict::Clean;
        }
        // 498 is nobody else's; 499 is nginx's and many an API's.
        let vouched = self.words.token || self.situation.base == Some(Challenge::TokenInvalid);
        if let Scan::Json(json) = &self.scan {
            // Some front ends flatten the envelope; then the code in the body beats the status.
            if let Some(verdict) = json.flat(vouched) {
                return verdict;
            }
        }
        if (self.situation.nginx || self.words.nginx) && !vouched {
            return Verdict::Clean;
        }
        self.situation.base.into()
    }
}

impl Situation {
    fn new(
        status: StatusCode,
        headers: &HeaderMap,
        facts: RequestFacts,
        content_type: &[u8],
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
            html: starts_with(content_type, b"text/html")
                || starts_with(content_type, b"application/xhtml"),
        }
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

/// What an ArcGIS error says besides its code.
#[derive(Clone, Copy, Debug, Default)]
struct Denial {
    /// Its `messageCode` names an organisation or subscription that is blocked.
    blocked: bool,
    /// Its `subcode`, if there is one; 255 if that is no digit.
    subcode: Option<u8>,
    /// Its message speaks of SSL.
    ssl: bool,
    /// Its message speaks of permissions.
    permission: bool,
    /// It complains of a user name and password, not of a token.
    credentials: bool,
}

impl Denial {
    /// What an ArcGIS error with this code asks for.
    fn judge(self, code: u16, token: bool) -> Option<Challenge> {
        let either = if token {
            Challenge::TokenInvalid
        } else {
            Challenge::TokenRequired
        };
        match code {
            498 => Some(Challenge::TokenInvalid),
            499 => Some(Challenge::TokenRequired),
            401 if !self.credentials => Some(either),
            403 if self.blocked || self.credentials || (self.ssl && !self.permission) => None,
            403 => match self.subcode {
                // A user without the right stays without it, whatever the token.
                None => (!token).then_some(Challenge::TokenRequired),
                Some(2) => Some(either),
                // 4 asks for https; the others are not about tokens.
                Some(_) => None,
            },
            _ => None,
        }
    }
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

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{
        Compression,
        write::{DeflateEncoder, GzEncoder, ZlibEncoder},
    };
    use proptest::prelude::*;

    use super::*;

    fn start(status: u16, coding: &str) -> Detector {
        let mut headers = HeaderMap::new();
        headers.insert(
            header::CONTENT_ENCODING,
            header::HeaderValue::from_str(coding).unwrap(),
        );
        let status = StatusCode::from_u16(status).unwrap();
        let facts = RequestFacts::new(&Method::GET, false);
        match Detector::start(status, &headers, Noted::of(&headers), facts, false) {
            Start::Look(detector) => detector,
            Start::Decided(verdict) => panic!("decided {verdict:?} without a look"),
        }
    }

    /// The verdict on a body that comes in such pieces.
    fn in_pieces(mut detector: Detector, mut body: &[u8], sizes: &[usize]) -> Verdict {
        let mut sizes = sizes.iter().cycle();
        while !body.is_empty() {
            let size = sizes.next().map_or(1, |size| *size).min(body.len());
            let (piece, rest) = body.split_at(size);
            match detector.push(piece) {
                Verdict::More => body = rest,
                verdict => return verdict,
            }
        }
        detector.finish()
    }

    fn coded(coding: &str, body: &[u8]) -> Vec<u8> {
        let level = Compression::default();
        match coding {
            "gzip" => {
                let mut encoder = GzEncoder::new(Vec::new(), level);
                encoder.write_all(body).unwrap();
                encoder.finish().unwrap()
            }
            "deflate" if body.len() % 2 == 0 => {
                let mut encoder = ZlibEncoder::new(Vec::new(), level);
                encoder.write_all(body).unwrap();
                encoder.finish().unwrap()
            }
            "deflate" => {
                let mut encoder = DeflateEncoder::new(Vec::new(), level);
                encoder.write_all(body).unwrap();
                encoder.finish().unwrap()
            }
            _ => body.to_vec(),
        }
    }

    fn bodies() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop::sample::select(vec![
            "\u{FEFF}",
            " ",
            "cb(",
            "{",
            "}",
            "\"",
            ":",
            ",",
            "[",
            "]",
            "\"error\":{",
            "\"code\":499,",
            "\"code\":401,",
            "\"code\":498",
            "\"message\":\"ssl\",",
            "\\u0063ode",
            "\"status\":\"error\",",
            "\"messages\":[",
            "\"description\":\"token\"",
            "<html>",
            "<title>Error: Invalid Token</title>",
            "<title>Error: x</title>",
            "<b>Code: </b>",
            "499",
            "<form action='/rest/login'>",
            "<input type=password>",
            "<!--",
            "-->",
            "<script>",
            "</script>",
            "<Envelope><Body>",
            "<Fault>",
            "<faultstring>Token Required</faultstring>",
            "<kml>",
            "<?xml?>",
            "token",
            "nginx",
            "canceled",
            "/*",
            "*/",
            "<textarea>",
            "</textarea>",
        ]);
        let filler = (0..3_usize, prop::sample::select(vec![0, 0, 0, 700, 9000]))
            .prop_map(|(kind, len)| [" ", "x", "<p>"][kind].repeat(len));
        let piece = (piece, filler).prop_map(|(piece, filler)| format!("{piece}{filler}"));
        prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat().into_bytes())
    }

    proptest! {
        #[test]
        fn however_a_body_is_cut_the_verdict_is_the_same(
            status in prop::sample::select(vec![200, 401, 404, 498, 499]),
            coding in prop::sample::select(vec!["", "gzip", "deflate"]),
            body in bodies(),
            sizes in prop::collection::vec(1_usize..900, 1..5),
            broken in prop::option::weighted(0.3, (any::<prop::sample::Index>(), any::<u8>())),
        ) {
            let mut body = coded(coding, &body);
            if let Some((at, byte)) = broken.filter(|_| !body.is_empty()) {
                let at = at.index(body.len());
                body[at] = byte;
            }
            let whole = in_pieces(start(status, coding), &body, &[usize::MAX]);
            prop_assert_ne!(whole, Verdict::More);
            prop_assert_eq!(in_pieces(start(status, coding), &body, &[1]), whole);
            prop_assert_eq!(in_pieces(start(status, coding), &body, &sizes), whole);
        }
    }

    #[test]
    fn a_bomb_is_no_more_than_its_first_bytes() {
        let bomb = coded("gzip", &vec![b' '; 64 << 20]);
        let mut detector = start(200, "gzip");
        assert_eq!(detector.push(&bomb), Verdict::Clean);
        assert_eq!(detector.decoded_left, 0);
    }

    #[test]
    fn a_detector_is_small_and_goes_anywhere() {
        fn goes_anywhere<T: Send + Sync + Unpin + fmt::Debug>() {}
        goes_anywhere::<Detector>();
        assert!(size_of::<Detector>() <= 88, "{}", size_of::<Detector>());
    }
}
