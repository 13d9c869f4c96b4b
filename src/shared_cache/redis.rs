//! A shared cache in Redis: one key for each record, compared and swapped by a script.

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
use rustls::crypto::CryptoProvider;
use tokio::time::timeout;

use crate::{
    error::ConfigError,
    guard::millis,
    lock::lock,
    shared_cache::{SealedRecord, SharedTokenCache, TokenCacheError},
    tls,
    url::redact,
};

const DEFAULT_NAMESPACE: &str = "arcgis-auth";
/// Below the limit a [`SealedTokenCache`](crate::SealedTokenCache) sets, so that what failed is told from here.
const DEFAULT_TIME_LIMIT: Duration = Duration::from_millis(900);
/// No record is longer: a history of 64 refusals, with all that a token service may say.
const LONGEST_RECORD: usize = 512 * 1024;

/// A year, in milliseconds: Redis takes no number without end.
const LONGEST_KEPT: u64 = 366 * 24 * 60 * 60 * 1000;

/// `KEYS`: the record. `ARGV`: whether there must be one, and which; whether to write one, and which, and for how many
/// milliseconds.
const COMPARE_AND_SWAP: &str = "\
local found = redis.call('GET', KEYS[1])
if ARGV[1] == '1' then
  if found ~= ARGV[2] then return 0 end
elseif found then return 0 end
if ARGV[3] == '1' then redis.call('SET', KEYS[1], ARGV[4], 'PX', ARGV[5]) else redis.call('DEL', KEYS[1]) end
return 1";

/// Keeps sealed records in Redis, 6.0 or later or what speaks like it: `redis://` or, with TLS, `rediss://`.
///
/// Connects when it is first asked, and again by itself. Each question may take 900 ms, connecting included
/// ([`time_limit`](Self::time_limit)). A record's key is `arcgis-auth:{NAME}`, and ends by itself. Redis's user needs `GET`,
/// `SET`, `DEL` and `EVAL` on `arcgis-auth:*`, and `SELECT` where the URL names a database other than 0:
/// `ACL SETUSER maps on >password ~arcgis-auth:* +get +set +del +eval +select`.
///
/// Give it a Redis that evicts nothing before its time (`maxmemory-policy noeviction`, the default): for what is evicted, each
/// process may log in once more, and try a wrong password once more. A full one costs no more than the sharing.
///
/// After an error that another server may not give, as when Redis has failed over, it connects anew to the same name.
///
/// TLS is rustls with the process's default provider, and the platform's root certificates. Where the process has set no
/// provider when the first `rediss://` connection is made, it gets that of the feature `ring` or `aws-lc-rs`.
///
/// ```
/// use tower_arcgis_auth::{Credential, RedisTokenCache, Secret, SealedTokenCache, Site, TokenCacheKeys};
///
/// # fn main() -> Result<(), tower_arcgis_auth::ConfigError> {
/// // In earnest `Secret::env("ARCGIS_CACHE_KEY")`, or `Secret::file(…)`.
/// let key = "8f0b6d1c53a24e7f9b1d0a6c4e8f2b7d5c9a3e1f6b8d0c2a4e6f8b1d3c5a7e90";
/// let redis = RedisTokenCache::try_new("rediss://user:password@redis.example.com:6380/0")?.namespace("maps");
/// let cache = SealedTokenCache::new(redis, TokenCacheKeys::try_new(key)?);
/// let site = Site::new("https://gis.example.com/arcgis")
///     .credential(Credential::user("gis_reader", Secret::env("ARCGIS_PASSWORD")))
///     .shared_token_cache(&cache);
/// # drop(site);
/// # Ok(())
/// # }
/// ```
pub struct RedisTokenCache {
    client: Client,
    namespace: String,
    time_limit: Duration,
    /// Held while connecting.
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
    /// Where `url` is none of Redis's, and for `rediss://` where there is no provider of cryptography. Whether it answers shows at the first login.
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
        if is_tls(&client) {
            tls::provider()?;
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

    /// With the name as its hash tag, as before a cluster's proxy.
    fn key(&self, name: &str) -> String {
        format!("{}:{{{name}}}", self.namespace)
    }

    /// Asks once, on a connection that worked so far or a new one.
    async fn ask<T: FromRedisValue>(&self, command: ::redis::Cmd) -> Result<T, TokenCacheError> {
        let asked = async {
            let (number, mut connection) = self.connect().await?;
            let mut doubt = Doubt {
                cache: self,
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
        // A login that waits here goes on by itself soon, and the next asks again: nothing is tried twice.
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
        if !is_tls(&self.client) || CryptoProvider::get_default().is_some() {
            return;
        }
        if let Ok(provider) = tls::provider() {
            // Fails only where the program has set one at this moment.
            let _ = CryptoProvider::clone(&provider).install_default();
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

fn is_tls(client: &Client) -> bool {
    let address = client.get_connection_info().addr();
    matches!(address, ConnectionAddr::TcpTls { .. })
}

/// Errors that say nothing of a server's role. After any other this may be a server that has become a replica, and the
/// name that was connected to may be another's by now.
fn is_said_by_any_server(code: &str) -> bool {
    matches!(code, "OOM" | "NOPERM" | "WRONGTYPE" | "BUSY")
}

/// A question that has no answer to rely on yet. Dropped before that, be it that the time is up, it takes the connection
/// with it: where a machine vanished without a word, or is not the one to write to any more, asking on is of no use.
struct Doubt<'a> {
    cache: &'a RedisTokenCache,
    connection: Option<u64>,
}

impl Drop for Doubt<'_> {
    fn drop(&mut self) {
        let mut connected = self.cache.connected();
        connected.take_if(|(number, _)| Some(*number) == self.connection);
    }
}

impl SharedTokenCache for RedisTokenCache {
    async fn get(&self, name: &str) -> Result<Option<Bytes>, TokenCacheError> {
        let mut get = cmd("GET");
        get.arg(self.key(name));
        let record: Option<Vec<u8>> = self.ask(get).await?;
        match record {
            Some(record) if record.len() > LONGEST_RECORD => Err(TokenCacheError::new(format!(
                "what Redis at {} keeps under `{}` is too long for a record; see what else writes there",
                self.address(),
                self.namespace
            ))),
            record => Ok(record.map(Bytes::from)),
        }
    }

    async fn compare_and_swap(
        &self,
        name: &str,
        expected: Option<&[u8]>,
        new: Option<SealedRecord>,
    ) -> Result<bool, TokenCacheError> {
        let mut script = cmd("EVAL");
        script.arg(COMPARE_AND_SWAP).arg(1).arg(self.key(name));
        script
            .arg(u8::from(expected.is_some()))
            .arg(expected.unwrap_or_default());
        script.arg(u8::from(new.is_some()));
        if let Some(record) = &new {
            script
                .arg(&record.bytes()[..])
                // At least one: Redis refuses to keep anything for none.
                .arg(millis(record.keep_for()).clamp(1, LONGEST_KEPT));
        }
        self.ask(script).await
    }
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
        let cache =
            RedisTokenCache::try_new("redis://ada:hunter2@redis.example.com:7000/1").unwrap();
        let shown = format!("{cache:?}");
        assert!(
            !shown.contains("hunter2") && !shown.contains("ada"),
            "{shown}"
        );
        assert!(shown.contains("redis.example.com:7000"), "{shown}");
    }
}
