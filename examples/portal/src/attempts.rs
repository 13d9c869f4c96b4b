//! How many sign-ins are tried: so many at once, and so many wrong passwords for a name.
//!
//! Anyone can send the login form. Each costs a hash's time and memory here, or a login at ArcGIS.

use std::{sync::Arc, time::Duration};

use moka::sync::Cache;
use tokio::sync::{Semaphore, SemaphorePermit};

/// More than these wait for no turn: they are told to try again.
const MOST_WAITING: usize = 32;
/// Wrong passwords for one name, right or not, within [`REMEMBERED`].
const MOST_FAILURES: u32 = 10;
const REMEMBERED: Duration = Duration::from_secs(15 * 60);
/// Names that are remembered, made-up ones included.
const MOST_NAMES: u64 = 10_000;

/// Lets so many sign-ins be tried at once.
#[derive(Debug)]
pub(crate) struct Turns {
    places: Semaphore,
    turns: Semaphore,
}

/// A turn, until it is dropped.
pub(crate) struct Turn<'a> {
    _place: SemaphorePermit<'a>,
    _turn: SemaphorePermit<'a>,
}

impl Turns {
    pub(crate) fn new(at_once: usize) -> Self {
        Self {
            places: Semaphore::new(at_once + MOST_WAITING),
            turns: Semaphore::new(at_once),
        }
    }

    /// Waits for a turn; `None` where too many wait already.
    pub(crate) async fn next(&self) -> Option<Turn<'_>> {
        let _place = self.places.try_acquire().ok()?;
        let _turn = self.turns.acquire().await.ok()?;
        Some(Turn { _place, _turn })
    }
}

/// The wrong passwords of the last quarter of an hour. Cheap to clone; clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct Failures(Arc<Cache<String, u32>>);

impl Failures {
    pub(crate) fn new() -> Self {
        let cache = Cache::builder()
            .max_capacity(MOST_NAMES)
            .time_to_live(REMEMBERED);
        Self(Arc::new(cache.build()))
    }

    /// Whether no more passwords are tried for the name. It is the same for names that nobody has: they must not be told
    /// from others.
    pub(crate) fn are_too_many(&self, name: &str) -> bool {
        self.0
            .get(name)
            .is_some_and(|failures| failures >= MOST_FAILURES)
    }

    pub(crate) fn count(&self, name: &str) {
        self.0
            .entry(name.to_owned())
            .and_upsert_with(|known| known.map_or(0, |known| known.into_value()) + 1);
    }

    pub(crate) fn forget(&self, name: &str) {
        self.0.invalidate(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_finds_too_many_waiting_is_turned_away() {
        let turns = Turns {
            places: Semaphore::new(2),
            turns: Semaphore::new(1),
        };
        let first = turns.next().await.unwrap();
        let second = turns.next();
        let mut second = std::pin::pin!(second);
        assert!(futures_util::poll!(second.as_mut()).is_pending());
        assert!(turns.next().await.is_none());
        drop(first);
        assert!(second.await.is_some());
    }

    #[test]
    fn wrong_passwords_are_counted_for_each_name() {
        let failures = Failures::new();
        for _ in 0..MOST_FAILURES {
            assert!(!failures.are_too_many("ada"));
            failures.count("ada");
        }
        assert!(failures.are_too_many("ada"));
        assert!(!failures.are_too_many("bob"));
        failures.forget("ada");
        assert!(!failures.are_too_many("ada"));
    }
}
