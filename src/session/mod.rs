//! Sessions: the shared state of one site and identity. A session has a token store, says how its token travels, and
//! remembers the services that no login helps.

mod backoff;
mod budget;
mod counters;
#[cfg(feature = "identities")]
mod identities;
mod services;
mod state;
mod status;
mod store;

use std::sync::Arc;

use http::{HeaderValue, request::Parts};

#[cfg(feature = "identities")]
pub(crate) use self::identities::{Identities, IdentityFn, IdentitySettings};
pub use self::status::{SessionState, TokenState};
pub(crate) use self::{
    counters::SiteCounters,
    services::{RefusedServices, Standing},
    state::LoginResult,
    store::{Forgotten, Renewal, TokenStore, broken_off},
};
use crate::{
    identity::Identity,
    sign::{CallerToken, TokenPlacement},
};

/// The shared state of one site and identity.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) store: Arc<TokenStore>,
    pub(crate) signing: Signing,
    pub(crate) services: RefusedServices,
}

impl Session {
    pub(crate) fn new(store: Arc<TokenStore>, signing: Signing) -> Self {
        Self {
            store,
            signing,
            services: RefusedServices::default(),
        }
    }

    /// Forgets all but what token services have not forgotten either.
    pub(crate) fn forget(&self) -> Forgotten {
        self.services.clear();
        self.store.forget()
    }
}

/// How a site's requests are signed.
#[derive(Clone, Debug)]
pub(crate) struct Signing {
    pub(crate) placement: TokenPlacement,
    pub(crate) caller_token: CallerToken,
    /// What the token is bound to, if it is bound to a `Referer`.
    pub(crate) referer: Option<HeaderValue>,
    /// What comes back is for one identity: no cache may hand it to another.
    pub(crate) private_answers: bool,
    /// A request without a token waits for the login.
    pub(crate) login_first: bool,
}

/// The sessions of a site.
#[derive(Clone, Debug)]
pub(crate) enum Sessions {
    /// There is no credential.
    None,
    /// All requests are one account's.
    One(Arc<Session>),
    /// Each identity has one.
    #[cfg(feature = "identities")]
    Each(Arc<Identities>),
}

impl Sessions {
    /// How requests are signed, if they are.
    pub(crate) fn signing(&self) -> Option<&Signing> {
        match self {
            Self::None => None,
            Self::One(session) => Some(&session.signing),
            #[cfg(feature = "identities")]
            Self::Each(identities) => Some(identities.signing()),
        }
    }

    /// The session of all requests, if there is one for all.
    #[inline]
    pub(crate) fn one(&self) -> Option<&Arc<Session>> {
        match self {
            Self::One(session) => Some(session),
            _ => None,
        }
    }

    /// The session that a request with this head belongs to.
    pub(crate) fn of_request(&self, head: &Parts) -> Option<Arc<Session>> {
        match self {
            #[cfg(feature = "identities")]
            Self::Each(identities) => identities.session_of(head),
            _ => {
                let _ = head;
                self.one().cloned()
            }
        }
    }

    /// All sessions there are.
    pub(crate) fn all(&self) -> Vec<Arc<Session>> {
        match self {
            Self::None => Vec::new(),
            Self::One(session) => vec![Arc::clone(session)],
            #[cfg(feature = "identities")]
            Self::Each(identities) => identities.all(),
        }
    }

    /// The session of an identity, made now if there is none; or the one of requests without an identity.
    pub(crate) fn session_for(&self, identity: Option<&Identity>) -> Option<Arc<Session>> {
        match (self, identity) {
            #[cfg(feature = "identities")]
            (Self::Each(identities), Some(identity)) => Some(identities.session_for(identity)),
            _ => self.known(identity),
        }
    }

    /// The session of an identity that is remembered, or the one of requests without an identity.
    pub(crate) fn known(&self, identity: Option<&Identity>) -> Option<Arc<Session>> {
        match (self, identity) {
            (Self::One(session), None) => Some(Arc::clone(session)),
            #[cfg(feature = "identities")]
            (Self::Each(identities), identity) => identities.known(identity),
            _ => None,
        }
    }
}

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
