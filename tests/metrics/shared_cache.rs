//! Tokens out of a shared cache.

use tower::Layer;
use tower_arcgis_auth::{ArcgisAuth, Credential, SealedTokenCache, TokenCacheKeys};

use crate::{
    recorder::Recorded,
    support::{
        ROADS, TokenService, Upstream, get, layer, named_site, send,
        shared_cache::{Fault, MemoryCache},
    },
};

const LOOKUPS: &str = "arcgis_auth_shared_cache_lookups_total";

fn replica(service: &TokenService, cache: &MemoryCache) -> ArcgisAuth<Upstream> {
    let keys = TokenCacheKeys::try_new("00112233445566778899aabbccddeeff".repeat(2)).unwrap();
    let site = named_site()
        .credential(Credential::user("reader", "secret"))
        .shared_token_cache(&SealedTokenCache::new(cache.clone(), keys));
    layer(site, service).layer(Upstream::secured_by(service))
}

#[tokio::test(start_paused = true)]
async fn the_first_process_misses_and_the_second_hits() {
    let recorded = Recorded::new();
    let _here = recorded.here();
    let (service, cache) = (TokenService::new(), MemoryCache::default());
    assert!(
        send(&replica(&service, &cache), get(ROADS))
            .await
            .is_clean()
    );
    assert_eq!(recorded.counts(LOOKUPS), [("miss".into(), 1)]);

    assert!(
        send(&replica(&service, &cache), get(ROADS))
            .await
            .is_clean()
    );

    assert_eq!(
        recorded.counts(LOOKUPS),
        [("hit".into(), 1), ("miss".into(), 1)]
    );
    let logins = recorded.counts("arcgis_auth_logins_total");
    assert_eq!(logins, [("shared".into(), 1), ("succeeded".into(), 1)]);
    assert_eq!(service.attempts(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_cache_that_fails_is_an_error_and_the_login_is_made() {
    let recorded = Recorded::new();
    let _here = recorded.here();
    let (service, cache) = (TokenService::new(), MemoryCache::default());
    cache.set_fault(Some(Fault::Fails));
    assert!(
        send(&replica(&service, &cache), get(ROADS))
            .await
            .is_clean()
    );
    assert_eq!(recorded.counts(LOOKUPS), [("error".into(), 1)]);
    assert_eq!(
        recorded.counts("arcgis_auth_logins_total"),
        [("succeeded".into(), 1)]
    );
}
