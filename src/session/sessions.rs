//! The sessions of a site: none, one, or one for each identity.

use std::sync::Arc;

use http::request::Parts;

#[cfg(feature = "identities")]
use super::identities::Identities;
use super::session::{Session, Signing};
use crate::identity::Identity;

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
    #[inline]
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
    #[inline]
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
