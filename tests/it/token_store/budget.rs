//! How many logins challenges may cause: twenty at once, then one every thirty seconds.

use std::time::Duration;

use futures_util::future::join_all;
use http::{Method, StatusCode};
use tokio::{
    task::JoinHandle,
    time::{Instant, advance, sleep},
};
use tower::Layer;
use tower_arcgis_auth::{ArcgisAuthLayer, SkipReason};

use crate::support::{
    CLEAN, INVALID, MINUTE, ROADS, Reply, SECOND, TokenService, Upstream, answer, get, map_server,
    over, send, site, token_of,
};

/// Logins that challenges may cause at once.
const MOST: usize = 20;
/// Until they may cause one more.
const EVERY: Duration = Duration::from_secs(30);

fn new_service(number: usize) -> String {
    map_server(&format!("S{number}"))
}

/// Until the task is aborted, or ended by itself after so many times.
fn revoke_twice_a_second(source: &TokenService, times: usize) -> JoinHandle<()> {
    let source = source.clone();
    tokio::spawn(async move {
        for _ in 0..times {
            sleep(SECOND / 2).await;
            source.revoke_all();
        }
    })
}

#[tokio::test(start_paused = true)]
async fn challenges_cause_twenty_logins_at_once_and_the_next_one_is_returned_with_the_reason() {
    let source = TokenService::new();
    let upstream = Upstream::secured_by(&source);
    let layer = ArcgisAuthLayer::try_new(site(&source)).unwrap();
    let service = layer.layer(upstream.clone());
    assert!(send(&service, get(ROADS)).await.is_clean());
    for _ in 0..MOST {
        source.revoke_all();
        assert!(send(&service, get(ROADS)).await.is_clean());
    }
    assert_eq!(
        source.attempts(),
        1 + MOST,
        "the first login does not count"
    );
    let session = layer.handle().sites()[0].sessions().remove(0);
    assert_eq!(session.logins_left(), 0);

    source.revoke_all();
    let before = upstream.count();
    let spent = send(&service, get(ROADS)).await;
    assert_eq!(spent.body, INVALID);
    assert!(!spent.outcome.resent());
    assert!(matches!(
        spent.outcome.skip_reason(),
        Some(SkipReason::LoginBudgetSpent)
    ));
    assert_eq!(upstream.count(), before + 1);

    advance(EVERY - Duration::from_millis(1)).await;
    assert!(!send(&service, get(ROADS)).await.is_clean());
    advance(Duration::from_millis(1)).await;
    assert!(send(&service, get(ROADS)).await.is_clean());
    source.revoke_all();
    assert!(
        !send(&service, get(ROADS)).await.is_clean(),
        "one, and no more"
    );
}

#[tokio::test(start_paused = true)]
async fn a_server_that_takes_no_token_costs_one_login_in_thirty_seconds_whatever_the_paths() {
    let source = TokenService::new().answering(Reply::Useless);
    let service = over(Upstream::secured_by(&source), &source);

    // Ten requests a second to ever new services, for an hour.
    for number in 0..36_000 {
        send(&service, get(&new_service(number))).await;
        advance(Duration::from_millis(100)).await;
    }
    assert_eq!(source.attempts(), MOST + 120);

    // A token that works is got within thirty seconds.
    source.always(Reply::Token);
    let recovered = Instant::now();
    while !send(&service, get(ROADS)).await.is_clean() {
        advance(SECOND).await;
    }
    assert!(recovered.elapsed() <= EVERY);
}

#[tokio::test(start_paused = true)]
async fn a_revocation_heals_within_thirty_seconds_though_the_budget_is_spent() {
    let source = TokenService::new();
    let upstream = Upstream::secured_by(&source).refusing("Secret");
    let service = over(upstream, &source);
    assert!(send(&service, get(ROADS)).await.is_clean());
    for number in 0..2 * MOST {
        let secret = format!("http://gis.test/arcgis/rest/services/Secret/x{number}");
        assert!(!send(&service, get(&secret)).await.is_clean());
        assert!(send(&service, get(ROADS)).await.is_clean(), "others go on");
    }
    assert_eq!(source.attempts(), 1 + MOST);

    source.revoke_all();
    let revoked = Instant::now();
    while !send(&service, get(ROADS)).await.is_clean() {
        advance(SECOND).await;
    }
    assert!(revoked.elapsed() <= EVERY);
}

#[tokio::test(start_paused = true)]
async fn answers_of_no_use_do_not_refund_logins() {
    for is_head in [true, false] {
        let source = TokenService::new().answering(Reply::Useless);
        let upstream = Upstream::secured_by(&source).except("Down", |request| {
            let mut other = answer("");
            if request.method != Method::HEAD {
                *other.status_mut() = StatusCode::BAD_GATEWAY;
            }
            other
        });
        let service = over(upstream, &source);
        for number in 0..1000 {
            send(&service, get(&new_service(number))).await;
            let mut other = get(&map_server("Down"));
            if is_head {
                *other.method_mut() = Method::HEAD;
            }
            send(&service, other).await;
            advance(Duration::from_millis(100)).await;
        }
        // A hundred seconds.
        assert_eq!(source.attempts(), 1 + MOST + 3);
    }
}

#[tokio::test(start_paused = true)]
async fn logins_ahead_of_expiry_and_after_it_and_by_the_handle_do_not_count() {
    let lifetime = Duration::from_secs(60 * 60);
    let source = TokenService::new().lifetime(lifetime);
    let layer = ArcgisAuthLayer::try_new(site(&source)).unwrap();
    let service = layer.layer(Upstream::secured_by(&source));
    let handle = layer.handle().sites().remove(0);
    for round in 0..3 * MOST {
        match round % 3 {
            0 => drop(handle.renew().await.unwrap()),
            1 => advance(lifetime - MINUTE).await,
            _ => advance(2 * lifetime).await,
        }
        tokio::task::yield_now().await;
        assert!(send(&service, get(ROADS)).await.is_clean());
        tokio::task::yield_now().await;
    }
    assert!(source.attempts() > 2 * MOST);
    assert_eq!(handle.sessions()[0].logins_left(), 20);
}

#[tokio::test(start_paused = true)]
async fn forced_renewals_leave_the_budget_to_challenges() {
    let source = TokenService::new();
    let layer = ArcgisAuthLayer::try_new(site(&source)).unwrap();
    let service = layer.layer(Upstream::secured_by(&source));
    let handle = layer.handle().sites().remove(0);
    // All night long, without a request.
    for _ in 0..12 {
        handle.renew().await.unwrap();
        advance(600 * SECOND).await;
    }
    source.revoke_all();
    assert!(send(&service, get(ROADS)).await.is_clean());
}

#[tokio::test(start_paused = true)]
async fn tokens_revoked_twice_a_second_under_load_are_replaced() {
    let source = TokenService::new().takes(Duration::from_millis(30));
    let service = over(Upstream::secured_by(&source), &source);
    let revoking = revoke_twice_a_second(&source, usize::MAX);
    let load = join_all((0..50).map(|worker| {
        let service = service.clone();
        async move {
            for turn in 0..200u64 {
                sleep(Duration::from_millis(20 + (worker * 7 + turn * 13) % 40)).await;
                assert!(send(&service, get(ROADS)).await.is_clean());
            }
        }
    }));
    load.await;
    revoking.abort();
    assert!(source.attempts() >= 10, "{} logins", source.attempts());
}

#[tokio::test(start_paused = true)]
async fn tokens_revoked_before_a_slow_service_answers_are_replaced() {
    let source = TokenService::new().takes(Duration::from_millis(30));
    let tokens = source.tokens();
    // Whether a token is good is settled at once, and said later.
    let upstream = Upstream::slow(move |request| {
        let is_clean = token_of(request).is_some_and(|token| tokens.contains(&token));
        async move {
            if is_clean {
                sleep(Duration::from_millis(900)).await;
            }
            answer(if is_clean { CLEAN } else { INVALID })
        }
    });
    let service = over(upstream, &source);
    let revoking = revoke_twice_a_second(&source, MOST);
    let load = join_all((0..50u64).map(|worker| {
        let service = service.clone();
        async move {
            sleep(Duration::from_millis(worker * 37)).await;
            for turn in 0..15u64 {
                sleep(Duration::from_millis(20 + (worker * 7 + turn * 13) % 40)).await;
                let got = send(&service, get(ROADS)).await;
                assert!(got.is_clean(), "{}", got.outcome);
            }
        }
    }));
    load.await;
    revoking.await.unwrap();
    assert!(source.attempts() > MOST / 2, "{} logins", source.attempts());
}

#[tokio::test(start_paused = true)]
async fn tokens_of_no_life_do_not_cost_a_login_a_request() {
    for lifetime in [Duration::ZERO, Duration::from_millis(999)] {
        let source = TokenService::new().lifetime(lifetime);
        let service = over(Upstream::secured_by(&source), &source);
        for _ in 0..50 {
            assert!(send(&service, get(ROADS)).await.is_clean());
            advance(2 * SECOND).await;
        }
        assert_eq!(source.attempts(), 1, "{lifetime:?}");
    }
}
