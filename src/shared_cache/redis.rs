//! A vault in Redis: one key for the record, one for the lock, one for who took the lock last.

use std::{
    fmt,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use ::redis::{
    Client, ConnectionAddr, ErrorKind, FromRedisValue, RedisError,
    aio::{ConnectionManager, ConnectionManagerConfig},
    cmd,
};
use bytes::Bytes;
use tokio::time::timeout;

use crate::{
    error::ConfigError,
    lock::lock,
    shared_cache::{SealedRecord, SharedTokenCache, TokenCacheError, VaultLock},
    url::redact,
};

const DEFAULT_NAMESPACE: &str = "arcgis-auth";
/// Below the limit a [`SealedTokenCache`](crate::SealedTokenCache) sets, so that what failed is told from here.
const DEFAULT_TIME_LIMIT: Duration = Duration::from_millis(900);
/// Whoever comes back to write after this was not held up, but dead.
const FENCE_KEPT: Duration = Duration::from_secs(24 * 60 * 60);
/// No record of ours is longer.
const LONGEST_RECORD: usize = 64 * 1024;

/// `KEYS`: record. `ARGV`: what was seen, what to write (nothing: remove), how long to keep it in milliseconds.
const REPLACE: &str = "\
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
if ARGV[2] == '' then redis.call('DEL', KEYS[1]) else redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3]) end
return 1";

/// `KEYS`: lock, fence. `ARGV`: holder, lease, how long to keep the fence.
const LOCK: &str = "\
if not redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then return 0 end
redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[3])
return 1";

/// `KEYS`: lock. `ARGV`: holder, lease.
const EXTEND: &str = "\
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])";

/// `KEYS`: lock, fence, record. `ARGV`: holder, what to write (nothing: nothing), how long to keep it.
///
/// The lock goes first: a full Redis still deletes. A fence that is gone went with the rest of Redis's memory.
const UNLOCK: &str = "\
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
local last = redis.call('GET', KEYS[2])
if last and last ~= ARGV[1] then return 0 end
if ARGV[2] ~= '' then redis.call('SET', KEYS[3], ARGV[2], 'PX', ARGV[3]) end
return 1";

/// Keeps sealed records in Redis, 6.0 or later or what speaks like it: `redis://` or, with TLS, `rediss://`.
///
/// Connects when it is first asked, and again by itself. Each question may take 900 ms, connecting included
/// ([`time_limit`](Self::time_limit)). The keys of one record have one hash tag, so that a cluster's proxy keeps them
/// together: `arcgis-auth:{NAME}:record`, `:lock`, `:fence`. All of them end by themselves. Redis's user needs `GET`,
/// `SET`, `DEL`, `PEXPIRE` and `EVAL` on `arcgis-auth:*`, and `SELECT` where the URL names a database other than 0:
/// `ACL SETUSER maps on >password ~arcgis-auth:* +get +set +del +pexpire +eval +select`.
///
/// After an error that another server may not give, as when Redis has failed over, it connects anew to the same name.
///
/// TLS is rustls with the process's default provider, and the platform's root certificates. Where the process has set no
/// provider when the first `rediss://` connection is made, it gets ring.
///
/// ```
/// use tower_arcgis_auth::{Credential, RedisTokenCache, Secret, SealedTokenCache, Site, TokenCacheKeys};
///
/// # fn main() -> Result<(), tower_arcgis_auth::ConfigError> {
/// // In earnest `Secret::env("ARCGIS_CACHE_KEY")`, or `Secret::file(…)`.
/// let key = "8f0b6d1c53a24e7f9b1d0a6c4e8f2b7d5c9a3e1f6b8d0c2a4e6f8b1d3c5a7e90";
/// let redis = RedisTokenCache::try_new("rediss://user:password@redis.example.com:6380/0")?.namespace("maps");
/// let vault = SealedTokenCache::new(redis, TokenCacheKeys::try_new(key)?);
/// let site = Site::new("https://gis.example.com/arcgis")
///     .credential(Credential::user("gis_reader", Secret::env("ARCGIS_PASSWORD")))
///     .shared_token_cache(&vault);
/// # drop(site);
/// # Ok(())
/// # }
/// ```
pub struct RedisTokenCache {
    client: Client,
    namespace: String,
    time_limit: Duration,
    /// Held by whoever connects.
    connecting: tokio::sync::Mutex<()>,
    /// The connection in use, and its number.
    connected: Mutex<Option<(u64, ConnectionManager)>>,
    connections: AtomicU64,
}

impl RedisTokenCache {
    /// The Redis at `url`: `redis://host:port/database`, `rediss://` with TLS; user and password stand before the host.
    ///
    /// # Errors
    ///
    /// Where `url` is none of Redis's. Whether it answers shows at the first login.
    pub fn try_new(url: &str) -> Result<Self, ConfigError> {
        let unusable = |why: &str| {
            ConfigError::new(format!(
                "the Redis URL `{}` {why}; write it like redis://redis.example.com:6379/0 or rediss://…",
                redact(url)
            ))
        };
        let client = Client::open(url).map_err(|_| unusable("is not one"))?;
        // The one flag a URL may have turns the look at certificates off.
        if url.contains('#') {
            return Err(unusable("has a fragment"));
        }
        Ok(Self {
            client,
            namespace: DEFAULT_NAMESPACE.to_owned(),
            time_limit: DEFAULT_TIME_LIMIT,
            connecting: tokio::sync::Mutex::new(()),
            connected: Mutex::new(None),
            connections: AtomicU64::new(0),
        })
    }

    /// What keys start with, in place of `arcgis-auth`.
    #[must_use]
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = namespace.into();
        self
    }

    /// How long each question may take, connecting included; 900 ms unless set. Raise
    /// [`SealedTokenCache::time_limit`](crate::SealedTokenCache::time_limit) with it.
    #[must_use]
    pub fn time_limit(mut self, limit: Duration) -> Self {
        self.time_limit = limit;
        self
    }

    fn key(&self, name: &str, part: &str) -> String {
        format!("{}:{{{name}}}:{part}", self.namespace)
    }

    /// Asks once, on a connection that worked so far or a new one.
    async fn ask<T: FromRedisValue>(&self, command: ::redis::Cmd) -> Result<T, TokenCacheError> {
        let asked = async {
            let (number, mut connection) = self.connect().await?;
            let mut doubt = Doubt {
                vault: self,
                connection: Some(number),
            };
            let answer = command.query_async(&mut connection).await;
            let is_certain = match &answer {
                Ok(_) => true,
                Err(error) => error.code().is_some_and(is_said_by_any_server),
            };
            if is_certain {
                doubt.connection = None;
            }
            answer
        };
        match timeout(self.time_limit, asked).await {
            Ok(answer) => answer.map_err(|error| self.failed(&error)),
            Err(_) => Err(TokenCacheError::new(format!(
                "Redis at {} did not answer within {} ms; check that it runs and can be reached",
                self.address(),
                self.time_limit.as_millis()
            ))),
        }
    }

    async fn connect(&self) -> Result<(u64, ConnectionManager), RedisError> {
        let _one_at_a_time = self.connecting.lock().await;
        if let Some(connected) = &*self.connected() {
            return Ok(connected.clone());
        }
        self.choose_tls();
        // Whoever waits here goes on by itself soon, and somebody comes again: nothing is tried twice.
        let settings = ConnectionManagerConfig::new()
            .set_number_of_retries(0)
            .set_connection_timeout(Some(self.time_limit))
            .set_response_timeout(Some(self.time_limit));
        let manager = ConnectionManager::new_with_config(self.client.clone(), settings).await?;
        let number = self.connections.fetch_add(1, Ordering::Relaxed);
        *self.connected() = Some((number, manager.clone()));
        Ok((number, manager))
    }

    /// rustls panics where it has two providers to choose from, as in a program that uses another beside this crate's.
    fn choose_tls(&self) {
        let is_tls = matches!(
            self.client.get_connection_info().addr(),
            ConnectionAddr::TcpTls { .. }
        );
        if is_tls && rustls::crypto::CryptoProvider::get_default().is_none() {
            // Lost only to somebody who has set one at this moment.
            let _ = rustls::crypto::ring::default_provider().install_default();
        }
    }

    fn connected(&self) -> std::sync::MutexGuard<'_, Option<(u64, ConnectionManager)>> {
        lock(&self.connected)
    }

    /// Redis's own words may repeat what it was sent, the password included: only their kind is told.
    fn failed(&self, error: &RedisError) -> TokenCacheError {
        let address = self.address();
        TokenCacheError::new(match error.code() {
            Some("OOM") => {
                format!("Redis at {address} is full; give it more memory, or let it evict keys")
            }
            Some(code @ ("NOAUTH" | "WRONGPASS" | "NOPERM")) => format!(
                "Redis at {address} does not let this process in ({code}); check user, password and rights in its URL"
            ),
            Some(code) => {
                let code: String = code
                    .chars()
                    .filter(char::is_ascii_alphanumeric)
                    .take(20)
                    .collect();
                format!("Redis at {address} answered with an error ({code})")
            }
            None if error.kind() == ErrorKind::AuthenticationFailed => format!(
                "Redis at {address} does not let this process in; check user and password in its URL"
            ),
            None if error.is_connection_refusal() => {
                format!("no Redis listens at {address}; start it, or mend its URL")
            }
            None if error.is_io_error() || error.is_timeout() => format!(
                "the connection to Redis at {address} failed; check that it runs, can be reached, and whether it wants TLS"
            ),
            None => format!("what answers at {address} does not answer like Redis; check the URL"),
        })
    }

    /// Without user and password.
    fn address(&self) -> String {
        self.client.get_connection_info().addr().to_string()
    }
}

/// Errors that say nothing of a server's role. After any other this may be a server that has become a replica, and the
/// name that was connected to may be another's by now.
fn is_said_by_any_server(code: &str) -> bool {
    matches!(code, "OOM" | "NOPERM" | "WRONGTYPE" | "BUSY")
}

/// A question that has no answer to rely on yet. Dropped before that, be it that the time is up, it takes the connection
/// with it: where a machine vanished without a word, or is not the one to write to any more, asking on is of no use.
struct Doubt<'a> {
    vault: &'a RedisTokenCache,
    connection: Option<u64>,
}

impl Drop for Doubt<'_> {
    fn drop(&mut self) {
        let mut connected = self.vault.connected();
        connected.take_if(|(number, _)| Some(*number) == self.connection);
    }
}

impl SharedTokenCache for RedisTokenCache {
    async fn read(&self, name: &str) -> Result<Option<Bytes>, TokenCacheError> {
        let mut get = cmd("GET");
        get.arg(self.key(name, "record"));
        let record: Option<Vec<u8>> = self.ask(get).await?;
        Ok(record
            .filter(|record| record.len() <= LONGEST_RECORD)
            .map(Bytes::from))
    }

    async fn replace(
        &self,
        name: &str,
        seen: &[u8],
        with: Option<SealedRecord>,
    ) -> Result<bool, TokenCacheError> {
        let mut script = eval(REPLACE, &[self.key(name, "record")]);
        script.arg(seen);
        write_arguments(&mut script, with.as_ref());
        self.ask(script).await
    }

    async fn lock(
        &self,
        name: &str,
        lease: Duration,
    ) -> Result<Option<VaultLock>, TokenCacheError> {
        let lock = VaultLock::unique();
        let mut script = eval(LOCK, &[self.key(name, "lock"), self.key(name, "fence")]);
        script
            .arg(lock.holder())
            .arg(millis(lease))
            .arg(millis(FENCE_KEPT));
        let taken: bool = self.ask(script).await?;
        Ok(taken.then_some(lock))
    }

    async fn extend(
        &self,
        name: &str,
        lock: &VaultLock,
        lease: Duration,
    ) -> Result<bool, TokenCacheError> {
        let mut script = eval(EXTEND, &[self.key(name, "lock")]);
        script.arg(lock.holder()).arg(millis(lease));
        self.ask(script).await
    }

    async fn unlock(
        &self,
        name: &str,
        lock: &VaultLock,
        write: Option<SealedRecord>,
    ) -> Result<bool, TokenCacheError> {
        let keys = ["lock", "fence", "record"].map(|part| self.key(name, part));
        let mut script = eval(UNLOCK, &keys);
        script.arg(lock.holder());
        write_arguments(&mut script, write.as_ref());
        self.ask(script).await
    }
}

fn eval(script: &str, keys: &[String]) -> ::redis::Cmd {
    let mut command = cmd("EVAL");
    command.arg(script).arg(keys.len()).arg(keys);
    command
}

fn write_arguments(script: &mut ::redis::Cmd, record: Option<&SealedRecord>) {
    let bytes = record.map_or(&[][..], |record| record.bytes());
    let keep_for = record.map_or(Duration::ZERO, SealedRecord::keep_for);
    script.arg(bytes).arg(millis(keep_for));
}

/// At least one: Redis refuses to keep anything for none.
fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis())
        .unwrap_or(u64::MAX)
        .clamp(1, FENCE_KEPT.as_millis() as u64 * 366)
}

impl fmt::Debug for RedisTokenCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisTokenCache")
            .field("address", &self.address())
            .field("namespace", &self.namespace)
            .field("time_limit", &self.time_limit)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_that_is_none_is_not_repeated_with_its_password() {
        for url in [
            "http://ada:hunter2@redis.example.com",
            "redis://ada:hunter2@redis.example.com/no-number",
            "redis.example.com",
            "rediss://ada:hunter2@redis.example.com/#insecure",
        ] {
            let error = RedisTokenCache::try_new(url).unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{error}");
            assert!(error.contains("redis://"), "{error}");
        }
        let vault =
            RedisTokenCache::try_new("redis://ada:hunter2@redis.example.com:7000/1").unwrap();
        let shown = format!("{vault:?}");
        assert!(
            !shown.contains("hunter2") && !shown.contains("ada"),
            "{shown}"
        );
        assert!(shown.contains("redis.example.com:7000"), "{shown}");
    }
}
