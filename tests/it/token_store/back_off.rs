//! A token source that is out of order.

use std::time::Duration;

use tokio::time::{Instant, advance};

use crate::support::{MINUTE, ROADS, Reply, SECOND, TokenService, Upstream, get, over, send};

#[tokio::test(start_paused = true)]
async fn a_broken_token_service_is_left_alone_longer_and_longer() {
    let source = TokenService::new();
    let upstream = Upstream::secured_by(&source);
    source.always(Reply::Fault);
    let service = over(upstream, &source);

    // A request every tenth of a second for an hour.
    for _ in 0..36_000 {
        send(&service, get(ROADS)).await;
        advance(Duration::from_millis(100)).await;
    }
    // 1, 2, 4 … 64 seconds, then two minutes at most, each cut by up to half: 7 + 30 to 7 + 60.
    assert!(
        (30..=70).contains(&source.attempts()),
        "{} logins",
        source.attempts()
    );
}

#[tokio::test(start_paused = true)]
async fn a_token_service_that_was_down_for_a_moment_heals_within_seconds() {
    let source = TokenService::new();
    let upstream = Upstream::secured_by(&source);
    source.next([Reply::Fault, Reply::Fault]);
    let service = over(upstream, &source);
    let begun = Instant::now();
    while !send(&service, get(ROADS)).await.is_clean() {
        advance(Duration::from_millis(100)).await;
    }
    assert!(begun.elapsed() < 4 * SECOND);
    assert_eq!(source.attempts(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_token_service_that_was_down_for_hours_heals_within_two_minutes() {
    let source = TokenService::new();
    let upstream = Upstream::secured_by(&source);
    source.always(Reply::Fault);
    let service = over(upstream, &source);
    for _ in 0..2_000 {
        send(&service, get(ROADS)).await;
        advance(5 * SECOND).await;
    }
    source.always(Reply::Token);
    let recovered = Instant::now();
    while !send(&service, get(ROADS)).await.is_clean() {
        advance(SECOND).await;
    }
    assert!(recovered.elapsed() <= 2 * MINUTE);
}
