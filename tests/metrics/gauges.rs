//! Gauges: requests that wait, the login budget, and when the token was got and expires.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::{advance, sleep};
use tower::Layer;
use tower_arcgis_auth::{ArcgisAuthLayer, Identity};

use crate::{
    recorder::Recorded,
    support::{
        MINUTE, REQUIRED, ROADS, SECOND, TokenService, Upstream, get, get_as, identity_in_header,
        map_server, over, send, site,
    },
};

const WAITING: &str = "arcgis_auth_requests_waiting";
const BUDGET: &str = "arcgis_auth_login_budget_remaining";
const OBTAINED: &str = "arcgis_auth_token_obtained_timestamp_seconds";
const EXPIRY: &str = "arcgis_auth_token_expiry_timestamp_seconds";
/// Until challenges may cause one login more.
const EVERY: Duration = Duration::from_secs(30);

/// Lets every task go on until it waits.
async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn requests_that_wait_for_one_login_are_counted_until_it_ends() {
    let recorded = Recorded::new();
    let _here = recorded.here();
    let source = TokenService::new().holding();
    let service = over(Upstream::secured_by(&source), &source);
    assert_eq!(recorded.gauge(WAITING), Some(0.0));
    let mut waiters: Vec<_> = (0..50)
        .map(|_| {
            let service = service.clone();
            tokio::spawn(async move { send(&service, get(ROADS)).await })
        })
        .collect();
    source.begun().await;
    settle().await;
    assert_eq!(recorded.gauge(WAITING), Some(50.0));

    // One hangs up.
    let gone = waiters.pop().unwrap();
    gone.abort();
    assert!(gone.await.is_err());
    assert_eq!(recorded.gauge(WAITING), Some(49.0));

    source.release(1);
    for got in join_all(waiters).await {
        assert!(got.unwrap().is_clean());
    }
    assert_eq!(recorded.gauge(WAITING), Some(0.0));
    assert_eq!(
        recorded.counts("arcgis_auth_logins_total"),
        [("succeeded".into(), 1)]
    );
}

#[tokio::test(start_paused = true)]
async fn a_request_that_waits_before_its_first_sending_is_counted_too() {
    let recorded = Recorded::new();
    let _here = recorded.here();
    let source = TokenService::new().holding();
    let layer = ArcgisAuthLayer::try_new(site(&source).login_first(true)).unwrap();
    let service = layer.layer(Upstream::secured_by(&source));
    let waits = tokio::spawn(async move { send(&service, get(ROADS)).await });
    source.begun().await;
    settle().await;
    assert_eq!(recorded.gauge(WAITING), Some(1.0));
    source.release(1);
    assert!(waits.await.unwrap().is_clean());
    assert_eq!(recorded.gauge(WAITING), Some(0.0));
}

#[tokio::test(start_paused = true)]
async fn a_recorder_that_comes_late_sees_no_request_leave_that_it_did_not_see_come() {
    let source = TokenService::new().holding();
    let service = over(Upstream::secured_by(&source), &source);
    let waits = tokio::spawn(async move { send(&service, get(ROADS)).await });
    source.begun().await;
    settle().await;
    let recorded = Recorded::new();
    let _here = recorded.here();
    source.release(1);
    assert!(waits.await.unwrap().is_clean());
    assert_eq!(recorded.gauge(WAITING), None);
    assert_eq!(
        recorded.counts("arcgis_auth_logins_total"),
        [("succeeded".into(), 1)]
    );
}

#[tokio::test(start_paused = true)]
async fn the_login_budget_runs_out_and_fills_up_by_itself() {
    let recorded = Recorded::new();
    let _here = recorded.here();
    let source = TokenService::new();
    let service = over(Upstream::secured_by(&source), &source);
    send(&service, get(ROADS)).await;
    assert_eq!(
        recorded.gauge(BUDGET),
        Some(20.0),
        "the first login does not count"
    );
    for left in (0..20).rev() {
        source.revoke_all();
        assert!(send(&service, get(ROADS)).await.is_clean());
        assert_eq!(recorded.gauge(BUDGET), Some(f64::from(left)));
    }
    source.revoke_all();
    assert!(!send(&service, get(ROADS)).await.is_clean());
    assert_eq!(recorded.gauge(BUDGET), Some(0.0));

    // Nothing happens but that time passes.
    for left in 1..=20 {
        advance(EVERY - SECOND).await;
        settle().await;
        assert_eq!(recorded.gauge(BUDGET), Some(f64::from(left - 1)));
        advance(SECOND).await;
        settle().await;
        assert_eq!(recorded.gauge(BUDGET), Some(f64::from(left)));
    }
    sleep(60 * MINUTE).await;
    assert_eq!(recorded.gauge(BUDGET), Some(20.0));
}

#[tokio::test(start_paused = true)]
async fn the_login_budget_is_that_of_the_identity_with_the_least() {
    let recorded = Recorded::new();
    let _here = recorded.here();
    let source = TokenService::new();
    let site = site(&source).identity_fn(identity_in_header);
    let service = ArcgisAuthLayer::try_new(site)
        .unwrap()
        .layer(Upstream::secured_by(&source));
    for name in ["ada", "ada", "ada", "bob", "bob"] {
        source.revoke_all();
        send(&service, get_as(name)).await;
    }
    assert_eq!(recorded.gauge(BUDGET), Some(18.0));
}

#[tokio::test(start_paused = true)]
async fn a_token_says_when_it_was_got_and_when_it_expires() {
    let recorded = Recorded::new();
    let _here = recorded.here();
    let source = TokenService::new().lifetime(60 * MINUTE);
    let service = over(Upstream::secured_by(&source), &source);
    assert_eq!(recorded.gauge(OBTAINED), None, "no token, no point in time");

    send(&service, get(ROADS)).await;

    let obtained = recorded.gauge(OBTAINED).unwrap();
    // Long after 1970, in seconds and not in milliseconds.
    assert!((1.5e9..1e11).contains(&obtained), "{obtained}");
    let lifetime = recorded.gauge(EXPIRY).unwrap() - obtained;
    assert!((lifetime - 3600.0).abs() < 0.001, "{lifetime}");
}

#[tokio::test(start_paused = true)]
async fn a_token_of_unknown_lifetime_never_expires() {
    let recorded = Recorded::new();
    let _here = recorded.here();
    let source = TokenService::new();
    let service = over(Upstream::secured_by(&source), &source);
    send(&service, get(ROADS)).await;
    assert_eq!(recorded.gauge(EXPIRY), Some(f64::INFINITY));
}

#[tokio::test(start_paused = true)]
async fn after_a_sign_out_there_is_no_token() {
    let recorded = Recorded::new();
    let _here = recorded.here();
    let source = TokenService::new().lifetime(60 * MINUTE);
    let layer = ArcgisAuthLayer::try_new(site(&source)).unwrap();
    let service = layer.layer(Upstream::secured_by(&source));
    send(&service, get(ROADS)).await;

    layer.handle().sign_out().await.unwrap();
    assert!(recorded.gauge(OBTAINED).unwrap().is_nan());
    assert!(recorded.gauge(EXPIRY).unwrap().is_nan());

    send(&service, get(ROADS)).await;
    assert!(recorded.gauge(EXPIRY).unwrap().is_finite());
}

#[tokio::test(start_paused = true)]
async fn one_identitys_sign_out_leaves_the_others_token() {
    let recorded = Recorded::new();
    let _here = recorded.here();
    let source = TokenService::new().lifetime(60 * MINUTE);
    let site = site(&source).identity_fn(identity_in_header);
    let layer = ArcgisAuthLayer::try_new(site).unwrap();
    let service = layer.layer(Upstream::secured_by(&source));
    for name in ["ada", "bob"] {
        assert!(send(&service, get_as(name)).await.is_clean());
    }
    let handle = layer.handle().sites().remove(0);
    handle
        .sign_out_identity(&Identity::from("ada"))
        .await
        .unwrap();
    assert!(recorded.gauge(OBTAINED).unwrap().is_finite());
    assert_eq!(recorded.count("arcgis_auth_sign_outs_total", ""), 1);
}

#[tokio::test(start_paused = true)]
async fn nothing_waits_where_no_login_is_made() {
    let recorded = Recorded::new();
    let _here = recorded.here();
    let service = over(Upstream::saying(REQUIRED), &TokenService::new());
    for number in 0..3 {
        send(&service, get(&map_server(&format!("S{number}")))).await;
        send(&service, get(&map_server(&format!("S{number}")))).await;
    }
    assert_eq!(recorded.gauge(WAITING), Some(0.0));
}
