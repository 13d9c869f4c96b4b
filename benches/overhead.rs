//! What the layer costs a request that needs nothing of it, beside what others cost: `cargo bench`.
//!
//! Everything wraps the same bare service, so that the difference to `bare` is the price. A token is in hand and
//! fresh, as it is for all but one request in thousands; the answer is a 1 KiB one, drained by the caller.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    hint::black_box,
    pin::pin,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use criterion::{Criterion, criterion_group, criterion_main};
use http::{HeaderName, HeaderValue, Request, Response, header};
use http_body::Body;
use http_body_util::Full;
use tower::{
    Layer, Service,
    retry::{Policy, Retry},
};
use tower_arcgis_auth::{
    ArcgisAuth, ArcgisAuthLayer, Identity, IssuedToken, Site, TokenPlacement, token_source_fn,
};
use tower_http::auth::AddAuthorizationLayer;

const ROOT: &str = "http://gis.test/arcgis";
const JSON: &str = r#"{"objectIdFieldName":"OBJECTID","features":["#;
const CHALLENGE: &str = r#"{"error":{"code":499,"message":"Token Required","details":[]}}"#;

#[derive(Clone)]
struct Bare {
    content_type: HeaderValue,
    body: Bytes,
}

impl Bare {
    fn answering(content_type: &'static str, start: &[u8]) -> Self {
        let mut body = start.to_vec();
        body.resize(1024, b' ');
        Self {
            content_type: HeaderValue::from_static(content_type),
            body: body.into(),
        }
    }

    fn json() -> Self {
        Self::answering("application/json", JSON.as_bytes())
    }

    fn image() -> Self {
        Self::answering("image/png", b"\x89PNG\r\n\x1a\n")
    }
}

impl<B> Service<Request<B>> for Bare {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        black_box(&request);
        let mut response = Response::new(Full::new(self.body.clone()));
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, self.content_type.clone());
        ready(Ok(response))
    }
}

/// As `Retry` wants it: a copy of every request, and never a second try.
#[derive(Clone)]
struct CloneAndKeep;

impl<B: Clone, R, E> Policy<Request<B>, R, E> for CloneAndKeep {
    type Future = Ready<()>;

    fn retry(&mut self, _: &mut Request<B>, _: &mut Result<R, E>) -> Option<Self::Future> {
        None
    }

    fn clone_request(&mut self, request: &Request<B>) -> Option<Request<B>> {
        Some(request.clone())
    }
}

/// Four headers and a URL of some 400 bytes.
fn request() -> Request<Full<Bytes>> {
    let query = "where=STATE_NAME%20%3D%20%27California%27&outFields=*&returnGeometry=true&geometryType=\
                 esriGeometryEnvelope&inSR=4326&spatialRel=esriSpatialRelIntersects&geometry=%7B%22xmin%22%3A-124.4%2C\
                 %22ymin%22%3A32.5%2C%22xmax%22%3A-114.1%2C%22ymax%22%3A42.0%7D&outSR=3857&resultOffset=0&\
                 resultRecordCount=2000&f=json";
    let mut request = Request::new(Full::default());
    let uri = format!("{ROOT}/rest/services/Census/MapServer/3/query?{query}");
    *request.uri_mut() = uri.parse().expect("a URI");
    let headers = request.headers_mut();
    let four: [(HeaderName, &str); 4] = [
        (header::ACCEPT, "*/*"),
        (header::ACCEPT_ENCODING, "gzip, deflate"),
        (header::USER_AGENT, "overhead/1.0"),
        (header::ACCEPT_LANGUAGE, "en"),
    ];
    for (name, value) in four {
        headers.insert(name, HeaderValue::from_static(value));
    }
    request
}

/// Polls a future that is ready at once.
fn now<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => unreachable!("nothing here waits"),
    }
}

fn drain<R: Body + Unpin>(response: Response<R>) {
    let mut body = response.into_body();
    let mut context = Context::from_waker(Waker::noop());
    while let Poll::Ready(Some(frame)) = pin!(&mut body).poll_frame(&mut context) {
        black_box(frame.is_ok());
    }
}

struct Case {
    placement: TokenPlacement,
    /// Whether a copy of the request is kept for a second sending.
    copy: bool,
    /// Whether each caller has a token of its own.
    callers: bool,
}

/// The layer with a token in hand.
fn layer(case: &Case, bare: Bare) -> ArcgisAuth<Bare> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime");
    let site = Site::new(ROOT)
        .token_source(token_source_fn(|_| async {
            IssuedToken::try_new("T".repeat(200))
        }))
        .placement(case.placement)
        .bind_to_address();
    let alice = Identity::from("alice");
    let site = if case.callers {
        site.identity_fn(move |_| Some(alice.clone()))
    } else {
        site
    };
    let layer = ArcgisAuthLayer::builder()
        .add_site(site)
        .replay_limit(if case.copy { 1024 * 1024 } else { 0 })
        .build()
        .expect("settings that work");
    let challenge = Bare::answering("application/json", CHALLENGE.as_bytes());
    let sent = runtime.block_on(layer.layer(challenge).call(request()));
    assert!(sent.is_ok_and(|response| response.body().outcome().resent()));
    let mut service = layer.layer(bare);
    let sent = now(service.call(request()));
    assert!(sent.is_ok_and(|response| response.body().outcome().signed()));
    service
}

fn measure<S, R>(criterion: &mut Criterion, name: &str, mut service: S)
where
    S: Service<Request<Full<Bytes>>, Response = Response<R>, Error = Infallible>,
    R: Body + Unpin,
{
    let mut group = criterion.benchmark_group("overhead");
    // With a body of one byte too many for a limit of none: no copy is kept.
    let body = Full::new(Bytes::from_static(b"x"));
    group.bench_function(name, |bencher| {
        bencher.iter_batched(
            || request().map(|_| body.clone()),
            |request| {
                let Ok(response) = now(service.call(request));
                drain(response);
            },
            criterion::BatchSize::SmallInput,
        );
    });
    group.finish();
}

fn overhead(criterion: &mut Criterion) {
    measure(criterion, "bare", Bare::json());
    let add = AddAuthorizationLayer::bearer(&"T".repeat(200)).layer(Bare::json());
    measure(criterion, "tower-http AddAuthorization", add);
    let retry = Retry::new(CloneAndKeep, Bare::json());
    measure(criterion, "tower Retry, cloning policy", retry);

    for copy in [false, true] {
        for (placement, name) in [
            (TokenPlacement::EsriHeader, "header"),
            (TokenPlacement::Bearer, "bearer"),
            (TokenPlacement::Cookie, "cookie"),
            (TokenPlacement::Query, "query"),
        ] {
            let case = Case {
                placement,
                copy,
                callers: false,
            };
            let copied = if copy { ", copy kept" } else { "" };
            let service = layer(&case, Bare::json());
            measure(
                criterion,
                &format!("this layer, {name}, JSON{copied}"),
                service,
            );
        }
    }
    let mut case = Case {
        placement: TokenPlacement::EsriHeader,
        copy: false,
        callers: true,
    };
    measure(
        criterion,
        "this layer, header, JSON, by caller",
        layer(&case, Bare::json()),
    );
    case.callers = false;
    measure(
        criterion,
        "this layer, header, image",
        layer(&case, Bare::image()),
    );
    let mut elsewhere = layer(&case, Bare::json());
    let mut group = criterion.benchmark_group("overhead");
    group.bench_function("this layer, no site of ours", |bencher| {
        bencher.iter_batched(
            || {
                let mut request = request();
                *request.uri_mut() = http::Uri::from_static("http://elsewhere.test/x");
                request
            },
            |request| {
                let Ok(response) = now(elsewhere.call(request));
                drain(response);
            },
            criterion::BatchSize::SmallInput,
        );
    });
    group.finish();
}

criterion_group!(benches, overhead);
criterion_main!(benches);
