//! A request that was challenged is sent again as it was, to the byte; one that cannot be is sent once; and an upload
//! that was cut short never looks complete.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test says what went wrong by failing"
)]

use crate::support::{assert_login_refused, bodies};
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use crate::support::bodies::{Buffers, Fed, Hint, Log, Pieces, Scripted, Seen, Step};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, Uri, Version, header};
use http_body::Body;
use http_body_util::{Empty, Full};
use proptest::{collection::vec, prelude::*};
use tokio::{sync::Semaphore, task::JoinHandle};
use tower::{Layer, Service, ServiceExt};
use tower_arcgis_auth::{
    ArcgisAuth, ArcgisAuthLayer, BoxError, Challenge, IssuedToken, ReplayBody, ResponseBody, Site,
    SiteHandle, SkipReason, TokenError, TokenPlacement, token_source_fn,
};
use tower_test::mock::{self, Handle, Mock, SendResponse};

const CHALLENGE: &str = r#"{"error":{"code":499,"message":"Token Required","details":[]}}"#;
const INVALID: &str = r#"{"error":{"code":498,"message":"Invalid Token","details":[]}}"#;
const CLEAN: &str = r#"{"success":true}"#;
const CAP: usize = 20_000;
const URL: &str = "http://gis.example.com/arcgis/rest/services/Roads/FeatureServer/0/addFeatures";

type Answer = Response<Full<Bytes>>;
type Received<B> = Request<ReplayBody<B>>;

/// The token source: counts logins, and holds each until it is let through.
#[derive(Debug)]
struct Logins {
    count: AtomicUsize,
    begun: Semaphore,
    gate: Semaphore,
    refuses: AtomicBool,
}

impl Logins {
    fn count(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }

    /// Waits until a login has begun.
    async fn begun(&self) {
        soon(self.begun.acquire()).await.unwrap().forget();
    }

    async fn issue(&self) -> Result<IssuedToken, TokenError> {
        let count = self.count.fetch_add(1, Ordering::SeqCst) + 1;
        self.begun.add_permits(1);
        self.gate.acquire().await.unwrap().forget();
        if self.refuses.load(Ordering::SeqCst) {
            return Err(TokenError::refused("no such user"));
        }
        IssuedToken::try_new(format!("tok{count}"))
    }

    fn succeed(&self) {
        self.gate.add_permits(1);
    }

    fn refuse(&self) {
        self.refuses.store(true, Ordering::SeqCst);
        self.gate.add_permits(1);
    }
}

/// The layer between a caller and a server played by the test.
struct Stage<B> {
    service: ArcgisAuth<Mock<Received<B>, Answer>>,
    site: SiteHandle,
    server: Handle<Received<B>, Answer>,
    logins: Arc<Logins>,
}

/// The outcome of what waits for nothing but other tasks. Time is paused: it runs on when they have nothing left to do.
async fn soon<F: Future>(future: F) -> F::Output {
    let answer = tokio::time::timeout(Duration::from_secs(1), future).await;
    answer.expect("nothing happens any more")
}

async fn answered(call: Call) -> Result<Response<ResponseBody<Full<Bytes>>>, BoxError> {
    soon(call).await.unwrap()
}

type Call = JoinHandle<Result<Response<ResponseBody<Full<Bytes>>>, BoxError>>;

impl<B> Stage<B>
where
    B: Body + Unpin + Send + 'static,
    B::Error: Into<BoxError>,
{
    /// Logins succeed at once.
    fn new() -> Self {
        let stage = Self::gated();
        stage.logins.gate.add_permits(100);
        stage
    }

    /// There is a token, `tok1`; logins succeed at once.
    async fn with_token() -> Self {
        let stage = Self::new();
        stage.log_in().await;
        stage
    }

    /// There is a token, `tok1`; further logins wait for the test.
    async fn gated_with_token() -> Self {
        let stage = Self::gated();
        stage.log_in().await;
        stage
    }

    /// Logins wait for the test.
    fn gated() -> Self {
        let logins = Arc::new(Logins {
            count: AtomicUsize::new(0),
            begun: Semaphore::new(0),
            gate: Semaphore::new(0),
            refuses: AtomicBool::new(false),
        });
        let issuer = Arc::clone(&logins);
        let site = Site::new("http://gis.example.com/arcgis")
            .token_source(token_source_fn(move |_| {
                let issuer = Arc::clone(&issuer);
                async move { issuer.issue().await }
            }))
            .placement(TokenPlacement::EsriHeader);
        let layer = ArcgisAuthLayer::builder()
            .add_site(site)
            .replay_limit(CAP)
            .build()
            .unwrap();
        let (inner, server) = mock::pair();
        Self {
            service: layer.layer(inner),
            site: layer.handle().sites().remove(0),
            server,
            logins,
        }
    }

    fn send(&self, request: Request<B>) -> Call {
        let mut service = self.service.clone();
        tokio::spawn(async move { service.ready().await?.call(request).await })
    }

    fn post(&self, body: B) -> Call {
        self.send(Request::post(URL).body(body).unwrap())
    }

    async fn next(&mut self) -> (Received<B>, SendResponse<Answer>) {
        let next = soon(self.server.next_request()).await;
        next.expect("no more requests")
    }

    /// The next request, which must be signed with `token`, if with any.
    async fn received(&mut self, token: Option<&str>) -> (ReplayBody<B>, SendResponse<Answer>) {
        let (request, answer) = self.next().await;
        assert_eq!(token_of(request.headers()).as_deref(), token);
        (request.into_body(), answer)
    }

    /// Makes sure there is a token, `tok1`.
    async fn log_in(&self) {
        self.logins.succeed();
        soon(self.site.renew()).await.unwrap();
        self.logins.begun().await;
    }

    /// Makes sure nothing more is on its way to the server.
    async fn nothing_more(mut self) {
        drop(self.service);
        assert!(soon(self.server.next_request()).await.is_none());
    }
}

fn respond(body: &'static str) -> Answer {
    Response::new(Full::from(body))
}

fn token_of(headers: &HeaderMap) -> Option<String> {
    let value = headers.get("x-esri-authorization")?;
    Some(value.to_str().unwrap().strip_prefix("Bearer ")?.to_owned())
}

/// Reads a body that waits for nothing.
fn read<B>(body: &mut ReplayBody<B>) -> Vec<Seen>
where
    B: Body + Unpin,
    B::Error: Into<BoxError>,
{
    bodies::read(body, &Log::default())
}

fn is_given_up(polled: &Poll<Seen>) -> bool {
    matches!(polled, Poll::Ready(Seen::Error(error)) if error.contains("sent again"))
}

fn letters(count: usize) -> Bytes {
    (b'a'..=b'z').cycle().take(count).collect()
}

fn frames_of(size: usize, count: usize) -> Scripted<Bytes> {
    let whole = letters(size * count);
    Scripted::data(bodies::cut(&whole, &[size]))
}

/// Sends `body`, challenges it once it was read to its end, and checks that the second sending gives the same data
/// and trailers.
async fn arrives_twice<B>(body: B, data: &[u8], trailers: Option<&HeaderMap>)
where
    B: Body + Unpin + Send + 'static,
    B::Error: Into<BoxError>,
{
    let mut stage = Stage::with_token().await;
    let call = stage.post(body);
    let mut sizes = Vec::new();
    for (token, reply) in [(Some("tok1"), INVALID), (Some("tok2"), CLEAN)] {
        let (mut body, answer) = stage.received(token).await;
        sizes.push(body.size_hint());
        let seen = read(&mut body);
        assert_eq!(bodies::data_of(&seen), data);
        let found = seen.iter().find_map(|seen| match seen {
            Seen::Trailers(trailers) => Some(trailers),
            _ => None,
        });
        assert_eq!(found, trailers);
        assert_eq!(seen.last(), Some(&Seen::End));
        answer.send_response(respond(reply));
    }
    let answer = answered(call).await.unwrap();
    assert!(answer.body().outcome().resent());
    assert_eq!(answer.body().outcome().returned_challenge(), None);
    assert_eq!(stage.logins.count(), 2);

    // The length is known by now; with trailers it is not told, for they have no place behind a `Content-Length`.
    let expected = match (trailers, sizes[0].exact()) {
        (None, _) | (_, Some(_)) => Some(data.len() as u64),
        (Some(_), None) => None,
    };
    assert_eq!(sizes[1].exact(), expected);
    stage.nothing_more().await;
}

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
        let (mut first, answer) = stage.received(Some("tok1")).await;
        for _ in 0..frames {
            assert!(bodies::poll_once(&mut first).is_ready());
        }
        answer.send_response(respond(INVALID));
        let (mut second, answer) = stage.received(Some("tok2")).await;
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
    answer.send_response(respond(CHALLENGE));
    let (second, answer) = stage.next().await;
    assert_eq!(head(&second), sent);
    assert_eq!(token_of(second.headers()).as_deref(), Some("tok1"));
    let many = second.headers().get_all("x-many");
    assert!(many.iter().eq(["one", "two", "three"]));
    answer.send_response(respond(CLEAN));
    answered(call).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_second_sending_carries_the_new_token_only() {
    let mut stage = Stage::with_token().await;
    let call = stage.post(Full::new(Bytes::from("f=json")));
    let (_, answer) = stage.received(Some("tok1")).await;
    answer.send_response(respond(INVALID));
    let (request, answer) = stage.next().await;
    let tokens = request.headers().get_all("x-esri-authorization");
    assert!(tokens.iter().eq(["Bearer tok2"]));
    assert_eq!(request.uri(), &Uri::from_static(URL));
    answer.send_response(respond(CLEAN));
    assert!(answered(call).await.unwrap().body().outcome().resent());
}

#[tokio::test(start_paused = true)]
async fn a_challenge_to_the_second_sending_is_the_answer() {
    let mut stage = Stage::new();
    let call = stage.post(Full::new(Bytes::from("f=json")));
    let (_, answer) = stage.received(None).await;
    answer.send_response(respond(CHALLENGE));
    let (_, answer) = stage.received(Some("tok1")).await;
    answer.send_response(respond(CHALLENGE));
    let answer = answered(call).await.unwrap();
    assert_eq!(
        answer.body().outcome().returned_challenge(),
        Some(Challenge::TokenRequired)
    );
    stage.nothing_more().await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_as_long_as_the_limit_is_sent_again() {
    let whole = letters(CAP);
    let frames = bodies::cut(&whole, &[1999, 4500]);
    arrives_twice(Scripted::data(frames), &whole, None).await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_one_byte_over_the_limit_goes_on_whole_and_is_not_sent_again() {
    for size in [1, 1000, 4096, CAP + 1] {
        let buffers = Buffers::default();
        let whole = letters(CAP + 1);
        let frames = bodies::cut(&whole, &[size]);
        let frames = frames.iter().map(|frame| buffers.buffer(frame.to_vec()));
        let mut stage = Stage::with_token().await;
        let call = stage.post(Scripted::data(frames.collect::<Vec<_>>()));

        let (mut first, answer) = stage.received(Some("tok1")).await;
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
        stage.logins.begun().await;
        stage.nothing_more().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_over_the_limit_is_not_paused_by_a_challenge() {
    let (feeder, body) = bodies::fed();
    let mut stage = Stage::gated_with_token().await;
    let call = stage.post(body);
    let (mut first, answer) = stage.received(Some("tok1")).await;
    feeder.data(letters(CAP + 1));
    assert!(bodies::poll_once(&mut first).is_ready());
    answer.send_response(respond(INVALID));
    stage.logins.begun().await;
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
    let mut stage = Stage::gated();
    let call = stage.post(body);
    stage.logins.begun().await;
    stage.logins.succeed();

    let (mut body, answer) = stage.received(Some("tok1")).await;
    assert_eq!(body.size_hint().exact(), Some(CAP as u64 + 1));
    assert_eq!(bodies::data_of(&read(&mut body)), letters(CAP + 1));
    assert_eq!(buffers.held(), 0, "no copy is kept");
    answer.send_response(respond(CLEAN));
    let answer = answered(call).await.unwrap();
    assert!(answer.body().outcome().signed());
    assert!(!answer.body().outcome().resent());
    assert_eq!(answer.body().outcome().challenge(), None);
    assert_eq!(stage.logins.count(), 1);
    stage.nothing_more().await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_of_unknown_length_waits_for_a_login_before_it_is_read() {
    let (feeder, body) = bodies::fed();
    let mut stage = Stage::gated();
    let call = stage.post(body);
    stage.logins.begun().await;
    feeder.data("f=json");
    drop(feeder);
    stage.logins.succeed();

    let (mut body, answer) = stage.received(Some("tok1")).await;
    assert_eq!(bodies::data_of(&read(&mut body)), b"f=json");
    answer.send_response(respond(CLEAN));
    let answer = answered(call).await.unwrap();
    assert!(answer.body().outcome().signed());
    assert!(!answer.body().outcome().resent());
    assert_eq!(stage.logins.count(), 1);
    stage.nothing_more().await;
}

/// A body that waits for the login is sent once, whole and unsigned, where that is refused.
async fn goes_out_unsigned_after_a_refusal<B>(body: B, data: Bytes)
where
    B: Body + Unpin + Send + 'static,
    B::Error: Into<BoxError>,
{
    let mut stage = Stage::gated();
    let call = stage.post(body);
    stage.logins.begun().await;
    stage.logins.refuse();
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
    let mut stage = Stage::gated();
    let _call = stage.post(Full::new(letters(CAP)));
    stage.received(None).await;
    assert_eq!(stage.logins.count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_body_over_the_limit_is_sent_unsigned_where_no_token_is_to_be_had() {
    goes_out_unsigned_after_a_refusal(Full::new(letters(CAP + 1)), letters(CAP + 1)).await;
}

#[tokio::test(start_paused = true)]
async fn after_a_rejected_token_the_next_long_body_waits_for_another() {
    let mut stage = Stage::gated();
    stage.log_in().await;

    let call = stage.post(Full::new(letters(CAP + 1)));
    let (_, answer) = stage.received(Some("tok1")).await;
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
    stage.logins.begun().await;
    stage.logins.succeed();
    let (_, answer) = stage.received(Some("tok2")).await;
    answer.send_response(respond(CLEAN));
    assert!(answered(call).await.unwrap().body().outcome().signed());
    assert_eq!(stage.logins.count(), 2);
    stage.nothing_more().await;
}

#[tokio::test(start_paused = true)]
async fn a_body_that_breaks_off_is_never_sent_again() {
    let body = Scripted::new([
        Step::Data(Bytes::from("f=js")),
        Step::Error("the file is gone"),
    ]);
    let log = body.log();
    let mut stage = Stage::with_token().await;
    let call = stage.post(body);
    let (mut first, answer) = stage.received(Some("tok1")).await;
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
async fn a_body_that_breaks_off_in_its_second_sending_breaks_that() {
    let (feeder, body) = bodies::fed();
    let mut stage = Stage::with_token().await;
    let call = stage.post(body);
    let (mut first, answer) = stage.received(Some("tok1")).await;
    feeder.data("f=js");
    assert!(bodies::poll_once(&mut first).is_ready());
    answer.send_response(respond(INVALID));
    let (mut second, answer) = stage.received(Some("tok2")).await;
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
    let mut stage = Stage::gated_with_token().await;
    let _call = stage.post(body);
    let (mut first, answer) = stage.received(Some("tok1")).await;
    feeder.data("one");
    assert!(bodies::poll_once(&mut first).is_ready());
    answer.send_response(respond(INVALID));
    stage.logins.begun().await;

    feeder.data("two");
    drop(feeder);
    assert_eq!(bodies::poll_once(&mut first), Poll::Pending);
    assert!(!first.is_end_stream());
    let mut waiting = tokio_test::task::spawn(());
    waiting.enter(|context, _| {
        assert!(
            std::pin::Pin::new(&mut first)
                .poll_frame(context)
                .is_pending()
        );
    });
    stage.logins.succeed();

    let (mut second, _answer) = stage.received(Some("tok2")).await;
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
    let (mut first, answer) = stage.received(Some("tok1")).await;
    let mut waiting = tokio_test::task::spawn(());
    waiting.enter(|context, _| {
        assert!(
            std::pin::Pin::new(&mut first)
                .poll_frame(context)
                .is_pending()
        );
    });
    answer.send_response(respond(INVALID));
    let (mut second, _answer) = stage.received(Some("tok2")).await;
    assert!(waiting.is_woken());
    assert!(is_given_up(&bodies::poll_once(&mut first)));

    // From here on the caller's data wakes the second sending.
    let mut waiting = tokio_test::task::spawn(());
    waiting.enter(|context, _| {
        assert!(
            std::pin::Pin::new(&mut second)
                .poll_frame(context)
                .is_pending()
        );
    });
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
    let mut stage = Stage::gated_with_token().await;
    let call = stage.post(body);
    let (mut first, answer) = stage.received(Some("tok1")).await;
    feeder.data("one");
    assert!(bodies::poll_once(&mut first).is_ready());
    answer.send_response(respond(INVALID));
    stage.logins.begun().await;
    feeder.data("two");
    let mut waiting = tokio_test::task::spawn(());
    waiting.enter(|context, _| {
        assert!(
            std::pin::Pin::new(&mut first)
                .poll_frame(context)
                .is_pending()
        );
    });
    stage.logins.refuse();

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
    let mut stage = Stage::gated_with_token().await;
    let call = stage.post(body);
    let (mut first, answer) = stage.received(Some("tok1")).await;
    assert!(bodies::poll_once(&mut first).is_ready());
    answer.send_response(respond(INVALID));
    stage.logins.begun().await;
    let mut waiting = tokio_test::task::spawn(());
    waiting.enter(|context, _| {
        assert!(
            std::pin::Pin::new(&mut first)
                .poll_frame(context)
                .is_pending()
        );
    });
    assert_eq!(buffers.held(), 2);

    call.abort();
    assert!(call.await.unwrap_err().is_cancelled());
    assert!(waiting.is_woken());
    assert_eq!(buffers.held(), 1, "what was kept is freed");
    assert_eq!(bodies::data_of(&read(&mut first)), letters(5000));
    assert_eq!(buffers.held(), 0);
    stage.logins.succeed();
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
    answer.send_response(respond(CHALLENGE));
    let (mut second, _answer) = stage.received(Some("tok1")).await;
    // A client asks after every frame, perhaps a moment too late.
    assert!(first.is_end_stream());
    assert_eq!(bodies::poll_once(&mut first), Poll::Ready(Seen::End));
    assert_eq!(bodies::data_of(&read(&mut second)), b"f=json");
}

#[tokio::test(start_paused = true)]
async fn a_first_sending_that_was_never_read_gives_all_of_it_to_the_second() {
    let mut stage = Stage::with_token().await;
    let _call = stage.post(frames_of(700, 20));
    let (mut first, answer) = stage.received(Some("tok1")).await;
    answer.send_response(respond(INVALID));
    let (mut second, _answer) = stage.received(Some("tok2")).await;
    assert!(is_given_up(&bodies::poll_once(&mut first)));
    assert_eq!(bodies::data_of(&read(&mut second)), letters(14_000));
}

#[tokio::test(start_paused = true)]
async fn a_first_sending_that_the_client_dropped_gives_all_of_it_to_the_second() {
    let mut stage = Stage::with_token().await;
    let _call = stage.post(frames_of(700, 20));
    let (mut first, answer) = stage.received(Some("tok1")).await;
    assert!(bodies::poll_once(&mut first).is_ready());
    drop(first);
    answer.send_response(respond(INVALID));
    let (mut second, _answer) = stage.received(Some("tok2")).await;
    assert_eq!(bodies::data_of(&read(&mut second)), letters(14_000));
}

#[tokio::test(start_paused = true)]
async fn what_is_kept_is_freed_when_the_answer_is_clean() {
    let buffers = Buffers::default();
    let large = buffers.buffer(letters(8000).to_vec());
    let (feeder, body) = bodies::fed();
    let mut stage = Stage::with_token().await;
    let call = stage.post(body);
    let (mut first, answer) = stage.received(Some("tok1")).await;
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
async fn what_is_kept_is_freed_when_no_token_is_to_be_had() {
    let buffers = Buffers::default();
    let mut stage = Stage::gated();
    let call = stage.post(Full::new(buffers.buffer(letters(8000).to_vec())));
    let (mut first, answer) = stage.received(None).await;
    read(&mut first);
    assert_eq!(buffers.held(), 1);
    answer.send_response(respond(CHALLENGE));
    stage.logins.refuse();
    let _answer = answered(call).await.unwrap();
    assert_eq!(buffers.held(), 0);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_kept_where_a_login_was_refused_before() {
    let mut stage = Stage::gated();
    let call = stage.post(Full::new(Bytes::from("f=json")));
    let (_, answer) = stage.received(None).await;
    answer.send_response(respond(CHALLENGE));
    stage.logins.refuse();
    answered(call).await.unwrap();

    let buffers = Buffers::default();
    let call = stage.post(Full::new(buffers.buffer(letters(8000).to_vec())));
    let (mut first, answer) = stage.received(None).await;
    read(&mut first);
    assert_eq!(buffers.held(), 0);
    answer.send_response(respond(CHALLENGE));
    let answer = answered(call).await.unwrap();
    assert_login_refused(answer.body().outcome().skip_reason());
    assert_eq!(stage.logins.count(), 1);
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
    let (mut first, answer) = stage.received(Some("tok1")).await;
    assert_eq!(read(&mut first).len(), CAP + 1);
    assert_eq!(buffers.held(), 0);
    answer.send_response(respond(INVALID));

    let (mut second, answer) = stage.received(Some("tok2")).await;
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
    answer.send_response(respond(CHALLENGE));
    let (mut second, _answer) = stage.received(Some("tok1")).await;
    let mut task = tokio_test::task::spawn(());
    let frame = task.enter(|context, _| std::pin::Pin::new(&mut second).poll_frame(context));
    let Poll::Ready(Some(Ok(frame))) = frame else {
        panic!("no frame");
    };
    assert_eq!(frame.data_ref().unwrap().as_ptr(), start);
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
        let mut stage = Stage::gated_with_token().await;
        let _call = stage.post(body);
        let (first, answer) = stage.received(Some("tok1")).await;
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
        stage.logins.begun().await;
        if succeeds {
            stage.logins.succeed();
            stage.received(Some("tok2")).await;
        } else {
            stage.logins.refuse();
            answered(_call).await.unwrap();
        }
        assert_eq!(looks.1.load(Ordering::SeqCst), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_of_the_service_is_handed_up_and_nothing_is_sent_again() {
    let mut stage = Stage::new();
    let call = stage.post(Full::new(Bytes::from("f=json")));
    let (_, answer) = stage.received(None).await;
    answer.send_error("connection refused");
    let error = answered(call).await.unwrap_err();
    assert_eq!(error.to_string(), "connection refused");
    stage.nothing_more().await;
}

#[tokio::test(start_paused = true)]
async fn requests_to_elsewhere_are_not_kept() {
    let buffers = Buffers::default();
    let mut stage = Stage::new();
    let request = Request::post("http://elsewhere.example.com/arcgis/rest/services/a/MapServer");
    let body = Full::new(buffers.buffer(letters(8000).to_vec()));
    let call = stage.send(request.body(body).unwrap());
    let (mut first, answer) = stage.received(None).await;
    read(&mut first);
    assert_eq!(buffers.held(), 0);
    answer.send_response(respond(CHALLENGE));
    let answer = answered(call).await.unwrap();
    assert!(!answer.body().outcome().resent());
    stage.nothing_more().await;
}

/// One upload: its data, how it is cut, where it waits, what it says of its length, and how many polls the first
/// sending got before the server's challenge.
#[derive(Clone, Debug)]
struct Upload {
    data: Bytes,
    steps: Vec<Step<Bytes>>,
    hint: Hint,
    reports_end: bool,
    trailers: bool,
    polls: usize,
}

fn uploads() -> impl Strategy<Value = Upload> {
    let size = prop_oneof![0..4_usize, 4..500_usize, 4000..4200_usize];
    let hint = prop::sample::select(vec![
        Hint::Nothing,
        Hint::Exact,
        Hint::Loose,
        Hint::ExactAtTheEnd,
    ]);
    (
        prop_oneof![0..40_usize, 0..=CAP],
        vec((size, any::<bool>()), 1..8),
        (hint, any::<bool>(), any::<bool>()),
        prop_oneof![0..10_usize, 0..400_usize, Just(usize::MAX)],
    )
        .prop_map(|(len, shapes, (hint, reports_end, trailers), polls)| {
            let data = letters(len);
            let sizes = shapes.iter().map(|shape| shape.0).collect::<Vec<_>>();
            let mut steps = Vec::new();
            let waits = shapes.iter().map(|shape| shape.1).cycle();
            for (frame, waits) in bodies::cut(&data, &sizes).into_iter().zip(waits) {
                if waits {
                    steps.push(Step::Pending);
                }
                steps.push(Step::Data(frame));
            }
            if trailers {
                steps.push(Step::Trailers(bodies::trailers(&[("x-sum", "1")])));
            }
            Upload {
                data,
                steps,
                hint,
                reports_end,
                trailers,
                polls,
            }
        })
}

async fn upload(case: Upload) -> Result<(), TestCaseError> {
    let body = Scripted::new(case.steps)
        .hint(case.hint)
        .reports_end(case.reports_end);
    let log = body.log();
    let exact = body.size_hint().exact().is_some();
    let mut stage = Stage::with_token().await;
    let call = stage.post(body);
    let (mut first, answer) = stage.received(Some("tok1")).await;
    let mut sent = Vec::new();
    for _ in 0..case.polls {
        if first.is_end_stream() || sent.last().is_some_and(Seen::is_last) {
            break;
        }
        sent.push(bodies::next(&mut first, &log));
    }
    let complete = first.is_end_stream() || sent.last() == Some(&Seen::End);
    answer.send_response(respond(INVALID));

    let (mut second, answer) = stage.received(Some("tok2")).await;
    let observed = bodies::observe(&mut second, &log);
    let mut remaining = case.data.len() as u64;
    for one in &observed {
        prop_assert!(one.lower <= remaining);
        prop_assert!(one.upper.is_none_or(|upper| upper >= remaining));
        prop_assert!(!one.end_stream || one.seen == Seen::End);
        remaining -= one.len();
    }
    let seen = observed
        .iter()
        .map(|one| one.seen.clone())
        .collect::<Vec<_>>();
    prop_assert_eq!(bodies::data_of(&seen), case.data);
    prop_assert_eq!(seen.last(), Some(&Seen::End));
    let trailers = seen.iter().filter(|seen| matches!(seen, Seen::Trailers(_)));
    prop_assert_eq!(trailers.count(), usize::from(case.trailers));
    if case.trailers && !exact {
        prop_assert_ne!(observed[0].upper, Some(observed[0].lower));
    }

    if complete {
        prop_assert!(first.is_end_stream());
    } else {
        prop_assert!(!first.is_end_stream());
        let given_up = bodies::poll_once(&mut first);
        prop_assert!(is_given_up(&given_up), "{:?}", given_up);
    }
    prop_assert!(!log.polled_after_end());
    answer.send_response(respond(CLEAN));
    prop_assert!(answered(call).await.unwrap().body().outcome().resent());
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 256,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_second_sending_is_whole_wherever_the_first_one_stopped(case in uploads()) {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_time().start_paused(true).build().unwrap();
        runtime.block_on(upload(case))?;
    }
}
