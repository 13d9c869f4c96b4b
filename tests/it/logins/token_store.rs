//! What is remembered of logins, and for how long.

use crate::support;
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use crate::support::{
    REQUIRED, ROADS, ROOT, Scripted, Source, Upstream, answer, assert_login_refused, get, over,
    send,
};
use http::{HeaderValue, Method, StatusCode};
use tokio::time::{Instant, advance};
use tower::Layer;
use tower_arcgis_auth::{ArcgisAuthLayer, Site, TokenReason, token_source_fn};

const MINUTE: Duration = Duration::from_secs(60);

fn secured() -> (Source, Upstream) {
    let source = Source::new();
    let fake = Upstream::secured(&source.valid);
    (source, fake)
}

#[tokio::test(start_paused = true)]
async fn a_wrong_password_is_tried_once_and_not_per_request() {
    let (source, fake) = secured();
    source.always(Some(Scripted::Refuse));
    let service = over(fake.clone(), &source);

    for _ in 0..100 {
        let answer = send(&service, get(ROADS)).await;
        assert_eq!(answer.body, REQUIRED);
        assert_login_refused(answer.outcome.skip_reason());
    }
    assert_eq!(source.logins(), 1);
    assert_eq!(fake.count(), 100, "nothing is sent twice");
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_remembered_for_fifteen_minutes() {
    let (source, fake) = secured();
    source.next(Scripted::Refuse);
    let service = over(fake, &source);
    send(&service, get(ROADS)).await;

    advance(15 * MINUTE - Duration::from_secs(1)).await;
    assert_eq!(send(&service, get(ROADS)).await.body, REQUIRED);
    assert_eq!(source.logins(), 1);

    advance(Duration::from_secs(2)).await;
    assert!(send(&service, get(ROADS)).await.is_clean());
    assert_eq!(source.logins(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_broken_token_service_is_left_alone_longer_and_longer() {
    let (source, fake) = secured();
    source.always(Some(Scripted::Fault));
    let service = over(fake, &source);

    // A request every tenth of a second for an hour.
    for _ in 0..36_000 {
        send(&service, get(ROADS)).await;
        advance(Duration::from_millis(100)).await;
    }
    // 1, 2, 4 … 64 seconds, then two minutes at most, each cut by up to half: 7 + 30 to 7 + 60.
    assert!(
        (30..=70).contains(&source.logins()),
        "{} logins",
        source.logins()
    );
}

#[tokio::test(start_paused = true)]
async fn a_token_service_that_was_down_for_a_moment_heals_within_seconds() {
    let (source, fake) = secured();
    source.next(Scripted::Fault);
    source.next(Scripted::Fault);
    let service = over(fake, &source);
    let begun = tokio::time::Instant::now();
    while !send(&service, get(ROADS)).await.is_clean() {
        advance(Duration::from_millis(100)).await;
    }
    assert!(begun.elapsed() < Duration::from_secs(4));
    assert_eq!(source.logins(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_token_service_that_was_down_for_hours_heals_within_two_minutes() {
    let (source, fake) = secured();
    source.always(Some(Scripted::Fault));
    let service = over(fake, &source);
    for _ in 0..2_000 {
        send(&service, get(ROADS)).await;
        advance(Duration::from_secs(5)).await;
    }
    source.always(None);
    let recovered = tokio::time::Instant::now();
    while !send(&service, get(ROADS)).await.is_clean() {
        advance(Duration::from_secs(1)).await;
    }
    assert!(recovered.elapsed() <= 2 * MINUTE);
}

#[tokio::test(start_paused = true)]
async fn a_token_near_its_end_still_signs_while_the_next_is_fetched() {
    let source = Source::new()
        .lifetime(60 * MINUTE)
        .takes(Duration::from_millis(10));
    let fake = Upstream::secured(&source.valid);
    let service = over(fake.clone(), &source);
    send(&service, get(ROADS)).await;
    let before = fake.count();

    advance(56 * MINUTE).await;
    tokio::task::yield_now().await;
    let answer = send(&service, get(ROADS)).await;
    assert!(answer.is_clean());
    assert!(!answer.outcome.resent());
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert_eq!(
        source.reasons(),
        [TokenReason::Missing, TokenReason::Expiring]
    );
    send(&service, get(ROADS)).await;

    assert_eq!(
        fake.tokens()[before..],
        [Some("secret-1".into()), Some("secret-2".into())]
    );
}

#[tokio::test(start_paused = true)]
async fn a_failed_renewal_does_not_displace_a_token_that_works() {
    let source = Source::new().lifetime(60 * MINUTE);
    let service = over(Upstream::secured(&source.valid), &source);
    send(&service, get(ROADS)).await;
    source.always(Some(Scripted::Fault));

    advance(56 * MINUTE).await;
    tokio::task::yield_now().await;
    for _ in 0..50 {
        let answer = send(&service, get(ROADS)).await;
        assert!(answer.is_clean());
        assert!(!answer.outcome.resent());
        tokio::task::yield_now().await;
    }
    assert_eq!(source.logins(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_token_past_its_end_is_not_sent() {
    let source = Source::new().lifetime(60 * MINUTE);
    let fake = Upstream::secured(&source.valid);
    let service = over(fake.clone(), &source);
    send(&service, get(ROADS)).await;
    let before = fake.count();

    advance(61 * MINUTE).await;
    tokio::task::yield_now().await;
    let answer = send(&service, get(ROADS)).await;

    assert!(answer.is_clean());
    assert!(!answer.outcome.resent(), "the login came first");
    assert_eq!(fake.tokens()[before..], [Some("secret-2".into())]);
    assert_eq!(source.reasons()[1], TokenReason::Expired);
}

#[tokio::test(start_paused = true)]
async fn a_token_past_its_end_is_tried_where_no_login_gives_a_better_one() {
    let source = Source::new().lifetime(60 * MINUTE);
    let service = over(Upstream::secured(&source.valid), &source);
    assert!(send(&service, get(ROADS)).await.is_clean());
    source.always(Some(Scripted::Refuse));
    advance(61 * MINUTE).await;
    tokio::task::yield_now().await;
    for _ in 0..2 {
        let answer = send(&service, get(ROADS)).await;
        assert!(answer.is_clean(), "{}", answer.outcome);
    }
    assert_eq!(source.logins(), 2);
}

#[tokio::test(start_paused = true)]
async fn any_answer_but_a_challenge_and_a_servers_error_proves_the_token() {
    for (status, header, is_proven) in [
        (200, None, true),
        (204, None, true),
        (206, Some(("content-range", "bytes 0-1/2")), true),
        (302, Some(("location", "/arcgis/rest/services")), true),
        (304, None, true),
        (400, None, true),
        (404, None, true),
        (401, Some(("www-authenticate", "Negotiate")), false),
        (500, None, false),
        (502, None, false),
        (503, None, false),
    ] {
        for method in [Method::GET, Method::HEAD] {
            let source = Source::new();
            let fake = Upstream::new(move |_| {
                let mut answer = answer("");
                *answer.status_mut() = StatusCode::from_u16(status).unwrap();
                if let Some((name, value)) = header {
                    answer
                        .headers_mut()
                        .insert(name, HeaderValue::from_static(value));
                }
                answer
            });
            let layer = ArcgisAuthLayer::try_new(support::site(&source)).unwrap();
            let handle = layer.handle().sites().remove(0);
            assert!(!handle.renew().await.unwrap().is_proven());
            let mut request = get(ROADS);
            *request.method_mut() = method;
            send(&layer.layer(fake), request).await;
            let session = handle.sessions().remove(0);
            assert_eq!(session.token().unwrap().is_proven(), is_proven, "{status}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn tokens_of_a_few_seconds_are_not_renewed_all_the_time() {
    let source = Source::new().lifetime(Duration::from_secs(10));
    let service = over(Upstream::secured(&source.valid), &source);
    for _ in 0..1000 {
        assert!(send(&service, get(ROADS)).await.is_clean());
        advance(Duration::from_millis(100)).await;
        tokio::task::yield_now().await;
    }
    // A hundred seconds of tokens renewed after five.
    assert!(
        (10..=25).contains(&source.logins()),
        "{} logins",
        source.logins()
    );
}

#[tokio::test(start_paused = true)]
async fn a_token_of_unknown_lifetime_is_used_until_a_server_refuses_it() {
    let (source, fake) = secured();
    let service = over(fake, &source);
    send(&service, get(ROADS)).await;
    advance(30 * 24 * 60 * MINUTE).await;
    assert!(send(&service, get(ROADS)).await.is_clean());
    assert_eq!(source.logins(), 1);
}

#[tokio::test(start_paused = true)]
async fn clones_and_services_of_one_layer_share_the_token() {
    use tower::Layer;
    let source = Source::new();
    let fake = Upstream::secured(&source.valid);
    let layer = tower_arcgis_auth::ArcgisAuthLayer::try_new(support::site(&source)).unwrap();
    for _ in 0..5 {
        let service = layer.clone().layer(fake.clone());
        assert!(send(&service, get(ROADS)).await.is_clean());
    }
    assert_eq!(source.logins(), 1);
}

#[test]
fn without_a_runtime_a_challenge_goes_up_with_the_reason() {
    let (source, fake) = secured();
    let service = over(fake, &source);
    let answer = futures_util::FutureExt::now_or_never(send(&service, get(ROADS))).unwrap();
    assert_eq!(answer.body, REQUIRED);
    let skip_reason = answer.outcome.skip_reason().unwrap().to_string();
    assert!(skip_reason.contains("runtime"), "{skip_reason}");
}

#[tokio::test(start_paused = true)]
async fn logins_without_an_answer_may_have_been_counted_and_are_at_most_four_in_15_minutes() {
    let window = Duration::from_secs(15 * 60);
    let attempts = Arc::new(Mutex::new(Vec::new()));
    let log = attempts.clone();
    let never = token_source_fn(move |request: tower_arcgis_auth::TokenRequest| {
        let log = log.clone();
        async move {
            let mut attempt = request.login_attempt(ROOT, "ada", "secret").await?;
            attempt.sent();
            log.lock().unwrap().push(Instant::now());
            std::future::pending().await
        }
    });
    let layer = ArcgisAuthLayer::try_new(Site::new(ROOT).token_source(never)).unwrap();
    let service = layer.layer(Upstream::new(|_| answer(REQUIRED)));
    let started = Instant::now();
    while started.elapsed() < 4 * window {
        send(&service, get(ROADS)).await;
        advance(Duration::from_secs(1)).await;
    }
    let attempts = attempts.lock().unwrap().clone();
    for five in attempts.windows(5) {
        assert!(five[4] - five[0] >= window);
    }
    assert!(
        attempts.len() > 12,
        "and it is tried again: {}",
        attempts.len()
    );
}
