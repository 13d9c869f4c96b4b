//! Services that no login helps: those that refuse the account, and those that are open and refuse tokens.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use tokio::time::advance;
use tower::Layer;
use tower_arcgis_auth::{ArcgisAuthLayer, Challenge, Site, SkipReason};

use crate::support::{
    CLEAN, INVALID, MINUTE, REQUIRED, ROADS, Reply, SECOND, TokenService, Upstream, answer, get,
    map_server, over, send, token_of,
};

const FOREIGN: &str = "http://gis.test/arcgis/rest/services/Foreign/MapServer";

#[tokio::test(start_paused = true)]
async fn a_second_499_is_handed_to_the_caller() {
    let source = TokenService::new();
    let upstream = Upstream::saying(REQUIRED);
    let service = over(upstream.clone(), &source);
    let got = send(&service, get(ROADS)).await;
    assert_eq!(got.body, REQUIRED);
    assert!(got.outcome.resent());
    assert_eq!(
        got.outcome.returned_challenge(),
        Some(Challenge::TokenRequired)
    );
    assert_eq!(upstream.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_service_that_refuses_the_account_costs_two_sendings_then_one() {
    let source = TokenService::new();
    let upstream = Upstream::secured_by(&source).refusing("/Secret/");
    let service = over(upstream.clone(), &source);
    let secret = "http://gis.test/arcgis/rest/services/Secret/MapServer/3/query?f=json";
    let elsewhere = "http://gis.test/arcgis/rest/services/Secret/MapServer/7?f=json";
    assert!(send(&service, get(ROADS)).await.is_clean());
    let before = upstream.count();

    let first = send(&service, get(secret)).await;
    assert!(first.outcome.resent());
    assert_eq!(
        first.outcome.returned_challenge(),
        Some(Challenge::TokenRequired)
    );
    assert_eq!(upstream.count() - before, 2);
    let logins = source.attempts();
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
    assert_eq!(upstream.count() - before, 5);
    assert_eq!(source.attempts(), logins);
    assert!(send(&service, get(ROADS)).await.is_clean(), "others go on");

    advance(5 * MINUTE + SECOND).await;
    let later = send(&service, get(secret)).await;
    assert!(later.outcome.resent(), "it is tried again in time");
}

#[tokio::test(start_paused = true)]
async fn a_refused_service_that_comes_back_clean_is_forgotten() {
    let source = TokenService::new();
    let open = Arc::new(AtomicBool::new(false));
    let (valid, opened) = (source.tokens(), open.clone());
    let upstream = Upstream::new(move |request| match token_of(request) {
        Some(token) if valid.contains(&token) && opened.load(Ordering::SeqCst) => answer(CLEAN),
        _ => answer(REQUIRED),
    });
    let service = over(upstream, &source);
    assert!(send(&service, get(ROADS)).await.outcome.resent());
    open.store(true, Ordering::SeqCst);
    assert!(send(&service, get(ROADS)).await.is_clean());
    // Revoked now, it heals like any other.
    source.revoke_all();
    advance(MINUTE).await;
    assert!(send(&service, get(ROADS)).await.is_clean());
}

/// `Foreign` calls every token invalid, and answers `unsigned` without one. All others take the tokens of `source`.
fn with_foreign(source: &TokenService, unsigned: &'static str) -> Upstream {
    Upstream::secured_by(source).except("/Foreign", move |request| {
        answer(match token_of(request) {
            None => unsigned,
            Some(_) => INVALID,
        })
    })
}

#[tokio::test(start_paused = true)]
async fn a_service_that_calls_every_token_invalid_does_not_make_others_log_in_for_ever() {
    let source = TokenService::new();
    let service = over(with_foreign(&source, CLEAN), &source);
    assert!(send(&service, get(ROADS)).await.is_clean());
    for _ in 0..600 {
        send(&service, get(FOREIGN)).await;
        assert!(send(&service, get(ROADS)).await.is_clean());
        advance(SECOND).await;
    }
    // Ten minutes: pauses of 1, 2, 4 … seconds to five minutes.
    assert!(source.attempts() <= 12, "{} logins", source.attempts());
}

#[tokio::test(start_paused = true)]
async fn an_open_service_that_refuses_tokens_goes_unsigned_for_five_minutes() {
    let source = TokenService::new();
    let upstream = with_foreign(&source, CLEAN);
    let service = over(upstream.clone(), &source);
    assert!(send(&service, get(ROADS)).await.is_clean());
    let before = upstream.count();

    let first = send(&service, get(FOREIGN)).await;
    assert!(first.is_clean());
    assert!(!first.outcome.signed());
    assert_eq!(first.outcome.challenge(), Some(Challenge::TokenInvalid));
    let tokens = [Some("secret-1".into()), Some("secret-2".into()), None];
    assert_eq!(upstream.tokens()[before..], tokens);

    for _ in 0..10 {
        let again = send(&service, get(FOREIGN)).await;
        assert!(again.is_clean() && !again.outcome.resent());
        assert!(matches!(
            again.outcome.skip_reason(),
            Some(SkipReason::ServiceIsOpen)
        ));
        assert_eq!(upstream.tokens().last(), Some(&None));
        advance(29 * SECOND).await;
    }
    assert_eq!(source.attempts(), 2);

    advance(10 * SECOND).await;
    send(&service, get(FOREIGN)).await;
    assert_eq!(
        source.attempts(),
        3,
        "it is asked with a token again in time"
    );
}

#[tokio::test(start_paused = true)]
async fn an_open_service_that_asks_for_a_token_gets_the_one_there_is() {
    let source = TokenService::new();
    let is_open = Arc::new(AtomicBool::new(true));
    let opened = is_open.clone();
    let valid = source.tokens();
    let upstream = Upstream::new(move |request| {
        let is_open = opened.load(Ordering::SeqCst) && request.uri.path().contains("/Foreign");
        answer(match token_of(request) {
            None if is_open => CLEAN,
            None => REQUIRED,
            Some(token) if valid.contains(&token) && !is_open => CLEAN,
            Some(_) => INVALID,
        })
    });
    let service = over(upstream.clone(), &source);
    send(&service, get(ROADS)).await;
    assert!(send(&service, get(FOREIGN)).await.is_clean());
    is_open.store(false, Ordering::SeqCst);

    let got = send(&service, get(FOREIGN)).await;
    assert!(got.is_clean() && got.outcome.signed());
    assert_eq!(source.attempts(), 2);
    let before = upstream.count();
    assert!(send(&service, get(FOREIGN)).await.outcome.signed());
    assert_eq!(
        upstream.count(),
        before + 1,
        "it is signed from the start again"
    );
}

#[tokio::test(start_paused = true)]
async fn a_listing_is_never_asked_for_without_a_token() {
    let source = TokenService::new();
    let upstream = with_foreign(&source, CLEAN);
    let service = over(upstream.clone(), &source);
    send(&service, get(ROADS)).await;
    let before = upstream.count();
    // Clean without a token, and incomplete.
    let listing = "http://gis.test/arcgis/rest/services/Foreign?f=json";
    let got = send(&service, get(listing)).await;
    assert_eq!(got.body, INVALID);
    assert!(upstream.tokens()[before..].iter().all(Option::is_some));
}

#[tokio::test(start_paused = true)]
async fn a_service_that_was_asked_unsigned_before_is_not_asked_so_again() {
    let source = TokenService::new();
    let upstream = Upstream::new(|request| answer(token_of(request).map_or(REQUIRED, |_| INVALID)));
    let service = over(upstream.clone(), &source);
    assert_eq!(send(&service, get(FOREIGN)).await.body, INVALID);
    assert_eq!(upstream.tokens(), [None, Some("secret-1".into())]);
}

#[tokio::test(start_paused = true)]
async fn a_service_that_calls_tokens_invalid_is_left_alone_longer_each_time() {
    let source = TokenService::new();
    let service = over(with_foreign(&source, REQUIRED), &source);
    send(&service, get(ROADS)).await;
    let mut pauses = Vec::new();
    let mut since = 0;
    for second in 0..1500 {
        let logins = source.attempts();
        let got = send(&service, get(FOREIGN)).await;
        assert!(got.outcome.returned_challenge().is_some());
        if source.attempts() > logins {
            pauses.push(second - since);
            since = second;
        } else {
            assert!(matches!(
                got.outcome.skip_reason(),
                Some(SkipReason::ServiceRefused)
            ));
        }
        assert!(send(&service, get(ROADS)).await.is_clean());
        advance(SECOND).await;
    }
    assert_eq!(pauses, [0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]);
}

#[tokio::test(start_paused = true)]
async fn a_web_adaptor_called_server_is_no_service() {
    let source = TokenService::new();
    let upstream = Upstream::secured_by(&source).refusing("/Secret/");
    let site = Site::new("http://gis.test/gisserver").token_source(source.clone());
    let service = ArcgisAuthLayer::try_new(site).unwrap().layer(upstream);
    let roads = "http://gis.test/gisserver/rest/services/Roads/MapServer?f=json";
    assert!(send(&service, get(roads)).await.is_clean());
    let secret = "http://gis.test/gisserver/rest/services/Secret/MapServer";
    assert!(!send(&service, get(secret)).await.is_clean());
    source.revoke_all();
    let got = send(&service, get(roads)).await;
    assert!(got.is_clean(), "{}", got.outcome);
}

#[tokio::test(start_paused = true)]
async fn a_token_one_service_rejects_still_signs_long_uploads_to_others() {
    let source = TokenService::new();
    let service = over(with_foreign(&source, REQUIRED), &source);
    for number in 1..=2 {
        let uri = map_server(&format!("Foreign{number}"));
        assert!(!send(&service, get(&uri)).await.is_clean());
    }
    let upload = Request::post(ROADS)
        .body(Full::new(Bytes::from(vec![b'x'; 2 << 20])))
        .unwrap();
    let got = send(&service, upload).await;
    assert!(got.is_clean(), "{}", got.outcome);
}

#[tokio::test(start_paused = true)]
async fn a_refused_service_that_calls_its_token_invalid_starts_no_login() {
    let source = TokenService::new();
    let valid = source.tokens();
    let is_shared = Arc::new(AtomicBool::new(false));
    let shared = is_shared.clone();
    let upstream = Upstream::new(move |request| {
        let is_refused = request.uri.path().contains("/Secret/") && !shared.load(Ordering::SeqCst);
        answer(match token_of(request) {
            Some(token) if !valid.contains(&token) => INVALID,
            Some(_) if !is_refused => CLEAN,
            _ => REQUIRED,
        })
    });
    let service = over(upstream, &source);
    let secret = "http://gis.test/arcgis/rest/services/Secret/MapServer";
    assert!(!send(&service, get(secret)).await.is_clean());
    assert_eq!(source.attempts(), 1);

    // The administrator shares the service, which restarts and revokes tokens.
    is_shared.store(true, Ordering::SeqCst);
    source.revoke_all();
    for _ in 0..10 {
        let got = send(&service, get(secret)).await;
        assert_eq!(got.body, INVALID);
        assert!(matches!(
            got.outcome.skip_reason(),
            Some(SkipReason::ServiceRefused)
        ));
    }
    assert_eq!(source.attempts(), 1);

    // With the token of another service's login it answers, and is forgotten.
    assert!(send(&service, get(ROADS)).await.is_clean());
    assert!(send(&service, get(secret)).await.is_clean());
    source.revoke_all();
    assert!(send(&service, get(secret)).await.is_clean());
    assert_eq!(source.attempts(), 3);
}

#[tokio::test(start_paused = true)]
async fn without_a_fresh_login_no_service_is_remembered_as_refusing() {
    let source = TokenService::new().lifetime(60 * MINUTE);
    let valid = source.tokens();
    let upstream = Upstream::new(move |request| match token_of(request) {
        Some(token) if valid.contains(&token) => answer(CLEAN),
        _ => answer(REQUIRED),
    });
    let service = over(upstream, &source);
    assert!(send(&service, get(ROADS)).await.is_clean());
    source.revoke_all();
    source.always(Reply::Fault);
    advance(61 * MINUTE).await;
    tokio::task::yield_now().await;
    for _ in 0..2 {
        let got = send(&service, get(ROADS)).await;
        assert!(!got.outcome.resent());
        assert!(matches!(
            got.outcome.skip_reason(),
            Some(SkipReason::LoginFailed(_))
        ));
    }
}
