//! The cache through which logins are shared with other processes: what the command line and the environment name of it.

use std::path::Path;

use tower_arcgis_auth::{
    RedisTokenCache, SealedTokenCache, Secret, SharedTokenCache, TokenCacheKeys,
};

use crate::{login::Kept, option_names::in_options};

const KEY: &str = "ARCGIS_CACHE_KEY";

/// A Redis that tokens are shared through.
#[derive(Debug)]
pub(crate) struct Sharing {
    pub(crate) cache: SealedTokenCache,
    /// Asked at the start only, with a connection of its own.
    redis: RedisTokenCache,
}

impl Sharing {
    /// Says whether Redis answers: otherwise that would come out at the first login.
    pub(crate) async fn check(&self) {
        match self.redis.get("arcgis-proxy").await {
            Ok(_) => tracing::info!("Redis answers: proxies with the same key share logins"),
            Err(error) => tracing::warn!(
                %error,
                "Redis cannot be asked: this proxy logs in by itself until it can; see --redis"
            ),
        }
    }
}

/// The cache in the Redis at `url`, sealed with the key in the file or else in the variable; none where neither is
/// named.
pub(crate) fn shared_cache(
    url: Option<&str>,
    key_file: Option<&Path>,
) -> Result<Option<Sharing>, String> {
    let key = Kept::find("cache key", key_file, "--cache-key-file", KEY)?;
    match (url, key) {
        (Some(url), Some(key)) => sealed(url, key.secret).map(Some),
        (Some(_), None) => Err(format!(
            "there is a Redis and no key to seal with; put one, made with `openssl rand -hex 32`, into the environment \
             variable {KEY} or name a file with --cache-key-file"
        )),
        (None, Some(_)) => Err(format!(
            "there is a cache key ({KEY} or --cache-key-file) and no Redis; add --redis or ARCGIS_REDIS_URL"
        )),
        (None, None) => Ok(None),
    }
}

fn sealed(url: &str, key: Secret) -> Result<Sharing, String> {
    let redis = || RedisTokenCache::try_new(url).map_err(|error| in_options(&error.to_string()));
    let keys = TokenCacheKeys::try_new(key).map_err(|error| in_options(&error.to_string()))?;
    Ok(Sharing {
        cache: SealedTokenCache::new(redis()?, keys),
        redis: redis()?,
    })
}
