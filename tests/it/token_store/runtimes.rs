//! Runtimes that are missing or end, and wakers that poll at once.

use std::{
    pin::{Pin, pin},
    sync::{Arc, Mutex},
    task::{Context, Wake, Waker},
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
    let got = futures_util::FutureExt::now_or_never(send(&service, get(ROADS))).unwrap();
    assert_eq!(got.body, REQUIRED);
    let skip_reason = got.outcome.skip_reason().unwrap().to_string();
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

    let got = runtime().block_on(async {
        // The broken-off login counts as a fault, with its pause.
        advance(2 * SECOND).await;
        send(&service, get(ROADS)).await
    });
    assert_eq!(source.attempts(), 2);
    assert!(got.is_clean());
}

#[test]
fn a_token_whose_runtime_is_gone_is_used_until_a_server_rejects_it() {
    let source = TokenService::new().lifetime(3 * SECOND);
    let upstream = Upstream::secured_by(&source);
    let service = over(upstream.clone(), &source);
    paused_runtime().block_on(async {
        assert!(send(&service, get(ROADS)).await.is_clean());
    });
    let before = upstream.count();
    paused_runtime().block_on(async {
        advance(5 * SECOND).await;
        source.revoke_all();
        assert!(send(&service, get(ROADS)).await.is_clean());
    });
    let tokens = [Some("secret-1".to_owned()), Some("secret-2".to_owned())];
    assert_eq!(upstream.tokens()[before..], tokens);
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
            let source = TokenService::new().takes(SECOND);
            let service = over(Upstream::secured_by(&source), &source);
            let mut task: Task = Box::pin(async move {
                let got = send(&service, get(ROADS)).await;
                sender.send(got.is_clean()).unwrap();
            });
            let executor = Arc::new(Inline(Mutex::new(None)));
            let waker = Waker::from(Arc::clone(&executor));
            let polled = task.as_mut().poll(&mut Context::from_waker(&waker));
            assert!(polled.is_pending());
            *executor.0.lock().unwrap() = Some(task);
            sleep(2 * SECOND).await;
        });
    });
    // A minute is long enough: it is locked, or it is not.
    assert_eq!(receiver.recv_timeout(MINUTE), Ok(true));
}
