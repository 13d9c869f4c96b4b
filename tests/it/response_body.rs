//! What goes up through the layer is what the server sent: frame for frame, and saying of itself what it would say
//! without the layer.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test says what went wrong by failing"
)]

use crate::support::{assert_login_refused, bodies};
use std::{
    collections::VecDeque,
    convert::Infallible,
    sync::{Arc, Mutex},
    task::Poll,
};

use crate::support::bodies::{Buffers, Fed, Hint, Observed, Pieces, Scripted, Seen, Step};
use bytes::{Buf, Bytes};
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body::{Body, Frame};
use http_body_util::Empty;
use proptest::{collection::vec, prelude::*, sample::Index};
use tokio_test::{assert_pending, assert_ready, task};
use tower::{Layer, Service, service_fn};
use tower_arcgis_auth::{
    ArcgisAuthLayer, BoxError, Challenge, IssuedToken, ReplayBody, ResponseBody, Site, TokenError,
    TokenPlacement, token_source_fn,
};

const CHALLENGE: &str =
    r#"{"error":{"code":499,"message":"Token Required","details":["Token Required"]}}"#;
const CLEAN: &str = r#"{"currentVersion":11.3,"layers":[{"id":0,"name":"Roads, error 499"}]}"#;
const PAGE: &str = "<!DOCTYPE html>\n<html><head><title>Folder: /</title></head>\
    <body class=\"tundra\"><ul><li>Roads</li></ul></body></html>";
const LOGIN_PAGE: &str = "<html><head><title>Login</title></head><body>\
    <form action=\"/arcgis/rest/login\" method=\"post\"><input type=\"text\" name=\"username\"/>\
    <input type=\"password\" name=\"password\"/></form></body></html>";
/// What an undecided body may hold back.
const LOOK: usize = 16 * 1024;

type Answer<B> = Response<ResponseBody<B>>;

fn layer(login_works: bool) -> ArcgisAuthLayer {
    let source = token_source_fn(move |_| async move {
        if login_works {
            IssuedToken::try_new("tok1")
        } else {
            Err(TokenError::refused("no such user"))
        }
    });
    let site = Site::new("http://gis.example.com/arcgis")
        .token_source(source)
        .placement(TokenPlacement::EsriHeader);
    ArcgisAuthLayer::try_new(site).unwrap()
}

/// The answer to one request of a server that gives these, one after the other.
fn ask<B>(
    layer: &ArcgisAuthLayer,
    method: Method,
    answers: impl IntoIterator<Item = Response<B>>,
) -> impl Future<Output = Result<Answer<B>, Infallible>>
where
    B: Body + Unpin,
{
    let answers = answers.into_iter().collect::<VecDeque<_>>();
    let answers = Arc::new(Mutex::new(answers));
    let mut service =
        layer
            .clone()
            .layer(service_fn(move |_: Request<ReplayBody<Empty<Bytes>>>| {
                let answer = answers.lock().unwrap().pop_front();
                async move { Ok::<_, Infallible>(answer.expect("one request too many")) }
            }));
    let request = Request::builder()
        .method(method)
        .uri("http://gis.example.com/arcgis/rest/services?f=json")
        .body(Empty::new())
        .unwrap();
    // A `service_fn` is always ready.
    service.call(request)
}

fn json<B>(body: B) -> Response<B> {
    Response::builder()
        .header(header::CONTENT_TYPE, "application/json")
        .body(body)
        .unwrap()
}

fn challenge() -> Scripted<Pieces> {
    Scripted::data([Pieces::new([Bytes::from(CHALLENGE)], true)])
}

fn gzip(plain: &str) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(plain.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

/// What a server's answer is made of.
#[derive(Clone, Debug)]
struct Case {
    status: StatusCode,
    content_type: &'static str,
    gzip: bool,
    steps: Vec<Step<Pieces>>,
    hint: Hint,
    reports_end: bool,
    second: bool,
}

impl Case {
    fn body(&self) -> Scripted<Pieces> {
        Scripted::new(self.steps.iter().cloned())
            .hint(self.hint)
            .reports_end(self.reports_end)
    }

    fn response(&self, body: Scripted<Pieces>) -> Response<Scripted<Pieces>> {
        let mut response = Response::builder().status(self.status);
        if !self.content_type.is_empty() {
            response = response.header(header::CONTENT_TYPE, self.content_type);
        }
        if self.gzip {
            response = response.header(header::CONTENT_ENCODING, "gzip");
        }
        response.body(body).unwrap()
    }
}

fn contents() -> impl Strategy<Value = Vec<u8>> {
    let long = format!(
        r#"{{"error":{{"message":"{}","code":499}}}}"#,
        "a".repeat(LOOK + 500)
    );
    let spaces = " ".repeat(LOOK + 500);
    prop_oneof![
        6 => prop::sample::select(vec![CHALLENGE, CLEAN, PAGE, LOGIN_PAGE, "", "{", "\u{feff}{}"])
            .prop_map(|text| text.as_bytes().to_vec()),
        2 => vec(any::<u8>(), 0..400),
        1 => prop::sample::select(vec![long, spaces]).prop_map(String::into_bytes),
        2 => prop::sample::select(vec![CHALLENGE, CLEAN, PAGE]).prop_map(gzip),
    ]
}

/// Any content, cut into frames, the frames into pieces, with waits in between and an end of any kind.
fn steps() -> impl Strategy<Value = Vec<Step<Pieces>>> {
    let size = prop_oneof![3 => 0..4_usize, 3 => 4..80_usize, 2 => 80..9000_usize];
    let end = prop_oneof![
        2 => Just(None),
        1 => Just(Some(Step::Error("the line broke"))),
        1 => Just(Some(Step::Trailers(bodies::trailers(&[("x-sum", "1"), ("x-sum", "2")])))),
    ];
    let frames = vec(
        (size, vec(any::<Index>(), 0..4), any::<bool>(), 0..3_u8),
        1..9,
    );
    (contents(), frames, end, any::<bool>()).prop_map(|(content, shapes, end, wait_at_end)| {
        let sizes = shapes.iter().map(|shape| shape.0).collect::<Vec<_>>();
        let frames = bodies::cut(&Bytes::from(content), &sizes);
        let mut steps = Vec::new();
        for (frame, (_, cuts, shows_all, waits)) in frames.into_iter().zip(shapes.iter().cycle()) {
            steps.extend(std::iter::repeat_n(Step::Pending, usize::from(*waits / 2)));
            let mut at = cuts
                .iter()
                .map(|cut| cut.index(frame.len() + 1))
                .collect::<Vec<_>>();
            at.sort_unstable();
            let mut pieces = Vec::new();
            let mut from = 0;
            for to in at.into_iter().chain([frame.len()]) {
                pieces.push(frame.slice(from..to));
                from = to;
            }
            steps.push(Step::Data(Pieces::new(pieces, *shows_all)));
        }
        if wait_at_end {
            steps.push(Step::Pending);
        }
        steps.extend(end);
        steps
    })
}

fn cases() -> impl Strategy<Value = Case> {
    let status = prop::sample::select(vec![200, 200, 200, 401, 403, 404, 498, 499, 500]);
    let content_type = prop::sample::select(vec![
        "application/json",
        "text/html;charset=utf-8",
        "text/plain",
        "image/png",
        "",
    ]);
    let hint = prop::sample::select(vec![
        Hint::Nothing,
        Hint::Exact,
        Hint::Loose,
        Hint::ExactAtTheEnd,
    ]);
    (
        (status, content_type, prop::bool::weighted(0.2)),
        steps(),
        (hint, any::<bool>(), any::<bool>()),
    )
        .prop_map(
            |((status, content_type, gzip), steps, (hint, reports_end, second))| Case {
                status: StatusCode::from_u16(status).unwrap(),
                content_type,
                gzip,
                steps,
                hint,
                reports_end,
                second,
            },
        )
}

/// What the layer lets up of this answer, be it the first or what came after a login.
async fn through_the_layer(case: &Case) -> Result<Vec<Observed>, TestCaseError> {
    let body = case.body();
    let log = body.log();
    let answer = case.response(body);
    let answers = if case.second {
        vec![json(challenge()), answer]
    } else {
        vec![answer]
    };
    let layer = layer(case.second);
    let answer = bodies::drive(ask(&layer, Method::GET, answers), &log).await;
    let (parts, mut body) = answer.unwrap().into_parts();
    prop_assert_eq!(parts.status, case.status);
    prop_assert_eq!(body.outcome().resent(), case.second);
    let observed = bodies::observe(&mut body, &log);
    prop_assert!(
        !log.polled_after_end(),
        "the inner body was polled after its end"
    );
    Ok(observed)
}

fn check(case: &Case, bare: &[Observed], layered: &[Observed]) -> Result<(), TestCaseError> {
    let seen = |all: &[Observed]| all.iter().map(|one| one.seen.clone()).collect::<Vec<_>>();
    prop_assert_eq!(seen(bare), seen(layered));

    let mut remaining = layered.iter().map(Observed::len).sum::<u64>();
    for (bare, layered) in bare.iter().zip(layered) {
        prop_assert!(layered.lower <= remaining);
        prop_assert!(layered.upper.is_none_or(|upper| upper >= remaining));
        prop_assert_eq!((layered.lower, layered.upper), (bare.lower, bare.upper));
        if layered.end_stream {
            prop_assert_eq!(&layered.seen, &Seen::End);
        }
        prop_assert!(layered.end_stream || !bare.end_stream, "{case:?}");
        remaining -= layered.len();
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 400,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_body_is_the_same_with_the_layer_as_without(case in cases()) {
        let mut bare = case.body();
        let log = bare.log();
        let bare = bodies::observe(&mut bare, &log);
        let layered = tokio_test::block_on(through_the_layer(&case))?;
        check(&case, &bare, &layered)?;
    }
}

#[tokio::test]
async fn a_clean_answer_comes_up_byte_for_byte() {
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
async fn a_challenge_that_no_login_answers_comes_up_whole() {
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
async fn an_answer_goes_up_at_the_first_byte_that_decides() {
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
async fn an_image_goes_up_at_its_first_byte() {
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
async fn an_undecided_body_is_let_go_at_16_kib() {
    for opening in [r#"{"error":{"message":""#, " "] {
        let (feeder, body) = bodies::fed();
        let layer = layer(true);
        let mut call = task::spawn(ask(&layer, Method::GET, [json(body)]));
        feeder.data(opening);
        feeder.data(" ".repeat(LOOK - opening.len() - 1));
        assert_pending!(call.poll());
        feeder.data(" ");
        let mut body = assert_ready!(call.poll()).unwrap().into_body();
        assert!(body.outcome().challenge().is_none());

        feeder.data(r#"","code":499}}"#);
        drop(feeder);
        let mut all = String::from(opening);
        all.push_str(&" ".repeat(LOOK - opening.len()));
        all.push_str(r#"","code":499}}"#);
        let seen = bodies::read(&mut body, &bodies::Log::default());
        assert_eq!(bodies::data_of(&seen), all.as_bytes());
    }
}

#[tokio::test]
async fn a_server_that_sends_nothing_but_empty_frames_is_let_go() {
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
async fn some_empty_frames_decide_nothing() {
    let empty = std::iter::repeat_n(Bytes::new(), 100);
    let answers = [
        json(Scripted::data(empty.chain([Bytes::from(CHALLENGE)]))),
        json(Scripted::data([Bytes::from(CLEAN)])),
    ];
    let answer = ask(&layer(true), Method::GET, answers).await.unwrap();
    assert!(answer.body().outcome().resent());
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
async fn requests_to_elsewhere_have_their_answers_untouched() {
    let body = Scripted::data([Bytes::from(CHALLENGE)]);
    let log = body.log();
    let body = Arc::new(Mutex::new(Some(body)));
    let mut service = layer(true).layer(service_fn(move |_: Request<ReplayBody<Empty<Bytes>>>| {
        let body = body.lock().unwrap().take().unwrap();
        async move { Ok::<_, Infallible>(json(body)) }
    }));
    let request = Request::get("http://elsewhere.example.com/arcgis/rest?f=json");
    let answer = service.call(request.body(Empty::new()).unwrap()).await;
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
async fn an_answer_of_unknown_length_with_trailers_never_claims_a_length_before_they_are_out() {
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
async fn an_answer_that_says_it_is_over_is_not_waited_for() {
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
async fn a_break_under_the_look_comes_up_where_it_happened() {
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

#[tokio::test]
async fn what_the_look_held_is_free_once_it_went_up() {
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
async fn a_challenge_answered_by_a_login_is_not_kept() {
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
async fn a_caller_that_gives_up_under_the_look_lets_the_body_go() {
    let (feeder, body): (_, Fed) = bodies::fed();
    let layer = layer(true);
    let mut call = task::spawn(ask(&layer, Method::GET, [json(body)]));
    feeder.data("{");
    assert_pending!(call.poll());
    assert!(feeder.is_wanted());
    drop(call);
    assert!(!feeder.is_wanted());
}
