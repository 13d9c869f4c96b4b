//! How many allocations the layer adds to a request, exactly. A binary of its own, because it counts them with an
//! allocator of its own.

use std::{
    convert::Infallible,
    future::Ready,
    io::Write,
    pin::pin,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use http::{HeaderName, HeaderValue, Request, Response, header};
use http_body_util::Full;
use tower::{Layer, Service};
use tower_arcgis_auth::{
    ArcgisAuth, ArcgisAuthLayer, Identity, IssuedToken, Site, TokenPlacement, token_source_fn,
};

const URI: &str = "http://gis.test/arcgis/rest/services/Roads/MapServer/0/query?where=1%3D1&f=json";
const JSON: &[u8] = br#"{"objectIdFieldName":"OBJECTID","features":[]}"#;

/// Answers from static memory: it allocates nothing by itself.
#[derive(Clone, Copy)]
struct Bare {
    headers: &'static [(HeaderName, &'static str)],
    body: &'static [u8],
}

const IMAGE: Bare = Bare {
    headers: &[(header::CONTENT_TYPE, "image/png")],
    body: b"\x89PNG\r\n\x1a\n",
};

const ORDINARY: Bare = Bare {
    headers: &[
        (header::CONTENT_TYPE, "application/json;charset=UTF-8"),
        (header::CACHE_CONTROL, "max-age=0,must-revalidate"),
        (header::ETAG, "\"bbf1a1f4\""),
        (header::VARY, "Origin"),
        (header::SERVER, "Microsoft-IIS/10.0"),
        (header::DATE, "Tue, 03 Mar 2026 10:00:00 GMT"),
    ],
    body: JSON,
};

impl<B> Service<Request<B>> for Bare {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        // Kept out of the count: the caller drops the request it made either way.
        std::mem::forget(request);
        let mut response = Response::new(Full::new(Bytes::from_static(self.body)));
        for (name, value) in self.headers {
            let value = HeaderValue::from_static(value);
            response.headers_mut().insert(name, value);
        }
        std::future::ready(Ok(response))
    }
}

/// Four headers, with room for more in their map; no extensions.
fn request<B>(body: B) -> Request<B> {
    let mut request = Request::new(body);
    *request.uri_mut() = URI.parse().unwrap();
    let headers = request.headers_mut();
    headers.reserve(16);
    headers.insert(header::ACCEPT, HeaderValue::from_static("*/*"));
    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
    headers.insert(header::USER_AGENT, HeaderValue::from_static("test"));
    headers.insert(header::HOST, HeaderValue::from_static("gis.test"));
    request
}

/// The layer over `bare` with a token in hand. Logged in by a server that wants a token at first.
fn signed_in(
    bare: Bare,
    placement: TokenPlacement,
    replay_limit: usize,
) -> (ArcgisAuth<Bare>, tokio::runtime::Runtime) {
    signed_in_at(site(placement), bare, replay_limit)
}

fn site(placement: TokenPlacement) -> Site {
    Site::new("http://gis.test/arcgis")
        .token_source(token_source_fn(|_| async {
            IssuedToken::try_new("T".repeat(200))
        }))
        .placement(placement)
}

fn signed_in_at(
    site: Site,
    bare: Bare,
    replay_limit: usize,
) -> (ArcgisAuth<Bare>, tokio::runtime::Runtime) {
    let layer = ArcgisAuthLayer::builder()
        .add_site(site)
        .replay_limit(replay_limit)
        .build()
        .unwrap();
    signed_in_through(&layer, bare, || request(Full::default()))
}

fn signed_in_through(
    layer: &ArcgisAuthLayer,
    bare: Bare,
    request: impl Fn() -> Request<Full<Bytes>>,
) -> (ArcgisAuth<Bare>, tokio::runtime::Runtime) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let challenge = Bare {
        headers: &[(header::CONTENT_TYPE, "application/json")],
        body: br#"{"error":{"code":499,"message":"Token Required"}}"#,
    };
    let challenged = layer.layer(challenge).call(request());
    runtime.block_on(challenged).unwrap();
    let mut service = layer.layer(bare);
    // The first clean answer proves the token, once.
    runtime.block_on(service.call(request())).unwrap();
    (service, runtime)
}

fn allocations<S, B>(service: &mut S, request: Request<B>) -> (u64, S::Response)
where
    S: Service<Request<B>>,
    S::Error: std::fmt::Debug,
{
    let mut context = Context::from_waker(Waker::noop());
    let mut answer = None;
    let counted = allocation_counter::measure(|| {
        let mut future = pin!(service.call(request));
        match future.as_mut().poll(&mut context) {
            Poll::Ready(ready) => answer = Some(ready),
            Poll::Pending => unreachable!("everything here is ready at once"),
        }
    });
    (counted.count_total, answer.unwrap().unwrap())
}

/// What the layer adds to a request, over the bare service.
fn added<B>(
    bare: Bare,
    placement: TokenPlacement,
    limit: usize,
    make: impl Fn() -> Request<B>,
) -> u64
where
    B: http_body::Body + Unpin,
    B::Error: Into<tower_arcgis_auth::BoxError>,
{
    let mut bare_service = bare;
    let (baseline, _) = allocations(&mut bare_service, make());
    let (mut service, _runtime) = signed_in(bare, placement, limit);
    let (with_layer, response) = allocations(&mut service, make());
    assert!(response.body().outcome().signed(), "the case signs");
    with_layer.checked_sub(baseline).unwrap()
}

const NO_COPY: usize = 0;
const A_COPY: usize = 1024;

/// Longer than no bytes at all: with a limit of 0 no copy is kept.
fn with_body() -> Request<Full<Bytes>> {
    request(Full::new(Bytes::from_static(b"f=json")))
}

fn empty() -> Request<Full<Bytes>> {
    request(Full::default())
}

fn with_cookie() -> Request<Full<Bytes>> {
    let mut request = with_body();
    request
        .headers_mut()
        .insert(header::COOKIE, HeaderValue::from_static("a=1; b=2"));
    request
}

#[test]
fn a_header_costs_no_allocation() {
    for placement in [TokenPlacement::EsriHeader, TokenPlacement::Bearer] {
        assert_eq!(added(IMAGE, placement, NO_COPY, with_body), 0);
    }
}

#[test]
fn a_look_at_json_costs_no_allocation() {
    let json = Bare {
        headers: &[(header::CONTENT_TYPE, "application/json")],
        body: JSON,
    };
    assert_eq!(
        added(json, TokenPlacement::EsriHeader, NO_COPY, with_body),
        0
    );
}

#[test]
fn a_cookie_costs_none_and_a_merged_one_a_single_allocation() {
    assert_eq!(added(IMAGE, TokenPlacement::Cookie, NO_COPY, with_body), 0);
    assert_eq!(
        added(IMAGE, TokenPlacement::Cookie, NO_COPY, with_cookie),
        1
    );
}

#[test]
fn a_query_costs_one_allocation_appended_or_replaced() {
    assert_eq!(added(IMAGE, TokenPlacement::Query, NO_COPY, with_body), 1);
    let replaced = || {
        let mut request = with_body();
        *request.uri_mut() = format!("{URI}&token=").parse().unwrap();
        request
    };
    assert_eq!(added(IMAGE, TokenPlacement::Query, NO_COPY, replaced), 1);
}

#[test]
fn a_copy_of_a_request_without_a_body_costs_two_more() {
    assert_eq!(added(IMAGE, TokenPlacement::EsriHeader, A_COPY, empty), 2);
    assert_eq!(added(IMAGE, TokenPlacement::Query, A_COPY, empty), 3);
}

#[test]
fn a_look_at_gzip_costs_no_allocation_on_a_thread_that_has_seen_one() {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(&JSON.repeat(200)).unwrap();
    let gzip = Bare {
        headers: &[
            (header::CONTENT_TYPE, "application/json"),
            (header::CONTENT_ENCODING, "gzip"),
        ],
        body: encoder.finish().unwrap().leak(),
    };
    assert_eq!(
        added(gzip, TokenPlacement::EsriHeader, NO_COPY, with_body),
        0
    );
}

/// What a site that has its defaults, Referer and copy among them, adds to a GET of this URL.
fn added_by_defaults(uri: &'static str, root: &str, others: usize) -> u64 {
    let get = || {
        let mut request = empty();
        *request.uri_mut() = uri.parse().unwrap();
        request
    };
    let source = token_source_fn(|_| async { IssuedToken::try_new("T".repeat(200)) });
    let mut builder = ArcgisAuthLayer::builder().add_site(Site::new(root).token_source(source));
    for number in 0..others {
        builder = builder.add_site(Site::new(format!("https://gis{number}.test/arcgis")));
    }
    let (mut service, _runtime) = signed_in_through(&builder.build().unwrap(), ORDINARY, get);
    let (baseline, _) = allocations(&mut { ORDINARY }, get());
    let (with_layer, response) = allocations(&mut service, get());
    assert!(response.body().outcome().signed(), "the case signs");
    with_layer.checked_sub(baseline).unwrap()
}

#[test]
fn an_ordinary_get_costs_three_allocations_among_any_number_of_sites() {
    for others in [0, 10, 100] {
        assert_eq!(added_by_defaults(URI, "http://gis.test/arcgis", others), 3);
    }
}

#[test]
fn a_path_with_a_dot_or_an_escape_in_it_costs_none_more() {
    for path in [
        "http://gis.test/arcgis/rest/services/Roads/VectorTileServer/tile/12/1547/653.pbf",
        "http://gis.test/arcgis/rest/services/Roads%20and%20Paths/MapServer?f=json",
    ] {
        assert_eq!(added_by_defaults(path, "http://gis.test/arcgis", 0), 3);
    }
}

#[test]
fn a_port_that_need_not_be_told_costs_at_most_two_more() {
    let uri = "https://gis.test:443/arcgis/rest/services/Roads/MapServer?f=json";
    let told = added_by_defaults(uri, "https://gis.test/arcgis", 0);
    assert_eq!(told - 3, 2);
}

#[test]
fn telling_a_caller_costs_no_allocation() {
    // Of the layer's own: reading the identity is the user's.
    let alice = Identity::from("alice");
    let site = site(TokenPlacement::EsriHeader)
        .identity_fn(move |_| Some(alice.clone()))
        .private_answers(false);
    let (mut service, _runtime) = signed_in_at(site, IMAGE, NO_COPY);
    let (baseline, _) = allocations(&mut { IMAGE }, with_body());
    // The cache's own housekeeping comes every so many requests.
    let costs: Vec<u64> = (0..1000)
        .map(|_| allocations(&mut service, with_body()).0 - baseline)
        .collect();
    let free = costs.iter().filter(|cost| **cost == 0).count();
    assert!(
        free >= 950,
        "{free} of 1000, and {:?} at most",
        costs.iter().max()
    );
}

#[test]
fn a_request_to_no_site_costs_nothing() {
    let (mut service, _runtime) = signed_in(IMAGE, TokenPlacement::Query, A_COPY);
    let mut elsewhere = empty();
    *elsewhere.uri_mut() = "http://elsewhere.test/x".parse().unwrap();
    let (count, response) = allocations(&mut service, elsewhere);
    assert!(!response.body().outcome().signed());
    let mut bare = IMAGE;
    let (baseline, _) = allocations(&mut bare, empty());
    assert_eq!(count, baseline);
}
