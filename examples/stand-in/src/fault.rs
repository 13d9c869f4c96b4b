//! The ways a token service goes wrong.

use std::str::FromStr;
use std::time::Duration;

use crate::unknown_name::UnknownName;

/// A fault of a token service: how `generateToken`, `getToken` or `oauth2/token` answers while it is set. See
/// [`crate::StandIn::set_token_fault`] and [`crate::Portal::set_token_fault`].
///
/// Each has a name, in lower case with hyphens, for the control end points; `status`, `slow` and `redirect` are followed
/// by a colon and their value, `slow`'s in seconds.
///
/// ```
/// use std::time::Duration;
///
/// use arcgis_stand_in::TokenFault;
///
/// assert_eq!("no-token".parse(), Ok(TokenFault::NoToken));
/// assert_eq!("status:503".parse(), Ok(TokenFault::Status(503)));
/// assert_eq!("slow:2".parse(), Ok(TokenFault::Slow(Duration::from_secs(2))));
/// assert!("status:teapot".parse::<TokenFault>().is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TokenFault {
    /// This HTTP status with a short HTML page.
    Status(u16),
    /// 200 with an HTML page.
    Html,
    /// 200 with bytes that are no JSON and no text.
    Garbage,
    /// 200 with nothing in it.
    Empty,
    /// `Content-Length` says more than comes; then the connection (HTTP/2: the stream) breaks off.
    Truncated,
    /// The connection (HTTP/2: the stream) breaks off with no answer.
    Reset,
    /// No answer until the fault is changed or cleared.
    Hang,
    /// The usual answer, so much later (tokio's clock).
    Slow(Duration),
    /// Every login is refused as if the password were wrong, in the service's own words. The account is not locked by it.
    Refuse,
    /// The refusal in a portal's words: 400 "Unable to generate token."
    PortalRefuse,
    /// JSON without a token and without an error.
    NoToken,
    /// A token text no token has: markup and white space.
    OddToken,
    /// A well-formed token that no service accepts. Counts as a login.
    DeadToken,
    /// 64 MiB of white space, and no token behind it.
    Huge,
    /// The usual answer, labelled `text/html`.
    Mislabelled,
    /// 307 to this URL.
    Redirect(String),
}

impl FromStr for TokenFault {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        let (name, value) = text.split_once(':').unwrap_or((text, ""));
        match name {
            "status" => value
                .parse()
                .ok()
                .filter(|code| (100..1000).contains(code))
                .map(Self::Status),
            "slow" => value
                .parse()
                .ok()
                .map(|seconds| Self::Slow(Duration::from_secs(seconds))),
            "redirect" if !value.is_empty() => Some(Self::Redirect(value.to_owned())),
            _ => WITHOUT_VALUE
                .iter()
                .find(|(known, _)| *known == text)
                .map(|(_, fault)| fault.clone()),
        }
        .ok_or_else(|| {
            let with_value = ["status:CODE", "slow:SECONDS", "redirect:URL"];
            let names = WITHOUT_VALUE.iter().map(|(name, _)| *name);
            UnknownName::new(text, with_value.into_iter().chain(names))
        })
    }
}

/// The names of faults that need no value.
const WITHOUT_VALUE: [(&str, TokenFault); 13] = [
    ("html", TokenFault::Html),
    ("garbage", TokenFault::Garbage),
    ("empty", TokenFault::Empty),
    ("truncated", TokenFault::Truncated),
    ("reset", TokenFault::Reset),
    ("hang", TokenFault::Hang),
    ("refuse", TokenFault::Refuse),
    ("portal-refuse", TokenFault::PortalRefuse),
    ("no-token", TokenFault::NoToken),
    ("odd-token", TokenFault::OddToken),
    ("dead-token", TokenFault::DeadToken),
    ("huge", TokenFault::Huge),
    ("mislabelled", TokenFault::Mislabelled),
];
