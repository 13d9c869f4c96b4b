//! One site and caller as a request meets them: the token store, and how its tokens are placed.

use std::sync::Arc;

use http::{HeaderValue, Request, request::Parts};

#[cfg(feature = "identities")]
use std::sync::atomic::{AtomicBool, Ordering};

#[cfg(feature = "identities")]
use crate::session::Callers;
use crate::{
    identity::Identity,
    session::TokenStore,
    sign::{
        callers_token,
        placement::{self, TokenPlacement},
    },
    site::CallerToken,
    token::Token,
};

#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) store: Arc<TokenStore>,
    pub(crate) signing: Signing,
    /// Its caller came lately.
    #[cfg(feature = "identities")]
    recent: AtomicBool,
}

impl Account {
    pub(crate) fn new(store: Arc<TokenStore>, signing: Signing) -> Self {
        Self {
            store,
            signing,
            #[cfg(feature = "identities")]
            recent: AtomicBool::new(false),
        }
    }

    #[cfg(feature = "identities")]
    pub(crate) fn is_recent(&self) -> bool {
        self.recent.load(Ordering::Relaxed)
    }

    #[cfg(feature = "identities")]
    pub(crate) fn set_recent(&self, recent: bool) {
        self.recent.store(recent, Ordering::Relaxed);
    }
}

/// How a site's tokens travel.
#[derive(Clone, Debug)]
pub(crate) struct Signing {
    pub(crate) placement: TokenPlacement,
    pub(crate) caller_token: CallerToken,
    /// What the token is bound to, if it is bound to a `Referer`.
    pub(crate) referer: Option<HeaderValue>,
    /// What comes back is for one caller: no cache may hand it to another.
    pub(crate) private_answers: bool,
}

/// Whose token a request to a site gets.
#[derive(Clone, Debug)]
pub(crate) enum Accounts {
    /// There is no credential.
    None,
    /// All requests are one account's.
    One(Arc<Account>),
    /// Each caller has an account.
    #[cfg(feature = "identities")]
    Each(Arc<Callers>),
}

impl Accounts {
    /// How requests are signed, if they are.
    pub(crate) fn signing(&self) -> Option<&Signing> {
        match self {
            Self::None => None,
            Self::One(account) => Some(&account.signing),
            #[cfg(feature = "identities")]
            Self::Each(callers) => Some(callers.signing()),
        }
    }

    /// The account of all requests, if they are all one's.
    #[inline]
    pub(crate) fn one(&self) -> Option<&Arc<Account>> {
        match self {
            Self::One(account) => Some(account),
            _ => None,
        }
    }

    /// The account of whom the request with this head is made for.
    pub(crate) fn of_caller(&self, head: &Parts) -> Option<Arc<Account>> {
        match self {
            #[cfg(feature = "identities")]
            Self::Each(callers) => callers.account_of(head),
            // Whoever has one account for all, or none, does not look at heads.
            _ => {
                let _ = head;
                self.one().cloned()
            }
        }
    }

    /// All stores there are.
    pub(crate) fn stores(&self) -> Vec<Arc<TokenStore>> {
        match self {
            Self::None => Vec::new(),
            Self::One(account) => vec![Arc::clone(&account.store)],
            #[cfg(feature = "identities")]
            Self::Each(callers) => callers.stores(),
        }
    }

    /// The store to renew: of a caller seen or not, or the one there is for requests without a caller.
    pub(crate) fn store_to_renew(&self, identity: Option<&Identity>) -> Option<Arc<TokenStore>> {
        match (self, identity) {
            #[cfg(feature = "identities")]
            (Self::Each(callers), Some(identity)) => {
                Some(Arc::clone(&callers.account_for(identity.clone()).store))
            }
            _ => self.store(identity),
        }
    }

    /// The store to sign out: of a caller seen or not.
    pub(crate) fn store_to_sign_out(&self, identity: &Identity) -> Option<Arc<TokenStore>> {
        match self {
            #[cfg(feature = "identities")]
            Self::Each(callers) => Some(callers.store_to_sign_out(identity)),
            _ => self.store(Some(identity)),
        }
    }

    /// The store of a caller who came lately, or the one there is for requests without a caller.
    pub(crate) fn store(&self, identity: Option<&Identity>) -> Option<Arc<TokenStore>> {
        match (self, identity) {
            (Self::One(account), None) => Some(Arc::clone(&account.store)),
            #[cfg(feature = "identities")]
            (Self::Each(callers), identity) => callers.store(identity),
            _ => None,
        }
    }
}

impl Signing {
    pub(crate) fn has_token<B>(&self, request: &Request<B>) -> bool {
        callers_token::has_token(request.uri(), request.headers(), self.placement)
            || callers_token::carries_token_cookie(request.headers())
    }

    pub(crate) fn remove_token<B>(&self, request: &mut Request<B>) {
        callers_token::remove_token(request, self.placement);
    }

    #[inline]
    pub(crate) fn sign<B>(&self, request: &mut Request<B>, token: &Token) {
        let referer = self.referer.as_ref();
        placement::sign(request, token, self.placement, true, referer);
    }
}
