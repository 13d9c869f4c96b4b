//! The session's cookie. It holds a random number and goes nowhere but here.

use tower_sessions::{Expiry, SessionManagerLayer, cookie::SameSite, cookie::time::Duration};

use crate::session_store::BoundedStore;

/// How long a login page may lie open before its form is no longer valid.
pub(crate) const BEFORE_SIGN_IN: Duration = Duration::hours(1);

/// Sessions, with their cookie. Over plain http browsers take a `Secure` cookie from this machine only.
pub(crate) fn sessions(secure: bool) -> SessionManagerLayer<BoundedStore> {
    // With `__Host-` browsers take the cookie only from this host itself: a neighbour such as
    // another.example.com cannot plant one.
    let name = if secure { "__Host-portal" } else { "portal" };
    SessionManagerLayer::new(BoundedStore::new())
        .with_name(name)
        .with_secure(secure)
        .with_http_only(true)
        // `Strict` would show the login page to people who are signed in and follow a link from elsewhere.
        .with_same_site(SameSite::Lax)
        .with_expiry(Expiry::OnInactivity(BEFORE_SIGN_IN))
}
