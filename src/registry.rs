//! What is shared by those who need it, and forgotten some time after nobody does.

use std::{collections::HashMap, hash::Hash, sync::Arc, time::Duration};

use tokio::time::Instant;

/// What a [`Registry`] holds.
pub(crate) trait Shared {
    /// Whether somebody has a part of it, or it knows something that must not be forgotten yet.
    fn is_needed(&self, now: Instant) -> bool;
}

/// Values by key, each shared by all who ask for its key. It holds what is needed, and what was until a minute ago.
#[derive(Debug)]
pub(crate) struct Registry<K, T> {
    entries: HashMap<K, Arc<T>>,
    /// Looked through when it has grown to this size, or at this time.
    look_through_at: (usize, Option<Instant>),
}

const SMALLEST: usize = 64;
const LOOK_THROUGH_AFTER: Duration = Duration::from_secs(60);

/// What was forgotten, to be dropped once no lock is held: it may be somebody else's code that runs then.
#[must_use]
#[derive(Debug)]
pub(crate) struct Leftovers<T>(Vec<T>);

impl<T> Default for Leftovers<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Leftovers<T> {
    #[cfg(feature = "identities")]
    pub(crate) fn append(&mut self, mut others: Self) {
        self.0.append(&mut others.0);
    }
}

impl<K, T> Default for Registry<K, T> {
    fn default() -> Self {
        Self {
            entries: HashMap::new(),
            look_through_at: (SMALLEST, None),
        }
    }
}

fn is_needed<T: Shared>(value: &Arc<T>, now: Instant) -> bool {
    Arc::strong_count(value) > 1 || value.is_needed(now)
}

impl<K: Clone + Eq + Hash, T: Shared> Registry<K, T> {
    pub(crate) fn get(&self, key: &K) -> Option<Arc<T>> {
        self.entries.get(key).cloned()
    }

    /// The value of `key`, if it must not be made anew.
    #[cfg(feature = "identities")]
    pub(crate) fn get_needed(&self, key: &K) -> Option<Arc<T>> {
        let now = Instant::now();
        let value = self.entries.get(key);
        value.filter(|value| is_needed(value, now)).cloned()
    }

    /// Keeps `value`, unless there is one already that is needed: then that is the one.
    pub(crate) fn insert(&mut self, key: K, value: T) -> (Arc<T>, Leftovers<T>) {
        let now = Instant::now();
        let mut leftovers = self.look_through_if_due(now);
        leftovers.0.extend(self.take(&key, now));
        if let Some(there) = self.get(&key) {
            leftovers.0.push(value);
            return (there, leftovers);
        }
        let value = Arc::new(value);
        self.entries.insert(key, Arc::clone(&value));
        (value, leftovers)
    }

    /// Takes the value of `key` out, if nobody needs it.
    fn take(&mut self, key: &K, now: Instant) -> Option<T> {
        let (key, value) = self.entries.remove_entry(key)?;
        let needed = if is_needed(&value, now) {
            value
        } else {
            // Whoever has a weak pointer needs no lock to get at it meanwhile, or to have come and gone with a part of it.
            match Arc::try_unwrap(value) {
                Ok(value) if !value.is_needed(now) => return Some(value),
                Ok(value) => Arc::new(value),
                Err(shared) => shared,
            }
        };
        self.entries.insert(key, needed);
        None
    }

    fn look_through_if_due(&mut self, now: Instant) -> Leftovers<T> {
        let (size, time) = self.look_through_at;
        let is_due = self.entries.len() >= size || time.is_none_or(|time| time <= now);
        if is_due {
            self.look_through()
        } else {
            Leftovers::default()
        }
    }

    /// Forgets what nobody needs.
    pub(crate) fn look_through(&mut self) -> Leftovers<T> {
        let now = Instant::now();
        let unneeded = |(key, value): (&K, &Arc<T>)| (!is_needed(value, now)).then(|| key.clone());
        let unneeded: Vec<K> = self.entries.iter().filter_map(unneeded).collect();
        let left = unneeded.iter().filter_map(|key| self.take(key, now));
        let left = Leftovers(left.collect());
        self.entries.shrink_to(SMALLEST.max(2 * self.entries.len()));
        let size = (2 * self.entries.len()).max(SMALLEST);
        self.look_through_at = (size, now.checked_add(LOOK_THROUGH_AFTER));
        left
    }

    #[cfg(feature = "identities")]
    pub(crate) fn values(&self) -> Vec<Arc<T>> {
        self.entries.values().cloned().collect()
    }

    /// Forgets the value of `key` if `is_it` says that it is the one, and nobody needs it.
    #[cfg(feature = "identities")]
    pub(crate) fn forget_if(
        &mut self,
        key: &K,
        is_it: impl FnOnce(&Arc<T>) -> bool,
    ) -> Leftovers<T> {
        let is_it = self.entries.get(key).is_some_and(is_it);
        let taken = is_it.then(|| self.take(key, Instant::now())).flatten();
        Leftovers(taken.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, Weak};

    use super::*;

    struct Value(bool);

    impl Shared for Value {
        fn is_needed(&self, _: Instant) -> bool {
            self.0
        }
    }

    /// Somebody gets at it through a weak pointer just after it was found to be nobody's.
    #[derive(Default)]
    struct Caught {
        weak: Mutex<Weak<Caught>>,
        by: Arc<Mutex<Option<Arc<Caught>>>>,
    }

    impl Shared for Caught {
        fn is_needed(&self, _: Instant) -> bool {
            *self.by.lock().unwrap() = self.weak.lock().unwrap().upgrade();
            false
        }
    }

    #[test]
    fn what_somebody_gets_at_while_it_is_looked_at_is_not_forgotten() {
        let mut registry = Registry::default();
        let (value, _) = registry.insert(0, Caught::default());
        *value.weak.lock().unwrap() = Arc::downgrade(&value);
        let by = Arc::clone(&value.by);
        drop(value);
        drop(registry.look_through());
        let caught = by.lock().unwrap().take().unwrap();
        let there = registry.get(&0).unwrap();
        assert!(Arc::ptr_eq(&caught, &there));
    }

    #[test]
    fn what_nobody_needs_is_forgotten_and_what_somebody_needs_is_not() {
        let mut registry = Registry::default();
        let (held, _) = registry.insert(0, Value(false));
        let (remembered, _) = registry.insert(1, Value(true));
        let remembered = Arc::downgrade(&remembered);
        for key in 2..10_000 {
            drop(registry.insert(key, Value(false)));
        }
        assert!(registry.entries.len() <= 2 * SMALLEST);
        let (there, _) = registry.insert(0, Value(false));
        assert!(Arc::ptr_eq(&held, &there));
        assert!(remembered.upgrade().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_needed_any_more_goes_with_the_next_that_comes_a_minute_later() {
        let mut registry = Registry::default();
        let (first, _) = registry.insert(1, Value(false));
        let gone = Arc::downgrade(&first);
        drop(registry.insert(2, Value(false)));
        drop(first);
        tokio::time::advance(LOOK_THROUGH_AFTER).await;
        assert!(gone.upgrade().is_some());
        drop(registry.insert(3, Value(false)));
        assert!(gone.upgrade().is_none());
    }
}
