//! Replicas that share a cache: one login, one history of logins, and each for itself when the cache fails.
//!
//! A replica is a layer with a cache handle of its own; the cache is in memory, and time is paused.

mod invalid_tokens;
mod one_login;
mod outages;
mod portals;
mod refusals;
mod renewal;
mod sealing;
mod two_dead_tokens;
mod unanswered;

use std::time::Duration;

use futures_util::future::join_all;
use tower::Layer;
use tower_arcgis_auth::{
    ArcgisAuth, ArcgisAuthLayer, Credential, SealedTokenCache, Site, TokenCacheKeys,
};

use crate::support::{
    CLEAN, Got, REQUIRED, ROADS, TokenService, Upstream, answer, get, named_site, send,
    shared_cache::{Fault, MemoryCache},
    token_of,
};

const NAME: &str = "ada.lovelace";
const PASSWORD: &str = "hunter2-hunter2";
const KEY: &str = "8f0b6d1c53a24e7f9b1d0a6c4e8f2b7d5c9a3e1f6b8d0c2a4e6f8b1d3c5a7e90";
const OTHER_KEY: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

fn keys(text: &str) -> TokenCacheKeys {
    TokenCacheKeys::try_new(text).unwrap()
}

/// A secured ArcGIS, its token service, and the cache that all replicas reach.
#[derive(Clone)]
struct Fleet {
    service: TokenService,
    /// How long each login takes.
    takes: Duration,
    cache: MemoryCache,
}

impl Fleet {
    fn new() -> Self {
        Self::taking(Duration::from_millis(200))
    }

    fn taking(takes: Duration) -> Self {
        Self {
            service: TokenService::new().knows(PASSWORD).takes(takes),
            takes,
            cache: MemoryCache::default(),
        }
    }

    fn attempts(&self) -> usize {
        self.service.attempts()
    }

    fn site(&self, password: &str) -> Site {
        named_site().credential(Credential::user(NAME, password))
    }

    /// The site, whose tokens are in the cache under [`KEY`].
    fn shared(&self, site: Site) -> Site {
        site.shared_token_cache(&self.sealed(KEY))
    }

    fn sealed(&self, key: &str) -> SealedTokenCache {
        SealedTokenCache::new(self.cache.clone(), keys(key))
    }

    fn layer(&self, site: Site) -> ArcgisAuthLayer {
        crate::support::layer(site, &self.service)
    }

    fn over(&self, site: Site) -> ArcgisAuth<Upstream> {
        self.layer(site).layer(Upstream::secured_by(&self.service))
    }

    fn replica_with(&self, password: &str, key: &str) -> ArcgisAuth<Upstream> {
        self.over(self.site(password).shared_token_cache(&self.sealed(key)))
    }

    fn replica(&self) -> ArcgisAuth<Upstream> {
        self.replica_with(PASSWORD, KEY)
    }

    fn replicas(&self, count: usize) -> Vec<ArcgisAuth<Upstream>> {
        (0..count).map(|_| self.replica()).collect()
    }

    /// A replica before a server that says `invalid` to a token that is.
    fn replica_before(&self, invalid: &'static str) -> ArcgisAuth<Upstream> {
        let tokens = self.service.tokens();
        let layer = self.layer(self.shared(self.site(PASSWORD)));
        layer.layer(Upstream::new(move |request| {
            answer(match token_of(request) {
                Some(token) if tokens.contains(&token) => CLEAN,
                None => REQUIRED,
                Some(_) => invalid,
            })
        }))
    }

    /// The cache becomes slow as soon as the token service has answered.
    fn slow_when_answered(&self) {
        let cache = self.cache.clone();
        let slow = Fault::Slow(Duration::from_millis(900));
        self.service
            .when_answered(move || cache.set_fault(Some(slow)));
    }
}

async fn ask(replica: &ArcgisAuth<Upstream>) -> Got {
    send(replica, get(ROADS)).await
}

async fn ask_all(replicas: &[ArcgisAuth<Upstream>]) -> Vec<Got> {
    join_all(replicas.iter().map(ask)).await
}

#[track_caller]
fn assert_clean(answers: &[Got]) {
    for got in answers {
        assert!(got.is_clean(), "{}", got.outcome);
    }
}
