//! Which account and credential a login is with: what the guard counts by.

use std::{
    fmt,
    hash::{BuildHasher, RandomState},
    sync::{Arc, LazyLock},
};

use super::history::Login;
use crate::credential::Fingerprint;

/// The token service's origin, and the credential as it is sent. Kept as long as the login runs, wiped when dropped.
pub(crate) struct LoginKey {
    service: Arc<str>,
    fingerprint: Fingerprint,
    user: u64,
    login: Login,
}

impl LoginKey {
    /// `service` is the canonical origin of the token service, `https://host:port`.
    pub(crate) fn new(service: &str, fingerprint: Fingerprint) -> Self {
        static HASHER: LazyLock<RandomState> = LazyLock::new(RandomState::new);
        let (account, secret) = fingerprint.parts();
        let login = Login {
            service: HASHER.hash_one(service),
            credential: HASHER.hash_one((account, secret)),
        };
        Self {
            user: HASHER.hash_one(account),
            service: service.into(),
            login,
            fingerprint,
        }
    }

    pub(super) fn user(&self) -> u64 {
        self.user
    }

    pub(super) fn login(&self) -> Login {
        self.login
    }

    /// The origin of the token service.
    #[cfg(feature = "shared-cache")]
    pub(crate) fn service(&self) -> &str {
        &self.service
    }

    /// What the account and the credential are recognised by.
    #[cfg(feature = "shared-cache")]
    pub(crate) fn fingerprint(&self) -> &Fingerprint {
        &self.fingerprint
    }
}

impl fmt::Debug for LoginKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoginKey")
            .field("service", &self.service)
            .field("fingerprint", &self.fingerprint)
            .finish_non_exhaustive()
    }
}
