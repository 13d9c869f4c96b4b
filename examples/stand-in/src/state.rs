//! All that a running stand-in knows, shared by its connections and its handles.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hyper::body::Incoming;
use tokio::sync::watch;

use crate::binding::Binding;
use crate::export::Output;
use crate::host::Host;
use crate::info::Info;
use crate::issuer::Issuer;
use crate::journal::Counters;
use crate::legacy::Legacy;
use crate::personality::Personality;
use crate::portal::PortalState;
use crate::services::Services;

/// Switches that are none of the parts' own.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) token_lifetime: Duration,
    pub(crate) string_expires: bool,
    pub(crate) set_cookies: bool,
    pub(crate) public_checks_tokens: bool,
    pub(crate) takes_portal_tokens: bool,
}

pub(crate) struct State {
    pub(crate) host: Host,
    pub(crate) personality: Personality,
    /// The portal it is federated with.
    pub(crate) portal: Option<Arc<PortalState>>,
    pub(crate) settings: Mutex<Settings>,
    pub(crate) legacy: Mutex<Legacy>,
    pub(crate) info: Mutex<Info>,
    pub(crate) services: Mutex<Services>,
    pub(crate) output: Mutex<Output>,
    pub(crate) counters: watch::Sender<Counters>,
    pub(crate) logins: Issuer,
    pub(crate) services_held: watch::Sender<usize>,
    /// Bodies that are never to be read.
    pub(crate) unread: Mutex<Vec<Incoming>>,
}

impl State {
    pub(crate) fn count(&self, change: impl FnOnce(&mut Counters)) {
        self.counters.send_modify(change);
    }

    /// Counts a login attempt; who waits for the common counter finds the user's changed too.
    pub(crate) fn count_attempt(&self, user: Option<&str>) {
        lock(&self.host.user_counters).count(user.unwrap_or_default(), |of_user| {
            of_user.login_attempts += 1;
        });
        self.count(|counters| counters.login_attempts += 1);
    }

    /// Counts a login.
    pub(crate) fn count_login(&self, user: Option<&str>) {
        lock(&self.host.user_counters)
            .count(user.unwrap_or_default(), |of_user| of_user.logins += 1);
        self.count(|counters| counters.logins += 1);
    }

    /// A token and its life, if the credential is right and the account is not locked.
    pub(crate) fn log_in(
        &self,
        user: &str,
        password: &str,
        binding: Binding,
        asked_for: Option<Duration>,
    ) -> Option<(String, Duration)> {
        let now = self.host.clock.now();
        if !lock(&self.host.accounts).check(user, password, now) {
            return None;
        }
        let (text, lifetime) = self.issue(user, binding, asked_for);
        self.count_login(Some(user));
        Some((text, lifetime))
    }

    /// A token and its life: the one asked for, up to the longest.
    pub(crate) fn issue(
        &self,
        user: &str,
        binding: Binding,
        asked_for: Option<Duration>,
    ) -> (String, Duration) {
        let longest = lock(&self.settings).token_lifetime;
        let lifetime = asked_for.map_or(longest, |asked_for| asked_for.min(longest));
        let expires = self.host.clock.now() + lifetime;
        let text = lock(&self.host.tokens).issue(user, binding, expires);
        (text, lifetime)
    }
}

/// Locks; a panic elsewhere does not spoil the stand-in.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
