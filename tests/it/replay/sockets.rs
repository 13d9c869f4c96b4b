//! Uploads over real connections, HTTP/1 and HTTP/2: what the server gets when it asks for a token first, asks early,
//! asks and hangs up, or loses its client.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test says what went wrong by failing"
)]

use crate::support::bodies;
use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use crate::support::bodies::Fed;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, header};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Empty, Full};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo},
};
use tokio::{
    net::TcpListener,
    sync::{mpsc, oneshot},
};
use tower::{Layer, Service, ServiceExt};
use tower_arcgis_auth::{
    ArcgisAuth, ArcgisAuthLayer, BoxError, IssuedToken, ReplayBody, ResponseBody, Site, SiteHandle,
    SkipReason, TokenPlacement, token_source_fn,
};

const CHALLENGE: &str = r#"{"error":{"code":499,"message":"Token Required","details":[]}}"#;
const INVALID: &str = r#"{"error":{"code":498,"message":"Invalid Token","details":[]}}"#;
const CLEAN: &str = r#"{"success":true}"#;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    Http1,
    Http2,
}

const BOTH: [Protocol; 2] = [Protocol::Http1, Protocol::Http2];

/// What the server does with a request whose token it does not take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    /// Reads all of it, then asks for another token.
    Reads,
    /// Asks for a token before it has read anything, and goes on reading.
    AsksFirst,
    /// Asks for a token and never looks at the body.
    Ignores,
    /// Asks for a token and closes the connection, where there is such a thing.
    HangsUp,
}

/// A request as it arrived.
#[derive(Debug)]
struct Arrived {
    method: Method,
    path: String,
    headers: HeaderMap,
    data: Vec<u8>,
    trailers: Option<HeaderMap>,
    /// Whether the body came to a proper end.
    complete: bool,
}

impl Arrived {
    fn token(&self) -> Option<&str> {
        let value = self.headers.get("x-esri-authorization")?;
        value.to_str().unwrap().strip_prefix("Bearer ")
    }
}

/// A server that asks for a token, and the requests that came to it, in the order in which their bodies ended.
struct Server {
    address: SocketAddr,
    arrived: mpsc::UnboundedReceiver<Arrived>,
    /// Tells of each first byte of a body.
    begun: mpsc::UnboundedReceiver<()>,
    is_revoked: Arc<AtomicBool>,
}

#[derive(Clone)]
struct Journal {
    /// The first token, `tok1`, is taken no longer.
    is_revoked: Arc<AtomicBool>,
    arrived: mpsc::UnboundedSender<Arrived>,
    begun: mpsc::UnboundedSender<()>,
}

impl Server {
    async fn start(protocol: Protocol, manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (arrived_sender, arrived) = mpsc::unbounded_channel();
        let (begun_sender, begun) = mpsc::unbounded_channel();
        let is_revoked = Arc::new(AtomicBool::new(false));
        let journal = Journal {
            is_revoked: Arc::clone(&is_revoked),
            arrived: arrived_sender,
            begun: begun_sender,
        };
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let journal = journal.clone();
                let service = service_fn(move |request| answer(request, manner, journal.clone()));
                let stream = TokioIo::new(stream);
                tokio::spawn(async move {
                    // Clients that hang up are part of the tests.
                    let _ = match protocol {
                        Protocol::Http1 => {
                            let server = hyper::server::conn::http1::Builder::new();
                            server.serve_connection(stream, service).await
                        }
                        Protocol::Http2 => {
                            let server =
                                hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                            server.serve_connection(stream, service).await
                        }
                    };
                });
            }
        });
        Self {
            address,
            arrived,
            begun,
            is_revoked,
        }
    }

    async fn next(&mut self) -> Arrived {
        self.arrived.recv().await.unwrap()
    }

    async fn upload_begun(&mut self) {
        self.begun.recv().await.unwrap();
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}/arcgis/rest/services{path}", self.address)
    }
}

async fn answer(
    request: Request<Incoming>,
    manner: Manner,
    journal: Journal,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let token = request.headers().get("x-esri-authorization").cloned();
    let is_revoked = journal.is_revoked.load(Ordering::SeqCst);
    let is_valid = |token| token != "Bearer tok1" || !is_revoked;
    let answer = Response::builder().header(header::CONTENT_TYPE, "application/json");
    if token.as_ref().is_some_and(is_valid) {
        record(request, journal).await;
        return Ok(answer.body(Full::from(CLEAN)).unwrap());
    }
    let answer = match manner {
        Manner::Reads => {
            record(request, journal).await;
            answer
        }
        Manner::AsksFirst => {
            tokio::spawn(record(request, journal));
            answer
        }
        Manner::Ignores => answer,
        // HTTP/2 has no such header: there it is the stream that is closed.
        Manner::HangsUp => match request.version() {
            http::Version::HTTP_2 => answer,
            _ => answer.header(header::CONNECTION, "close"),
        },
    };
    let challenge = if token.is_some() { INVALID } else { CHALLENGE };
    Ok(answer.body(Full::from(challenge)).unwrap())
}

async fn record(request: Request<Incoming>, journal: Journal) {
    let (parts, mut body) = request.into_parts();
    let mut arrived = Arrived {
        method: parts.method,
        path: parts.uri.path_and_query().unwrap().to_string(),
        headers: parts.headers,
        data: Vec::new(),
        trailers: None,
        complete: true,
    };
    while let Some(frame) = body.frame().await {
        match frame.map(Frame::into_data) {
            Ok(Ok(data)) => {
                if arrived.data.is_empty() {
                    let _ = journal.begun.send(());
                }
                arrived.data.extend_from_slice(&data);
            }
            Ok(Err(frame)) => arrived.trailers = frame.into_trailers().ok(),
            Err(_) => {
                arrived.complete = false;
                break;
            }
        }
    }
    // A test that has seen enough is gone by now.
    let _ = journal.arrived.send(arrived);
}

type Connected<B> = ArcgisAuth<Client<HttpConnector, ReplayBody<B>>>;

/// A client with the layer in front.
struct Caller<B> {
    service: Connected<B>,
    site: SiteHandle,
    logins: Arc<AtomicUsize>,
}

impl<B> Caller<B>
where
    B: Body + Unpin + Send + 'static,
    B::Error: Into<BoxError>,
{
    fn of(server: &Server, protocol: Protocol) -> Self {
        Self::gated(server, protocol, None)
    }

    /// Logins wait until `gate` opens.
    fn gated(
        server: &Server,
        protocol: Protocol,
        gate: Option<Arc<tokio::sync::Semaphore>>,
    ) -> Self {
        let logins = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&logins);
        let source = token_source_fn(move |_| {
            let count = count.fetch_add(1, Ordering::SeqCst) + 1;
            let gate = gate.clone();
            async move {
                if let Some(gate) = gate {
                    gate.acquire().await.unwrap().forget();
                }
                IssuedToken::try_new(format!("tok{count}"))
            }
        });
        let site = Site::new(format!("http://{}/arcgis", server.address))
            .token_source(source)
            .placement(TokenPlacement::EsriHeader);
        let client = Client::builder(TokioExecutor::new())
            .http2_only(protocol == Protocol::Http2)
            .build_http();
        let layer = ArcgisAuthLayer::try_new(site).unwrap();
        Self {
            service: layer.layer(client),
            site: layer.handle().sites().remove(0),
            logins,
        }
    }

    /// Gets a token, `tok1`, which the server revokes.
    async fn log_in_and_be_revoked(&self, server: &Server) {
        self.site.renew().await.unwrap();
        server.is_revoked.store(true, Ordering::SeqCst);
    }

    fn logins(&self) -> usize {
        self.logins.load(Ordering::SeqCst)
    }

    fn send(
        &self,
        request: Request<B>,
    ) -> impl Future<Output = Result<Response<ResponseBody<Incoming>>, BoxError>> + Send + use<B>
    {
        let mut service = self.service.clone();
        async move { Ok(service.ready().await?.call(request).await?) }
    }
}

async fn text(response: Response<ResponseBody<Incoming>>) -> String {
    let collected = response.into_body().collect().await.unwrap();
    String::from_utf8(collected.to_bytes().to_vec()).unwrap()
}

async fn assert_sent_again(response: Response<ResponseBody<Incoming>>) {
    assert!(response.body().outcome().resent());
    assert_eq!(text(response).await, CLEAN);
}

fn letters(count: usize) -> Bytes {
    (b'a'..=b'z').cycle().take(count).collect()
}

/// Sends `request` to a server that reads all of it before it asks for a token, and checks that the same arrives a
/// second time, signed. A stream of unknown length has a token from the start, but one that was revoked.
async fn arrives_twice<B>(
    protocol: Protocol,
    request: http::request::Builder,
    path: &str,
    body: B,
    data: &[u8],
) -> [Arrived; 2]
where
    B: Body + Unpin + Send + 'static,
    B::Error: Into<BoxError>,
{
    let mut server = Server::start(protocol, Manner::Reads).await;
    let caller = Caller::of(&server, protocol);
    let tokens = if body.size_hint().exact().is_some() {
        [None, Some("tok1")]
    } else {
        caller.log_in_and_be_revoked(&server).await;
        [Some("tok1"), Some("tok2")]
    };
    let request = request.uri(server.url(path)).body(body).unwrap();
    let sent = request.headers().clone();
    let method = request.method().clone();
    assert_sent_again(caller.send(request).await.unwrap()).await;
    assert_eq!(caller.logins(), tokens.iter().flatten().count());

    let both = [server.next().await, server.next().await];
    for arrived in &both {
        assert_eq!(arrived.method, method);
        assert_eq!(arrived.path, format!("/arcgis/rest/services{path}"));
        assert_eq!(arrived.data, data, "{protocol:?}");
        assert!(arrived.complete);
        for name in sent.keys() {
            let sent = sent.get_all(name).iter();
            assert!(arrived.headers.get_all(name).iter().eq(sent), "{name}");
        }
    }
    assert_eq!([both[0].token(), both[1].token()], tokens);
    both
}

#[tokio::test]
async fn a_get_is_sent_again() {
    for protocol in BOTH {
        let request = Request::get("/")
            .header("x-many", "1")
            .header("x-many", "2");
        let body = Empty::<Bytes>::new();
        let path = "/Roads/MapServer/0/query?where=1%3D1&f=json";
        let both = arrives_twice(protocol, request, path, body, b"").await;
        for arrived in both {
            assert!(!arrived.headers.contains_key(header::CONTENT_LENGTH));
            assert!(!arrived.headers.contains_key(header::TRANSFER_ENCODING));
        }
    }
}

#[tokio::test]
async fn a_form_json_and_multipart_are_sent_again() {
    let multipart = "--cut\r\nContent-Disposition: form-data; name=\"f\"\r\n\r\njson\r\n\
        --cut\r\nContent-Disposition: form-data; name=\"attachment\"; filename=\"a.bin\"\r\n\r\n\
        \0\u{1}\u{2}\r\n--cut--\r\n";
    for protocol in BOTH {
        for (content_type, data) in [
            (
                "application/x-www-form-urlencoded",
                "f=json&where=1%3D1&outFields=*",
            ),
            ("application/json", r#"{"adds":[{"attributes":{"a":1}}]}"#),
            ("multipart/form-data; boundary=cut", multipart),
        ] {
            let request = Request::post("/").header(header::CONTENT_TYPE, content_type);
            let path = "/Roads/FeatureServer/0/applyEdits";
            let body = Full::new(Bytes::from(data));
            let both = arrives_twice(protocol, request, path, body, data.as_bytes()).await;
            for arrived in both {
                let length = &arrived.headers[header::CONTENT_LENGTH];
                assert_eq!(length, &data.len().to_string());
            }
        }
    }
}

#[tokio::test]
async fn a_stream_of_unknown_length_is_sent_again() {
    for protocol in BOTH {
        for size in [1, 1000, 70_000] {
            let data = letters(size * 3);
            let (feeder, body) = bodies::fed();
            for frame in data.chunks(size) {
                feeder.data(frame.to_vec());
            }
            drop(feeder);
            let request = Request::post("/");
            arrives_twice(protocol, request, "/Roads/FeatureServer/0/x", body, &data).await;
        }
    }
}

#[tokio::test]
async fn trailers_are_sent_again() {
    for protocol in BOTH {
        let (feeder, body) = bodies::fed();
        feeder.data("f=");
        feeder.data("json");
        feeder.frame(Frame::trailers(bodies::trailers(&[("x-sum", "42")])));
        drop(feeder);
        let request = Request::post("/").header(header::TRAILER, "x-sum");
        let path = "/Roads/FeatureServer/0/x";
        let both = arrives_twice(protocol, request, path, body, b"f=json").await;
        for arrived in both {
            let trailers = arrived.trailers.expect("no trailers");
            assert_eq!(trailers, bodies::trailers(&[("x-sum", "42")]));
        }
    }
}

#[tokio::test]
async fn once_there_is_a_token_everything_is_sent_once() {
    for protocol in BOTH {
        let mut server = Server::start(protocol, Manner::Reads).await;
        let caller = Caller::of(&server, protocol);
        for _ in 0..3 {
            let request = Request::post(server.url("/Roads/FeatureServer/0/x"));
            let request = request.body(Full::new(Bytes::from("f=json"))).unwrap();
            assert_eq!(text(caller.send(request).await.unwrap()).await, CLEAN);
        }
        let mut tokens = Vec::new();
        for _ in 0..4 {
            let arrived = server.next().await;
            assert_eq!(arrived.data, b"f=json");
            tokens.push(arrived.token().map(str::to_owned));
        }
        assert_eq!(tokens[0], None);
        assert!(
            tokens[1..]
                .iter()
                .all(|token| token.as_deref() == Some("tok1"))
        );
        assert!(server.arrived.try_recv().is_err());
        assert_eq!(caller.logins(), 1);
    }
}

#[tokio::test]
async fn a_cut_upload_never_looks_complete_to_the_server() {
    for protocol in BOTH {
        let mut server = Server::start(protocol, Manner::AsksFirst).await;
        let caller = Caller::of(&server, protocol);
        caller.log_in_and_be_revoked(&server).await;
        let (feeder, body) = bodies::fed();
        feeder.data("begin,");
        let request = Request::post(server.url("/Roads/FeatureServer/0/x"));
        let call = tokio::spawn(caller.send(request.body(body).unwrap()));

        // The first sending is given up while the caller has more to say.
        let first = server.next().await;
        assert_eq!(first.token(), Some("tok1"));
        assert!(!first.complete, "{protocol:?}");
        feeder.data("middle,");
        feeder.data("end");
        drop(feeder);
        let second = server.next().await;
        assert_eq!(second.token(), Some("tok2"));
        assert_eq!(second.data, b"begin,middle,end", "{protocol:?}");
        assert!(second.complete);
        assert_sent_again(call.await.unwrap().unwrap()).await;
    }
}

#[tokio::test]
async fn a_cut_upload_of_known_length_never_looks_complete_to_the_server() {
    for protocol in BOTH {
        let mut server = Server::start(protocol, Manner::AsksFirst).await;
        let caller = Caller::of(&server, protocol);
        let (feeder, body) = bodies::fed();
        feeder.data("begin,");
        let request = Request::post(server.url("/Roads/FeatureServer/0/x"));
        // The caller says how long it is, the body does not.
        let request = request.header(header::CONTENT_LENGTH, 16);
        let call = tokio::spawn(caller.send(request.body(body).unwrap()));
        assert!(!server.next().await.complete, "{protocol:?}");
        feeder.data("middle,");
        feeder.data("end");
        drop(feeder);
        let second = server.next().await;
        assert_eq!(second.data, b"begin,middle,end");
        assert!(second.complete);
        assert_eq!(text(call.await.unwrap().unwrap()).await, CLEAN);
    }
}

#[tokio::test]
async fn an_early_answer_costs_no_byte_whatever_becomes_of_the_connection() {
    for protocol in BOTH {
        for manner in [Manner::AsksFirst, Manner::Ignores, Manner::HangsUp] {
            let mut server = Server::start(protocol, manner).await;
            let caller = Caller::of(&server, protocol);
            caller.log_in_and_be_revoked(&server).await;
            let (feeder, body) = bodies::fed();
            let request = Request::post(server.url("/Roads/FeatureServer/0/x"));
            let call = tokio::spawn(caller.send(request.body(body).unwrap()));
            let data = letters(300_000);
            let mut frames = data.chunks(10_000);
            if manner == Manner::AsksFirst {
                // Of the first sending, this much arrives.
                feeder.data(frames.next().unwrap().to_vec());
                server.upload_begun().await;
            }
            while caller.logins() == 1 {
                tokio::task::yield_now().await;
            }
            for frame in frames {
                feeder.data(frame.to_vec());
                tokio::task::yield_now().await;
            }
            drop(feeder);

            let second = loop {
                let arrived = server.next().await;
                if arrived.token() == Some("tok2") {
                    break arrived;
                }
                assert!(!arrived.complete, "{protocol:?} {manner:?}");
            };
            assert!(second.complete);
            assert!(second.data == data, "{protocol:?} {manner:?}");
            assert_sent_again(call.await.unwrap().unwrap()).await;
        }
    }
}

#[tokio::test]
async fn an_upload_waits_for_the_login_and_loses_nothing() {
    for protocol in BOTH {
        let mut server = Server::start(protocol, Manner::AsksFirst).await;
        let gate = Arc::new(tokio::sync::Semaphore::new(1));
        let caller = Caller::gated(&server, protocol, Some(Arc::clone(&gate)));
        caller.log_in_and_be_revoked(&server).await;
        let (feeder, body) = bodies::fed();
        let request = Request::post(server.url("/Roads/FeatureServer/0/x"));
        let call = tokio::spawn(caller.send(request.body(body).unwrap()));
        while caller.logins() == 1 {
            tokio::task::yield_now().await;
        }
        // Fed while the login runs: nothing of it may go to the server before there is another token.
        let data = letters(200_000);
        for frame in data.chunks(3000) {
            feeder.data(frame.to_vec());
            tokio::task::yield_now().await;
        }
        drop(feeder);
        gate.add_permits(1);

        let response = call.await.unwrap().unwrap();
        assert_eq!(text(response).await, CLEAN);
        let mut arrived = [server.next().await, server.next().await];
        arrived.sort_by_key(|arrived| arrived.token() == Some("tok2"));
        let [first, second] = arrived;
        assert!(!first.complete);
        assert_eq!(first.data, b"");
        assert!(second.complete);
        assert!(second.data == data, "{protocol:?}");
    }
}

#[tokio::test]
async fn a_stream_of_unknown_length_waits_for_the_first_login_and_arrives_once() {
    for protocol in BOTH {
        let mut server = Server::start(protocol, Manner::AsksFirst).await;
        let gate = Arc::new(tokio::sync::Semaphore::new(0));
        let caller = Caller::gated(&server, protocol, Some(Arc::clone(&gate)));
        let (feeder, body) = bodies::fed();
        let request = Request::post(server.url("/Roads/FeatureServer/0/x"));
        let call = tokio::spawn(caller.send(request.body(body).unwrap()));
        while caller.logins() == 0 {
            tokio::task::yield_now().await;
        }
        feeder.data("f=json");
        drop(feeder);
        gate.add_permits(1);

        let response = call.await.unwrap().unwrap();
        assert!(!response.body().outcome().resent());
        assert_eq!(text(response).await, CLEAN);
        let arrived = server.next().await;
        assert_eq!(arrived.token(), Some("tok1"));
        assert_eq!(arrived.data, b"f=json");
        assert!(server.arrived.try_recv().is_err());
    }
}

#[tokio::test]
async fn an_upload_over_the_limit_is_signed_first_and_arrives_once() {
    for protocol in BOTH {
        let data = letters(5 * 1024 * 1024);
        let mut server = Server::start(protocol, Manner::Reads).await;
        let caller = Caller::of(&server, protocol);
        let request = Request::post(server.url("/Roads/FeatureServer/uploads"));
        let request = request.body(Full::new(data.clone())).unwrap();
        let response = caller.send(request).await.unwrap();
        assert!(response.body().outcome().signed());
        assert!(!response.body().outcome().resent());
        assert_eq!(text(response).await, CLEAN);

        let arrived = server.next().await;
        assert_eq!(arrived.token(), Some("tok1"));
        assert!(arrived.complete);
        assert!(arrived.data == data);
        assert!(server.arrived.try_recv().is_err());
        assert_eq!(caller.logins(), 1);
    }
}

#[tokio::test]
async fn a_stream_over_the_limit_arrives_whole_and_once() {
    for protocol in BOTH {
        let data = letters(5 * 1024 * 1024);
        let mut server = Server::start(protocol, Manner::Reads).await;
        let caller = Caller::of(&server, protocol);
        caller.log_in_and_be_revoked(&server).await;
        for token in ["tok1", "tok2"] {
            let (feeder, body) = bodies::fed();
            for frame in data.chunks(100_000) {
                feeder.data(frame.to_vec());
            }
            drop(feeder);
            let request = Request::post(server.url("/Roads/FeatureServer/uploads"));
            let response = caller.send(request.body(body).unwrap()).await.unwrap();
            let outcome = response.body().outcome();
            assert!(!outcome.resent());
            let body = if token == "tok1" {
                assert!(matches!(
                    outcome.skip_reason(),
                    Some(SkipReason::BodyNotReplayable)
                ));
                INVALID
            } else {
                assert!(outcome.skip_reason().is_none());
                CLEAN
            };
            assert_eq!(text(response).await, body);
            let arrived = server.next().await;
            assert_eq!(arrived.token(), Some(token));
            assert!(arrived.complete);
            assert!(arrived.data == data);
            // The challenge has started a login for those to come.
            while caller.logins() == 1 {
                tokio::task::yield_now().await;
            }
        }
        assert!(server.arrived.try_recv().is_err());
        assert_eq!(caller.logins(), 2);
    }
}

#[tokio::test]
async fn a_caller_that_hangs_up_cuts_its_upload_and_nothing_is_sent_again() {
    for protocol in BOTH {
        let mut server = Server::start(protocol, Manner::Reads).await;
        let caller = Caller::<Fed>::of(&server, protocol);
        caller.log_in_and_be_revoked(&server).await;
        let (feeder, body) = bodies::fed();
        let request = Request::post(server.url("/Roads/FeatureServer/0/x"));
        let call = tokio::spawn(caller.send(request.body(body).unwrap()));
        feeder.data("begin,");
        server.upload_begun().await;
        call.abort();
        assert!(call.await.unwrap_err().is_cancelled());
        let cut = server.next().await;
        assert!(!cut.complete, "{protocol:?}");
        feeder.unwanted().await;
        assert_eq!(caller.logins(), 1);

        // The next request is not the worse for it.
        let (feeder, body) = bodies::fed();
        feeder.data("f=json");
        drop(feeder);
        let request = Request::post(server.url("/Roads/FeatureServer/0/x"));
        let response = caller.send(request.body(body).unwrap()).await.unwrap();
        assert_eq!(text(response).await, CLEAN);
        assert_eq!(server.next().await.token(), Some("tok1"));
        let second = server.next().await;
        assert_eq!(second.token(), Some("tok2"));
        assert_eq!(second.data, b"f=json");
        assert!(server.arrived.try_recv().is_err());
    }
}

#[tokio::test]
async fn a_caller_whose_body_breaks_cuts_its_upload_and_nothing_is_sent_again() {
    for protocol in BOTH {
        let mut server = Server::start(protocol, Manner::Reads).await;
        let caller = Caller::of(&server, protocol);
        caller.log_in_and_be_revoked(&server).await;
        let (feeder, body) = bodies::fed();
        let request = Request::post(server.url("/Roads/FeatureServer/0/x"));
        let call = tokio::spawn(caller.send(request.body(body).unwrap()));
        feeder.data("begin,");
        server.upload_begun().await;
        feeder.fail("the file is gone");
        assert!(!server.next().await.complete, "{protocol:?}");
        let error = call.await.unwrap().unwrap_err();
        // hyper tells the cause on HTTP/1 only.
        if protocol == Protocol::Http1 {
            let mut causes = std::iter::successors(error.source(), |error| error.source());
            assert!(causes.any(|cause| cause.to_string() == "the file is gone"));
        }
        assert_eq!(caller.logins(), 1);
        assert!(server.arrived.try_recv().is_err());
    }
}

#[tokio::test]
async fn many_uploads_at_once_keep_apart() {
    for protocol in BOTH {
        let mut server = Server::start(protocol, Manner::Reads).await;
        let caller = Caller::of(&server, protocol);
        let mut calls = Vec::new();
        for number in 0..20 {
            let (feeder, body) = bodies::fed();
            let (go, wait) = oneshot::channel::<()>();
            tokio::spawn(async move {
                for _ in 0..50 {
                    feeder.data(format!("{number},"));
                    tokio::task::yield_now().await;
                }
                let _ = wait.await;
            });
            let request = Request::post(server.url("/Roads/FeatureServer/0/x"));
            let number = HeaderValue::from(number);
            let request = request.header("x-number", number).body(body).unwrap();
            calls.push(tokio::spawn(caller.send(request)));
            drop(go);
        }
        for call in calls {
            let response = call.await.unwrap().unwrap();
            assert_eq!(text(response).await, CLEAN);
        }
        let mut signed = 0;
        while signed < 20 {
            let arrived = server.next().await;
            let number = arrived.headers["x-number"].to_str().unwrap();
            assert_eq!(arrived.data, format!("{number},").repeat(50).into_bytes());
            assert!(arrived.complete);
            signed += usize::from(arrived.token().is_some());
        }
        assert_eq!(caller.logins(), 1);
    }
}
