//! Services that no login helps: those that refuse the account, and those that are open and refuse tokens.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use crate::support::{
    CLEAN, INVALID, REQUIRED, ROADS, Scripted, Source, Upstream, answer, get, over, send, token_of,
};
use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use tokio::time::advance;
use tower::Layer;
use tower_arcgis_auth::{ArcgisAuthLayer, Challenge, Site, SkipReason};

const MINUTE: Duration = Duration::from_secs(60);
const FOREIGN: &str = "http://gis.test/arcgis/rest/services/Foreign/MapServer";

#[tokio::test(start_paused = true)]
async fn a_second_499_is_handed_to_the_caller() {
    let source = Source::new();
    let fake = Upstream::new(|_| answer(REQUIRED));
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
async fn a_service_that_refuses_the_account_costs_two_sendings_then_one() {
    let source = Source::new();
    let valid = source.valid.clone();
    let fake = Upstream::new(move |request| {
        let refuses = request.uri.path().contains("/Secret/");
        match token_of(request) {
            Some(token) if valid.contains(&token) && !refuses => answer(CLEAN),
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
    let open = Arc::new(AtomicBool::new(false));
    let (valid, opened) = (source.valid.clone(), open.clone());
    let fake = Upstream::new(move |request| match token_of(request) {
        Some(token) if valid.contains(&token) && opened.load(Ordering::SeqCst) => answer(CLEAN),
        _ => answer(REQUIRED),
    });
    let service = over(fake, &source);
    assert!(send(&service, get(ROADS)).await.outcome.resent());
    open.store(true, Ordering::SeqCst);
    assert!(send(&service, get(ROADS)).await.is_clean());
    // Revoked now, it heals like any other.
    source.valid.revoke_all();
    advance(MINUTE).await;
    assert!(send(&service, get(ROADS)).await.is_clean());
}

#[tokio::test(start_paused = true)]
async fn a_service_that_calls_every_token_invalid_does_not_make_others_log_in_for_ever() {
    let source = Source::new();
    let valid = source.valid.clone();
    let fake = Upstream::new(move |request| {
        let foreign = request.uri.path().contains("/Foreign/");
        match token_of(request) {
            None if foreign => answer(CLEAN),
            None => answer(REQUIRED),
            Some(token) if valid.contains(&token) && !foreign => answer(CLEAN),
            Some(_) => answer(INVALID),
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

/// `Foreign` calls every token invalid, and answers `unsigned` without one. All others take valid tokens.
fn with_foreign(source: &Source, unsigned: &'static str) -> Upstream {
    let valid = source.valid.clone();
    Upstream::new(move |request| {
        let is_foreign = request.uri.path().contains("/Foreign");
        answer(match token_of(request) {
            None if is_foreign => unsigned,
            None => REQUIRED,
            Some(token) if valid.contains(&token) && !is_foreign => CLEAN,
            Some(_) => INVALID,
        })
    })
}

#[tokio::test(start_paused = true)]
async fn an_open_service_that_refuses_tokens_goes_unsigned_for_five_minutes() {
    let source = Source::new();
    let fake = with_foreign(&source, CLEAN);
    let service = over(fake.clone(), &source);
    assert!(send(&service, get(ROADS)).await.is_clean());
    let before = fake.count();

    let first = send(&service, get(FOREIGN)).await;
    assert!(first.is_clean());
    assert!(!first.outcome.signed());
    assert_eq!(first.outcome.challenge(), Some(Challenge::TokenInvalid));
    let tokens = [Some("secret-1".into()), Some("secret-2".into()), None];
    assert_eq!(fake.tokens()[before..], tokens);

    for _ in 0..10 {
        let again = send(&service, get(FOREIGN)).await;
        assert!(again.is_clean() && !again.outcome.resent());
        assert!(matches!(
            again.outcome.skip_reason(),
            Some(SkipReason::ServiceIsOpen)
        ));
        assert_eq!(fake.tokens().last(), Some(&None));
        advance(Duration::from_secs(29)).await;
    }
    assert_eq!(source.logins(), 2);

    advance(Duration::from_secs(10)).await;
    send(&service, get(FOREIGN)).await;
    assert_eq!(source.logins(), 3, "it is asked with a token again in time");
}

#[tokio::test(start_paused = true)]
async fn an_open_service_that_asks_for_a_token_gets_the_one_there_is() {
    let source = Source::new();
    let is_open = Arc::new(AtomicBool::new(true));
    let opened = is_open.clone();
    let valid = source.valid.clone();
    let fake = Upstream::new(move |request| {
        let is_open = opened.load(Ordering::SeqCst) && request.uri.path().contains("/Foreign");
        answer(match token_of(request) {
            None if is_open => CLEAN,
            None => REQUIRED,
            Some(token) if valid.contains(&token) && !is_open => CLEAN,
            Some(_) => INVALID,
        })
    });
    let service = over(fake.clone(), &source);
    send(&service, get(ROADS)).await;
    assert!(send(&service, get(FOREIGN)).await.is_clean());
    is_open.store(false, Ordering::SeqCst);

    let answer = send(&service, get(FOREIGN)).await;
    assert!(answer.is_clean() && answer.outcome.signed());
    assert_eq!(source.logins(), 2);
    let before = fake.count();
    assert!(send(&service, get(FOREIGN)).await.outcome.signed());
    assert_eq!(
        fake.count(),
        before + 1,
        "it is signed from the start again"
    );
}

#[tokio::test(start_paused = true)]
async fn a_listing_is_never_asked_for_without_a_token() {
    let source = Source::new();
    let fake = with_foreign(&source, CLEAN);
    let service = over(fake.clone(), &source);
    send(&service, get(ROADS)).await;
    let before = fake.count();
    // Clean without a token, and incomplete.
    let listing = "http://gis.test/arcgis/rest/services/Foreign?f=json";
    let answer = send(&service, get(listing)).await;
    assert_eq!(answer.body, INVALID);
    assert!(fake.tokens()[before..].iter().all(Option::is_some));
}

#[tokio::test(start_paused = true)]
async fn a_service_that_was_asked_unsigned_before_is_not_asked_so_again() {
    let source = Source::new();
    let fake = Upstream::new(|request| answer(token_of(request).map_or(REQUIRED, |_| INVALID)));
    let service = over(fake.clone(), &source);
    assert_eq!(send(&service, get(FOREIGN)).await.body, INVALID);
    assert_eq!(fake.tokens(), [None, Some("secret-1".into())]);
}

#[tokio::test(start_paused = true)]
async fn a_service_that_calls_tokens_invalid_is_left_alone_longer_each_time() {
    let source = Source::new();
    let service = over(with_foreign(&source, REQUIRED), &source);
    send(&service, get(ROADS)).await;
    let mut pauses = Vec::new();
    let mut since = 0;
    for second in 0..1500 {
        let logins = source.logins();
        let answer = send(&service, get(FOREIGN)).await;
        assert!(answer.outcome.returned_challenge().is_some());
        if source.logins() > logins {
            pauses.push(second - since);
            since = second;
        } else {
            assert!(matches!(
                answer.outcome.skip_reason(),
                Some(SkipReason::ServiceRefused)
            ));
        }
        assert!(send(&service, get(ROADS)).await.is_clean());
        advance(Duration::from_secs(1)).await;
    }
    assert_eq!(pauses, [0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]);
}

#[tokio::test(start_paused = true)]
async fn a_web_adaptor_called_server_is_no_service() {
    let source = Source::new();
    let valid = source.valid.clone();
    let fake = Upstream::new(move |request| {
        answer(match token_of(request) {
            Some(token) if !valid.contains(&token) => INVALID,
            Some(_) if !request.uri.path().contains("/Secret/") => CLEAN,
            _ => REQUIRED,
        })
    });
    let site = Site::new("http://gis.test/gisserver").token_source(source.clone());
    let service = ArcgisAuthLayer::try_new(site).unwrap().layer(fake);
    let roads = "http://gis.test/gisserver/rest/services/Roads/MapServer?f=json";
    assert!(send(&service, get(roads)).await.is_clean());
    let secret = "http://gis.test/gisserver/rest/services/Secret/MapServer";
    assert!(!send(&service, get(secret)).await.is_clean());
    source.valid.revoke_all();
    let answer = send(&service, get(roads)).await;
    assert!(answer.is_clean(), "{}", answer.outcome);
}

#[tokio::test(start_paused = true)]
async fn a_token_one_service_rejects_still_signs_long_uploads_to_others() {
    let source = Source::new();
    let service = over(with_foreign(&source, REQUIRED), &source);
    for number in 1..=2 {
        let uri = format!("http://gis.test/arcgis/rest/services/Foreign{number}/MapServer");
        assert!(!send(&service, get(&uri)).await.is_clean());
    }
    let upload = Request::post(ROADS)
        .body(Full::new(Bytes::from(vec![b'x'; 2 << 20])))
        .unwrap();
    let answer = send(&service, upload).await;
    assert!(answer.is_clean(), "{}", answer.outcome);
}

#[tokio::test(start_paused = true)]
async fn a_refused_service_that_calls_its_token_invalid_starts_no_login() {
    let source = Source::new();
    let valid = source.valid.clone();
    let is_shared = Arc::new(AtomicBool::new(false));
    let shared = is_shared.clone();
    let fake = Upstream::new(move |request| {
        let is_refused = request.uri.path().contains("/Secret/") && !shared.load(Ordering::SeqCst);
        answer(match token_of(request) {
            Some(token) if !valid.contains(&token) => INVALID,
            Some(_) if !is_refused => CLEAN,
            _ => REQUIRED,
        })
    });
    let service = over(fake, &source);
    let secret = "http://gis.test/arcgis/rest/services/Secret/MapServer";
    assert!(!send(&service, get(secret)).await.is_clean());
    assert_eq!(source.logins(), 1);

    // The administrator shares the service, which restarts and revokes tokens.
    is_shared.store(true, Ordering::SeqCst);
    source.valid.revoke_all();
    for _ in 0..10 {
        let answer = send(&service, get(secret)).await;
        assert_eq!(answer.body, INVALID);
        assert!(matches!(
            answer.outcome.skip_reason(),
            Some(SkipReason::ServiceRefused)
        ));
    }
    assert_eq!(source.logins(), 1);

    // With the token of another service's login it answers, and is forgotten.
    assert!(send(&service, get(ROADS)).await.is_clean());
    assert!(send(&service, get(secret)).await.is_clean());
    source.valid.revoke_all();
    assert!(send(&service, get(secret)).await.is_clean());
    assert_eq!(source.logins(), 3);
}

#[tokio::test(start_paused = true)]
async fn without_a_fresh_login_no_service_is_remembered_as_refusing() {
    let source = Source::new().lifetime(60 * MINUTE);
    let valid = source.valid.clone();
    let fake = Upstream::new(move |request| match token_of(request) {
        Some(token) if valid.contains(&token) => answer(CLEAN),
        _ => answer(REQUIRED),
    });
    let service = over(fake, &source);
    assert!(send(&service, get(ROADS)).await.is_clean());
    source.valid.revoke_all();
    source.always(Some(Scripted::Fault));
    advance(61 * MINUTE).await;
    tokio::task::yield_now().await;
    for _ in 0..2 {
        let answer = send(&service, get(ROADS)).await;
        assert!(!answer.outcome.resent());
        assert!(matches!(
            answer.outcome.skip_reason(),
            Some(SkipReason::LoginFailed(_))
        ));
    }
}
