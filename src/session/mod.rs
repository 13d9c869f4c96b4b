//! Sessions: the shared state of one site and identity. A session has a token store, says how its token travels, and
//! remembers the services that no login helps.

mod backoff;
mod budget;
mod counters;
#[cfg(feature = "identities")]
mod identities;
mod services;
#[allow(clippy::module_inception, reason = "the file of the type")]
mod session;
mod sessions;
mod state;
mod status;
mod store;

#[cfg(feature = "identities")]
pub(crate) use self::identities::{Identities, IdentityFn, IdentitySettings};
pub use self::status::{SessionState, TokenState};
pub(crate) use self::{
    counters::SiteCounters,
    services::Standing,
    session::{Session, Signing},
    sessions::Sessions,
    state::LoginResult,
    store::{Renewal, TokenStore, broken_off},
};

// TEMPORARY
pub(crate) use crate::guard::REFUSAL_REMEMBERED;
pub(crate) async fn in_time(
    request: &crate::token::TokenRequest,
    limit: std::time::Duration,
    login: impl Future<Output = Result<crate::token::IssuedToken, crate::error::TokenError>>,
) -> Result<crate::token::IssuedToken, crate::error::TokenError> {
    match tokio::time::timeout(limit, login).await {
        Ok(result) => request.concluded(result),
        Err(_) => Err(request.broken_off(crate::error::TokenError::fault("too late"))),
    }
}
impl TokenStore {
    pub(crate) fn note_clean(&self, token: &crate::token::Token) {
        token.set_proven();
    }
    pub(crate) fn is_worth_keeping(&self, _: tokio::time::Instant) -> bool {
        false
    }
}
