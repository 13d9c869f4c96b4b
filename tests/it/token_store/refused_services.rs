//! Services that ask for a token again after a fresh login.

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

#[tokio::test(start_paused = true)]
async fn a_second_499_is_handed_to_the_caller() {
    let source = TokenService::new();
    let upstream = Upstream::saying(REQUIRED);
    let service = over(upstream.clone(), &source);
    let answer = send(&service, get(ROADS)).await;
    assert_eq!(answer.body, REQUIRED);
    assert!(answer.outcome.resent());
    assert_eq!(
        answer.outcome.returned_challenge(),
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

#[tokio::test(start_paused = true)]
async fn a_web_adaptor_called_server_is_no_service() {
    let source = TokenService::new();
    let upstream = Upstream::secured_by(&source).refusing("/Secret/");
    let site = Site::new("http://gis.test/gisserver").token_source(source.clone());
    let service = ArcgisAuthLayer::try_new(site).unwrap().layer(upstream);
    let roads = "http://gis.test/gisserver/rest/services/Roads/MapServer?f=json";
    let secret = "http://gis.test/gisserver/rest/services/Secret/MapServer";
    assert!(send(&service, get(roads)).await.is_clean());
    send(&service, get(secret)).await;
    advance(30 * SECOND).await;
    source.revoke_all();
    let got = send(&service, get(roads)).await;
    assert!(got.is_clean(), "{}", got.outcome);
}

#[tokio::test(start_paused = true)]
async fn a_refused_service_that_calls_its_token_invalid_starts_a_login() {
    let source = TokenService::new();
    let tokens = source.tokens();
    let open = Arc::new(AtomicBool::new(false));
    let is_open = open.clone();
    let upstream = Upstream::new(move |request| match token_of(request) {
        Some(token) if !tokens.contains(&token) => answer(INVALID),
        Some(_) if is_open.load(Ordering::SeqCst) => answer(CLEAN),
        _ => answer(REQUIRED),
    });
    let service = over(upstream, &source);
    // It asks for a token after a fresh login.
    send(&service, get(ROADS)).await;
    advance(30 * SECOND).await;
    // The administrator shares the service, which restarts and voids tokens.
    open.store(true, Ordering::SeqCst);
    source.revoke_all();
    // Its own challenge is returned, and is the last.
    assert!(!send(&service, get(ROADS)).await.is_clean());
    tokio::task::yield_now().await;
    let got = send(&service, get(ROADS)).await;
    assert!(got.is_clean(), "{}", got.outcome);
}

#[tokio::test(start_paused = true)]
async fn without_a_fresh_login_no_service_is_remembered_as_refusing() {
    let source = TokenService::new().lifetime(60 * MINUTE);
    let tokens = source.tokens();
    let upstream = Upstream::new(move |request| match token_of(request) {
        Some(token) if tokens.contains(&token) => answer(CLEAN),
        _ => answer(REQUIRED),
    });
    let service = over(upstream, &source);
    assert!(send(&service, get(ROADS)).await.is_clean());
    source.revoke_all();
    source.always(Reply::Fault);
    advance(62 * MINUTE).await;
    tokio::task::yield_now().await;
    let first = send(&service, get(ROADS)).await;
    let second = send(&service, get(ROADS)).await;
    assert!(
        !first.outcome.resent(),
        "sent again with the token known to be past its end"
    );
    assert!(
        !matches!(
            second.outcome.skip_reason(),
            Some(SkipReason::ServiceRefused)
        ),
        "{}",
        second.outcome
    );
}

#[tokio::test(start_paused = true)]
async fn a_token_that_one_service_rejects_still_signs_long_uploads_to_others() {
    let source = TokenService::new();
    let upstream =
        Upstream::secured_by(&source).except("/Foreign", |request| match token_of(request) {
            None => answer(REQUIRED),
            Some(_) => answer(INVALID),
        });
    let service = over(upstream, &source);
    for name in ["Foreign1", "Foreign2"] {
        send(&service, get(&map_server(name))).await;
    }
    let upload = Request::post(ROADS)
        .body(Full::new(Bytes::from(vec![b'x'; 2 << 20])))
        .unwrap();
    let got = send(&service, upload).await;
    assert!(got.is_clean(), "{}", got.outcome);
}
