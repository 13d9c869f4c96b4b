//! How many identities are remembered, and for how long.

use std::time::Duration;

use tokio::time::sleep;
use tower::Layer;
use tower_arcgis_auth::{ArcgisAuthLayer, Identity};

use super::{HOUR, site};
use crate::support::{Reply, SECOND, TokenService, Upstream, get_as, send};

#[tokio::test(start_paused = true)]
async fn ten_thousand_identities_are_remembered() {
    let source = TokenService::new();
    let layer = ArcgisAuthLayer::try_new(site(&source)).unwrap();
    let service = layer.layer(Upstream::secured_by(&source));
    for _ in 0..2 {
        for number in 0..10_000 {
            let got = send(&service, get_as(format!("identity{number}"))).await;
            assert!(got.is_clean());
        }
    }
    assert_eq!(source.attempts(), 10_000);
    assert_eq!(layer.handle().sites()[0].sessions().len(), 10_000);
}

#[tokio::test(start_paused = true)]
async fn identities_above_the_bound_are_evicted_the_longest_idle_first() {
    let source = TokenService::new();
    let layer = ArcgisAuthLayer::try_new(site(&source).remember_identities(10, HOUR)).unwrap();
    let service = layer.layer(Upstream::secured_by(&source));
    let handle = layer.handle();
    for number in 0..100 {
        send(&service, get_as("alice")).await;
        send(&service, get_as(format!("identity{number}"))).await;
        // Looks through what is to be forgotten.
        assert!(handle.sites()[0].sessions().len() <= 10);
    }
    assert_eq!(source.attempts_of("alice"), 1);
    send(&service, get_as("identity0")).await;
    assert_eq!(source.attempts_of("identity0"), 2);
}

#[tokio::test(start_paused = true)]
async fn identities_whose_logins_are_refused_take_no_room_above_the_bound() {
    let source = TokenService::new().answering(Reply::Refused);
    let layer = ArcgisAuthLayer::try_new(site(&source).remember_identities(10, HOUR)).unwrap();
    let service = layer.layer(Upstream::open_to_any_token());
    for number in 0..1000 {
        send(&service, get_as(format!("identity{number}"))).await;
    }
    assert!(layer.handle().sites()[0].sessions().len() <= 10);
}

#[tokio::test(start_paused = true)]
async fn an_idle_identity_is_evicted() {
    let source = TokenService::new();
    let layer =
        ArcgisAuthLayer::try_new(site(&source).remember_identities(10, Duration::from_nanos(1)))
            .unwrap();
    let service = layer.layer(Upstream::secured_by(&source));
    assert!(send(&service, get_as("alice")).await.is_clean());
    assert!(layer.handle().sites()[0].sessions().is_empty());
    assert!(send(&service, get_as("alice")).await.is_clean());
    assert_eq!(source.attempts_of("alice"), 2);
}

#[tokio::test(start_paused = true)]
async fn an_identity_whose_time_ends_during_its_login_is_evicted_after_it() {
    let source = TokenService::new().takes(SECOND);
    let site = site(&source).remember_identities(10, Duration::from_nanos(1));
    let layer = ArcgisAuthLayer::try_new(site).unwrap();
    let service = layer.layer(Upstream::secured_by(&source));
    let handle = layer.handle().sites().remove(0);
    let looking = async {
        sleep(SECOND / 2).await;
        handle.sessions();
    };
    tokio::join!(send(&service, get_as("alice")), looking);
    assert!(handle.sessions().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_request_under_way_is_served_though_its_session_is_evicted() {
    let source = TokenService::new().takes(SECOND);
    let layer = ArcgisAuthLayer::try_new(site(&source).remember_identities(1, HOUR)).unwrap();
    let service = layer.layer(Upstream::secured_by(&source));
    let handle = layer.handle().sites().remove(0);
    let evicting = async {
        sleep(SECOND / 2).await;
        let bob = Identity::from("bob");
        handle.renew_identity(&bob).await.unwrap();
        assert_eq!(handle.sessions().len(), 1);
    };
    let (under_way, ()) = tokio::join!(send(&service, get_as("alice")), evicting);
    assert!(under_way.is_clean());
    // With its session its token is gone.
    assert!(send(&service, get_as("alice")).await.is_clean());
    assert_eq!(source.attempts_of("alice"), 2);
}
