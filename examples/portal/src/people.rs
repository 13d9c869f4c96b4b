//! Who is signed in. A session in a browser names a person here, and is worth nothing once the person is gone.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tower_arcgis_auth::{Credential, Identity};
use tower_sessions::session::Id;

/// A person who is signed in: once for each sign-in, so that one person in two browsers is two of these.
#[derive(Clone)]
pub(crate) struct Person {
    /// As it was typed.
    pub(crate) name: String,
    /// Nobody can guess it. The layer keeps tokens by it.
    pub(crate) identity: Identity,
    /// Where each person has an ArcGIS account. Its password is wiped when the last copy is dropped.
    pub(crate) credential: Option<Credential>,
}

impl Person {
    pub(crate) fn new(name: String, credential: Option<Credential>) -> Self {
        Self {
            name,
            // 128 bits of the operating system's randomness, as a session's own id is.
            identity: Identity::from(Id::default().to_string()),
            credential,
        }
    }
}

/// All who are signed in. Cheap to clone; clones are the same.
#[derive(Clone, Default)]
pub(crate) struct People {
    by_identity: Arc<Mutex<HashMap<Identity, Person>>>,
}

impl People {
    pub(crate) fn add(&self, person: Person) {
        self.lock().insert(person.identity.clone(), person);
    }

    pub(crate) fn get(&self, identity: &Identity) -> Option<Person> {
        self.lock().get(identity).cloned()
    }

    /// Returns whether the person was there.
    pub(crate) fn remove(&self, identity: &Identity) -> bool {
        self.lock().remove(identity).is_some()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Identity, Person>> {
        // No panic leaves a map half changed.
        self.by_identity
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
