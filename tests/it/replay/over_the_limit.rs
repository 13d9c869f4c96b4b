//! Bodies that are too long to keep.

use std::task::Poll;

use bytes::Bytes;
use http_body::Body;
use http_body_util::Full;
use tower_arcgis_auth::{BoxError, Challenge, SkipReason};

use super::{CAP, CLEAN, Stage, answered, arrives_twice, frames_of, letters, read, respond};
use crate::support::{
    INVALID, assert_login_refused,
    bodies::{self, Buffers, Scripted, Seen},
};

#[tokio::test(start_paused = true)]
async fn a_stream_as_long_as_the_limit_is_sent_again() {
    let whole = letters(CAP);
    let frames = bodies::cut(&whole, &[1999, 4500]);
    arrives_twice(Scripted::data(frames), &whole, None).await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_one_byte_over_the_limit_is_sent_whole_and_once() {
    for size in [1, 1000, 4096, CAP + 1] {
        let buffers = Buffers::default();
        let whole = letters(CAP + 1);
        let frames = bodies::cut(&whole, &[size]);
        let frames = frames.iter().map(|frame| buffers.buffer(frame.to_vec()));
        let mut stage = Stage::with_token().await;
        let call = stage.post(Scripted::data(frames.collect::<Vec<_>>()));

        let (mut first, answer) = stage.received(Some("secret-1")).await;
        let seen = read(&mut first);
        assert_eq!(bodies::data_of(&seen), whole);
        assert_eq!(seen.last(), Some(&Seen::End));
        drop(seen);
        assert_eq!(buffers.held(), 0, "the copy is freed when it is useless");
        answer.send_response(respond(INVALID));

        let answer = answered(call).await.unwrap();
        let outcome = answer.body().outcome();
        assert!(!outcome.resent());
        assert_eq!(outcome.returned_challenge(), Some(Challenge::TokenInvalid));
        assert!(matches!(
            outcome.skip_reason(),
            Some(SkipReason::BodyNotReplayable)
        ));
        // The next one finds a token.
        stage.login_begun().await;
        stage.nothing_more().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_over_the_limit_is_not_paused_by_a_challenge() {
    let (feeder, body) = bodies::fed();
    let mut stage = Stage::holding_logins_with_token().await;
    let call = stage.post(body);
    let (mut first, answer) = stage.received(Some("secret-1")).await;
    feeder.data(letters(CAP + 1));
    assert!(bodies::poll_once(&mut first).is_ready());
    answer.send_response(respond(INVALID));
    stage.login_begun().await;
    answered(call).await.unwrap();
    feeder.data("more");
    assert_eq!(
        bodies::poll_once(&mut first),
        Poll::Ready(Seen::Data(b"more".into()))
    );
    drop(feeder);
    assert_eq!(bodies::poll_once(&mut first), Poll::Ready(Seen::End));
}

#[tokio::test(start_paused = true)]
async fn a_body_known_to_be_over_the_limit_is_signed_before_it_is_sent_once() {
    let buffers = Buffers::default();
    let body = Full::new(buffers.buffer(letters(CAP + 1).to_vec()));
    let mut stage = Stage::holding_logins();
    let call = stage.post(body);
    stage.login_begun().await;
    stage.logins.release(1);

    let (mut body, answer) = stage.received(Some("secret-1")).await;
    assert_eq!(body.size_hint().exact(), Some(CAP as u64 + 1));
    assert_eq!(bodies::data_of(&read(&mut body)), letters(CAP + 1));
    assert_eq!(buffers.held(), 0, "no copy is kept");
    answer.send_response(respond(CLEAN));
    let answer = answered(call).await.unwrap();
    assert!(answer.body().outcome().signed());
    assert!(!answer.body().outcome().resent());
    assert_eq!(answer.body().outcome().challenge(), None);
    assert_eq!(stage.logins.attempts(), 1);
    stage.nothing_more().await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_of_unknown_length_waits_for_a_login_before_it_is_read() {
    let (feeder, body) = bodies::fed();
    let mut stage = Stage::holding_logins();
    let call = stage.post(body);
    stage.login_begun().await;
    feeder.data("f=json");
    drop(feeder);
    stage.logins.release(1);

    let (mut body, answer) = stage.received(Some("secret-1")).await;
    assert_eq!(bodies::data_of(&read(&mut body)), b"f=json");
    answer.send_response(respond(CLEAN));
    let answer = answered(call).await.unwrap();
    assert!(answer.body().outcome().signed());
    assert!(!answer.body().outcome().resent());
    assert_eq!(stage.logins.attempts(), 1);
    stage.nothing_more().await;
}

/// A body that waits for the login is sent once, whole and unsigned, where that is refused.
async fn goes_out_unsigned_after_a_refusal<B>(body: B, data: Bytes)
where
    B: Body + Unpin + Send + 'static,
    B::Error: Into<BoxError>,
{
    let mut stage = Stage::holding_logins();
    let call = stage.post(body);
    stage.login_begun().await;
    stage.refuse_login();
    let (mut body, answer) = stage.received(None).await;
    assert_eq!(bodies::data_of(&read(&mut body)), data);
    answer.send_response(respond(CLEAN));
    let answer = answered(call).await.unwrap();
    assert!(!answer.body().outcome().signed());
    assert_login_refused(answer.body().outcome().skip_reason());
    stage.nothing_more().await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_of_unknown_length_is_sent_unsigned_where_the_login_is_refused() {
    goes_out_unsigned_after_a_refusal(frames_of(700, 20), letters(14_000)).await;
}

#[tokio::test(start_paused = true)]
async fn a_body_at_the_limit_waits_for_no_login() {
    let mut stage = Stage::holding_logins();
    let _call = stage.post(Full::new(letters(CAP)));
    stage.received(None).await;
    assert_eq!(stage.logins.attempts(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_body_over_the_limit_is_sent_unsigned_if_the_login_is_refused() {
    goes_out_unsigned_after_a_refusal(Full::new(letters(CAP + 1)), letters(CAP + 1)).await;
}

#[tokio::test(start_paused = true)]
async fn after_a_rejected_token_the_next_long_body_waits_for_another() {
    let mut stage = Stage::holding_logins();
    stage.log_in().await;

    let call = stage.post(Full::new(letters(CAP + 1)));
    let (_, answer) = stage.received(Some("secret-1")).await;
    answer.send_response(respond(INVALID));
    let answer = answered(call).await.unwrap();
    assert_eq!(
        answer.body().outcome().returned_challenge(),
        Some(Challenge::TokenInvalid)
    );
    assert!(matches!(
        answer.body().outcome().skip_reason(),
        Some(SkipReason::BodyNotReplayable)
    ));

    let call = stage.post(Full::new(letters(CAP + 1)));
    stage.login_begun().await;
    stage.logins.release(1);
    let (_, answer) = stage.received(Some("secret-2")).await;
    answer.send_response(respond(CLEAN));
    assert!(answered(call).await.unwrap().body().outcome().signed());
    assert_eq!(stage.logins.attempts(), 2);
    stage.nothing_more().await;
}
