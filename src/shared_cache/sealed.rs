//! A vault with its keys: every question to it has a time limit, and one that fails is not asked again for a while.

use std::{
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::time::{Instant, timeout};

use crate::{
    lock::lock,
    patience::LONGEST,
    shared_cache::{
        DynTokenVault, SealedRecord, SharedTokenCache, TokenCacheError, TokenCacheKeys, VaultLock,
        keys::Key,
        lease::{Held, Leave, Lock},
        record::{self, KeptToken, Millis, Record},
        source::SharedSource,
        subject::{About, Subject},
    },
    token::{TokenSource, VaultTime},
    trace,
};

const DEFAULT_TIME_LIMIT: Duration = Duration::from_secs(1);
/// How long a vault that failed is left alone.
pub(super) const LEFT_ALONE: Duration = Duration::from_secs(3);
/// Whoever holds a lock says so three times in this; whoever dies holds it for no longer.
pub(super) const LEASE: Duration = Duration::from_secs(10);

/// A [`SharedTokenCache`] and the [`TokenCacheKeys`] that seal what is kept there: what replicas share their tokens through.
///
/// Give it to a site ([`Site::shared_token_cache`](crate::Site::shared_token_cache)), or [`wrap`](Self::wrap) a source of your own.
/// All processes with the same vault and key then share, for each site, caller and account:
///
/// * the token: one login, by whoever takes the lock first. Who dies with the lock holds it for ten seconds;
/// * a refusal: a wrong password is tried once, not once a process;
/// * the knowledge that a token died: it is taken out of the vault, and not handed out again.
///
/// Who signs out takes the token out of the vault. Other processes use the one they hold until its end, or until a server
/// refuses it.
///
/// Records are sealed with XChaCha20-Poly1305, tied to their site, caller and account; their names are keyed hashes of
/// these. A password is never in one.
///
/// Requests never wait for the vault: only logins ask it. Where it does not answer in
/// [time](Self::time_limit), fails, or answers nonsense, the process logs in by itself, leaves the vault alone for three
/// seconds, and then tries it again.
///
/// ```
/// use tower_arcgis_auth::{Credential, SealedTokenCache, Site, TokenCacheKeys};
/// # use tower_arcgis_auth::{SharedTokenCache, TokenCacheError, VaultLock, SealedRecord};
/// # use std::time::Duration;
/// # struct Shared;
/// # impl SharedTokenCache for Shared {
/// #     async fn read(&self, _: &str) -> Result<Option<bytes::Bytes>, TokenCacheError> { Ok(None) }
/// #     async fn replace(&self, _: &str, _: &[u8], _: Option<SealedRecord>) -> Result<bool, TokenCacheError> { Ok(false) }
/// #     async fn lock(&self, _: &str, _: Duration) -> Result<Option<VaultLock>, TokenCacheError> { Ok(None) }
/// #     async fn extend(&self, _: &str, _: &VaultLock, _: Duration) -> Result<bool, TokenCacheError> { Ok(false) }
/// #     async fn unlock(&self, _: &str, _: &VaultLock, _: Option<SealedRecord>) -> Result<bool, TokenCacheError> { Ok(false) }
/// # }
///
/// # fn main() -> Result<(), tower_arcgis_auth::ConfigError> {
/// # let shared = Shared;
/// // `openssl rand -hex 32`, the same for all replicas. `shared` may be a `RedisTokenCache`.
/// let keys = TokenCacheKeys::try_new("8f0b6d1c53a24e7f9b1d0a6c4e8f2b7d5c9a3e1f6b8d0c2a4e6f8b1d3c5a7e90")?;
/// let vault = SealedTokenCache::new(shared, keys);
/// let site = Site::new("https://gis.example.com/arcgis")
///     .credential(Credential::user("gis_reader", "secret"))
///     .shared_token_cache(&vault);
/// # drop(site);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct SealedTokenCache {
    shared: Arc<Shared>,
    time_limit: Duration,
}

struct Shared {
    vault: Box<dyn DynTokenVault>,
    keys: TokenCacheKeys,
    /// Until when the vault is left alone, from its first failure on until it answers again.
    out_until: Mutex<Option<Instant>>,
}

/// The vault did not answer, or is left alone: go on without.
pub(super) struct Unavailable;

/// What was found under one of a subject's names.
pub(super) struct Found<'a> {
    name: String,
    key: &'a Key,
    /// As it was read, to be replaced only if nobody else did meanwhile.
    bytes: bytes::Bytes,
    pub(super) record: Record,
    /// It is under the first key's name, where new records go.
    pub(super) is_written_to: bool,
}

impl Found<'_> {
    /// Of the credential `subject` is about, comparable with what the record says.
    pub(super) fn digest(&self, subject: &Subject) -> Option<u32> {
        subject.digest(self.key)
    }
}

impl SealedTokenCache {
    /// What is kept in `vault`, sealed with `keys`.
    pub fn new(vault: impl SharedTokenCache, keys: TokenCacheKeys) -> Self {
        Self {
            shared: Arc::new(Shared {
                vault: Box::new(vault),
                keys,
                out_until: Mutex::new(None),
            }),
            time_limit: DEFAULT_TIME_LIMIT,
        }
    }

    /// How long each question to the vault may take before the process goes on by itself; a second unless set. A login
    /// asks a handful of them, and none after one that failed; all of them together, those of its portal's login
    /// included, take twice as long at most. Looking whether another process has logged in takes no longer than that
    /// login.
    #[must_use]
    pub fn time_limit(mut self, limit: Duration) -> Self {
        self.time_limit = limit.min(LONGEST);
        self
    }

    /// `source`, whose tokens are shared.
    ///
    /// Who shares is told by the site, the caller, and the account in the source's
    /// [`fingerprint`](TokenSource::fingerprint). Sources that do not tell their account share with all others of the
    /// site that do not: give applications with such sources a key each. Do not wrap a source whose tokens are bound to
    /// an address ([`TokenBinding::RequestIp`](crate::TokenBinding::RequestIp)): other machines could not use them.
    ///
    /// ```
    /// use tower_arcgis_auth::{IssuedToken, SealedTokenCache, Site, SharedTokenCache, token_source_fn};
    ///
    /// fn shared_site(vault: &SealedTokenCache) -> Site {
    ///     let source = token_source_fn(|_| async { IssuedToken::try_new("aGVsbG8td29ybGQ.") });
    ///     Site::new("https://gis.example.com/arcgis").token_source(vault.wrap(source))
    /// }
    /// # let _ = shared_site;
    /// ```
    pub fn wrap<S: TokenSource>(&self, source: S) -> SharedSource<S> {
        let binding = String::new();
        SharedSource::new(self.clone(), About::Site { binding }, source)
    }

    /// Whether the vault is worth asking just now.
    pub(super) fn is_in(&self) -> bool {
        self.out_until().is_none_or(|until| until <= Instant::now())
    }

    /// The records about `subject`, that under the first key's name first.
    pub(super) async fn find(
        &self,
        subject: &Subject,
        time: Option<&VaultTime>,
    ) -> Result<Vec<Found<'_>>, Unavailable> {
        let mut all = Vec::new();
        for key in self.shared.keys.all() {
            all.extend(self.read(key, subject, time).await?);
        }
        Ok(all)
    }

    /// The record about `subject` that is written to.
    pub(super) async fn find_written_to(
        &self,
        subject: &Subject,
        time: Option<&VaultTime>,
    ) -> Result<Option<Found<'_>>, Unavailable> {
        match self.shared.keys.all().first() {
            Some(key) => self.read(key, subject, time).await,
            None => Ok(None),
        }
    }

    async fn read<'a>(
        &'a self,
        key: &'a Key,
        subject: &Subject,
        time: Option<&VaultTime>,
    ) -> Result<Option<Found<'a>>, Unavailable> {
        let name = key.name(subject.bytes());
        let first = self.shared.keys.all().first();
        let bytes = self.ask(time, self.shared.vault.read(&name)).await?;
        // What does not open was written by somebody else, or moved here: as good as none.
        Ok(bytes.and_then(|bytes| {
            let json = key.open(&bytes, subject.bytes())?;
            Some(Found {
                name,
                key,
                bytes,
                record: Record::from_json(&json),
                is_written_to: first.is_some_and(|first| std::ptr::eq(first, key)),
            })
        }))
    }

    /// Puts `record` in the place of what was found, unless somebody did so before. Says whether it did.
    pub(super) async fn replace(
        &self,
        found: &Found<'_>,
        subject: &Subject,
        record: &Record,
        now: Millis,
        time: Option<&VaultTime>,
    ) -> Result<bool, Unavailable> {
        let sealed = self.seal(found.key, subject, record, now);
        let vault = &self.shared.vault;
        self.ask(time, vault.replace(&found.name, &found.bytes, sealed))
            .await
    }

    /// Takes the token of `subject` out, in the middle of an outage too. What was refused stays refused.
    pub(super) async fn remove_token(&self, subject: &Subject) -> Result<(), Unavailable> {
        for key in self.shared.keys.all() {
            // Somebody else may write at the same time, though hardly ever twice.
            let mut is_gone = false;
            for _ in 0..3 {
                is_gone = match self.read(key, subject, None).await? {
                    Some(found) if found.record.token.is_some() => {
                        let rest = found.record.clone().without_token();
                        self.replace(&found, subject, &rest, record::now(), None)
                            .await?
                    }
                    _ => true,
                };
                if is_gone {
                    break;
                }
            }
            if !is_gone {
                return Err(Unavailable);
            }
        }
        Ok(())
    }

    /// The lock of `subject`; `None` while another holds it.
    pub(super) async fn lock(
        &self,
        subject: &Subject,
        time: Option<&VaultTime>,
    ) -> Result<Option<Held>, Unavailable> {
        // A lock that is given when nobody waits for it any more keeps everybody out for a lease.
        if self.limit(time) < self.time_limit {
            return Err(Unavailable);
        }
        let Some(key) = self.shared.keys.all().first() else {
            return Err(Unavailable);
        };
        let name = key.name(subject.bytes());
        let lock = self.ask(time, self.shared.vault.lock(&name, LEASE)).await?;
        Ok(lock.map(|lock| {
            Held::new(Lock {
                vault: self.clone(),
                name,
                lock,
            })
        }))
    }

    pub(super) async fn extend(&self, name: &str, lock: &VaultLock) -> Result<bool, Unavailable> {
        self.ask(None, self.shared.vault.extend(name, lock, LEASE))
            .await
    }

    /// Gives the lock back, with what there is to write. Says whether nobody took it since.
    pub(super) async fn unlock(
        &self,
        name: &str,
        lock: &VaultLock,
        write: Option<SealedRecord>,
        time: Option<&VaultTime>,
    ) -> Result<bool, Unavailable> {
        self.ask(time, self.shared.vault.unlock(name, lock, write))
            .await
    }

    /// `record` as the first key seals it.
    pub(super) fn sealed(
        &self,
        subject: &Subject,
        record: &Record,
        now: Millis,
    ) -> Option<SealedRecord> {
        let key = self.shared.keys.all().first()?;
        self.seal(key, subject, record, now)
    }

    /// What a login leaves that gave `token`, where there was `kept`.
    pub(super) fn granted(&self, token: KeptToken, kept: Record, subject: &Subject) -> Leave {
        let now = record::now();
        let record = kept.granted(token.clone(), self.digest(subject), now);
        match self.sealed(subject, &record, now) {
            Some(record) => Leave::Token(token, record),
            None => Leave::Nothing,
        }
    }

    /// What the first key calls the credential.
    pub(super) fn digest(&self, subject: &Subject) -> Option<u32> {
        let key = self.shared.keys.all().first()?;
        subject.digest(key)
    }

    fn seal(
        &self,
        key: &Key,
        subject: &Subject,
        record: &Record,
        now: Millis,
    ) -> Option<SealedRecord> {
        let keep_for = record.keep_for(now);
        if record.is_empty() || keep_for.is_zero() {
            return None;
        }
        let sealed = key.seal(&record.to_json(), subject.bytes())?;
        Some(SealedRecord::new(sealed, keep_for))
    }

    /// How long a question may take that is part of a login which has spent this `time`.
    fn limit(&self, time: Option<&VaultTime>) -> Duration {
        let left = time.map(|time| (self.time_limit * 2).saturating_sub(time.spent()));
        left.map_or(self.time_limit, |left| left.min(self.time_limit))
    }

    /// One question's answer within the time limit, or an outage. Where it is part of a login that has no `time` left,
    /// there is no answer, and no outage either.
    async fn ask<T>(
        &self,
        time: Option<&VaultTime>,
        question: impl Future<Output = Result<T, TokenCacheError>>,
    ) -> Result<T, Unavailable> {
        let limit = self.limit(time);
        if limit.is_zero() {
            return Err(Unavailable);
        }
        let started = Instant::now();
        let answer = timeout(limit, question).await;
        if let Some(time) = time {
            time.add(started.elapsed());
        }
        let answer = match answer {
            Ok(answer) => answer,
            Err(_) if limit < self.time_limit => return Err(Unavailable),
            Err(_) => Err(TokenCacheError::new(format!(
                "the vault did not answer within {} ms",
                self.time_limit.as_millis()
            ))),
        };
        match answer {
            Ok(answer) => {
                if self.set_out_until(None).is_some() {
                    trace::vault_back();
                }
                Ok(answer)
            }
            Err(error) => {
                let until = Instant::now() + LEFT_ALONE;
                if self.set_out_until(Some(until)).is_none() {
                    trace::vault_unavailable(&error);
                }
                Err(Unavailable)
            }
        }
    }

    fn out_until(&self) -> Option<Instant> {
        *lock(&self.shared.out_until)
    }

    /// Returns what it was.
    fn set_out_until(&self, until: Option<Instant>) -> Option<Instant> {
        std::mem::replace(&mut *lock(&self.shared.out_until), until)
    }
}

impl fmt::Debug for SealedTokenCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealedTokenCache")
            .field("keys", &self.shared.keys)
            .field("time_limit", &self.time_limit)
            .finish_non_exhaustive()
    }
}
