//! Tokens that near their end, and tokens past it.

use std::time::Duration;

use tokio::time::{advance, sleep};
use tower_arcgis_auth::TokenReason;

use crate::support::{MINUTE, ROADS, Reply, TokenService, Upstream, get, over, send};

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
    let answer = send(&service, get(ROADS)).await;
    assert!(answer.is_clean());
    assert!(!answer.outcome.resent());
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
        let answer = send(&service, get(ROADS)).await;
        assert!(answer.is_clean());
        assert!(!answer.outcome.resent());
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
    let answer = send(&service, get(ROADS)).await;

    assert!(answer.is_clean());
    assert!(!answer.outcome.resent(), "the login came first");
    assert_eq!(upstream.tokens()[before..], [Some("secret-2".into())]);
    assert_eq!(source.reasons()[1], TokenReason::Expired);
}

#[tokio::test(start_paused = true)]
async fn tokens_of_a_few_seconds_are_not_renewed_all_the_time() {
    let source = TokenService::new().lifetime(Duration::from_secs(10));
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
async fn a_token_past_its_end_is_tried_where_no_login_gives_a_better_one() {
    let source = TokenService::new().lifetime(60 * MINUTE);
    let service = over(Upstream::secured_by(&source), &source);
    assert!(send(&service, get(ROADS)).await.is_clean());
    source.always(Reply::Refused);
    advance(62 * MINUTE).await;
    tokio::task::yield_now().await;
    send(&service, get(ROADS)).await;
    let got = send(&service, get(ROADS)).await;
    assert!(got.is_clean(), "{}", got.outcome);
}
