//! Tokens that are revoked again and again.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::{task::JoinHandle, time::sleep};

use crate::support::{
    CLEAN, INVALID, REQUIRED, ROADS, SECOND, TokenService, Upstream, answer, get, over, send,
    token_of,
};

/// Until the task is aborted.
fn revoke_twice_a_second(source: &TokenService) -> JoinHandle<()> {
    let source = source.clone();
    tokio::spawn(async move {
        loop {
            sleep(SECOND / 2).await;
            source.revoke_all();
        }
    })
}

#[tokio::test(start_paused = true)]
async fn tokens_revoked_twice_a_second_under_load_are_replaced() {
    let source = TokenService::new().takes(Duration::from_millis(30));
    let service = over(Upstream::secured_by(&source), &source);
    let revoking = revoke_twice_a_second(&source);
    let load = join_all((0..50).map(|worker| {
        let service = service.clone();
        async move {
            for turn in 0..200u64 {
                sleep(Duration::from_millis(20 + (worker * 7 + turn * 13) % 40)).await;
                assert!(send(&service, get(ROADS)).await.is_clean());
            }
        }
    }));
    load.await;
    revoking.abort();
    assert!(source.attempts() >= 10, "{} logins", source.attempts());
}

#[tokio::test(start_paused = true)]
async fn tokens_revoked_before_a_slow_service_answers_are_replaced() {
    let source = TokenService::new().takes(Duration::from_millis(30));
    let tokens = source.tokens();
    // Whether a token is good is settled at once, and said later.
    let upstream = Upstream::slow(move |request| {
        let body = match token_of(request) {
            None => REQUIRED,
            Some(token) if tokens.contains(&token) => CLEAN,
            Some(_) => INVALID,
        };
        async move {
            if body == CLEAN {
                sleep(Duration::from_millis(900)).await;
            }
            answer(body)
        }
    });
    let service = over(upstream, &source);
    let revoking = revoke_twice_a_second(&source);
    let load = join_all((0..50).map(|worker| {
        let service = service.clone();
        async move {
            sleep(Duration::from_millis(worker * 37)).await;
            let mut failed = Vec::new();
            for turn in 0..100u64 {
                sleep(Duration::from_millis(20 + (worker * 7 + turn * 13) % 40)).await;
                let got = send(&service, get(ROADS)).await;
                if !got.is_clean() {
                    failed.push(got.outcome.to_string());
                }
            }
            failed
        }
    }));
    let failed = load.await.concat();
    revoking.abort();
    assert!(failed.is_empty(), "{failed:?}");
}
