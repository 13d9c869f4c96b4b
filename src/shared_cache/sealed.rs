//! A shared cache with its keys, as users make one.

use std::{fmt, sync::Arc, time::Duration};

use crate::{
    shared_cache::{
        SharedTokenCache, history::CachedHistory, keys::TokenCacheKeys, records::Records,
        source::SharedSource, subject::About,
    },
    token::TokenSource,
};

const DEFAULT_TIME_LIMIT: Duration = Duration::from_secs(1);
/// A day is for ever, and sums of it do not overflow.
const LONGEST_TIME_LIMIT: Duration = Duration::from_secs(24 * 60 * 60);

/// A [`SharedTokenCache`] and the [`TokenCacheKeys`] that seal what is kept there: what processes share their tokens
/// through.
///
/// Give it to a site ([`Site::shared_token_cache`](crate::Site::shared_token_cache)), or [`wrap`](Self::wrap) a source of
/// your own. All processes with the same cache and key then share
///
/// * for each site, identity and account, the token: one process logs in, the others wait for its token. If it dies, another
///   follows ten seconds later;
/// * for each user name, the logins that were refused or left without an answer: the
///   [`LockoutGuard`](crate::LockoutGuard) counts those of all processes together;
/// * the knowledge that a server called a token invalid: it is removed, and not handed out again.
///
/// Signing out removes the token. Other processes use the one they hold until its end, or until a server refuses it.
///
/// Records are sealed with XChaCha20-Poly1305, tied to what they are about; their names are keyed hashes of that. A password
/// is never in one.
///
/// Requests never wait for the cache: only logins ask it. Where it fails, does not answer within its
/// [time limit](Self::time_limit) or takes more than a fifth of that, the process logs in by itself, asks nothing for three
/// seconds, and then tries again.
///
/// ```
/// use tower_arcgis_auth::{Credential, SealedTokenCache, Site, TokenCacheKeys};
/// # use tower_arcgis_auth::{SealedRecord, SharedTokenCache, TokenCacheError};
/// # struct Shared;
/// # impl SharedTokenCache for Shared {
/// #     async fn get(&self, _: &str) -> Result<Option<bytes::Bytes>, TokenCacheError> { Ok(None) }
/// #     async fn compare_and_swap(&self, _: &str, _: Option<&[u8]>, _: Option<SealedRecord>) -> Result<bool, TokenCacheError> { Ok(false) }
/// # }
///
/// # fn main() -> Result<(), tower_arcgis_auth::ConfigError> {
/// # let shared = Shared;
/// // `openssl rand -hex 32`, the same for all processes. `shared` may be a `RedisTokenCache`.
/// let keys = TokenCacheKeys::try_new("8f0b6d1c53a24e7f9b1d0a6c4e8f2b7d5c9a3e1f6b8d0c2a4e6f8b1d3c5a7e90")?;
/// let cache = SealedTokenCache::new(shared, keys);
/// let site = Site::new("https://gis.example.com/arcgis")
///     .credential(Credential::user("gis_reader", "secret"))
///     .shared_token_cache(&cache);
/// # drop(site);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct SealedTokenCache {
    records: Records,
}

impl SealedTokenCache {
    /// What is kept in `cache`, sealed with `keys`.
    pub fn new(cache: impl SharedTokenCache, keys: TokenCacheKeys) -> Self {
        Self {
            records: Records::new(Box::new(cache), keys, DEFAULT_TIME_LIMIT),
        }
    }

    /// How long the cache may take for each answer before the process goes on by itself; a second unless set. An answer that
    /// takes more than a fifth of it is the last for three seconds; only the first one may be that slow, for it takes a
    /// connection. So a slow cache costs a login two time limits at most, that of its portal included. Watching another
    /// process log in takes no longer than that login.
    #[must_use]
    pub fn time_limit(mut self, limit: Duration) -> Self {
        self.records.time_limit = limit.min(LONGEST_TIME_LIMIT);
        self
    }

    /// `source`, whose tokens are shared.
    ///
    /// The site, the identity and the account in the source's [`fingerprint`](TokenSource::fingerprint) say which processes
    /// share a token. Sources that do not tell their account share with all others of the site that do not: give
    /// applications with such sources a key each. Do not wrap a source whose tokens are bound to an address
    /// ([`TokenBinding::RequestIp`](crate::TokenBinding::RequestIp)): other machines could not use them.
    ///
    /// ```
    /// use tower_arcgis_auth::{IssuedToken, SealedTokenCache, Site, token_source_fn};
    ///
    /// fn shared_site(cache: &SealedTokenCache) -> Site {
    ///     let source = token_source_fn(|_| async { IssuedToken::try_new("aGVsbG8td29ybGQ.") });
    ///     Site::new("https://gis.example.com/arcgis").token_source(cache.wrap(source))
    /// }
    /// # let _ = shared_site;
    /// ```
    pub fn wrap<S: TokenSource>(&self, source: S) -> SharedSource<S> {
        let binding = String::new();
        self.share(About::Site { binding }, source)
    }

    /// `source`, whose tokens are `about` this.
    pub(crate) fn share<S: TokenSource>(&self, about: About, source: S) -> SharedSource<S> {
        SharedSource::new(self.records.clone(), about, source)
    }

    /// The histories of logins in it, for one guard.
    pub(crate) fn history(&self) -> Arc<CachedHistory> {
        Arc::new(CachedHistory::new(self.records.clone()))
    }
}

impl fmt::Debug for SealedTokenCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealedTokenCache")
            .field("keys", self.records.keys())
            .field("time_limit", &self.records.time_limit)
            .finish_non_exhaustive()
    }
}
