//! How many logins challenges may cause: twenty at once, then one every thirty seconds.

use std::{convert::Infallible, time::Duration};

use crate::support::{
    CLEAN, INVALID, REQUIRED, ROADS, Scripted, Source, Upstream, answer, get, over, send, site,
    token_of,
};
use bytes::Bytes;
use futures_util::future::join_all;
use http::{Method, Request, StatusCode};
use http_body_util::Full;
use tokio::time::advance;
use tower::{Layer, service_fn};
use tower_arcgis_auth::{ArcgisAuthLayer, ReplayBody, SkipReason};

/// Logins that challenges may cause at once.
const MOST: usize = 20;
/// Until they may cause one more.
const EVERY: Duration = Duration::from_secs(30);

fn new_service(number: usize) -> String {
    format!("http://gis.test/arcgis/rest/services/S{number}/MapServer")
}

#[tokio::test(start_paused = true)]
async fn challenges_cause_twenty_logins_at_once_and_the_next_one_is_returned_with_the_reason() {
    let source = Source::new();
    let fake = Upstream::secured(&source.valid);
    let layer = ArcgisAuthLayer::try_new(site(&source)).unwrap();
    let service = layer.layer(fake.clone());
    assert!(send(&service, get(ROADS)).await.is_clean());
    for _ in 0..MOST {
        source.valid.revoke_all();
        assert!(send(&service, get(ROADS)).await.is_clean());
    }
    assert_eq!(source.logins(), 1 + MOST, "the first login does not count");
    let session = layer.handle().sites()[0].sessions().remove(0);
    assert_eq!(session.logins_left(), 0);

    source.valid.revoke_all();
    let before = fake.count();
    let spent = send(&service, get(ROADS)).await;
    assert_eq!(spent.body, INVALID);
    assert!(!spent.outcome.resent());
    assert!(matches!(
        spent.outcome.skip_reason(),
        Some(SkipReason::LoginBudgetSpent)
    ));
    assert_eq!(fake.count(), before + 1);

    advance(EVERY - Duration::from_millis(1)).await;
    assert!(!send(&service, get(ROADS)).await.is_clean());
    advance(Duration::from_millis(1)).await;
    assert!(send(&service, get(ROADS)).await.is_clean());
    source.valid.revoke_all();
    assert!(
        !send(&service, get(ROADS)).await.is_clean(),
        "one, and no more"
    );
}

#[tokio::test(start_paused = true)]
async fn a_server_that_takes_no_token_costs_one_login_in_thirty_seconds_whatever_the_paths() {
    let source = Source::new();
    source.always(Some(Scripted::Useless));
    let service = over(Upstream::secured(&source.valid), &source);

    // Ten requests a second to ever new services, for an hour.
    for number in 0..36_000 {
        send(&service, get(&new_service(number))).await;
        advance(Duration::from_millis(100)).await;
    }
    assert_eq!(source.logins(), MOST + 120);

    // A token that works is got within thirty seconds.
    source.always(None);
    let recovered = tokio::time::Instant::now();
    while !send(&service, get(ROADS)).await.is_clean() {
        advance(Duration::from_secs(1)).await;
    }
    assert!(recovered.elapsed() <= EVERY);
}

#[tokio::test(start_paused = true)]
async fn a_revocation_heals_within_thirty_seconds_though_the_budget_is_spent() {
    let source = Source::new();
    let valid = source.valid.clone();
    let fake = Upstream::new(move |request| match token_of(request) {
        Some(token) if !valid.contains(&token) => answer(INVALID),
        Some(_) if !request.uri.path().contains("Secret") => answer(CLEAN),
        _ => answer(REQUIRED),
    });
    let service = over(fake, &source);
    assert!(send(&service, get(ROADS)).await.is_clean());
    for number in 0..2 * MOST {
        let secret = format!("http://gis.test/arcgis/rest/services/Secret/x{number}");
        assert!(!send(&service, get(&secret)).await.is_clean());
        assert!(send(&service, get(ROADS)).await.is_clean(), "others go on");
    }
    assert_eq!(source.logins(), 1 + MOST);

    source.valid.revoke_all();
    let revoked = tokio::time::Instant::now();
    while !send(&service, get(ROADS)).await.is_clean() {
        advance(Duration::from_secs(1)).await;
    }
    assert!(revoked.elapsed() <= EVERY);
}

#[tokio::test(start_paused = true)]
async fn answers_of_no_use_do_not_refund_logins() {
    for is_head in [true, false] {
        let source = Source::new();
        source.always(Some(Scripted::Useless));
        let secured = Upstream::secured(&source.valid);
        let fake = Upstream::new(move |request| {
            let mut other = answer("");
            if request.method == Method::HEAD {
                return other;
            }
            if request.uri.path().contains("Down") {
                *other.status_mut() = StatusCode::BAD_GATEWAY;
                return other;
            }
            secured.answer(request)
        });
        let service = over(fake, &source);
        for number in 0..1000 {
            send(&service, get(&new_service(number))).await;
            let mut other = get(&ROADS.replace("Roads", "Down"));
            if is_head {
                *other.method_mut() = Method::HEAD;
            }
            send(&service, other).await;
            advance(Duration::from_millis(100)).await;
        }
        // A hundred seconds.
        assert_eq!(source.logins(), 1 + MOST + 3);
    }
}

#[tokio::test(start_paused = true)]
async fn logins_ahead_of_expiry_and_after_it_and_by_the_handle_do_not_count() {
    let lifetime = Duration::from_secs(60 * 60);
    let source = Source::new().lifetime(lifetime);
    let layer = ArcgisAuthLayer::try_new(site(&source)).unwrap();
    let service = layer.layer(Upstream::secured(&source.valid));
    let handle = layer.handle().sites().remove(0);
    for round in 0..3 * MOST {
        match round % 3 {
            0 => drop(handle.renew().await.unwrap()),
            1 => advance(lifetime - Duration::from_secs(60)).await,
            _ => advance(2 * lifetime).await,
        }
        tokio::task::yield_now().await;
        assert!(send(&service, get(ROADS)).await.is_clean());
        tokio::task::yield_now().await;
    }
    assert!(source.logins() > 2 * MOST);
    assert_eq!(handle.sessions()[0].logins_left(), 20);
}

#[tokio::test(start_paused = true)]
async fn tokens_revoked_twice_a_second_under_load_end_well() {
    let source = Source::new().takes(Duration::from_millis(30));
    let service = over(Upstream::secured(&source.valid), &source);
    let revoking = {
        let valid = source.valid.clone();
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_millis(500)).await;
                valid.revoke_all();
            }
        })
    };
    let load = join_all((0..50).map(|worker| {
        let service = service.clone();
        async move {
            for turn in 0..200u64 {
                tokio::time::sleep(Duration::from_millis(20 + (worker * 7 + turn * 13) % 40)).await;
                assert!(send(&service, get(ROADS)).await.is_clean());
            }
        }
    }));
    load.await;
    revoking.abort();
    assert!(source.logins() >= 10, "{} logins", source.logins());
}

#[tokio::test(start_paused = true)]
async fn tokens_revoked_before_a_slow_service_answers_end_well() {
    let source = Source::new().takes(Duration::from_millis(30));
    let valid = source.valid.clone();
    let inner = service_fn(move |request: Request<ReplayBody<Full<Bytes>>>| {
        let (head, _) = request.into_parts();
        let is_clean = token_of(&head).is_some_and(|token| valid.contains(&token));
        async move {
            if is_clean {
                tokio::time::sleep(Duration::from_millis(900)).await;
            }
            Ok::<_, Infallible>(answer(if is_clean { CLEAN } else { INVALID }))
        }
    });
    let service = over(inner, &source);
    let revoking = {
        let valid = source.valid.clone();
        tokio::spawn(async move {
            for _ in 0..MOST {
                tokio::time::sleep(Duration::from_millis(500)).await;
                valid.revoke_all();
            }
        })
    };
    let load = join_all((0..50u64).map(|worker| {
        let service = service.clone();
        async move {
            tokio::time::sleep(Duration::from_millis(worker * 37)).await;
            for turn in 0..15u64 {
                tokio::time::sleep(Duration::from_millis(20 + (worker * 7 + turn * 13) % 40)).await;
                let answer = send(&service, get(ROADS)).await;
                assert!(answer.is_clean(), "{}", answer.outcome);
            }
        }
    }));
    load.await;
    revoking.await.unwrap();
    assert!(source.logins() > MOST / 2, "{} logins", source.logins());
}
