//! What is counted of a site's logins and challenges: never on the way of a request that needs neither.

use std::sync::atomic::{AtomicU64, Ordering};

/// Shared by all stores of a site, so that nothing is lost with a caller who is forgotten.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) logins: Count,
    pub(crate) refused_logins: Count,
    pub(crate) failed_logins: Count,
    pub(crate) challenges: Count,
    pub(crate) sent_again: Count,
    pub(crate) sign_outs: Count,
}

#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn add_one(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
