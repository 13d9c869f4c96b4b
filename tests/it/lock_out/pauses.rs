//! Logins that do not help: how few of them are made.

use std::time::Duration;

use http::{Method, Request, StatusCode};
use http_body_util::Full;
use tokio::time::advance;
use tower::Layer;
use tower_arcgis_auth::ArcgisAuthLayer;

use crate::support::{
    CLEAN, INVALID, MINUTE, REQUIRED, ROADS, ROOT, Reply, SECOND, TokenService, Upstream, answer,
    get, map_server, over, send, site, token_of,
};

#[tokio::test(start_paused = true)]
async fn logins_that_do_not_help_become_rare_whatever_the_paths() {
    let source = TokenService::new();
    source.always(Reply::Useless);
    let service = over(Upstream::secured_by(&source), &source);

    // Ten requests a second to ever new services, for an hour.
    for number in 0..36_000 {
        let uri = map_server(&format!("S{number}"));
        send(&service, get(&uri)).await;
        advance(Duration::from_millis(100)).await;
    }
    // 1 + 2 + … + 256 seconds are 9 logins in 511 seconds; then one every five minutes.
    assert!(
        (15..=25).contains(&source.attempts()),
        "{} logins",
        source.attempts()
    );
    // The first clean answer ends it.
    source.always(Reply::Token);
    advance(5 * MINUTE).await;
    let fresh = |number| map_server(&format!("New{number}"));
    assert!(send(&service, get(&fresh(0))).await.is_clean());
    let logins = source.attempts();
    for number in 1..10 {
        source.revoke_all();
        assert!(send(&service, get(&fresh(number))).await.is_clean());
    }
    assert_eq!(source.attempts(), logins + 9);
}

#[tokio::test(start_paused = true)]
async fn a_service_that_calls_every_token_invalid_does_not_make_others_log_in_for_ever() {
    let source = TokenService::new();
    let valid = source.tokens();
    let upstream = Upstream::new(move |request| {
        let foreign = request.uri.path().contains("/Foreign/");
        match token_of(request) {
            None if foreign => answer(CLEAN),
            None => answer(REQUIRED),
            Some(token) if valid.contains(&token) && !foreign => answer(CLEAN),
            Some(_) => answer(INVALID),
        }
    });
    let service = over(upstream, &source);
    assert!(send(&service, get(ROADS)).await.is_clean());
    for _ in 0..600 {
        send(&service, get(&map_server("Foreign"))).await;
        assert!(send(&service, get(ROADS)).await.is_clean());
        advance(SECOND).await;
    }
    // Ten minutes: pauses of 1, 2, 4 … seconds to five minutes.
    assert!(source.attempts() <= 12, "{} logins", source.attempts());
}

#[tokio::test(start_paused = true)]
async fn a_head_request_does_not_make_useless_logins_more_frequent() {
    let source = TokenService::new().answering(Reply::Useless);
    let tokens = source.tokens();
    let upstream = Upstream::new(move |request| {
        answer(match token_of(request) {
            _ if request.method == Method::HEAD => "",
            None => REQUIRED,
            Some(token) if tokens.contains(&token) => CLEAN,
            Some(_) => INVALID,
        })
    });
    let service = over(upstream, &source);
    for number in 0..1000 {
        send(&service, get(&map_server(&format!("S{number}")))).await;
        let head = Request::head(ROADS).body(Full::default()).unwrap();
        send(&service, head).await;
        advance(Duration::from_millis(100)).await;
    }
    let logins = source.attempts();
    assert!(logins < 20, "{logins} logins in 100 s");
}

#[tokio::test(start_paused = true)]
async fn an_error_of_a_gateway_does_not_make_useless_logins_more_frequent() {
    let source = TokenService::new().answering(Reply::Useless);
    let upstream = Upstream::new(|request| {
        answer(match token_of(request) {
            None => REQUIRED,
            Some(_) => INVALID,
        })
    });
    let upstream = upstream.except("Down", |_| {
        let mut page = answer("<h1>Bad gateway</h1>");
        *page.status_mut() = StatusCode::BAD_GATEWAY;
        page
    });
    let service = over(upstream, &source);
    for number in 0..1000 {
        send(&service, get(&map_server(&format!("S{number}")))).await;
        send(&service, get(&map_server("Down"))).await;
        advance(Duration::from_millis(100)).await;
    }
    let logins = source.attempts();
    assert!(logins < 20, "{logins} logins in 100 s");
}

#[tokio::test(start_paused = true)]
async fn useless_tokens_of_no_life_do_not_cost_a_login_a_request() {
    let source = TokenService::new()
        .lifetime(Duration::from_millis(50))
        .answering(Reply::Useless);
    let service = over(Upstream::secured_by(&source), &source);
    for _ in 0..1000 {
        send(&service, get(ROADS)).await;
        advance(Duration::from_millis(100)).await;
        tokio::task::yield_now().await;
    }
    let logins = source.attempts();
    assert!(logins < 50, "{logins} logins in 100 s");
}

#[tokio::test(start_paused = true)]
async fn paths_that_the_user_may_not_see_do_not_cost_a_login_each() {
    let source = TokenService::new();
    let service = over(Upstream::secured_by(&source).refusing("Secret"), &source);
    for number in 0..500 {
        assert!(send(&service, get(ROADS)).await.is_clean());
        let secret = format!("{ROOT}/rest/services/Secret/x{number}");
        send(&service, get(&secret)).await;
    }
    let logins = source.attempts();
    assert!(logins < 20, "{logins} logins in no time");
}

#[tokio::test(start_paused = true)]
async fn renewals_from_the_outside_do_not_count_as_useless() {
    let source = TokenService::new();
    let layer = ArcgisAuthLayer::try_new(site(&source)).unwrap();
    let service = layer.layer(Upstream::secured_by(&source));
    let handle = layer.handle().sites().remove(0);
    // Two hours, in which no request is sent.
    for _ in 0..12 {
        handle.renew().await.unwrap();
        advance(Duration::from_secs(600)).await;
    }
    source.revoke_all();
    assert!(send(&service, get(ROADS)).await.is_clean());
}
