//! Tokens that near their end, and tokens past it; and what proves a token.

use std::time::Duration;

use http::{HeaderValue, Method, StatusCode};
use tokio::time::{advance, sleep};
use tower::Layer;
use tower_arcgis_auth::{ArcgisAuthLayer, TokenReason};

use crate::support::{
    MINUTE, ROADS, Reply, SECOND, TokenService, Upstream, answer, get, over, send, site,
};

#[tokio::test(start_paused = true)]
async fn a_token_near_its_end_still_signs_while_the_next_is_fetched() {
    let source = TokenService::new()
        .lifetime(60 * MINUTE)
        .takes(Duration::from_millis(10));
    let upstream = Upstream::secured_by(&source);
    let service = over(upstream.clone(), &source);
    send(&service, get(ROADS)).await;
    let before = upstream.count();

    advance(56 * MINUTE).await;
    tokio::task::yield_now().await;
    let got = send(&service, get(ROADS)).await;
    assert!(got.is_clean());
    assert!(!got.outcome.resent());
    sleep(Duration::from_millis(20)).await;
    assert_eq!(
        source.reasons(),
        [TokenReason::Missing, TokenReason::Expiring]
    );
    send(&service, get(ROADS)).await;

    assert_eq!(
        upstream.tokens()[before..],
        [Some("secret-1".into()), Some("secret-2".into())]
    );
}

#[tokio::test(start_paused = true)]
async fn a_failed_renewal_does_not_displace_a_token_that_works() {
    let source = TokenService::new().lifetime(60 * MINUTE);
    let service = over(Upstream::secured_by(&source), &source);
    send(&service, get(ROADS)).await;
    source.always(Reply::Fault);

    advance(56 * MINUTE).await;
    tokio::task::yield_now().await;
    for _ in 0..50 {
        let got = send(&service, get(ROADS)).await;
        assert!(got.is_clean());
        assert!(!got.outcome.resent());
        tokio::task::yield_now().await;
    }
    assert_eq!(source.attempts(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_token_past_its_end_is_not_sent() {
    let source = TokenService::new().lifetime(60 * MINUTE);
    let upstream = Upstream::secured_by(&source);
    let service = over(upstream.clone(), &source);
    send(&service, get(ROADS)).await;
    let before = upstream.count();

    advance(61 * MINUTE).await;
    tokio::task::yield_now().await;
    let got = send(&service, get(ROADS)).await;

    assert!(got.is_clean());
    assert!(!got.outcome.resent(), "the login came first");
    assert_eq!(upstream.tokens()[before..], [Some("secret-2".into())]);
    assert_eq!(source.reasons()[1], TokenReason::Expired);
}

#[tokio::test(start_paused = true)]
async fn a_token_past_its_end_is_tried_where_no_login_gives_a_better_one() {
    let source = TokenService::new().lifetime(60 * MINUTE);
    let service = over(Upstream::secured_by(&source), &source);
    assert!(send(&service, get(ROADS)).await.is_clean());
    source.always(Reply::Refused);
    advance(61 * MINUTE).await;
    tokio::task::yield_now().await;
    for _ in 0..2 {
        let got = send(&service, get(ROADS)).await;
        assert!(got.is_clean(), "{}", got.outcome);
    }
    assert_eq!(source.attempts(), 2);
}

#[tokio::test(start_paused = true)]
async fn tokens_of_a_few_seconds_are_not_renewed_all_the_time() {
    let source = TokenService::new().lifetime(10 * SECOND);
    let service = over(Upstream::secured_by(&source), &source);
    for _ in 0..1000 {
        assert!(send(&service, get(ROADS)).await.is_clean());
        advance(Duration::from_millis(100)).await;
        tokio::task::yield_now().await;
    }
    // A hundred seconds of tokens renewed after five.
    assert!(
        (10..=25).contains(&source.attempts()),
        "{} logins",
        source.attempts()
    );
}

#[tokio::test(start_paused = true)]
async fn a_token_of_unknown_lifetime_is_used_until_a_server_refuses_it() {
    let source = TokenService::new();
    let upstream = Upstream::secured_by(&source);
    let service = over(upstream, &source);
    send(&service, get(ROADS)).await;
    advance(30 * 24 * 60 * MINUTE).await;
    assert!(send(&service, get(ROADS)).await.is_clean());
    assert_eq!(source.attempts(), 1);
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
            let source = TokenService::new();
            let upstream = Upstream::new(move |_| {
                let mut answer = answer("");
                *answer.status_mut() = StatusCode::from_u16(status).unwrap();
                if let Some((name, value)) = header {
                    answer
                        .headers_mut()
                        .insert(name, HeaderValue::from_static(value));
                }
                answer
            });
            let layer = ArcgisAuthLayer::try_new(site(&source)).unwrap();
            let handle = layer.handle().sites().remove(0);
            assert!(!handle.renew().await.unwrap().is_proven());
            let mut request = get(ROADS);
            *request.method_mut() = method;
            send(&layer.layer(upstream), request).await;
            let session = handle.sessions().remove(0);
            assert_eq!(session.token().unwrap().is_proven(), is_proven, "{status}");
        }
    }
}
