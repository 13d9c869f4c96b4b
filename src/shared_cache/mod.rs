//! Tokens and login histories shared between processes: the open trait for where sealed records are kept, and what it
//! deals in.

mod breaker;
mod history;
mod keys;
mod leadership;
mod record;
mod records;
#[cfg(feature = "redis")]
mod redis;
mod sealed;
mod source;
mod subject;

use std::{borrow::Cow, error::Error, fmt, pin::Pin, time::Duration};

use bytes::Bytes;

#[cfg(feature = "redis")]
pub use self::redis::RedisTokenCache;
pub(crate) use self::subject::About;
pub use self::{keys::TokenCacheKeys, sealed::SealedTokenCache, source::SharedSource};
use crate::error::BoxError;

/// A place that several processes reach, where sealed records are kept under opaque names.
///
/// Given to a [`SealedTokenCache`], which seals and names. What comes here tells nothing without the key: names are 64
/// hexadecimal digits, records are bytes. A cache may lose everything at any time, may be slow, full or gone: then each
/// process logs in by itself. What it must do is to compare and to swap in one step, whichever process asks. What it
/// cannot do in time or not at all is an error. Every call has a time limit ([`SealedTokenCache::time_limit`]), and its
/// future is dropped when that is over.
///
/// Where it has to choose, it should refuse to write rather than evict what is not over: an evicted history of logins
/// lets each process try a wrong password once more.
///
/// ```
/// use std::{collections::HashMap, sync::Mutex};
/// use bytes::Bytes;
/// use tower_arcgis_auth::{SealedRecord, SharedTokenCache, TokenCacheError};
///
/// /// One process's memory: what a cache does, without the sharing, and without ever removing what is over.
/// #[derive(Default)]
/// struct Memory(Mutex<HashMap<String, Bytes>>);
///
/// impl SharedTokenCache for Memory {
///     async fn get(&self, name: &str) -> Result<Option<Bytes>, TokenCacheError> {
///         Ok(self.0.lock().unwrap().get(name).cloned())
///     }
///
///     async fn compare_and_swap(
///         &self,
///         name: &str,
///         expected: Option<&[u8]>,
///         new: Option<SealedRecord>,
///     ) -> Result<bool, TokenCacheError> {
///         let mut records = self.0.lock().unwrap();
///         if records.get(name).map(|record| &record[..]) != expected {
///             return Ok(false);
///         }
///         match new {
///             Some(record) => records.insert(name.to_owned(), record.bytes().clone()),
///             None => records.remove(name),
///         };
///         Ok(true)
///     }
/// }
/// # let _ = tower_arcgis_auth::SealedTokenCache::new(Memory::default(), tower_arcgis_auth::TokenCacheKeys::try_new("00".repeat(32)).unwrap());
/// ```
pub trait SharedTokenCache: Send + Sync + 'static {
    /// The record kept under `name`, if there is one.
    ///
    /// # Errors
    ///
    /// A [`TokenCacheError`] where the cache cannot be asked or does not make sense.
    fn get(
        &self,
        name: &str,
    ) -> impl Future<Output = Result<Option<Bytes>, TokenCacheError>> + Send;

    /// Keeps `new` under `name`, or removes what is there where `new` is `None`; but only if what is there is `expected`,
    /// byte for byte, or nothing where `expected` is `None`. Returns whether it was.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    fn compare_and_swap(
        &self,
        name: &str,
        expected: Option<&[u8]>,
        new: Option<SealedRecord>,
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

/// Why a shared cache could not be asked. Costs the sharing, never a login.
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
trait DynSharedTokenCache: Send + Sync {
    fn get<'a>(&'a self, name: &'a str) -> Boxed<'a, Option<Bytes>>;

    fn compare_and_swap<'a>(
        &'a self,
        name: &'a str,
        expected: Option<&'a [u8]>,
        new: Option<SealedRecord>,
    ) -> Boxed<'a, bool>;
}

type Boxed<'a, T> = Pin<Box<dyn Future<Output = Result<T, TokenCacheError>> + Send + 'a>>;

impl<T: SharedTokenCache> DynSharedTokenCache for T {
    fn get<'a>(&'a self, name: &'a str) -> Boxed<'a, Option<Bytes>> {
        Box::pin(SharedTokenCache::get(self, name))
    }

    fn compare_and_swap<'a>(
        &'a self,
        name: &'a str,
        expected: Option<&'a [u8]>,
        new: Option<SealedRecord>,
    ) -> Boxed<'a, bool> {
        Box::pin(SharedTokenCache::compare_and_swap(
            self, name, expected, new,
        ))
    }
}

#[cfg(test)]
#[path = "../../tests/it/support/shared_cache.rs"]
mod memory;
