//! A site's callers: an account for each, made when one first comes, forgotten when one has not come for long.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use http::request::Parts;
use moka::{notification::RemovalCause, policy::EvictionPolicy, sync::Cache};
use tokio::time::Instant;

use crate::{
    account::{Account, Signing},
    identity::Identity,
    registry::{self, Leftovers, Registry, Shared},
    store::TokenStore,
};

/// Reads from a request's head whom it is made for.
pub(crate) type IdentityFn = Arc<dyn Fn(&Parts) -> Option<Identity> + Send + Sync>;
pub(crate) type StoreMaker = Box<dyn Fn(Option<Identity>) -> Arc<TokenStore> + Send + Sync>;
type Accounts = Arc<Mutex<Registry<Identity, Arc<Account>>>>;

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
    /// Says who came lately. It holds nothing: what it forgets it may drop much later.
    recent: Cache<Identity, Weak<Account>>,
    /// Says what there is, so that there are never two accounts of one caller: a request under way, a login or the memory
    /// of a refusal may need what is not recent any more.
    accounts: Accounts,
}

impl Callers {
    pub(crate) fn new(
        identity_fn: IdentityFn,
        settings: &CallerSettings,
        signing: Signing,
        new_store: StoreMaker,
    ) -> Self {
        let nobodys = settings
            .signs_without_identity
            .then(|| Arc::new(Account::new(new_store(None), signing.clone())));
        let accounts = Accounts::default();
        let known = Arc::clone(&accounts);
        let recent = Cache::builder()
            .max_capacity(settings.most)
            .time_to_idle(settings.longest_idle)
            // The policy that counts how often a key comes turns new callers away.
            .eviction_policy(EvictionPolicy::lru())
            .eviction_listener(move |identity: Arc<Identity>, account, cause| {
                // By itself, where two requests brought it at once.
                if cause != RemovalCause::Replaced {
                    drop(forgotten(&known, &identity, &account));
                }
            })
            .build();
        Self {
            identity_fn,
            signing,
            new_store,
            nobodys,
            recent,
            accounts,
        }
    }

    pub(crate) fn signing(&self) -> &Signing {
        &self.signing
    }

    /// The account of whom the request is made for; `None` where nothing says who that is.
    pub(crate) fn account_of(&self, head: &Parts) -> Option<Arc<Account>> {
        match (self.identity_fn)(head) {
            Some(identity) => Some(self.account_for(identity)),
            None => self.nobodys.clone(),
        }
    }

    /// The account of a caller, who counts as having come by this.
    pub(crate) fn account_for(&self, identity: Identity) -> Arc<Account> {
        let recent = self.recent.get(&identity);
        if let Some(account) = recent.and_then(|account| account.upgrade()) {
            return account;
        }
        // One that has been idle for too long is there until it is looked for.
        self.recent.invalidate(&identity);
        let account = self.needed(&identity).unwrap_or_else(|| {
            // The user's own code makes the source: no lock is held.
            let store = (self.new_store)(Some(identity.clone()));
            let account = Arc::new(Account::new(store, self.signing.clone()));
            let (account, leftovers) = lock(&self.accounts).insert(identity.clone(), account);
            drop(leftovers);
            account
        });
        account.set_recent(true);
        self.recent.insert(identity, Arc::downgrade(&account));
        account
    }

    /// The account of a caller that must not be made anew.
    fn needed(&self, identity: &Identity) -> Option<Arc<Account>> {
        let accounts = lock(&self.accounts);
        let account = accounts.get_ref(identity)?;
        account
            .is_needed(Instant::now())
            .then(|| Arc::clone(account))
    }

    pub(crate) fn stores(&self) -> Vec<Arc<TokenStore>> {
        self.recent.run_pending_tasks();
        let (accounts, leftovers) = {
            let mut known = lock(&self.accounts);
            let leftovers = known.look_through();
            (known.values(), leftovers)
        };
        drop(leftovers);
        let all = self.nobodys.iter().chain(&accounts);
        all.map(|account| Arc::clone(&account.store)).collect()
    }

    /// The store of a caller who came lately, or of requests that are nobody's.
    pub(crate) fn store(&self, identity: Option<&Identity>) -> Option<Arc<TokenStore>> {
        let account = match identity {
            None => self.nobodys.clone(),
            Some(identity) => lock(&self.accounts).get(identity),
        };
        account.map(|account| Arc::clone(&account.store))
    }

    /// The store of a caller, forgotten or never seen as well: whoever signs out may have to be told of elsewhere.
    pub(crate) fn store_to_sign_out(&self, identity: &Identity) -> Arc<TokenStore> {
        let there = self.store(Some(identity));
        there.unwrap_or_else(|| (self.new_store)(Some(identity.clone())))
    }
}

impl registry::Shared for Arc<Account> {
    fn is_needed(&self, now: Instant) -> bool {
        self.is_recent()
            || Arc::strong_count(self) > 1
            || Arc::strong_count(&self.store) > 1
            || self.store.is_worth_keeping(now)
    }
}

/// The cache of who came lately has forgotten `account`. Nothing is lost with it unless it is needed otherwise.
fn forgotten(
    accounts: &Accounts,
    identity: &Identity,
    account: &Weak<Account>,
) -> Leftovers<Arc<Account>> {
    let mut accounts = lock(accounts);
    accounts.remove_if(identity, |known| {
        if !std::ptr::eq(account.as_ptr(), Arc::as_ptr(known)) {
            return false;
        }
        known.set_recent(false);
        !known.is_needed(Instant::now())
    })
}

fn lock(accounts: &Accounts) -> MutexGuard<'_, Registry<Identity, Arc<Account>>> {
    accounts.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Callers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Callers")
            .field("signing", &self.signing)
            .field("recent", &self.recent.entry_count())
            .finish_non_exhaustive()
    }
}
