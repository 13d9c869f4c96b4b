//! How much of a body is held back to decide whether it is a challenge.

use std::task::Poll;

use bytes::{Buf, Bytes};
use http::{Method, Response, header};
use http_body::{Body, Frame};
use tokio_test::{assert_pending, assert_ready, task};
use tower_arcgis_auth::BoxError;

use super::{CHALLENGE, CLEAN, PEEKED, ask, json, layer};
use crate::support::bodies::{self, Buffers, Fed, Scripted, Seen, Step};

#[tokio::test]
async fn a_challenge_is_seen_wherever_a_buffer_is_cut() {
    for cut in 0..CHALLENGE.len() {
        let (start, end) = CHALLENGE.as_bytes().split_at(cut);
        let whole = Bytes::from_static(start).chain(Bytes::from_static(end));
        let clean = Bytes::from_static(CLEAN.as_bytes()).chain(Bytes::new());
        let answers = [json(Scripted::data([whole])), json(Scripted::data([clean]))];
        let answer = ask(&layer(true), Method::GET, answers).await.unwrap();
        assert!(answer.body().outcome().resent(), "cut at {cut}");
    }
}

#[tokio::test]
async fn a_challenge_is_seen_wherever_its_frames_are_cut() {
    for cut in 0..CHALLENGE.len() {
        let (start, end) = CHALLENGE.as_bytes().split_at(cut);
        let frames = [start, &[], end].map(Bytes::from_static);
        let answers = [
            json(Scripted::data(frames)),
            json(Scripted::data([Bytes::from(CLEAN)])),
        ];
        let answer = ask(&layer(true), Method::GET, answers).await.unwrap();
        assert!(answer.body().outcome().resent(), "cut at {cut}");
    }
}

#[tokio::test]
async fn an_answer_is_returned_at_the_first_byte_that_decides() {
    let (feeder, body) = bodies::fed();
    let layer = layer(true);
    let mut call = task::spawn(ask(&layer, Method::GET, [json(body)]));
    assert_pending!(call.poll());
    feeder.data(r#"{"currentVers"#);
    assert!(call.is_woken());
    assert_pending!(call.poll());
    feeder.data(r#"ion""#);
    assert!(call.is_woken());

    let mut body = assert_ready!(call.poll()).unwrap().into_body();
    assert!(feeder.is_wanted());
    assert!(!body.is_end_stream());
    assert_eq!(
        bodies::poll_once(&mut body),
        Poll::Ready(Seen::Data(br#"{"currentVers"#.into()))
    );
    assert_eq!(
        bodies::poll_once(&mut body),
        Poll::Ready(Seen::Data(br#"ion""#.into()))
    );
    assert_eq!(bodies::poll_once(&mut body), Poll::Pending);
    feeder.data(":11.3}");
    assert_eq!(
        bodies::poll_once(&mut body),
        Poll::Ready(Seen::Data(b":11.3}".into()))
    );
    assert_eq!(bodies::poll_once(&mut body), Poll::Pending);
    drop(feeder);
    assert_eq!(bodies::poll_once(&mut body), Poll::Ready(Seen::End));
}

#[tokio::test]
async fn an_image_is_returned_at_its_first_byte() {
    let (feeder, body) = bodies::fed();
    let response = Response::builder()
        .header(header::CONTENT_TYPE, "image/png")
        .body(body)
        .unwrap();
    let layer = layer(true);
    let mut call = task::spawn(ask(&layer, Method::GET, [response]));
    assert_pending!(call.poll());
    feeder.data(&b"\x89"[..]);
    let answer = assert_ready!(call.poll()).unwrap();
    assert!(answer.body().outcome().challenge().is_none());
}

#[tokio::test]
async fn an_undecided_body_is_returned_at_16_kib() {
    for opening in [r#"{"error":{"message":""#, " "] {
        let (feeder, body) = bodies::fed();
        let layer = layer(true);
        let mut call = task::spawn(ask(&layer, Method::GET, [json(body)]));
        feeder.data(opening);
        feeder.data(" ".repeat(PEEKED - opening.len() - 1));
        assert_pending!(call.poll());
        feeder.data(" ");
        let mut body = assert_ready!(call.poll()).unwrap().into_body();
        assert!(body.outcome().challenge().is_none());

        feeder.data(r#"","code":499}}"#);
        drop(feeder);
        let mut all = String::from(opening);
        all.push_str(&" ".repeat(PEEKED - opening.len()));
        all.push_str(r#"","code":499}}"#);
        let seen = bodies::read(&mut body, &bodies::Log::default());
        assert_eq!(bodies::data_of(&seen), all.as_bytes());
    }
}

#[tokio::test]
async fn a_body_of_nothing_but_empty_frames_is_returned() {
    struct Endless(u32);
    impl Body for Endless {
        type Data = Bytes;
        type Error = BoxError;

        fn poll_frame(
            mut self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
            self.0 += 1;
            assert!(self.0 < 20_000, "read without end");
            Poll::Ready(Some(Ok(Frame::data(Bytes::new()))))
        }
    }

    let answer = ask(&layer(true), Method::GET, [json(Endless(0))]).await;
    let mut body = answer.unwrap().into_body();
    assert_eq!(
        bodies::poll_once(&mut body),
        Poll::Ready(Seen::Data(Vec::new()))
    );
}

#[tokio::test]
async fn a_challenge_is_seen_behind_empty_frames() {
    let empty = std::iter::repeat_n(Bytes::new(), 100);
    let answers = [
        json(Scripted::data(empty.chain([Bytes::from(CHALLENGE)]))),
        json(Scripted::data([Bytes::from(CLEAN)])),
    ];
    let answer = ask(&layer(true), Method::GET, answers).await.unwrap();
    assert!(answer.body().outcome().resent());
}

#[tokio::test]
async fn a_body_that_says_that_it_has_ended_is_not_waited_for() {
    // Undecided by its data, and its end takes its time.
    let body = Scripted::new([Step::Data(Bytes::from("{")), Step::Pending]);
    let body = body.reports_end(true);
    let log = body.log();
    let layer = layer(true);
    let mut call = task::spawn(ask(&layer, Method::GET, [json(body)]));
    let mut body = assert_ready!(call.poll()).unwrap().into_body();
    assert_eq!(log.polls(), 1);
    assert_eq!(
        bodies::read(&mut body, &log),
        [Seen::Data(b"{".into()), Seen::End]
    );
}

#[tokio::test]
async fn what_peeking_held_is_freed_once_it_is_read() {
    let buffers = Buffers::default();
    let frames = CLEAN.as_bytes().chunks(5);
    let frames = frames.map(|frame| buffers.buffer(frame.to_vec()));
    let body = Scripted::data(frames.collect::<Vec<_>>());
    let log = body.log();
    let answer = ask(&layer(true), Method::GET, [json(body)]).await.unwrap();
    let mut body = answer.into_body();
    assert_ne!(buffers.held(), 0);
    bodies::read(&mut body, &log);
    assert_eq!(buffers.held(), 0);
}

#[tokio::test]
async fn a_challenge_that_a_login_answers_is_not_kept() {
    let buffers = Buffers::default();
    let answers = [
        json(Scripted::data([buffers.buffer(CHALLENGE.into())])),
        json(Scripted::data([Bytes::from(CLEAN)])),
    ];
    let answer = ask(&layer(true), Method::GET, answers).await.unwrap();
    assert!(answer.body().outcome().resent());
    assert_eq!(buffers.held(), 0);
}

#[tokio::test]
async fn a_caller_that_hangs_up_during_peeking_frees_the_body() {
    let (feeder, body): (_, Fed) = bodies::fed();
    let layer = layer(true);
    let mut call = task::spawn(ask(&layer, Method::GET, [json(body)]));
    feeder.data("{");
    assert_pending!(call.poll());
    assert!(feeder.is_wanted());
    drop(call);
    assert!(!feeder.is_wanted());
}
