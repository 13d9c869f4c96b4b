//! Sources of the user's own, and sources of ours that the user wraps.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::StatusCode;
use tokio::time::{Instant, advance, sleep};
use tower::Layer;
use tower_arcgis_auth::{
    ArcgisAuthLayer, GenerateToken, IssuedToken, Site, TokenError, TokenRequest, TokenSource,
    token_source_fn,
};

use super::{Reporting, generate_token};
use crate::support::{
    MINUTE, REQUIRED, ROADS, ROOT, Reply, SECOND, TokenService, Upstream, get, over, reader, send,
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

#[tokio::test(start_paused = true)]
async fn a_source_of_the_users_own_says_what_came_of_its_login() {
    for (says_no_verdict, most) in [(false, 4), (true, 100)] {
        let logins = Arc::new(AtomicUsize::new(0));
        let count = logins.clone();
        // The scripted token service always says what came of a login.
        let source = token_source_fn(move |request| {
            let count = count.clone();
            async move {
                let mut attempt = request.login_attempt(ROOT, "robot", "secret").await?;
                count.fetch_add(1, Ordering::SeqCst);
                attempt.sent();
                if says_no_verdict {
                    attempt.no_verdict();
                }
                Err(TokenError::fault("it does not make sense"))
            }
        });
        let layer = ArcgisAuthLayer::try_new(Site::new(ROOT).token_source(source)).unwrap();
        let handle = layer.handle().sites().remove(0);
        for _ in 0..100 {
            assert!(handle.renew().await.is_err());
        }
        assert_eq!(logins.load(Ordering::SeqCst), most);
    }
}

/// The attempts in 14 minutes in which requests come all the time, and each ends with a sign-out, or is waited for.
async fn attempts_with_reports(takes: Duration, signs_out: bool) -> usize {
    let service = TokenService::new().answering(Reply::Refused);
    let inner = generate_token(&service, reader());
    let site = Site::new(ROOT).token_source(Reporting { inner, takes });
    let layer = ArcgisAuthLayer::try_new(site).unwrap();
    let client = layer.layer(Upstream::open_to_any_token());
    let started = Instant::now();
    while started.elapsed() < 14 * MINUTE {
        if signs_out {
            let other = client.clone();
            let sent = tokio::spawn(async move { send(&other, get(ROADS)).await });
            sleep(SECOND).await;
            layer.handle().sign_out().await.unwrap();
            assert!(!sent.await.unwrap().is_clean());
        } else {
            assert!(!send(&client, get(ROADS)).await.is_clean());
        }
        sleep(10 * SECOND).await;
    }
    service.attempts()
}

#[tokio::test(start_paused = true)]
async fn a_refusal_within_a_source_that_is_then_too_slow_is_remembered() {
    assert_eq!(attempts_with_reports(40 * SECOND, false).await, 1);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_within_a_source_that_is_signed_out_of_is_remembered() {
    assert_eq!(attempts_with_reports(2 * SECOND, true).await, 1);
}

/// Tries again after a fault.
struct Retrying(GenerateToken);

impl TokenSource for Retrying {
    async fn token(&self, request: TokenRequest) -> Result<IssuedToken, TokenError> {
        let mut tries = 0;
        loop {
            match self.0.token(request.clone()).await {
                Err(error) if !error.is_refused() && tries < 2 => tries += 1,
                result => return result,
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_source_that_tries_again_makes_four_unanswered_logins() {
    let page = Reply::page(StatusCode::GATEWAY_TIMEOUT, "");
    let service = TokenService::new().answering(page.after(5 * SECOND));
    let source = Retrying(generate_token(&service, reader()));
    let layer = ArcgisAuthLayer::try_new(Site::new(ROOT).token_source(source)).unwrap();
    let client = layer.layer(Upstream::open_to_any_token());
    let started = Instant::now();
    while started.elapsed() < 14 * MINUTE {
        assert!(!send(&client, get(ROADS)).await.is_clean());
        sleep(SECOND).await;
    }
    assert_eq!(service.attempts(), 4);
}
