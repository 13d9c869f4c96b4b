//! Tokens shared between processes: where sealed records are kept, the one open trait, and what it deals in.

mod keys;
mod known;
mod lease;
#[cfg(test)]
#[path = "../../tests/support/vault.rs"]
mod memory;
mod record;
#[cfg(feature = "redis")]
mod redis;
mod sealed;
mod source;
mod subject;
mod untold;

use std::{borrow::Cow, error::Error, fmt, pin::Pin, sync::Arc, time::Duration};

use bytes::Bytes;

#[cfg(feature = "redis")]
pub use self::redis::RedisTokenCache;
pub(crate) use self::subject::About;
pub use self::{keys::TokenCacheKeys, sealed::SealedTokenCache, source::SharedSource};
use crate::error::BoxError;

/// A place that several processes reach, where sealed records are kept under opaque names, each with a lock.
///
/// Given to a [`SealedTokenCache`], which seals and names. What comes here tells nothing to whoever has no key: names are 64
/// hexadecimal digits, records are bytes. A vault may lose everything at any time, may be slow, full or gone: then each
/// process logs in by itself. It must not hand out a lock twice in a lease, nor let a holder write that somebody took
/// the lock after; what it cannot do in time or not at all is an error. Every call has a time limit
/// ([`SealedTokenCache::time_limit`]), and its future is dropped when that is over.
///
/// ```
/// use std::{collections::HashMap, sync::Mutex, time::Duration};
/// use bytes::Bytes;
/// use tower_arcgis_auth::{SharedTokenCache, TokenCacheError, VaultLock, SealedRecord};
///
/// /// One process's memory: what a vault does, without the sharing. Nothing ends in it, locks aside.
/// #[derive(Default)]
/// struct Memory(Mutex<HashMap<String, Entry>>);
///
/// #[derive(Default)]
/// struct Entry {
///     record: Option<Bytes>,
///     /// Who holds the lock, and until when.
///     holder: Option<(String, tokio::time::Instant)>,
///     /// Who took the lock last.
///     fence: Option<String>,
/// }
///
/// impl Memory {
///     fn with<T>(&self, name: &str, change: impl FnOnce(&mut Entry) -> T) -> Result<T, TokenCacheError> {
///         Ok(change(self.0.lock().unwrap().entry(name.to_owned()).or_default()))
///     }
/// }
///
/// impl SharedTokenCache for Memory {
///     async fn read(&self, name: &str) -> Result<Option<Bytes>, TokenCacheError> {
///         self.with(name, |entry| entry.record.clone())
///     }
///
///     async fn replace(&self, name: &str, seen: &[u8], with: Option<SealedRecord>) -> Result<bool, TokenCacheError> {
///         self.with(name, |entry| {
///             let is_the_one = entry.record.as_deref() == Some(seen);
///             if is_the_one {
///                 entry.record = with.map(|record| record.bytes().clone());
///             }
///             is_the_one
///         })
///     }
///
///     async fn lock(&self, name: &str, lease: Duration) -> Result<Option<VaultLock>, TokenCacheError> {
///         self.with(name, |entry| {
///             let now = tokio::time::Instant::now();
///             if entry.holder.as_ref().is_some_and(|(_, until)| now < *until) {
///                 return None;
///             }
///             let lock = VaultLock::unique();
///             entry.holder = Some((lock.holder().to_owned(), now + lease));
///             entry.fence = Some(lock.holder().to_owned());
///             Some(lock)
///         })
///     }
///
///     async fn extend(&self, name: &str, lock: &VaultLock, lease: Duration) -> Result<bool, TokenCacheError> {
///         self.with(name, |entry| match &mut entry.holder {
///             Some((holder, until)) if holder == lock.holder() => {
///                 *until = tokio::time::Instant::now() + lease;
///                 true
///             }
///             _ => false,
///         })
///     }
///
///     async fn unlock(&self, name: &str, lock: &VaultLock, write: Option<SealedRecord>) -> Result<bool, TokenCacheError> {
///         self.with(name, |entry| {
///             entry.holder.take_if(|(holder, _)| holder == lock.holder());
///             let is_last = entry.fence.as_deref() == Some(lock.holder());
///             if let Some(record) = write.filter(|_| is_last) {
///                 entry.record = Some(record.bytes().clone());
///             }
///             is_last
///         })
///     }
/// }
/// # let _ = tower_arcgis_auth::SealedTokenCache::new(Memory::default(), tower_arcgis_auth::TokenCacheKeys::try_new("00".repeat(32)).unwrap());
/// ```
pub trait SharedTokenCache: Send + Sync + 'static {
    /// The record kept under `name`, if there is one.
    ///
    /// # Errors
    ///
    /// A [`TokenCacheError`] where the vault cannot be asked or does not make sense. So for all others.
    fn read(
        &self,
        name: &str,
    ) -> impl Future<Output = Result<Option<Bytes>, TokenCacheError>> + Send;

    /// Puts `with` in the place of the record if that is still the one `seen`, or removes it. Says whether it was.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    fn replace(
        &self,
        name: &str,
        seen: &[u8],
        with: Option<SealedRecord>,
    ) -> impl Future<Output = Result<bool, TokenCacheError>> + Send;

    /// Takes the lock of `name` for the time of `lease`; `None` while another holds it.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    fn lock(
        &self,
        name: &str,
        lease: Duration,
    ) -> impl Future<Output = Result<Option<VaultLock>, TokenCacheError>> + Send;

    /// Lets `lock` hold for the time of `lease` from now. Says whether it was held still.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    fn extend(
        &self,
        name: &str,
        lock: &VaultLock,
        lease: Duration,
    ) -> impl Future<Output = Result<bool, TokenCacheError>> + Send;

    /// Gives the lock back if it is held still, and writes the record unless somebody took the lock after this holder,
    /// be it given back since or not (*fencing*: who was held up must not write over what came after). Says whether
    /// nobody did.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    fn unlock(
        &self,
        name: &str,
        lock: &VaultLock,
        write: Option<SealedRecord>,
    ) -> impl Future<Output = Result<bool, TokenCacheError>> + Send;
}

/// A sealed record, and how long it is worth keeping.
///
/// ```
/// use std::time::Duration;
/// use tower_arcgis_auth::SealedRecord;
///
/// let record = SealedRecord::new(&b"sealed"[..], Duration::from_secs(3600));
/// assert_eq!(record.bytes(), &b"sealed"[..]);
/// assert_eq!(record.keep_for().as_secs(), 3600);
/// ```
#[derive(Clone)]
pub struct SealedRecord {
    bytes: Bytes,
    keep_for: Duration,
}

impl SealedRecord {
    /// These bytes, to be kept for that long. Keeping them longer does no harm.
    pub fn new(bytes: impl Into<Bytes>, keep_for: Duration) -> Self {
        Self {
            bytes: bytes.into(),
            keep_for,
        }
    }

    /// What to keep.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// How long it is worth keeping.
    pub fn keep_for(&self) -> Duration {
        self.keep_for
    }
}

impl fmt::Debug for SealedRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealedRecord")
            .field("length", &self.bytes.len())
            .field("keep_for", &self.keep_for)
            .finish()
    }
}

/// A lock somebody took, told from all others by its holder.
///
/// ```
/// use tower_arcgis_auth::VaultLock;
///
/// assert_ne!(VaultLock::unique().holder(), VaultLock::unique().holder());
/// ```
#[derive(Clone, Debug)]
pub struct VaultLock {
    holder: Arc<str>,
}

impl VaultLock {
    /// A lock of a holder that there is no second of: 32 random hexadecimal digits.
    pub fn unique() -> Self {
        // Nobody gains by guessing it: whoever can write to the vault can take the lock without.
        Self::of(format!("{:032x}", fastrand::u128(..)))
    }

    /// The lock of this holder, for vaults that name holders themselves.
    pub fn of(holder: impl Into<Arc<str>>) -> Self {
        Self {
            holder: holder.into(),
        }
    }

    /// Who holds it.
    pub fn holder(&self) -> &str {
        &self.holder
    }
}

/// Why a vault could not be asked. Costs the sharing, never a login.
///
/// ```
/// use tower_arcgis_auth::TokenCacheError;
///
/// let error = TokenCacheError::new("the shared folder is not mounted").with_source(std::io::Error::other("closed"));
/// assert_eq!(error.to_string(), "the shared folder is not mounted");
/// ```
#[derive(Debug)]
pub struct TokenCacheError {
    message: Cow<'static, str>,
    source: Option<BoxError>,
}

impl TokenCacheError {
    /// `message` reaches logs: it says what failed and what to do, and holds no secret.
    pub fn new(message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            message: message.into(),
            source: None,
        }
    }

    /// The same error with its cause, which must hold no secret either.
    #[must_use]
    pub fn with_source(self, source: impl Into<BoxError>) -> Self {
        Self {
            source: Some(source.into()),
            ..self
        }
    }
}

impl fmt::Display for TokenCacheError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for TokenCacheError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source
            .as_ref()
            .map(|source| source.as_ref() as &(dyn Error + 'static))
    }
}

/// [`SharedTokenCache`] behind a pointer. Boxes a future a question, of which a login has a handful.
pub(crate) trait DynTokenVault: Send + Sync {
    fn read<'a>(&'a self, name: &'a str) -> Boxed<'a, Option<Bytes>>;

    fn replace<'a>(
        &'a self,
        name: &'a str,
        seen: &'a [u8],
        with: Option<SealedRecord>,
    ) -> Boxed<'a, bool>;

    fn lock<'a>(&'a self, name: &'a str, lease: Duration) -> Boxed<'a, Option<VaultLock>>;

    fn extend<'a>(&'a self, name: &'a str, lock: &'a VaultLock, lease: Duration)
    -> Boxed<'a, bool>;

    fn unlock<'a>(
        &'a self,
        name: &'a str,
        lock: &'a VaultLock,
        write: Option<SealedRecord>,
    ) -> Boxed<'a, bool>;
}

type Boxed<'a, T> = Pin<Box<dyn Future<Output = Result<T, TokenCacheError>> + Send + 'a>>;

impl<T: SharedTokenCache> DynTokenVault for T {
    fn read<'a>(&'a self, name: &'a str) -> Boxed<'a, Option<Bytes>> {
        Box::pin(SharedTokenCache::read(self, name))
    }

    fn replace<'a>(
        &'a self,
        name: &'a str,
        seen: &'a [u8],
        with: Option<SealedRecord>,
    ) -> Boxed<'a, bool> {
        Box::pin(SharedTokenCache::replace(self, name, seen, with))
    }

    fn lock<'a>(&'a self, name: &'a str, lease: Duration) -> Boxed<'a, Option<VaultLock>> {
        Box::pin(SharedTokenCache::lock(self, name, lease))
    }

    fn extend<'a>(
        &'a self,
        name: &'a str,
        lock: &'a VaultLock,
        lease: Duration,
    ) -> Boxed<'a, bool> {
        Box::pin(SharedTokenCache::extend(self, name, lock, lease))
    }

    fn unlock<'a>(
        &'a self,
        name: &'a str,
        lock: &'a VaultLock,
        write: Option<SealedRecord>,
    ) -> Boxed<'a, bool> {
        Box::pin(SharedTokenCache::unlock(self, name, lock, write))
    }
}
