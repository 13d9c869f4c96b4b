//! The second sending is the first one, with the token.

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Uri, Version, header};
use http_body::Body;
use http_body_util::{Empty, Full};
use tower_arcgis_auth::Challenge;

use super::{
    CAP, CLEAN, Received, Stage, URL, answered, arrives_twice, frames_of, letters, read, respond,
    token_of,
};
use crate::support::{
    INVALID, REQUIRED,
    bodies::{self, Hint, Pieces, Scripted, Seen, Step},
};

#[tokio::test(start_paused = true)]
async fn a_request_without_a_body_is_sent_again() {
    arrives_twice(Empty::<Bytes>::new(), b"", None).await;
    arrives_twice(Full::new(Bytes::new()), b"", None).await;
    arrives_twice(Scripted::<Bytes>::data([]), b"", None).await;
}

#[tokio::test(start_paused = true)]
async fn a_body_in_one_piece_is_sent_again() {
    arrives_twice(Full::new(Bytes::from("f=json")), b"f=json", None).await;
    let large = letters(CAP);
    arrives_twice(Full::new(large.clone()), &large, None).await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_of_unknown_length_is_sent_again() {
    arrives_twice(frames_of(700, 20), &letters(14_000), None).await;
    let body = frames_of(700, 20).hint(Hint::Loose).reports_end(true);
    arrives_twice(body, &letters(14_000), None).await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_of_single_bytes_is_sent_again() {
    arrives_twice(frames_of(1, 5000), &letters(5000), None).await;
}

#[tokio::test(start_paused = true)]
async fn large_and_small_frames_are_sent_again_in_order() {
    let whole = letters(CAP);
    let frames = bodies::cut(&whole, &[1, 4096, 4095, 0, 3, 5000]);
    arrives_twice(Scripted::data(frames), &whole, None).await;
}

#[tokio::test(start_paused = true)]
async fn buffers_of_several_pieces_are_sent_again() {
    let pieces = ["f=", "", "json", "&x=1"].map(Bytes::from);
    let body = Scripted::data([Pieces::new(pieces, true)]);
    arrives_twice(body, b"f=json&x=1", None).await;
}

#[tokio::test(start_paused = true)]
async fn trailers_are_sent_again() {
    let trailers = bodies::trailers(&[("x-sum", "1"), ("x-sum", "2"), ("x-end", "yes")]);
    for hint in [Hint::Nothing, Hint::Exact, Hint::ExactAtTheEnd] {
        for reports_end in [false, true] {
            let steps = [
                Step::Data(Bytes::from("f=")),
                Step::Data(Bytes::from("json")),
                Step::Trailers(trailers.clone()),
            ];
            let body = Scripted::new(steps).hint(hint).reports_end(reports_end);
            arrives_twice(body, b"f=json", Some(&trailers)).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn trailers_keep_their_place_wherever_the_first_sending_stopped() {
    for frames in 0..=3 {
        let body = Scripted::new([
            Step::Data(Bytes::from("f=")),
            Step::Data(Bytes::from("json")),
            Step::Trailers(bodies::trailers(&[("x-sum", "1")])),
        ]);
        let mut stage = Stage::with_token().await;
        let call = stage.post(body.hint(Hint::ExactAtTheEnd));
        let (mut first, answer) = stage.received(Some("secret-1")).await;
        for _ in 0..frames {
            assert!(bodies::poll_once(&mut first).is_ready());
        }
        answer.send_response(respond(INVALID));
        let (mut second, answer) = stage.received(Some("secret-2")).await;
        // Of unknown length it was, and of unknown length it stays: a `Content-Length` would cut the trailers off.
        assert_eq!(second.size_hint().exact(), None);
        let seen = read(&mut second);
        assert_eq!(bodies::data_of(&seen), b"f=json");
        assert_eq!(
            seen[seen.len() - 2],
            Seen::Trailers(bodies::trailers(&[("x-sum", "1")]))
        );
        answer.send_response(respond(CLEAN));
        answered(call).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn the_second_sending_has_the_head_of_the_first() {
    #[derive(Clone, Debug, PartialEq)]
    struct Mark(u32);

    let mut request = Request::builder()
        .method(Method::from_bytes(b"PROPFIND").unwrap())
        .uri(format!("{URL}?f=json&where=1%3D1&where=a+b"))
        .version(Version::HTTP_2)
        .header("x-many", "one")
        .header(header::CONTENT_TYPE, "application/json")
        .header("x-many", "two")
        .header(header::COOKIE, "a=b")
        .header("x-many", "three")
        .header("x-odd", HeaderValue::from_bytes(b"\xff\xfe").unwrap())
        .body(Full::new(Bytes::from("{}")))
        .unwrap();
    request.extensions_mut().insert(Mark(7));

    let head = |request: &Received<Full<Bytes>>| {
        let mut headers = request.headers().clone();
        headers.remove("x-esri-authorization");
        headers.remove(header::REFERER);
        (
            request.method().clone(),
            request.uri().clone(),
            request.version(),
            headers,
            request.extensions().get::<Mark>().cloned(),
        )
    };
    let sent = (
        request.method().clone(),
        request.uri().clone(),
        request.version(),
        request.headers().clone(),
        Some(Mark(7)),
    );

    let mut stage = Stage::new();
    let call = stage.send(request);
    let (first, answer) = stage.next().await;
    assert_eq!(head(&first), sent);
    assert_eq!(token_of(first.headers()), None);
    answer.send_response(respond(REQUIRED));
    let (second, answer) = stage.next().await;
    assert_eq!(head(&second), sent);
    assert_eq!(token_of(second.headers()).as_deref(), Some("secret-1"));
    let many = second.headers().get_all("x-many");
    assert!(many.iter().eq(["one", "two", "three"]));
    answer.send_response(respond(CLEAN));
    answered(call).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_second_sending_carries_the_new_token_only() {
    let mut stage = Stage::with_token().await;
    let call = stage.post(Full::new(Bytes::from("f=json")));
    let (_, answer) = stage.received(Some("secret-1")).await;
    answer.send_response(respond(INVALID));
    let (request, answer) = stage.next().await;
    let tokens = request.headers().get_all("x-esri-authorization");
    assert!(tokens.iter().eq(["Bearer secret-2"]));
    assert_eq!(request.uri(), &Uri::from_static(URL));
    answer.send_response(respond(CLEAN));
    assert!(answered(call).await.unwrap().body().outcome().resent());
}

#[tokio::test(start_paused = true)]
async fn a_challenge_to_the_second_sending_is_the_answer() {
    let mut stage = Stage::new();
    let call = stage.post(Full::new(Bytes::from("f=json")));
    let (_, answer) = stage.received(None).await;
    answer.send_response(respond(REQUIRED));
    let (_, answer) = stage.received(Some("secret-1")).await;
    answer.send_response(respond(REQUIRED));
    let answer = answered(call).await.unwrap();
    assert_eq!(
        answer.body().outcome().returned_challenge(),
        Some(Challenge::TokenRequired)
    );
    stage.nothing_more().await;
}

#[tokio::test(start_paused = true)]
async fn an_error_of_the_inner_service_is_returned_and_nothing_is_sent_again() {
    let mut stage = Stage::new();
    let call = stage.post(Full::new(Bytes::from("f=json")));
    let (_, answer) = stage.received(None).await;
    answer.send_error("connection refused");
    let error = answered(call).await.unwrap_err();
    assert_eq!(error.to_string(), "connection refused");
    stage.nothing_more().await;
}
