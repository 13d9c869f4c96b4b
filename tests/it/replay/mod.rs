//! A request that was challenged is sent again as it was, to the byte; one that cannot be is sent once; and an upload
//! that was cut short never looks complete.

mod given_up;
mod kept_copies;
mod over_the_limit;
mod property;
mod second_sending;
mod sockets;

use std::{task::Poll, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::Body;
use http_body_util::Full;
use tokio::task::JoinHandle;
use tower::{Layer, Service, ServiceExt};
use tower_arcgis_auth::{
    ArcgisAuth, ArcgisAuthLayer, BoxError, ReplayBody, ResponseBody, Site, SiteHandle,
    TokenPlacement,
};
use tower_test::mock::{self, Handle, Mock, SendResponse};

use crate::support::{
    Answer, INVALID, Reply, TokenService,
    bodies::{self, Log, Scripted, Seen},
};

const CLEAN: &str = r#"{"success":true}"#;
const CAP: usize = 20_000;
const URL: &str = "http://gis.example.com/arcgis/rest/services/Roads/FeatureServer/0/addFeatures";
type Received<B> = Request<ReplayBody<B>>;

/// The layer between a caller and a server played by the test, which reads the body of each sending step by step. The
/// scripted upstream reads none.
struct Stage<B> {
    service: ArcgisAuth<Mock<Received<B>, Answer>>,
    site: SiteHandle,
    server: Handle<Received<B>, Answer>,
    logins: TokenService,
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
        Self::with(TokenService::new())
    }

    /// There is a token, `secret-1`; logins succeed at once.
    async fn with_token() -> Self {
        let stage = Self::new();
        stage.log_in().await;
        stage
    }

    /// Logins wait for the test.
    fn holding_logins() -> Self {
        Self::with(TokenService::new().holding())
    }

    /// There is a token, `secret-1`; further logins wait for the test.
    async fn holding_logins_with_token() -> Self {
        let stage = Self::holding_logins();
        stage.log_in().await;
        stage
    }

    fn with(logins: TokenService) -> Self {
        let site = Site::new("http://gis.example.com/arcgis")
            .token_source(logins.clone())
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

    /// Waits until a login has begun.
    async fn login_begun(&self) {
        soon(self.logins.begun()).await;
    }

    fn refuse_login(&self) {
        self.logins.always(Reply::Refused);
        self.logins.release(1);
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

    /// Makes sure there is a token, `secret-1`.
    async fn log_in(&self) {
        self.logins.release(1);
        soon(self.site.renew()).await.unwrap();
        self.login_begun().await;
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
    for (token, reply) in [(Some("secret-1"), INVALID), (Some("secret-2"), CLEAN)] {
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
    assert_eq!(stage.logins.attempts(), 2);

    // The length is known by now; with trailers it is not stated, for they have no place behind a `Content-Length`.
    let expected = match (trailers, sizes[0].exact()) {
        (None, _) | (_, Some(_)) => Some(data.len() as u64),
        (Some(_), None) => None,
    };
    assert_eq!(sizes[1].exact(), expected);
    stage.nothing_more().await;
}
