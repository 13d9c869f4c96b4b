//! Requests that go out without the site's token at first, and are challenged.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use http::{HeaderValue, header};

use crate::support::{
    CLEAN, INVALID, REQUIRED, ROADS, Reply, TokenService, Upstream, answer, get, map_server, over,
    send, token_of,
};

#[tokio::test(start_paused = true)]
async fn a_browsers_cookie_and_a_dead_token_of_the_site_take_a_login() {
    let source = TokenService::new();
    let upstream = Upstream::secured_by(&source);
    let service = over(upstream.clone(), &source);
    assert!(send(&service, get(ROADS)).await.is_clean());
    source.revoke_all();
    let before = upstream.count();

    let mut request = get(ROADS);
    let cookie = HeaderValue::from_static("agstoken=stale");
    request.headers_mut().insert(header::COOKIE, cookie);
    let got = send(&service, request).await;

    assert!(got.is_clean(), "{}", got.outcome);
    let tokens = ["stale", "secret-1", "secret-2"].map(|token| Some(token.to_owned()));
    assert_eq!(upstream.tokens()[before..], tokens);
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_open_no_longer_is_signed_from_the_start_though_no_login_helps() {
    let source = TokenService::new();
    let is_open = Arc::new(AtomicBool::new(true));
    let (tokens, open) = (source.tokens(), is_open.clone());
    let upstream = Upstream::secured_by(&source).except("/Open/", move |request| {
        let is_open = open.load(Ordering::SeqCst);
        answer(match token_of(request) {
            None if is_open => CLEAN,
            None => REQUIRED,
            Some(token) if tokens.contains(&token) && !is_open => CLEAN,
            Some(_) => INVALID,
        })
    });
    let service = over(upstream.clone(), &source);
    let open = map_server("Open");
    assert!(send(&service, get(ROADS)).await.is_clean());
    assert!(send(&service, get(&open)).await.is_clean());
    assert!(!send(&service, get(&open)).await.outcome.signed());

    is_open.store(false, Ordering::SeqCst);
    source.revoke_all();
    source.always(Reply::Fault);
    assert!(!send(&service, get(&open)).await.is_clean());
    let before = upstream.count();
    assert!(!send(&service, get(&open)).await.is_clean());
    assert_eq!(upstream.tokens()[before..], [Some("secret-2".into())]);
}
