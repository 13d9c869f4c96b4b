//! What one process knows: a history for each user name, and which sessions were refused.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard},
};

use tokio::{sync::Notify, time::Instant};

use super::{
    history::{Decision, History, Millis, REFUSAL_REMEMBERED, Verdict, millis},
    key::LoginKey,
    sessions::RefusedSessions,
};
use crate::lock::lock;

/// Histories without a failure that counts are kept for what they know to work, up to this many.
pub(super) const MOST_IDLE: usize = 10_000;

pub(super) struct Local {
    /// Epoch of [`Millis`] here.
    started: Instant,
    accounts: Mutex<Accounts>,
    sessions: Mutex<RefusedSessions>,
}

/// A history for each user name, by its hash.
struct Accounts {
    histories: HashMap<u64, Entry>,
    numbers: u64,
    sweep_at: usize,
}

#[derive(Default)]
struct Entry {
    history: History,
    /// An attempt has ended: those who wait for their turn decide again.
    ended: Arc<Notify>,
}

impl Local {
    pub(super) fn new() -> Self {
        Self {
            started: Instant::now(),
            accounts: Mutex::new(Accounts {
                histories: HashMap::new(),
                numbers: 0,
                sweep_at: MOST_IDLE,
            }),
            sessions: Mutex::default(),
        }
    }

    /// Notified when an attempt for the same user name has ended.
    pub(super) fn ended(&self, key: &LoginKey) -> Arc<Notify> {
        let mut accounts = self.accounts();
        let entry = accounts.histories.entry(key.user()).or_default();
        Arc::clone(&entry.ended)
    }

    /// Whether a login may be made now, and the number it is entered under then.
    pub(super) fn begin(&self, key: &LoginKey) -> (Decision, u64) {
        let now = self.now();
        let mut accounts = self.accounts();
        accounts.sweep_if_due(now);
        accounts.numbers += 1;
        let number = accounts.numbers;
        let entry = accounts.histories.entry(key.user()).or_default();
        let decision = entry.history.begin(key.login(), number, now, None);
        (decision, number)
    }

    pub(super) fn end(&self, key: &LoginKey, number: u64, verdict: &Verdict) {
        let now = self.now();
        let mut accounts = self.accounts();
        if let Some(entry) = accounts.histories.get_mut(&key.user()) {
            entry.history.end(number, verdict, now);
            entry.ended.notify_waiters();
        }
    }

    pub(super) fn sessions(&self) -> MutexGuard<'_, RefusedSessions> {
        lock(&self.sessions)
    }

    /// How many user names are known.
    pub(super) fn users(&self) -> usize {
        self.accounts().histories.len()
    }

    fn accounts(&self) -> MutexGuard<'_, Accounts> {
        lock(&self.accounts)
    }

    fn now(&self) -> Millis {
        let since = Instant::now().saturating_duration_since(self.started);
        // The window lies behind the first moment as well.
        millis(since + REFUSAL_REMEMBERED)
    }
}

impl Accounts {
    /// Forgets histories in which nothing counts any more, once there are many. Each failure that counts took a login that
    /// was sent, so those that must stay are few.
    fn sweep_if_due(&mut self, now: Millis) {
        if self.histories.len() < self.sweep_at {
            return;
        }
        let is_held = |entry: &Entry| Arc::strong_count(&entry.ended) > 1;
        self.histories
            .retain(|_, entry| is_held(entry) || !entry.history.is_over(now));
        if self.histories.len() >= MOST_IDLE {
            self.histories
                .retain(|_, entry| is_held(entry) || entry.history.counts_anything(now));
        }
        self.sweep_at = (2 * self.histories.len()).max(MOST_IDLE);
    }
}
