//! What a site's sessions count.

use std::sync::atomic::{AtomicU64, Ordering};

#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add_one(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Counted by a site's sessions together.
#[derive(Debug, Default)]
pub(crate) struct SiteCounters {
    pub(crate) logins: Counter,
    pub(crate) refused_logins: Counter,
    pub(crate) failed_logins: Counter,
    pub(crate) challenges: Counter,
    pub(crate) sent_again: Counter,
    pub(crate) sign_outs: Counter,
}
