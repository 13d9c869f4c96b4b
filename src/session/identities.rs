//! A site's callers: an account for each, made when one first comes, forgotten when one has not come for long.

use std::{
    fmt,
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use http::request::Parts;
use moka::{notification::RemovalCause, policy::EvictionPolicy, sync::Cache};
use tokio::time::Instant;

use crate::{
    identity::Identity,
    lock::lock,
    registry::{self, Leftovers, Registry},
    session::{Account, Signing, TokenStore},
};

/// Reads from a request's head whom it is made for.
pub(crate) type IdentityFn = Arc<dyn Fn(&Parts) -> Option<Identity> + Send + Sync>;
pub(crate) type StoreMaker = Box<dyn Fn(Option<Identity>) -> Arc<TokenStore> + Send + Sync>;
type Accounts = Mutex<Registry<Identity, Account>>;

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
    known: Arc<Known>,
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
        let known = Arc::<Known>::default();
        let told = Arc::clone(&known);
        let recent = Cache::builder()
            .max_capacity(settings.most)
            .time_to_idle(settings.longest_idle)
            // The policy that counts how often a key comes turns new callers away.
            .eviction_policy(EvictionPolicy::lru())
            .eviction_listener(move |identity: Arc<Identity>, account, cause| {
                // By itself, where two requests brought it at once.
                if cause != RemovalCause::Replaced {
                    told.forgotten(&identity, &account);
                }
            })
            .build();
        Self {
            identity_fn,
            signing,
            new_store,
            nobodys,
            recent,
            known,
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
        let account = recent.and_then(|account| account.upgrade());
        let account = account.unwrap_or_else(|| self.newly_come(identity));
        self.known.drop_leftovers();
        account
    }

    fn newly_come(&self, identity: Identity) -> Arc<Account> {
        // One that has been idle for too long is there until it is looked for.
        self.recent.invalidate(&identity);
        let account = self.registered(&identity);
        account.set_recent(true);
        self.recent.insert(identity, Arc::downgrade(&account));
        account
    }

    /// The account of a caller that must not be made anew, or else a new one.
    fn registered(&self, identity: &Identity) -> Arc<Account> {
        let needed = lock(&self.known.accounts).get_needed(identity);
        needed.unwrap_or_else(|| {
            // The user's own code makes the source: no lock is held.
            let store = (self.new_store)(Some(identity.clone()));
            let account = Account::new(store, self.signing.clone());
            let (account, leftovers) = lock(&self.known.accounts).insert(identity.clone(), account);
            drop(leftovers);
            account
        })
    }

    pub(crate) fn stores(&self) -> Vec<Arc<TokenStore>> {
        self.recent.run_pending_tasks();
        self.known.drop_leftovers();
        let (accounts, leftovers) = {
            let mut known = lock(&self.known.accounts);
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
            Some(identity) => lock(&self.known.accounts).get(identity),
        };
        account.map(|account| Arc::clone(&account.store))
    }

    /// The store of a caller, forgotten or never seen as well: whoever signs out may have to be told of elsewhere, and
    /// requests that come meanwhile must find it.
    pub(crate) fn store_to_sign_out(&self, identity: &Identity) -> Arc<TokenStore> {
        let there = self.store(Some(identity));
        there.unwrap_or_else(|| Arc::clone(&self.registered(identity).store))
    }
}

/// The accounts there are.
#[derive(Default)]
struct Known {
    accounts: Accounts,
    /// What the cache forgot, and nobody needs. It may be somebody else's code that runs when it is dropped, and the cache
    /// tells of it in the midst of its own work.
    leftovers: Mutex<Leftovers<Account>>,
    has_leftovers: AtomicBool,
}

impl Known {
    /// The cache of who came lately has forgotten `account`. Nothing is lost with it unless it is needed otherwise.
    fn forgotten(&self, identity: &Identity, account: &Weak<Account>) {
        let leftovers = lock(&self.accounts).forget_if(identity, |known| {
            let is_it = std::ptr::eq(account.as_ptr(), Arc::as_ptr(known));
            if is_it {
                known.set_recent(false);
            }
            is_it
        });
        lock(&self.leftovers).append(leftovers);
        self.has_leftovers.store(true, Ordering::Release);
    }

    fn drop_leftovers(&self) {
        if self.has_leftovers.load(Ordering::Relaxed)
            && self.has_leftovers.swap(false, Ordering::Acquire)
        {
            let leftovers = std::mem::take(&mut *lock(&self.leftovers));
            drop(leftovers);
        }
    }
}

impl registry::Shared for Account {
    fn is_needed(&self, now: Instant) -> bool {
        self.is_recent() || Arc::strong_count(&self.store) > 1 || self.store.is_worth_keeping(now)
    }
}

impl fmt::Debug for Callers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Callers")
            .field("signing", &self.signing)
            .field("recent", &self.recent.entry_count())
            .finish_non_exhaustive()
    }
}
