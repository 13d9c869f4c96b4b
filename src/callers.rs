//! A site's callers: an account for each, made when one first comes, forgotten when one has not come for long.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use http::request::Parts;
use moka::{policy::EvictionPolicy, sync::Cache};
use tokio::time::Instant;

use crate::{
    account::{Account, Signing},
    identity::Identity,
    registry::{self, Registry},
    store::TokenStore,
};

/// Reads from a request's head whom it is made for.
pub(crate) type IdentityFn = Arc<dyn Fn(&Parts) -> Option<Identity> + Send + Sync>;
pub(crate) type StoreMaker = Box<dyn Fn(Option<Identity>) -> Arc<TokenStore> + Send + Sync>;
type Stores = Arc<Mutex<Registry<Identity, Arc<TokenStore>>>>;

/// How many callers are remembered how long, and what becomes of requests that are nobody's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CallerSettings {
    pub(crate) signs_without_identity: bool,
    pub(crate) most: u64,
    pub(crate) longest_idle: Duration,
}

impl Default for CallerSettings {
    fn default() -> Self {
        Self {
            signs_without_identity: false,
            most: 10_000,
            longest_idle: Duration::from_secs(60 * 60),
        }
    }
}

pub(crate) struct Callers {
    identity_fn: IdentityFn,
    signing: Signing,
    new_store: StoreMaker,
    /// For requests that are nobody's, where they are signed.
    nobodys: Option<Arc<Account>>,
    /// Says who is forgotten. What it has forgotten may still be needed: by a request under way, by a login, by the
    /// memory of a refusal.
    recent: Cache<Identity, Arc<Account>>,
    /// Says what there is: so that there is never a second store of one caller.
    stores: Stores,
}

impl Callers {
    pub(crate) fn new(
        identity_fn: IdentityFn,
        settings: &CallerSettings,
        signing: Signing,
        new_store: StoreMaker,
    ) -> Self {
        let nobodys = settings.signs_without_identity.then(|| {
            Arc::new(Account {
                store: new_store(None),
                signing: signing.clone(),
            })
        });
        let stores = Stores::default();
        let known = Arc::clone(&stores);
        let recent = Cache::builder()
            .max_capacity(settings.most)
            .time_to_idle(settings.longest_idle)
            // The policy that counts how often a key comes turns new callers away.
            .eviction_policy(EvictionPolicy::lru())
            .eviction_listener(move |identity: Arc<Identity>, account, _| {
                let left = lock(&known).remove_if(&*identity, |store| is_left(store, &account));
                drop(left);
            })
            .build();
        Self {
            identity_fn,
            signing,
            new_store,
            nobodys,
            recent,
            stores,
        }
    }

    pub(crate) fn signing(&self) -> &Signing {
        &self.signing
    }

    /// The account of whom the request is made for; `None` where nothing says who that is.
    pub(crate) fn account_of(&self, head: &Parts) -> Option<Arc<Account>> {
        let Some(identity) = (self.identity_fn)(head) else {
            return self.nobodys.clone();
        };
        Some(self.account_for(identity))
    }

    /// The account of a caller, who counts as having come by this.
    pub(crate) fn account_for(&self, identity: Identity) -> Arc<Account> {
        if let Some(account) = self.recent.get(&identity) {
            return account;
        }
        // One that has been idle for too long is there until it is looked for.
        self.recent.invalidate(&identity);
        let store = self.store_of(&identity);
        let account = Arc::new(Account {
            store,
            signing: self.signing.clone(),
        });
        self.recent.insert(identity, Arc::clone(&account));
        account
    }

    /// The store of a caller: the one that somebody or something needs, or a new one.
    fn store_of(&self, identity: &Identity) -> Arc<TokenStore> {
        let now = Instant::now();
        let there = lock(&self.stores).get(identity);
        // Counted with this one, which the lock's end has let others clone: needed is needed.
        if let Some(there) = there.filter(|there| is_needed(there, 2, now)) {
            return there;
        }
        // The user's own code makes the source: no lock is held.
        let store = (self.new_store)(Some(identity.clone()));
        let (store, leftovers) = lock(&self.stores).insert(identity.clone(), store);
        drop(leftovers);
        store
    }

    pub(crate) fn stores(&self) -> Vec<Arc<TokenStore>> {
        self.recent.run_pending_tasks();
        let (stores, leftovers) = {
            let mut known = lock(&self.stores);
            let leftovers = known.look_through();
            (known.values(), leftovers)
        };
        drop(leftovers);
        let nobodys = self.nobodys.iter();
        let nobodys = nobodys.map(|account| Arc::clone(&account.store));
        nobodys.chain(stores).collect()
    }

    /// The store of a caller who came lately, or of requests that are nobody's.
    pub(crate) fn store(&self, identity: Option<&Identity>) -> Option<Arc<TokenStore>> {
        match identity {
            None => self
                .nobodys
                .as_ref()
                .map(|account| Arc::clone(&account.store)),
            Some(identity) => lock(&self.stores).get(identity),
        }
    }

    /// The store of a caller, forgotten or never seen as well: whoever signs out may have to be told of elsewhere.
    pub(crate) fn store_to_sign_out(&self, identity: Option<&Identity>) -> Option<Arc<TokenStore>> {
        let there = self.store(identity);
        there.or_else(|| Some((self.new_store)(Some(identity?.clone()))))
    }
}

impl registry::Shared for Arc<TokenStore> {
    fn is_needed(&self, now: Instant) -> bool {
        is_needed(self, 1, now)
    }
}

/// Whether more than `here` have the store, or something would be lost with it.
fn is_needed(store: &Arc<TokenStore>, here: usize, now: Instant) -> bool {
    Arc::strong_count(store) > here || store.is_worth_keeping(now)
}

fn lock(stores: &Stores) -> MutexGuard<'_, Registry<Identity, Arc<TokenStore>>> {
    stores.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether nobody has `store` but the registry and `account`, nobody has `account` but the cache that forgets it, and
/// nothing is lost with them.
fn is_left(store: &Arc<TokenStore>, account: &Arc<Account>) -> bool {
    const REGISTRY_AND_ACCOUNT: usize = 2;
    const CACHE_AND_LISTENER: usize = 2;
    Arc::strong_count(store) <= REGISTRY_AND_ACCOUNT
        && Arc::strong_count(account) <= CACHE_AND_LISTENER
        && !store.is_worth_keeping(Instant::now())
}

impl fmt::Debug for Callers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Callers")
            .field("signing", &self.signing)
            .field("recent", &self.recent.entry_count())
            .finish_non_exhaustive()
    }
}
