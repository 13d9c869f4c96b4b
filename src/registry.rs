//! What is shared by those who need it, and forgotten some time after nobody does.

use std::{collections::HashMap, hash::Hash};

use tokio::time::Instant;

/// What a [`Registry`] holds.
pub(crate) trait Shared: Clone {
    /// Whether anybody besides the registry has it, or it knows something that must not be forgotten yet.
    fn is_needed(&self, now: Instant) -> bool;
}

/// Values by key, each shared by all who ask for its key. Bounded by twice what is needed.
#[derive(Debug)]
pub(crate) struct Registry<K, V> {
    entries: HashMap<K, V>,
    /// Looked through when it has grown to this size.
    look_through_at: usize,
}

const SMALLEST: usize = 64;

impl<K, V> Default for Registry<K, V> {
    fn default() -> Self {
        Self {
            entries: HashMap::new(),
            look_through_at: SMALLEST,
        }
    }
}

impl<K: Eq + Hash, V: Shared> Registry<K, V> {
    pub(crate) fn get_or_insert(&mut self, key: K, make: impl FnOnce() -> V) -> V {
        if self.entries.len() >= self.look_through_at && !self.entries.contains_key(&key) {
            let now = Instant::now();
            self.entries.retain(|_, value| value.is_needed(now));
            self.look_through_at = (2 * self.entries.len()).max(SMALLEST);
        }
        self.entries.entry(key).or_insert_with(make).clone()
    }

    #[cfg(feature = "identities")]
    pub(crate) fn get(&self, key: &K) -> Option<V> {
        self.entries.get(key).cloned()
    }

    #[cfg(feature = "identities")]
    pub(crate) fn values(&self) -> Vec<V> {
        self.entries.values().cloned().collect()
    }

    /// Forgets the value of `key` if `is_unneeded` says so.
    #[cfg(feature = "identities")]
    pub(crate) fn remove_if(&mut self, key: &K, is_unneeded: impl FnOnce(&V) -> bool) {
        if self.entries.get(key).is_some_and(is_unneeded) {
            self.entries.remove(key);
        }
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
        let held = registry.get_or_insert(0, || Arc::new(false));
        let remembered = Arc::downgrade(&registry.get_or_insert(1, || Arc::new(true)));
        for key in 2..10_000 {
            drop(registry.get_or_insert(key, || Arc::new(false)));
        }
        assert!(registry.entries.len() <= 2 * SMALLEST);
        assert!(Arc::ptr_eq(
            &held,
            &registry.get_or_insert(0, || Arc::new(false))
        ));
        assert!(remembered.upgrade().is_some());
    }
}
