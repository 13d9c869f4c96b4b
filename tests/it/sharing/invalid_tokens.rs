//! Tokens that the cache still has, and that no server takes any more.

use arcgis_stand_in::StandIn;
use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use tokio::time::sleep;
use tower::Layer;
use tower_arcgis_auth::SealedTokenCache;

use super::{Fleet, KEY, PASSWORD, ask, ask_all, assert_clean, keys};
use crate::support::{
    INVALID, MINUTE, REQUIRED, ROOT, SECOND, Upstream,
    loopback::{client_for, site_at},
    send,
    shared_cache::MemoryCache,
};

#[tokio::test(start_paused = true)]
async fn an_invalid_token_costs_one_login_and_is_never_handed_out_again() {
    let fleet = Fleet::new();
    let replicas = fleet.replicas(10);
    assert_clean(&ask_all(&replicas).await);
    fleet.service.revoke_all();
    assert_clean(&ask_all(&replicas).await);
    assert_eq!(fleet.attempts(), 2);
    // A replica that starts now never sends the dead one.
    let late = fleet.replica();
    assert!(ask(&late).await.is_clean());
    let sent = late.get_ref().tokens();
    assert_eq!(sent, [None, Some("secret-2".to_owned())]);
    assert_eq!(fleet.attempts(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_invalid_token_is_out_of_the_cache_though_no_replica_can_log_in() {
    let fleet = Fleet::new();
    let replica = fleet.replica();
    assert!(ask(&replica).await.is_clean());
    fleet.service.revoke_all();
    fleet.service.set_password("changed");
    assert!(!ask(&replica).await.is_clean());
    let late = fleet.replica();
    assert!(!ask(&late).await.is_clean());
    assert_eq!(
        late.get_ref().tokens(),
        [None],
        "the dead token is not sent"
    );
    assert_eq!(fleet.attempts(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_token_that_was_revoked_unnoticed_costs_one_more_sending() {
    for invalid in [INVALID, REQUIRED] {
        let fleet = Fleet::new();
        assert!(ask(&fleet.replica_before(invalid)).await.is_clean());
        fleet.service.revoke_all();
        let late = fleet.replica_before(invalid);
        assert!(ask(&late).await.is_clean());
        assert_eq!(
            late.get_ref().tokens().len(),
            3,
            "without, with the dead one, with one of a login"
        );
        for _ in 0..5 {
            assert!(ask(&late).await.is_clean());
        }
        // It holds nothing against the service: the next that dies is renewed within the request.
        fleet.service.revoke_all();
        assert!(ask(&late).await.is_clean());
        assert_eq!(fleet.attempts(), 3);
        assert!(ask(&fleet.replica_before(invalid)).await.is_clean());
        assert_eq!(fleet.attempts(), 3);
    }
}

#[tokio::test(start_paused = true)]
async fn another_replicas_token_that_is_as_invalid_costs_one_more_sending() {
    let fleet = Fleet::new();
    let ahead = fleet.layer(fleet.shared(fleet.site(PASSWORD)));
    let behind = fleet.replica();
    assert!(
        ask(&ahead.layer(Upstream::secured_by(&fleet.service)))
            .await
            .is_clean()
    );
    assert!(ask(&behind).await.is_clean());
    ahead.handle().site(ROOT).unwrap().renew().await.unwrap();
    sleep(MINUTE).await;
    fleet.service.revoke_all();
    assert!(ask(&behind).await.is_clean());
    assert_eq!(fleet.attempts(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_service_that_takes_no_token_sees_three_sendings_and_is_then_left_alone() {
    let fleet = Fleet::new();
    assert!(ask(&fleet.replica()).await.is_clean());
    let site = fleet.shared(fleet.site(PASSWORD));
    let layer = fleet.layer(site);
    let upstream = Upstream::saying(REQUIRED);
    let late = layer.layer(upstream.clone());
    for requests in 0..10 {
        let got = ask(&late).await;
        assert!(got.outcome.returned_challenge().is_some());
        assert_eq!(upstream.count(), 3 + requests);
    }
    assert_eq!(fleet.attempts(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_takes_no_token_is_not_hammered_through_the_cache() {
    let fleet = Fleet::new();
    let replicas: Vec<_> = (0..3)
        .map(|_| {
            let site = fleet.shared(fleet.site(PASSWORD));
            fleet.layer(site).layer(Upstream::saying(INVALID))
        })
        .collect();
    let mut attempts = Vec::new();
    for _minute in 0..20 {
        for _ in 0..60 {
            for got in ask_all(&replicas).await {
                assert!(!got.is_clean());
            }
            sleep(SECOND).await;
        }
        attempts.push(fleet.attempts());
    }
    // The service is left alone for 1 s, 2 s, 4 s, …, up to five minutes, by each replica.
    assert!(attempts[0] <= 18, "{attempts:?}");
    assert!(attempts[19] - attempts[9] <= 6, "{attempts:?}");
}

#[tokio::test]
async fn a_body_is_sent_a_third_time_whole() {
    let server = StandIn::start().await.unwrap();
    let cache = MemoryCache::default();
    let apply_edits = async || {
        let sealed = SealedTokenCache::new(cache.clone(), keys(KEY));
        let replica = client_for(site_at(&server).shared_token_cache(&sealed));
        let url = server.url("rest/services/Water/FeatureServer/0/applyEdits");
        let form = format!("f=json&adds={}", "x".repeat(100_000));
        let request = Request::post(url)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Full::<Bytes>::from(form))
            .unwrap();
        let outcome = send(&replica, request).await.outcome;
        assert!(outcome.returned_challenge().is_none(), "{outcome}");
    };
    apply_edits().await;
    server.revoke_all_tokens();
    server.clear_received();
    apply_edits().await;
    assert_eq!(server.counters().edits, 2);
    let sendings = server.received();
    let sendings = sendings
        .iter()
        .filter(|seen| seen.path_and_query.contains("applyEdits"));
    assert_eq!(sendings.count(), 3);
}
