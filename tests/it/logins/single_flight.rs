//! However many requests want a token, one login is made, and no request can spoil it for the others.

use crate::support;
use std::{
    pin::{Pin, pin},
    sync::{Arc, Mutex},
    task::{Context, Wake, Waker},
    time::Duration,
};

use crate::support::{ROADS, Scripted, Source, Upstream, get, logins::paused_runtime, over, send};
use bytes::Bytes;
use futures_util::{FutureExt, future::join_all};
use http::Request;
use http_body_util::Full;
use tokio::sync::Semaphore;
use tower::{Service, ServiceExt, service_fn};
use tower_arcgis_auth::{Challenge, ReplayBody, SkipReason, TokenReason};

const SOME_TIME: Duration = Duration::from_millis(200);

#[tokio::test(start_paused = true)]
async fn a_thousand_requests_on_a_cold_start_cost_one_login() {
    let source = Source::new().takes(SOME_TIME);
    let service = over(Upstream::secured(&source.valid), &source);

    let answers = join_all((0..1000).map(|_| send(&service, get(ROADS)))).await;

    assert!(answers.iter().all(|answer| answer.is_clean()));
    assert_eq!(source.logins(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_thousand_requests_with_a_revoked_token_cost_one_login() {
    let source = Source::new().takes(SOME_TIME);
    let service = over(Upstream::secured(&source.valid), &source);
    assert!(send(&service, get(ROADS)).await.is_clean());
    source.valid.revoke_all();

    let answers = join_all((0..1000).map(|_| send(&service, get(ROADS)))).await;

    assert!(answers.iter().all(|answer| answer.is_clean()));
    assert!(
        answers
            .iter()
            .all(|answer| answer.outcome.challenge() == Some(Challenge::TokenInvalid))
    );
    assert_eq!(source.logins(), 2);
    assert_eq!(source.reasons()[1], TokenReason::Rejected);
}

#[tokio::test(start_paused = true)]
async fn answers_to_an_old_token_that_come_late_cost_no_login() {
    let source = Source::new();
    let valid = source.valid.clone();
    let (late, mut handle) = tower_test::mock::pair::<
        http::Request<tower_arcgis_auth::ReplayBody<http_body_util::Full<bytes::Bytes>>>,
        support::Answer,
    >();
    let service = over(late, &source);
    let answering = async {
        // Two requests go out unsigned and are challenged one after the other.
        let (_, first) = handle.next_request().await.unwrap();
        let (_, second) = handle.next_request().await.unwrap();
        first.send_response(support::answer(support::REQUIRED));
        let (signed, answer) = handle.next_request().await.unwrap();
        assert!(signed.uri().query().unwrap().contains("token=secret-1"));
        answer.send_response(support::answer(support::CLEAN));
        second.send_response(support::answer(support::REQUIRED));
        let (signed, answer) = handle.next_request().await.unwrap();
        assert!(signed.uri().query().unwrap().contains("token=secret-1"));
        answer.send_response(support::answer(support::CLEAN));
    };
    let both = async {
        tokio::join!(
            service.clone().oneshot(get(ROADS)),
            service.clone().oneshot(get(ROADS))
        )
    };
    let ((first, second), ()) = tokio::join!(both, answering);

    assert!(first.unwrap().body().outcome().resent());
    assert!(second.unwrap().body().outcome().resent());
    assert_eq!(source.logins(), 1);
    drop(valid);
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_hangs_up_during_the_login_harms_no_other() {
    let source = Source::new().takes(SOME_TIME);
    let service = over(Upstream::secured(&source.valid), &source);
    {
        let mut leader = pin!(send(&service, get(ROADS)));
        assert!(leader.as_mut().now_or_never().is_none());
        tokio::task::yield_now().await;
        assert_eq!(source.logins(), 1);
    }

    let answers = join_all((0..10).map(|_| send(&service, get(ROADS)))).await;

    assert!(answers.iter().all(|answer| answer.is_clean()));
    assert_eq!(source.logins(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_is_not_polled_any_more_stalls_no_other() {
    let source = Source::new().takes(SOME_TIME);
    let service = over(Upstream::secured(&source.valid), &source);
    let mut leader = pin!(send(&service, get(ROADS)));
    assert!(leader.as_mut().now_or_never().is_none());

    // The leader is alive, and is not polled.
    assert!(send(&service, get(ROADS)).await.is_clean());

    assert!(leader.await.is_clean());
    assert_eq!(source.logins(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_panics_fails_this_login_and_not_the_next() {
    let source = Source::new();
    source.next(Scripted::Panic);
    let service = over(Upstream::secured(&source.valid), &source);

    let answers = join_all((0..10).map(|_| send(&service, get(ROADS)))).await;
    for answer in &answers {
        assert_eq!(
            answer.outcome.returned_challenge(),
            Some(Challenge::TokenRequired)
        );
        assert!(matches!(
            answer.outcome.skip_reason(),
            Some(SkipReason::LoginFailed(_))
        ));
    }
    assert_eq!(source.logins(), 1);

    tokio::time::advance(Duration::from_secs(2)).await;
    assert!(send(&service, get(ROADS)).await.is_clean());
}

#[tokio::test(start_paused = true)]
async fn a_login_that_never_ends_is_given_up_after_thirty_seconds() {
    let source = Source::new();
    source.next(Scripted::Hang);
    let service = over(Upstream::secured(&source.valid), &source);
    let begun = tokio::time::Instant::now();

    let answer = send(&service, get(ROADS)).await;

    assert_eq!(begun.elapsed().as_secs(), 30);
    let error = answer.outcome.skip_reason().unwrap().token_error().unwrap();
    assert!(error.to_string().contains("30 seconds"), "{error}");
    tokio::time::advance(Duration::from_secs(2)).await;
    assert!(send(&service, get(ROADS)).await.is_clean());
}

#[tokio::test(start_paused = true)]
async fn a_failed_login_is_shared_by_all_who_waited_for_it() {
    let source = Source::new().takes(SOME_TIME);
    source.next(Scripted::Fault);
    let service = over(Upstream::secured(&source.valid), &source);

    let answers = join_all((0..100).map(|_| send(&service, get(ROADS)))).await;

    assert!(
        answers
            .iter()
            .all(|answer| answer.body == support::REQUIRED)
    );
    assert_eq!(source.logins(), 1);
}

#[test]
fn a_runtime_that_goes_away_during_a_login_leaves_the_store_usable() {
    let source = Source::new();
    source.next(Scripted::Hang);
    let service = over(Upstream::secured(&source.valid), &source);
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap()
    };
    let first = runtime();
    first.block_on(async {
        let mut request = pin!(send(&service, get(ROADS)));
        assert!(request.as_mut().now_or_never().is_none());
        tokio::task::yield_now().await;
    });
    drop(first);

    let answer = runtime().block_on(async {
        // The broken-off login counts as a fault, with its pause.
        tokio::time::advance(Duration::from_secs(2)).await;
        send(&service, get(ROADS)).await
    });
    assert_eq!(source.logins(), 2);
    assert!(answer.is_clean());
}

#[test]
fn a_token_whose_runtime_is_gone_is_used_until_a_server_rejects_it() {
    let source = Source::new().lifetime(Duration::from_secs(3));
    let fake = Upstream::secured(&source.valid);
    let service = over(fake.clone(), &source);
    paused_runtime().block_on(async {
        assert!(send(&service, get(ROADS)).await.is_clean());
    });
    let before = fake.count();
    paused_runtime().block_on(async {
        tokio::time::advance(Duration::from_secs(5)).await;
        source.valid.revoke_all();
        assert!(send(&service, get(ROADS)).await.is_clean());
    });
    let tokens = [Some("secret-1".to_owned()), Some("secret-2".to_owned())];
    assert_eq!(fake.tokens()[before..], tokens);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_comes_late_waits_for_the_login_under_way() {
    let source = Source::new().takes(Duration::from_secs(1));
    let fake = Upstream::secured(&source.valid);
    let answers_slowly = Arc::new(Semaphore::new(0));
    let permits = Arc::clone(&answers_slowly);
    let inner = service_fn(move |request: Request<ReplayBody<Full<Bytes>>>| {
        let (mut fake, permits) = (fake.clone(), Arc::clone(&permits));
        async move {
            let uri = request.uri().to_string();
            if uri.contains("Slow") && uri.contains("secret-1") {
                permits.acquire().await.unwrap().forget();
            }
            Service::call(&mut fake, request).await
        }
    });
    let service = over(inner, &source);
    assert!(send(&service, get(ROADS)).await.is_clean());
    let slow = {
        let service = service.clone();
        let slow = ROADS.replace("Roads", "Slow");
        tokio::spawn(async move { send(&service, get(&slow)).await })
    };
    tokio::task::yield_now().await;
    source.valid.revoke_all();
    assert!(send(&service, get(ROADS)).await.is_clean());
    source.valid.revoke_all();
    let third = {
        let service = service.clone();
        tokio::spawn(async move { send(&service, get(ROADS)).await })
    };
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(source.logins(), 3, "the third login is under way");
    answers_slowly.add_permits(1);

    let slow = slow.await.unwrap();
    assert!(slow.is_clean(), "{}", slow.outcome);
    assert!(third.await.unwrap().is_clean());
    assert_eq!(source.logins(), 3);
}

#[test]
fn a_waker_that_polls_at_once_meets_no_lock() {
    type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

    /// An executor that polls right from the wake-up.
    struct Inline(Mutex<Option<Task>>);

    impl Wake for Inline {
        fn wake(self: Arc<Self>) {
            let waker = Waker::from(Arc::clone(&self));
            let task = self.0.lock().unwrap().take();
            if let Some(mut task) = task {
                let polled = task.as_mut().poll(&mut Context::from_waker(&waker));
                if polled.is_pending() {
                    *self.0.lock().unwrap() = Some(task);
                }
            }
        }
    }

    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        paused_runtime().block_on(async {
            let source = Source::new().takes(SOME_TIME);
            let service = over(Upstream::secured(&source.valid), &source);
            let mut task: Task = Box::pin(async move {
                let answer = send(&service, get(ROADS)).await;
                sender.send(answer.is_clean()).unwrap();
            });
            let executor = Arc::new(Inline(Mutex::new(None)));
            let waker = Waker::from(Arc::clone(&executor));
            let polled = task.as_mut().poll(&mut Context::from_waker(&waker));
            assert!(polled.is_pending());
            *executor.0.lock().unwrap() = Some(task);
            tokio::time::sleep(2 * SOME_TIME).await;
        });
    });
    // A minute is for ever: it is locked, or it is not.
    assert_eq!(receiver.recv_timeout(Duration::from_secs(60)), Ok(true));
}
