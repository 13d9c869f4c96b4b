//! A refused credential is tried once.

use arcgis_stand_in::{StandIn, USERNAME};
use tokio::time::advance;
use tower_arcgis_auth::Challenge;

use crate::support::{
    MINUTE, REQUIRED, ROADS, Reply, SECOND, TokenService, Upstream, assert_login_refused, get,
    loopback::{PARCELS, client_for, fetch, site_at, wrong_user},
    over, send,
};

#[tokio::test(start_paused = true)]
async fn a_wrong_password_is_tried_once_and_not_per_request() {
    let source = TokenService::new();
    let upstream = Upstream::secured_by(&source);
    source.always(Reply::Refused);
    let service = over(upstream.clone(), &source);

    for _ in 0..100 {
        let answer = send(&service, get(ROADS)).await;
        assert_eq!(answer.body, REQUIRED);
        assert_login_refused(answer.outcome.skip_reason());
    }
    assert_eq!(source.attempts(), 1);
    assert_eq!(upstream.count(), 100, "nothing is sent twice");
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_remembered_for_fifteen_minutes() {
    let source = TokenService::new();
    let upstream = Upstream::secured_by(&source);
    source.next([Reply::Refused]);
    let service = over(upstream, &source);
    send(&service, get(ROADS)).await;

    advance(15 * MINUTE - SECOND).await;
    assert_eq!(send(&service, get(ROADS)).await.body, REQUIRED);
    assert_eq!(source.attempts(), 1);

    advance(2 * SECOND).await;
    assert!(send(&service, get(ROADS)).await.is_clean());
    assert_eq!(source.attempts(), 2);
}

#[tokio::test]
async fn a_wrong_password_makes_one_attempt_over_sockets() {
    let server = StandIn::start().await.unwrap();
    let service = client_for(site_at(&server).credential(wrong_user()));
    for _ in 0..20 {
        let got = fetch(&service, server.url(PARCELS)).await;
        assert_eq!(
            got.outcome.returned_challenge(),
            Some(Challenge::TokenRequired)
        );
        assert!(
            got.text().contains("499"),
            "the challenge itself: {}",
            got.text()
        );
    }
    assert_eq!(server.counters().login_attempts, 1);
    assert!(!server.is_locked(USERNAME));
    assert_eq!(server.counters().service_requests, 20);
}
