//! The ways a token service goes wrong.

use std::time::Duration;

/// A fault of a token service: how `generateToken`, `getToken` or `oauth2/token` answers while it is set. See
/// [`crate::StandIn::set_token_fault`] and [`crate::Portal::set_token_fault`].
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
