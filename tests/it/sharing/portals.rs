//! Replicas of servers that are federated with one portal, over loopback.

use arcgis_stand_in::{Portal, StandIn, USERNAME};
use futures_util::future::join_all;
use tower::ServiceExt;
use tower_arcgis_auth::{
    ArcgisAuth, ArcgisAuthLayer, AuthOutcome, Credential, SealedTokenCache, Site,
};

use super::{KEY, keys};
use crate::support::{
    assert_login_refused, get,
    loopback::{Http, PARCELS, client_of, federated_with, fetch, member},
    shared_cache::MemoryCache,
};

async fn members(portal: &Portal) -> Vec<StandIn> {
    let servers = (0..3).map(|_| StandIn::builder().federated_with(portal).start());
    let servers = join_all(servers).await;
    servers.into_iter().map(Result::unwrap).collect()
}

/// A replica that signs requests to all of a portal's servers.
fn federated(
    servers: &[StandIn],
    portal: &Portal,
    cache: &MemoryCache,
    password: &str,
) -> ArcgisAuth<Http> {
    let sealed = SealedTokenCache::new(cache.clone(), keys(KEY));
    let mut builder = ArcgisAuthLayer::builder();
    for server in servers {
        let site = Site::new(server.root())
            .credential(Credential::user(USERNAME, password))
            .trust_token_service(portal.origin());
        builder = builder.add_site(site.shared_token_cache(&sealed));
    }
    let layer = builder.build().unwrap();
    client_of(&layer)
}

/// Each replica asks every server, each beginning with another.
async fn ask_everywhere(servers: &[StandIn], portal: &Portal, password: &str) -> Vec<AuthOutcome> {
    let cache = MemoryCache::default();
    let asked = (0..10).map(|number| {
        let replica = federated(servers, portal, &cache, password);
        let urls = (0..3).map(move |at| servers[(number + at) % 3].url(PARCELS));
        async move {
            let mut outcomes = Vec::new();
            for url in urls {
                let response = replica.clone().oneshot(get(&url)).await.unwrap();
                outcomes.push(response.body().outcome().clone());
            }
            outcomes
        }
    });
    join_all(asked).await.concat()
}

#[tokio::test]
async fn replicas_log_in_once_at_a_portal_for_all_its_servers() {
    let portal = Portal::start().await.unwrap();
    let servers = members(&portal).await;
    for outcome in ask_everywhere(&servers, &portal, arcgis_stand_in::PASSWORD).await {
        assert!(outcome.returned_challenge().is_none(), "{outcome}");
    }
    let counters = portal.counters();
    assert_eq!((counters.logins, counters.exchanges), (1, 3));
}

#[tokio::test]
async fn a_sign_out_with_a_token_from_the_cache_ends_the_portals_login_too() {
    let portal = Portal::start().await.unwrap();
    let server = federated_with(&portal).await;
    let cache = MemoryCache::default();
    let layer = || {
        let site = member(&server, &portal)
            .shared_token_cache(&SealedTokenCache::new(cache.clone(), keys(KEY)));
        ArcgisAuthLayer::try_new(site).unwrap()
    };
    let ask =
        async |layer: &ArcgisAuthLayer| fetch(&client_of(layer), server.url(PARCELS)).await.outcome;
    assert!(ask(&layer()).await.returned_challenge().is_none());
    let other = layer();
    assert!(ask(&other).await.returned_challenge().is_none());
    assert_eq!(portal.counters().logins, 1);
    other.handle().sign_out().await.unwrap();
    assert!(ask(&other).await.returned_challenge().is_none());
    assert_eq!(portal.counters().logins, 2);
}

#[tokio::test]
async fn a_wrong_password_at_a_portal_is_tried_once_by_all_replicas_for_all_its_servers() {
    let portal = Portal::start().await.unwrap();
    let servers = members(&portal).await;
    for outcome in ask_everywhere(&servers, &portal, "wrong").await {
        assert_login_refused(outcome.skip_reason());
    }
    assert_eq!(portal.counters().login_attempts, 1);
}

#[tokio::test]
async fn a_portals_token_that_was_revoked_is_replaced_by_the_next_replica() {
    let portal = Portal::start().await.unwrap();
    let servers = members(&portal).await;
    let cache = MemoryCache::default();
    let ask = |server: &StandIn| {
        let replica = federated(&servers, &portal, &cache, arcgis_stand_in::PASSWORD);
        replica.oneshot(get(&server.url(PARCELS)))
    };
    ask(&servers[0]).await.unwrap();
    portal.revoke_all_tokens();

    let response = ask(&servers[1]).await.unwrap();

    let outcome = response.body().outcome();
    assert!(outcome.returned_challenge().is_none(), "{outcome}");
    assert_eq!(portal.counters().logins, 2);
}
