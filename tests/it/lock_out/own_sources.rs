//! Sources of the user's own.

use tokio::time::{Instant, advance};

use crate::support::{
    MINUTE, REQUIRED, ROADS, Reply, SECOND, TokenService, Upstream, get, over, send,
};

#[tokio::test(start_paused = true)]
async fn a_source_that_is_never_answered_makes_at_most_four_logins_in_15_minutes() {
    let window = 15 * MINUTE;
    let source = TokenService::new()
        .asking_for_leave()
        .answering(Reply::Hangs);
    let service = over(Upstream::saying(REQUIRED), &source);
    let mut attempts = Vec::new();
    let started = Instant::now();
    while started.elapsed() < 4 * window {
        let before = source.attempts();
        let begun = Instant::now();
        send(&service, get(ROADS)).await;
        attempts.extend((before..source.attempts()).map(|_| begun));
        advance(SECOND).await;
    }
    for five in attempts.windows(5) {
        assert!(five[4] - five[0] >= window);
    }
    assert!(
        attempts.len() > 12,
        "and it is tried again: {}",
        attempts.len()
    );
}
