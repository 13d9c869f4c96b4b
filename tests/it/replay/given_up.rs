//! The first sending: paused during a login, given up for the second, and never complete by accident.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use bytes::Bytes;
use http_body::Body;
use http_body_util::Full;
use tower_arcgis_auth::{ReplayBody, SkipReason};

use super::{Stage, answered, frames_of, is_given_up, letters, read, respond};
use crate::support::{
    INVALID, REQUIRED, assert_login_refused,
    bodies::{self, Buffers, Fed, Scripted, Seen, Step},
};

#[tokio::test(start_paused = true)]
async fn a_body_that_breaks_off_is_never_sent_again() {
    let body = Scripted::new([
        Step::Data(Bytes::from("f=js")),
        Step::Error("the file is gone"),
    ]);
    let log = body.log();
    let mut stage = Stage::with_token().await;
    let call = stage.post(body);
    let (mut first, answer) = stage.received(Some("secret-1")).await;
    assert_eq!(
        read(&mut first),
        [
            Seen::Data(b"f=js".into()),
            Seen::Error("the file is gone".into())
        ]
    );
    assert_eq!(bodies::poll_once(&mut first), Poll::Ready(Seen::End));
    answer.send_response(respond(INVALID));
    let answer = answered(call).await.unwrap();
    assert!(!answer.body().outcome().resent());
    assert!(matches!(
        answer.body().outcome().skip_reason(),
        Some(SkipReason::BodyNotReplayable)
    ));
    assert!(!log.polled_after_end());
    stage.nothing_more().await;
}

#[tokio::test(start_paused = true)]
async fn a_body_that_breaks_off_in_its_second_sending_fails_it() {
    let (feeder, body) = bodies::fed();
    let mut stage = Stage::with_token().await;
    let call = stage.post(body);
    let (mut first, answer) = stage.received(Some("secret-1")).await;
    feeder.data("f=js");
    assert!(bodies::poll_once(&mut first).is_ready());
    answer.send_response(respond(INVALID));
    let (mut second, answer) = stage.received(Some("secret-2")).await;
    feeder.fail("the file is gone");
    assert_eq!(
        read(&mut second),
        [
            Seen::Data(b"f=js".into()),
            Seen::Error("the file is gone".into())
        ]
    );
    answer.send_error("broken upload");
    assert!(answered(call).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn the_first_sending_waits_while_the_login_runs_and_fails_when_the_second_takes_over() {
    let (feeder, body) = bodies::fed();
    let mut stage = Stage::holding_logins_with_token().await;
    let _call = stage.post(body);
    let (mut first, answer) = stage.received(Some("secret-1")).await;
    feeder.data("one");
    assert!(bodies::poll_once(&mut first).is_ready());
    answer.send_response(respond(INVALID));
    stage.login_begun().await;

    feeder.data("two");
    drop(feeder);
    assert_eq!(bodies::poll_once(&mut first), Poll::Pending);
    assert!(!first.is_end_stream());
    let waiting = bodies::waiting_for(&mut first);
    stage.logins.release(1);

    let (mut second, _answer) = stage.received(Some("secret-2")).await;
    assert!(waiting.is_woken());
    assert!(!first.is_end_stream());
    assert_eq!(first.size_hint().exact(), None);
    assert!(is_given_up(&bodies::poll_once(&mut first)));
    assert_eq!(bodies::data_of(&read(&mut second)), b"onetwo");
}

#[tokio::test(start_paused = true)]
async fn a_first_sending_that_waits_for_its_caller_is_woken_to_fail() {
    let (feeder, body) = bodies::fed();
    let mut stage = Stage::with_token().await;
    let _call = stage.post(body);
    let (mut first, answer) = stage.received(Some("secret-1")).await;
    let waiting = bodies::waiting_for(&mut first);
    answer.send_response(respond(INVALID));
    let (mut second, _answer) = stage.received(Some("secret-2")).await;
    assert!(waiting.is_woken());
    assert!(is_given_up(&bodies::poll_once(&mut first)));

    // From here on the caller's data wakes the second sending.
    let waiting = bodies::waiting_for(&mut second);
    feeder.data("late");
    assert!(waiting.is_woken());
    assert_eq!(
        bodies::poll_once(&mut second),
        Poll::Ready(Seen::Data(b"late".into()))
    );
}

#[tokio::test(start_paused = true)]
async fn the_first_sending_goes_on_when_the_login_is_refused() {
    let (feeder, body) = bodies::fed();
    let mut stage = Stage::holding_logins_with_token().await;
    let call = stage.post(body);
    let (mut first, answer) = stage.received(Some("secret-1")).await;
    feeder.data("one");
    assert!(bodies::poll_once(&mut first).is_ready());
    answer.send_response(respond(INVALID));
    stage.login_begun().await;
    feeder.data("two");
    let waiting = bodies::waiting_for(&mut first);
    stage.refuse_login();

    let answer = answered(call).await.unwrap();
    assert_login_refused(answer.body().outcome().skip_reason());
    assert!(waiting.is_woken());
    drop(feeder);
    assert_eq!(read(&mut first), [Seen::Data(b"two".into()), Seen::End]);
    stage.nothing_more().await;
}

#[tokio::test(start_paused = true)]
async fn the_first_sending_goes_on_when_the_caller_gives_up_during_the_login() {
    let buffers = Buffers::default();
    let body = Scripted::data([
        buffers.buffer(letters(5000).to_vec()),
        buffers.buffer(letters(5000).to_vec()),
    ]);
    let mut stage = Stage::holding_logins_with_token().await;
    let call = stage.post(body);
    let (mut first, answer) = stage.received(Some("secret-1")).await;
    assert!(bodies::poll_once(&mut first).is_ready());
    answer.send_response(respond(INVALID));
    stage.login_begun().await;
    let waiting = bodies::waiting_for(&mut first);
    assert_eq!(buffers.held(), 2);

    call.abort();
    assert!(call.await.unwrap_err().is_cancelled());
    assert!(waiting.is_woken());
    assert_eq!(buffers.held(), 1, "what was kept is freed");
    assert_eq!(bodies::data_of(&read(&mut first)), letters(5000));
    assert_eq!(buffers.held(), 0);
    stage.logins.release(1);
    stage.nothing_more().await;
}

#[tokio::test(start_paused = true)]
async fn a_first_sending_that_gave_everything_is_complete() {
    let mut stage = Stage::new();
    let _call = stage.post(Full::new(Bytes::from("f=json")));
    let (mut first, answer) = stage.received(None).await;
    assert_eq!(
        bodies::poll_once(&mut first),
        Poll::Ready(Seen::Data(b"f=json".into()))
    );
    answer.send_response(respond(REQUIRED));
    let (mut second, _answer) = stage.received(Some("secret-1")).await;
    // A client asks after every frame, perhaps a moment too late.
    assert!(first.is_end_stream());
    assert_eq!(bodies::poll_once(&mut first), Poll::Ready(Seen::End));
    assert_eq!(bodies::data_of(&read(&mut second)), b"f=json");
}

#[tokio::test(start_paused = true)]
async fn a_first_sending_that_was_never_read_gives_all_of_it_to_the_second() {
    let mut stage = Stage::with_token().await;
    let _call = stage.post(frames_of(700, 20));
    let (mut first, answer) = stage.received(Some("secret-1")).await;
    answer.send_response(respond(INVALID));
    let (mut second, _answer) = stage.received(Some("secret-2")).await;
    assert!(is_given_up(&bodies::poll_once(&mut first)));
    assert_eq!(bodies::data_of(&read(&mut second)), letters(14_000));
}

#[tokio::test(start_paused = true)]
async fn a_first_sending_that_the_client_dropped_gives_all_of_it_to_the_second() {
    let mut stage = Stage::with_token().await;
    let _call = stage.post(frames_of(700, 20));
    let (mut first, answer) = stage.received(Some("secret-1")).await;
    assert!(bodies::poll_once(&mut first).is_ready());
    drop(first);
    answer.send_response(respond(INVALID));
    let (mut second, _answer) = stage.received(Some("secret-2")).await;
    assert_eq!(bodies::data_of(&read(&mut second)), letters(14_000));
}

#[tokio::test(start_paused = true)]
async fn a_waker_may_look_at_the_body_at_once() {
    /// An executor that polls right from the wake-up.
    struct Looks(Mutex<Option<ReplayBody<Fed>>>, AtomicUsize);
    impl Wake for Looks {
        fn wake(self: Arc<Self>) {
            if let Some(body) = &*self.0.lock().unwrap() {
                let _ = body.is_end_stream();
                self.1.fetch_add(1, Ordering::SeqCst);
            }
        }
    }

    for succeeds in [true, false] {
        let (_feeder, body) = bodies::fed();
        let mut stage = Stage::holding_logins_with_token().await;
        let _call = stage.post(body);
        let (first, answer) = stage.received(Some("secret-1")).await;
        let looks = Arc::new(Looks(Mutex::new(None), AtomicUsize::new(0)));
        let waker = Waker::from(Arc::clone(&looks));
        let mut first = first;
        let mut context = Context::from_waker(&waker);
        assert!(
            std::pin::Pin::new(&mut first)
                .poll_frame(&mut context)
                .is_pending()
        );
        *looks.0.lock().unwrap() = Some(first);
        answer.send_response(respond(INVALID));
        stage.login_begun().await;
        if succeeds {
            stage.logins.release(1);
            stage.received(Some("secret-2")).await;
        } else {
            stage.refuse_login();
            answered(_call).await.unwrap();
        }
        assert_eq!(looks.1.load(Ordering::SeqCst), 1);
    }
}
