//! What is kept of a body, and for how long.

use std::task::Poll;

use bytes::Bytes;
use http::Request;
use http_body::Body;
use http_body_util::Full;

use super::{CAP, CLEAN, Stage, answered, letters, read, respond};
use crate::support::{
    INVALID, REQUIRED, assert_login_refused,
    bodies::{self, Buffers, Scripted},
};

#[tokio::test(start_paused = true)]
async fn what_is_kept_is_freed_when_the_answer_is_clean() {
    let buffers = Buffers::default();
    let large = buffers.buffer(letters(8000).to_vec());
    let (feeder, body) = bodies::fed();
    let mut stage = Stage::with_token().await;
    let call = stage.post(body);
    let (mut first, answer) = stage.received(Some("secret-1")).await;
    feeder.data(large);
    assert!(bodies::poll_once(&mut first).is_ready());
    assert_eq!(buffers.held(), 1);
    answer.send_response(respond(CLEAN));
    let answer = answered(call).await.unwrap();
    assert_eq!(buffers.held(), 0);

    // The upload goes on behind the answer, and nothing of it is kept.
    feeder.data(buffers.buffer(letters(8000).to_vec()));
    assert!(bodies::poll_once(&mut first).is_ready());
    assert_eq!(buffers.held(), 0);
    drop(answer);
}

#[tokio::test(start_paused = true)]
async fn what_is_kept_is_freed_when_the_login_is_refused() {
    let buffers = Buffers::default();
    let mut stage = Stage::holding_logins();
    let call = stage.post(Full::new(buffers.buffer(letters(8000).to_vec())));
    let (mut first, answer) = stage.received(None).await;
    read(&mut first);
    assert_eq!(buffers.held(), 1);
    answer.send_response(respond(REQUIRED));
    stage.refuse_login();
    let _answer = answered(call).await.unwrap();
    assert_eq!(buffers.held(), 0);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_kept_while_a_refusal_is_remembered() {
    let mut stage = Stage::holding_logins();
    let call = stage.post(Full::new(Bytes::from("f=json")));
    let (_, answer) = stage.received(None).await;
    answer.send_response(respond(REQUIRED));
    stage.refuse_login();
    answered(call).await.unwrap();

    let buffers = Buffers::default();
    let call = stage.post(Full::new(buffers.buffer(letters(8000).to_vec())));
    let (mut first, answer) = stage.received(None).await;
    read(&mut first);
    assert_eq!(buffers.held(), 0);
    answer.send_response(respond(REQUIRED));
    let answer = answered(call).await.unwrap();
    assert_login_refused(answer.body().outcome().skip_reason());
    assert_eq!(stage.logins.attempts(), 1);
}

#[tokio::test(start_paused = true)]
async fn small_frames_do_not_pin_the_buffers_they_were_cut_from() {
    let buffers = Buffers::default();
    let frame = buffers.buffer(vec![b'x'; 64 * 1024]);
    let frames = (0..CAP).map(|at| match at {
        // One buffer among many that would be seen, were it kept.
        500 => buffers.buffer(vec![b'x'; 64 * 1024]).slice(..1),
        _ => frame.slice(at..=at),
    });
    let body = Scripted::data(frames.collect::<Vec<_>>());
    drop(frame);
    let mut stage = Stage::with_token().await;
    let call = stage.post(body);
    let (mut first, answer) = stage.received(Some("secret-1")).await;
    assert_eq!(read(&mut first).len(), CAP + 1);
    assert_eq!(buffers.held(), 0);
    answer.send_response(respond(INVALID));

    let (mut second, answer) = stage.received(Some("secret-2")).await;
    let seen = read(&mut second);
    assert_eq!(bodies::data_of(&seen), vec![b'x'; CAP]);
    assert!(seen.len() < 10, "they come back in few pieces");
    answer.send_response(respond(CLEAN));
    answered(call).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn large_frames_are_kept_without_a_copy() {
    let large = letters(8000);
    let start = large.as_ptr();
    let mut stage = Stage::new();
    let _call = stage.post(Full::new(large));
    let (mut first, answer) = stage.received(None).await;
    read(&mut first);
    answer.send_response(respond(REQUIRED));
    let (mut second, _answer) = stage.received(Some("secret-1")).await;
    let mut task = tokio_test::task::spawn(());
    let frame = task.enter(|context, _| std::pin::Pin::new(&mut second).poll_frame(context));
    let Poll::Ready(Some(Ok(frame))) = frame else {
        panic!("no frame");
    };
    assert_eq!(frame.data_ref().unwrap().as_ptr(), start);
}

#[tokio::test(start_paused = true)]
async fn requests_to_no_site_are_not_kept() {
    let buffers = Buffers::default();
    let mut stage = Stage::new();
    let request = Request::post("http://elsewhere.example.com/arcgis/rest/services/a/MapServer");
    let body = Full::new(buffers.buffer(letters(8000).to_vec()));
    let call = stage.send(request.body(body).unwrap());
    let (mut first, answer) = stage.received(None).await;
    read(&mut first);
    assert_eq!(buffers.held(), 0);
    answer.send_response(respond(REQUIRED));
    let answer = answered(call).await.unwrap();
    assert!(!answer.body().outcome().resent());
    stage.nothing_more().await;
}
