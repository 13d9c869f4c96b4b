//! What is shared by those who need it, and forgotten some time after nobody does.

use std::{collections::HashMap, hash::Hash, time::Duration};

use tokio::time::Instant;

/// What a [`Registry`] holds.
pub(crate) trait Shared: Clone {
    /// Whether anybody besides the registry has it, or it knows something that must not be forgotten yet.
    fn is_needed(&self, now: Instant) -> bool;
}

/// Values by key, each shared by all who ask for its key. It holds what is needed, and what was until a minute ago.
#[derive(Debug)]
pub(crate) struct Registry<K, V> {
    entries: HashMap<K, V>,
    /// Looked through when it has grown to this size, or at this time.
    look_through_at: (usize, Option<Instant>),
}

const SMALLEST: usize = 64;
const LOOK_THROUGH_AFTER: Duration = Duration::from_secs(60);

/// What was forgotten, to be dropped once no lock is held: it may be somebody else's code that runs then.
#[must_use]
pub(crate) struct Leftovers<V>(Vec<V>);

impl<K, V> Default for Registry<K, V> {
    fn default() -> Self {
        Self {
            entries: HashMap::new(),
            look_through_at: (SMALLEST, None),
        }
    }
}

impl<K: Clone + Eq + Hash, V: Shared> Registry<K, V> {
    pub(crate) fn get(&self, key: &K) -> Option<V> {
        self.entries.get(key).cloned()
    }

    /// The value itself, not shared by being looked at.
    #[cfg(feature = "identities")]
    pub(crate) fn get_ref(&self, key: &K) -> Option<&V> {
        self.entries.get(key)
    }

    /// Keeps `value`, unless there is one already that is needed: then that is the one.
    pub(crate) fn insert(&mut self, key: K, value: V) -> (V, Leftovers<V>) {
        let now = Instant::now();
        let mut leftovers = self.look_through_if_due(now);
        if let Some(there) = self.entries.get(&key).filter(|there| there.is_needed(now)) {
            leftovers.0.push(value);
            return (there.clone(), leftovers);
        }
        leftovers.0.extend(self.entries.insert(key, value.clone()));
        (value, leftovers)
    }

    fn look_through_if_due(&mut self, now: Instant) -> Leftovers<V> {
        let (size, time) = self.look_through_at;
        let is_due = self.entries.len() >= size || time.is_none_or(|time| time <= now);
        if is_due {
            self.look_through()
        } else {
            Leftovers(Vec::new())
        }
    }

    /// Forgets what nobody needs.
    pub(crate) fn look_through(&mut self) -> Leftovers<V> {
        let now = Instant::now();
        let unneeded = |(key, value): (&K, &V)| (!value.is_needed(now)).then(|| key.clone());
        let unneeded: Vec<K> = self.entries.iter().filter_map(unneeded).collect();
        let left = unneeded.iter().filter_map(|key| self.entries.remove(key));
        let left = Leftovers(left.collect());
        self.entries.shrink_to(SMALLEST.max(2 * self.entries.len()));
        let size = (2 * self.entries.len()).max(SMALLEST);
        self.look_through_at = (size, now.checked_add(LOOK_THROUGH_AFTER));
        left
    }

    #[cfg(feature = "identities")]
    pub(crate) fn values(&self) -> Vec<V> {
        self.entries.values().cloned().collect()
    }

    /// Forgets the value of `key` if `is_unneeded` says so.
    #[cfg(feature = "identities")]
    pub(crate) fn remove_if(
        &mut self,
        key: &K,
        is_unneeded: impl FnOnce(&V) -> bool,
    ) -> Leftovers<V> {
        if self.entries.get(key).is_some_and(is_unneeded) {
            return Leftovers(self.entries.remove(key).into_iter().collect());
        }
        Leftovers(Vec::new())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    impl Shared for Arc<bool> {
        fn is_needed(&self, _: Instant) -> bool {
            **self || Arc::strong_count(self) > 1
        }
    }

    #[test]
    fn what_nobody_needs_is_forgotten_and_what_somebody_needs_is_not() {
        let mut registry = Registry::default();
        let (held, _) = registry.insert(0, Arc::new(false));
        let (remembered, _) = registry.insert(1, Arc::new(true));
        let remembered = Arc::downgrade(&remembered);
        for key in 2..10_000 {
            drop(registry.insert(key, Arc::new(false)));
        }
        assert!(registry.entries.len() <= 2 * SMALLEST);
        let (there, _) = registry.insert(0, Arc::new(false));
        assert!(Arc::ptr_eq(&held, &there));
        assert!(remembered.upgrade().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_needed_any_more_goes_with_the_next_that_comes_a_minute_later() {
        let mut registry = Registry::default();
        let (first, _) = registry.insert(1, Arc::new(false));
        let gone = Arc::downgrade(&first);
        drop(registry.insert(2, Arc::new(false)));
        drop(first);
        tokio::time::advance(LOOK_THROUGH_AFTER).await;
        assert!(gone.upgrade().is_some());
        drop(registry.insert(3, Arc::new(false)));
        assert!(gone.upgrade().is_none());
    }
}
