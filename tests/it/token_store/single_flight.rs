//! One login, however many requests want a token; and one request cannot spoil it for the others.

use std::{pin::pin, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{FutureExt, future::join_all};
use http::Request;
use http_body_util::Full;
use tokio::{
    sync::Semaphore,
    time::{Instant, advance, sleep},
};
use tower::{Layer, ServiceExt};
use tower_arcgis_auth::{ArcgisAuthLayer, Challenge, ReplayBody, SkipReason, TokenReason};

use crate::support::{
    Answer, CLEAN, INVALID, REQUIRED, ROADS, Reply, SECOND, TokenService, Upstream, answer, get,
    map_server, over, send, site, token_of,
};

const SOME_TIME: Duration = Duration::from_millis(200);

#[tokio::test(start_paused = true)]
async fn a_thousand_requests_on_a_cold_start_cost_one_login() {
    let source = TokenService::new().takes(SOME_TIME);
    let service = over(Upstream::secured_by(&source), &source);

    let answers = join_all((0..1000).map(|_| send(&service, get(ROADS)))).await;

    assert!(answers.iter().all(|got| got.is_clean()));
    assert_eq!(source.attempts(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_thousand_requests_with_a_revoked_token_cost_one_login() {
    let source = TokenService::new().takes(SOME_TIME);
    let service = over(Upstream::secured_by(&source), &source);
    assert!(send(&service, get(ROADS)).await.is_clean());
    source.revoke_all();

    let answers = join_all((0..1000).map(|_| send(&service, get(ROADS)))).await;

    assert!(answers.iter().all(|got| got.is_clean()));
    assert!(
        answers
            .iter()
            .all(|got| got.outcome.challenge() == Some(Challenge::TokenInvalid))
    );
    assert_eq!(source.attempts(), 2);
    assert_eq!(source.reasons()[1], TokenReason::Rejected);
}

#[tokio::test(start_paused = true)]
async fn answers_to_an_old_token_that_come_late_cost_no_login() {
    let source = TokenService::new();
    // The order of the answers counts, across requests: the scripted upstream knows one request at a time.
    let (late, mut handle) = tower_test::mock::pair::<Request<ReplayBody<Full<Bytes>>>, Answer>();
    let service = over(late, &source);
    let server = async {
        // Two requests go out unsigned and are challenged one after the other.
        let (_, first) = handle.next_request().await.unwrap();
        let (_, second) = handle.next_request().await.unwrap();
        first.send_response(answer(REQUIRED));
        let (signed, answering) = handle.next_request().await.unwrap();
        assert!(signed.uri().query().unwrap().contains("token=secret-1"));
        answering.send_response(answer(CLEAN));
        second.send_response(answer(REQUIRED));
        let (signed, answering) = handle.next_request().await.unwrap();
        assert!(signed.uri().query().unwrap().contains("token=secret-1"));
        answering.send_response(answer(CLEAN));
    };
    let both = async {
        tokio::join!(
            service.clone().oneshot(get(ROADS)),
            service.clone().oneshot(get(ROADS))
        )
    };
    let ((first, second), ()) = tokio::join!(both, server);

    assert!(first.unwrap().body().outcome().resent());
    assert!(second.unwrap().body().outcome().resent());
    assert_eq!(source.attempts(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_hangs_up_during_the_login_harms_no_other() {
    let source = TokenService::new().takes(SOME_TIME);
    let service = over(Upstream::secured_by(&source), &source);
    {
        let mut leader = pin!(send(&service, get(ROADS)));
        assert!(leader.as_mut().now_or_never().is_none());
        tokio::task::yield_now().await;
        assert_eq!(source.attempts(), 1);
    }

    let answers = join_all((0..10).map(|_| send(&service, get(ROADS)))).await;

    assert!(answers.iter().all(|got| got.is_clean()));
    assert_eq!(source.attempts(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_is_not_polled_any_more_stalls_no_other() {
    let source = TokenService::new().takes(SOME_TIME);
    let service = over(Upstream::secured_by(&source), &source);
    let mut leader = pin!(send(&service, get(ROADS)));
    assert!(leader.as_mut().now_or_never().is_none());

    // The leader is alive, and is not polled.
    assert!(send(&service, get(ROADS)).await.is_clean());

    assert!(leader.await.is_clean());
    assert_eq!(source.attempts(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_panics_fails_this_login_and_not_the_next() {
    let source = TokenService::new();
    source.next([Reply::Panics]);
    let service = over(Upstream::secured_by(&source), &source);

    let answers = join_all((0..10).map(|_| send(&service, get(ROADS)))).await;
    for got in &answers {
        assert_eq!(
            got.outcome.returned_challenge(),
            Some(Challenge::TokenRequired)
        );
        assert!(matches!(
            got.outcome.skip_reason(),
            Some(SkipReason::LoginFailed(_))
        ));
    }
    assert_eq!(source.attempts(), 1);

    advance(2 * SECOND).await;
    assert!(send(&service, get(ROADS)).await.is_clean());
}

#[tokio::test(start_paused = true)]
async fn a_login_that_never_ends_is_given_up_after_thirty_seconds() {
    let source = TokenService::new();
    source.next([Reply::Hangs]);
    let service = over(Upstream::secured_by(&source), &source);
    let begun = Instant::now();

    let got = send(&service, get(ROADS)).await;

    assert_eq!(begun.elapsed().as_secs(), 30);
    let error = got.outcome.skip_reason().unwrap().token_error().unwrap();
    assert!(error.to_string().contains("30 seconds"), "{error}");
    advance(2 * SECOND).await;
    assert!(send(&service, get(ROADS)).await.is_clean());
}

#[tokio::test(start_paused = true)]
async fn a_failed_login_is_the_result_of_all_its_waiters() {
    let source = TokenService::new().takes(SOME_TIME);
    source.next([Reply::Fault]);
    let service = over(Upstream::secured_by(&source), &source);

    let answers = join_all((0..100).map(|_| send(&service, get(ROADS)))).await;

    assert!(answers.iter().all(|got| got.body == REQUIRED));
    assert_eq!(source.attempts(), 1);
}

#[tokio::test(start_paused = true)]
async fn clones_and_services_of_one_layer_share_the_token() {
    let source = TokenService::new();
    let upstream = Upstream::secured_by(&source);
    let layer = ArcgisAuthLayer::try_new(site(&source)).unwrap();
    for _ in 0..5 {
        let service = layer.clone().layer(upstream.clone());
        assert!(send(&service, get(ROADS)).await.is_clean());
    }
    assert_eq!(source.attempts(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_comes_late_waits_for_the_login_under_way() {
    let source = TokenService::new().takes(SECOND);
    let tokens = source.tokens();
    let answers_slowly = Arc::new(Semaphore::new(0));
    let permits = answers_slowly.clone();
    let upstream = Upstream::slow(move |request| {
        let (token, tokens, permits) = (token_of(request), tokens.clone(), permits.clone());
        let is_slow = request.uri.path().contains("Slow") && token.as_deref() == Some("secret-1");
        async move {
            if is_slow {
                permits.acquire().await.unwrap().forget();
            }
            answer(match token {
                None => REQUIRED,
                Some(token) if tokens.contains(&token) => CLEAN,
                Some(_) => INVALID,
            })
        }
    });
    let service = over(upstream, &source);
    let ask = |uri: String| {
        let service = service.clone();
        tokio::spawn(async move { send(&service, get(&uri)).await })
    };
    assert!(send(&service, get(ROADS)).await.is_clean());
    let slow = ask(map_server("Slow"));
    tokio::task::yield_now().await;
    source.revoke_all();
    // The second token works, and is revoked as well.
    assert!(send(&service, get(ROADS)).await.is_clean());
    source.revoke_all();
    let third = ask(ROADS.to_owned());
    sleep(Duration::from_millis(100)).await;
    assert_eq!(source.attempts(), 3, "the third login is under way");
    answers_slowly.add_permits(1);

    let slow = slow.await.unwrap();
    assert!(slow.is_clean(), "{}", slow.outcome);
    assert!(third.await.unwrap().is_clean());
    assert_eq!(source.attempts(), 3);
}
