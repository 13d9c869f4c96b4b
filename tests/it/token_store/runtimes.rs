//! Runtimes that are missing or end, and wakers that poll at once.

use std::{
    pin::{Pin, pin},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Wake, Waker},
    time::Duration,
};

use futures_util::FutureExt;
use tokio::time::{advance, sleep};

use crate::support::{
    MINUTE, REQUIRED, ROADS, Reply, SECOND, TokenService, Upstream, get, over, paused_runtime, send,
};

#[test]
fn without_a_runtime_a_challenge_is_returned_with_the_reason() {
    let source = TokenService::new();
    let upstream = Upstream::secured_by(&source);
    let service = over(upstream, &source);
    let answer = futures_util::FutureExt::now_or_never(send(&service, get(ROADS))).unwrap();
    assert_eq!(answer.body, REQUIRED);
    let skip_reason = answer.outcome.skip_reason().unwrap().to_string();
    assert!(skip_reason.contains("runtime"), "{skip_reason}");
}

#[test]
fn a_runtime_that_ends_during_a_login_leaves_the_store_usable() {
    let source = TokenService::new();
    source.next([Reply::Hangs]);
    let service = over(Upstream::secured_by(&source), &source);
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
        advance(Duration::from_secs(2)).await;
        send(&service, get(ROADS)).await
    });
    assert_eq!(source.attempts(), 2);
    assert!(answer.is_clean());
}

#[test]
fn a_token_whose_runtime_has_ended_still_ages() {
    let source = TokenService::new().lifetime(3 * SECOND);
    let upstream = Upstream::secured_by(&source);
    let service = over(upstream.clone(), &source);
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_all().build().unwrap()
    };
    runtime().block_on(async {
        assert!(send(&service, get(ROADS)).await.is_clean());
    });
    let before = upstream.count();
    runtime().block_on(async {
        tokio::time::pause();
        advance(5 * SECOND).await;
        send(&service, get(ROADS)).await;
    });
    assert_eq!(
        upstream.tokens()[before..],
        [Some("secret-2".to_owned())],
        "{:?}",
        source.reasons()
    );
}

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Polls its task right from the wake-up.
struct PollsAtOnce(Mutex<Option<Task>>);

impl Wake for PollsAtOnce {
    fn wake(self: Arc<Self>) {
        let waker = Waker::from(self.clone());
        let task = self.0.lock().unwrap().take();
        if let Some(mut task) = task {
            let polled = task.as_mut().poll(&mut Context::from_waker(&waker));
            if polled.is_pending() {
                *self.0.lock().unwrap() = Some(task);
            }
        }
    }
}

#[test]
fn a_waker_that_polls_at_once_meets_no_lock() {
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        paused_runtime().block_on(async {
            let source = TokenService::new().takes(Duration::from_millis(20));
            let service = over(Upstream::secured_by(&source), &source);
            let done = Arc::new(AtomicBool::new(false));
            let sets = done.clone();
            let mut task: Task = Box::pin(async move {
                send(&service, get(ROADS)).await;
                sets.store(true, Ordering::SeqCst);
            });
            let executor = Arc::new(PollsAtOnce(Mutex::new(None)));
            let waker = Waker::from(executor.clone());
            let polled = task.as_mut().poll(&mut Context::from_waker(&waker));
            assert!(polled.is_pending());
            *executor.0.lock().unwrap() = Some(task);
            sleep(Duration::from_millis(200)).await;
            sender.send(done.load(Ordering::SeqCst)).unwrap();
        });
    });
    // A minute is long enough: it is locked, or it is not.
    assert_eq!(receiver.recv_timeout(MINUTE), Ok(true));
}
