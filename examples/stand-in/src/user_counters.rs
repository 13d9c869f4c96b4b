//! Counters for each user: login attempts, logins, exchanges.

use std::collections::HashMap;

/// How often things happened under one user name since the start or since the counters were reset.
///
/// Names nobody has are counted too.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct UserCounters {
    /// Login attempts with this name, counted when they have arrived in full.
    pub login_attempts: u64,
    /// Those of them that were given a token.
    pub logins: u64,
    /// Server tokens a portal gave out for this user's portal tokens.
    pub exchanges: u64,
}

/// The counters of all users.
#[derive(Debug, Default)]
pub(crate) struct CountersByUser(HashMap<String, UserCounters>);

impl CountersByUser {
    pub(crate) fn of(&self, user: &str) -> UserCounters {
        self.0.get(user).copied().unwrap_or_default()
    }

    pub(crate) fn count(&mut self, user: &str, change: impl FnOnce(&mut UserCounters)) {
        change(self.0.entry(user.to_owned()).or_default());
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}
