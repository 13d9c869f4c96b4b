//! Users, their passwords, and the lock after too many failures.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

/// Failures within [`WINDOW`] after which an account is locked.
pub(crate) const FAILURES: usize = 5;
/// How long failures count, and how long a lock lasts.
pub(crate) const WINDOW: Duration = Duration::from_secs(15 * 60);

#[derive(Debug, Default)]
struct Account {
    password: String,
    failures: Vec<Instant>,
    locked_until: Option<Instant>,
}

impl Account {
    fn locked(&self, now: Instant) -> bool {
        self.locked_until.is_some_and(|until| now < until)
    }
}

/// All users of one stand-in. User names are case-sensitive.
#[derive(Debug, Default)]
pub(crate) struct Accounts(HashMap<String, Account>);

impl Accounts {
    /// Adds a user or changes the password of one; failures and lock stay as they are.
    pub(crate) fn set(&mut self, user: &str, password: &str) {
        self.0.entry(user.to_owned()).or_default().password = password.to_owned();
    }

    /// Whether this login is let in. A failure counts, a success forgets earlier failures.
    pub(crate) fn check(&mut self, user: &str, password: &str, now: Instant) -> bool {
        let Some(account) = self.0.get_mut(user) else {
            return false;
        };
        if account.locked(now) {
            return false;
        }
        if account.password == password {
            account.failures.clear();
            return true;
        }
        account
            .failures
            .retain(|at| now.saturating_duration_since(*at) < WINDOW);
        account.failures.push(now);
        if account.failures.len() >= FAILURES {
            account.failures.clear();
            account.locked_until = Some(now + WINDOW);
        }
        false
    }

    pub(crate) fn locked(&self, user: &str, now: Instant) -> bool {
        self.0.get(user).is_some_and(|account| account.locked(now))
    }

    /// Failures that count towards a lock now.
    pub(crate) fn failures(&self, user: &str, now: Instant) -> usize {
        self.0.get(user).map_or(0, |account| {
            account
                .failures
                .iter()
                .filter(|at| now.saturating_duration_since(**at) < WINDOW)
                .count()
        })
    }

    pub(crate) fn unlock_all(&mut self) {
        for account in self.0.values_mut() {
            account.failures.clear();
            account.locked_until = None;
        }
    }

    pub(crate) fn unlock(&mut self, user: &str) {
        if let Some(account) = self.0.get_mut(user) {
            account.failures.clear();
            account.locked_until = None;
        }
    }
}
