//! What is remembered of logins, and for how long.

use crate::support;
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use crate::support::{
    Fake, REQUIRED, ROADS, ROOT, Scripted, Source, answer, get, over, send, token_of,
};
use futures_util::future::join_all;
use tokio::time::{Instant, advance};
use tower::Layer;
use tower_arcgis_auth::{
    ArcgisAuthLayer, Challenge, Site, SkipReason, TokenReason, token_source_fn,
};

const MINUTE: Duration = Duration::from_secs(60);

fn secured() -> (Source, Fake) {
    let source = Source::new();
    let fake = Fake::secured(&source.valid);
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
        assert!(matches!(
            answer.outcome.skip_reason(),
            Some(SkipReason::LoginRefused(_))
        ));
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
async fn a_service_that_refuses_the_account_costs_two_sendings_then_one() {
    let source = Source::new();
    let valid = source.valid.clone();
    let fake = Fake::new(move |request| {
        let refuses = request.uri.path().contains("/Secret/");
        match token_of(request) {
            Some(token) if valid.contains(&token) && !refuses => answer(support::CLEAN),
            _ => answer(REQUIRED),
        }
    });
    let service = over(fake.clone(), &source);
    let secret = "http://gis.test/arcgis/rest/services/Secret/MapServer/3/query?f=json";
    let elsewhere = "http://gis.test/arcgis/rest/services/Secret/MapServer/7?f=json";
    assert!(send(&service, get(ROADS)).await.is_clean());
    let before = fake.count();

    let first = send(&service, get(secret)).await;
    assert!(first.outcome.resent());
    assert_eq!(
        first.outcome.returned_challenge(),
        Some(Challenge::TokenRequired)
    );
    assert_eq!(fake.count() - before, 2);
    let logins = source.logins();
    assert_eq!(logins, 2, "some servers say 499 for a dead token");

    for uri in [secret, elsewhere, secret] {
        let again = send(&service, get(uri)).await;
        assert!(!again.outcome.resent());
        assert!(again.outcome.signed());
        assert!(matches!(
            again.outcome.skip_reason(),
            Some(SkipReason::ServiceRefused)
        ));
    }
    assert_eq!(fake.count() - before, 5);
    assert_eq!(source.logins(), logins);
    assert!(send(&service, get(ROADS)).await.is_clean(), "others go on");

    advance(5 * MINUTE + Duration::from_secs(1)).await;
    let later = send(&service, get(secret)).await;
    assert!(later.outcome.resent(), "it is tried again in time");
}

#[tokio::test(start_paused = true)]
async fn a_refused_service_that_comes_back_clean_is_forgotten() {
    let source = Source::new();
    let open = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let (valid, opened) = (source.valid.clone(), open.clone());
    let fake = Fake::new(move |request| match token_of(request) {
        Some(token)
            if valid.contains(&token) && opened.load(std::sync::atomic::Ordering::SeqCst) =>
        {
            answer(support::CLEAN)
        }
        _ => answer(REQUIRED),
    });
    let service = over(fake, &source);
    assert!(send(&service, get(ROADS)).await.outcome.resent());
    open.store(true, std::sync::atomic::Ordering::SeqCst);
    assert!(send(&service, get(ROADS)).await.is_clean());
    // Revoked now, it heals like any other.
    source.valid.revoke_all();
    advance(MINUTE).await;
    assert!(send(&service, get(ROADS)).await.is_clean());
}

#[tokio::test(start_paused = true)]
async fn logins_that_bear_no_fruit_back_off_whatever_the_paths() {
    let source = Source::new();
    source.always(Some(Scripted::Useless));
    let service = over(Fake::secured(&source.valid), &source);

    // Ten requests a second to ever new services, for an hour.
    for number in 0..36_000 {
        let uri = format!("http://gis.test/arcgis/rest/services/S{number}/MapServer");
        send(&service, get(&uri)).await;
        advance(Duration::from_millis(100)).await;
    }
    // 1 + 2 + … + 256 seconds are 9 logins in 511 seconds; then one every five minutes.
    assert!(
        (15..=25).contains(&source.logins()),
        "{} logins",
        source.logins()
    );
    // The first clean answer ends it.
    source.always(None);
    advance(5 * MINUTE).await;
    let fresh = |number| format!("http://gis.test/arcgis/rest/services/New{number}/MapServer");
    assert!(send(&service, get(&fresh(0))).await.is_clean());
    let logins = source.logins();
    for number in 1..10 {
        source.valid.revoke_all();
        assert!(send(&service, get(&fresh(number))).await.is_clean());
    }
    assert_eq!(source.logins(), logins + 9);
}

#[tokio::test(start_paused = true)]
async fn a_service_that_calls_every_token_invalid_does_not_make_others_log_in_for_ever() {
    let source = Source::new();
    let valid = source.valid.clone();
    let fake = Fake::new(move |request| {
        let foreign = request.uri.path().contains("/Foreign/");
        match token_of(request) {
            None if foreign => answer(support::CLEAN),
            None => answer(REQUIRED),
            Some(token) if valid.contains(&token) && !foreign => answer(support::CLEAN),
            Some(_) => answer(support::INVALID),
        }
    });
    let service = over(fake, &source);
    assert!(send(&service, get(ROADS)).await.is_clean());
    for _ in 0..600 {
        send(
            &service,
            get("http://gis.test/arcgis/rest/services/Foreign/MapServer"),
        )
        .await;
        assert!(send(&service, get(ROADS)).await.is_clean());
        advance(Duration::from_secs(1)).await;
    }
    // Ten minutes: pauses of 1, 2, 4 … seconds to five minutes.
    assert!(source.logins() <= 12, "{} logins", source.logins());
}

#[tokio::test(start_paused = true)]
async fn tokens_revoked_twice_a_second_under_load_end_well() {
    let source = Source::new().takes(Duration::from_millis(30));
    let service = over(Fake::secured(&source.valid), &source);
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
async fn a_token_near_its_end_still_signs_while_the_next_is_fetched() {
    let source = Source::new()
        .lifetime(60 * MINUTE)
        .takes(Duration::from_millis(10));
    let fake = Fake::secured(&source.valid);
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
    let service = over(Fake::secured(&source.valid), &source);
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
    let fake = Fake::secured(&source.valid);
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
async fn tokens_of_a_few_seconds_are_not_renewed_all_the_time() {
    let source = Source::new().lifetime(Duration::from_secs(10));
    let service = over(Fake::secured(&source.valid), &source);
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
async fn a_second_499_is_handed_to_the_caller() {
    let source = Source::new();
    let fake = Fake::new(|_| answer(REQUIRED));
    let service = over(fake.clone(), &source);
    let answer = send(&service, get(ROADS)).await;
    assert_eq!(answer.body, REQUIRED);
    assert!(answer.outcome.resent());
    assert_eq!(
        answer.outcome.returned_challenge(),
        Some(Challenge::TokenRequired)
    );
    assert_eq!(fake.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn clones_and_services_of_one_layer_share_the_token() {
    use tower::Layer;
    let source = Source::new();
    let fake = Fake::secured(&source.valid);
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
    let service = layer.layer(Fake::new(|_| answer(REQUIRED)));
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
