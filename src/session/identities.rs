//! A session for each identity, in one bounded cache. A session that is evicted logs in anew when its identity comes
//! again; what was refused is the guard's to remember, so eviction forgets no refusal.

use std::{fmt, sync::Arc, time::Duration};

use http::request::Parts;
use moka::{policy::EvictionPolicy, sync::Cache};

use super::{
    session::{LayerSettings, Session, Signing},
    store::TokenStore,
};
use crate::identity::Identity;

/// Reads from a request's head whom it is made for.
pub(crate) type IdentityFn = Arc<dyn Fn(&Parts) -> Option<Identity> + Send + Sync>;
/// Makes the token store of an identity.
pub(crate) type StoreMaker = Box<dyn Fn(Option<Identity>) -> Arc<TokenStore> + Send + Sync>;

/// How many identities are remembered how long, and what becomes of requests without one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IdentitySettings {
    pub(crate) signs_without_identity: bool,
    pub(crate) most: u64,
    pub(crate) longest_idle: Duration,
}

impl Default for IdentitySettings {
    fn default() -> Self {
        Self {
            signs_without_identity: false,
            most: 10_000,
            longest_idle: Duration::from_secs(60 * 60),
        }
    }
}

pub(crate) struct Identities {
    identity_fn: IdentityFn,
    signing: Signing,
    layer: LayerSettings,
    new_store: StoreMaker,
    /// For requests without an identity, where they are signed.
    without_identity: Option<Arc<Session>>,
    sessions: Cache<Identity, Arc<Session>>,
}

impl Identities {
    pub(crate) fn new(
        identity_fn: IdentityFn,
        settings: &IdentitySettings,
        signing: Signing,
        layer: LayerSettings,
        new_store: StoreMaker,
    ) -> Self {
        let without_identity = settings
            .signs_without_identity
            .then(|| Arc::new(Session::new(new_store(None), signing.clone(), layer)));
        let sessions = Cache::builder()
            .max_capacity(settings.most)
            .time_to_idle(settings.longest_idle)
            // The policy that counts how often a key comes turns new identities away.
            .eviction_policy(EvictionPolicy::lru())
            .build();
        Self {
            identity_fn,
            signing,
            layer,
            new_store,
            without_identity,
            sessions,
        }
    }

    #[inline]
    pub(super) fn signing(&self) -> &Signing {
        &self.signing
    }

    /// The session that a request with this head belongs to; `None` where nothing says whose it is.
    #[inline]
    pub(super) fn session_of(&self, head: &Parts) -> Option<Arc<Session>> {
        match (self.identity_fn)(head) {
            Some(identity) => Some(self.session_for(&identity)),
            None => self.without_identity.clone(),
        }
    }

    /// The session of an identity, made now if there is none.
    #[inline]
    pub(super) fn session_for(&self, identity: &Identity) -> Arc<Session> {
        self.sessions.get(identity).unwrap_or_else(|| {
            self.sessions.get_with_by_ref(identity, || {
                let store = (self.new_store)(Some(identity.clone()));
                Arc::new(Session::new(store, self.signing.clone(), self.layer))
            })
        })
    }

    /// All sessions there are.
    pub(super) fn all(&self) -> Vec<Arc<Session>> {
        self.sessions.run_pending_tasks();
        let sessions = self.sessions.iter().map(|(_, session)| session);
        self.without_identity
            .iter()
            .cloned()
            .chain(sessions)
            .collect()
    }

    /// The session of an identity that is remembered, or of requests without one.
    pub(super) fn known(&self, identity: Option<&Identity>) -> Option<Arc<Session>> {
        match identity {
            None => self.without_identity.clone(),
            Some(identity) => self.sessions.get(identity),
        }
    }
}

impl fmt::Debug for Identities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identities")
            .field("signing", &self.signing)
            .field("sessions", &self.sessions.entry_count())
            .finish_non_exhaustive()
    }
}
