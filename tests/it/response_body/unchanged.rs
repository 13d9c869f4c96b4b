//! What is returned is what came.

use bytes::Bytes;
use http::{HeaderMap, Method, Response, StatusCode, header};
use http_body::Body;
use tower_arcgis_auth::Challenge;

use super::{CHALLENGE, CLEAN, ask, ask_at, json, layer};
use crate::support::{
    assert_login_refused,
    bodies::{self, Hint, Scripted, Seen, Step},
};

#[tokio::test]
async fn a_clean_answer_is_returned_byte_for_byte() {
    let body = Scripted::data([Bytes::from(&CLEAN[..9]), Bytes::from(&CLEAN[9..])]);
    let log = body.log();
    let mut answer = ask(&layer(true), Method::GET, [json(body)]).await.unwrap();
    assert!(answer.body().outcome().challenge().is_none());
    assert_eq!(
        bodies::read(answer.body_mut(), &log),
        [
            Seen::Data(CLEAN[..9].into()),
            Seen::Data(CLEAN[9..].into()),
            Seen::End
        ]
    );
}

#[tokio::test]
async fn a_challenge_that_no_login_answers_is_returned_whole() {
    let cuts = CHALLENGE.as_bytes().chunks(7).map(Bytes::from_static);
    let body = Scripted::new(
        cuts.map(Step::Data)
            .chain([Step::Trailers(bodies::trailers(&[("x-sum", "7")]))]),
    );
    let log = body.log();
    let mut answer = ask(&layer(false), Method::GET, [json(body)]).await.unwrap();
    let outcome = answer.body().outcome();
    assert_eq!(outcome.returned_challenge(), Some(Challenge::TokenRequired));
    assert_login_refused(outcome.skip_reason());
    let seen = bodies::read(answer.body_mut(), &log);
    assert_eq!(bodies::data_of(&seen), CHALLENGE.as_bytes());
    assert_eq!(
        seen[seen.len() - 2],
        Seen::Trailers(bodies::trailers(&[("x-sum", "7")]))
    );
}

#[tokio::test]
async fn answers_that_cannot_be_challenges_are_not_touched() {
    let ok = StatusCode::OK;
    let events = "text/event-stream";
    for (method, status, content_type) in [
        (Method::HEAD, ok, "application/json"),
        (Method::GET, StatusCode::NO_CONTENT, "application/json"),
        (Method::GET, StatusCode::PARTIAL_CONTENT, "application/json"),
        (Method::GET, StatusCode::NOT_MODIFIED, "application/json"),
        (Method::GET, ok, events),
        (Method::GET, ok, "multipart/x-mixed-replace; boundary=a"),
    ] {
        let body = Scripted::data([Bytes::from(CHALLENGE)]);
        let log = body.log();
        let response = Response::builder()
            .status(status)
            .header(header::CONTENT_TYPE, content_type)
            .body(body)
            .unwrap();
        let answer = ask(&layer(true), method.clone(), [response]).await.unwrap();
        assert_eq!(log.polls(), 0, "{method} {status} {content_type}");
        assert!(answer.into_body().into_inner().is_ok());
    }
}

#[tokio::test]
async fn answers_to_requests_to_no_site_are_not_touched() {
    let body = Scripted::data([Bytes::from(CHALLENGE)]);
    let log = body.log();
    let elsewhere = "http://elsewhere.example.com/arcgis/rest?f=json";
    let answer = ask_at(elsewhere, &layer(true), Method::GET, [json(body)]).await;
    assert_eq!(log.polls(), 0);
    assert!(answer.unwrap().into_body().into_inner().is_ok());
}

#[tokio::test]
async fn the_inner_body_is_given_back_only_whole() {
    let body = Scripted::data([Bytes::from(CLEAN)]);
    let log = body.log();
    let answer = ask(&layer(true), Method::GET, [json(body)]).await.unwrap();
    let mut body = answer.into_body().into_inner().unwrap_err();
    assert_eq!(
        bodies::data_of(&bodies::read(&mut body, &log)),
        CLEAN.as_bytes()
    );
}

#[tokio::test]
async fn an_answer_of_unknown_length_claims_no_length_before_its_trailers_are_out() {
    let body = Scripted::new([
        Step::Data(Bytes::from("{")),
        Step::Data(Bytes::from("}")),
        Step::Trailers(HeaderMap::new()),
    ]);
    let body = body.hint(Hint::ExactAtTheEnd);
    let log = body.log();
    let answer = ask(&layer(true), Method::GET, [json(body)]).await.unwrap();
    let mut body = answer.into_body();
    // A server above would write a `Content-Length`, and have no place for the trailers.
    assert_eq!(body.size_hint().exact(), None);
    assert_eq!(bodies::next(&mut body, &log), Seen::Data(b"{".into()));
    assert_eq!(body.size_hint().exact(), None);
}

#[tokio::test]
async fn an_error_during_peeking_is_returned_where_it_happened() {
    let body = Scripted::new([
        Step::Data(Bytes::from(r#"{"er"#)),
        Step::Error("the line broke"),
    ]);
    let log = body.log();
    let answer = ask(&layer(true), Method::GET, [json(body)]).await.unwrap();
    let mut body = answer.into_body();
    assert!(!body.is_end_stream());
    assert_eq!(
        bodies::read(&mut body, &log),
        [
            Seen::Data(br#"{"er"#.into()),
            Seen::Error("the line broke".into())
        ]
    );
    assert!(body.is_end_stream());
    assert_eq!(bodies::next(&mut body, &log), Seen::End);
    assert!(!log.polled_after_end());
}
