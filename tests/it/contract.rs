//! The contract of tower's `Service`, kept towards the service below and to the caller above.

use crate::support;
use crate::support::bodies;
use std::{
    cell::RefCell,
    convert::Infallible,
    future::Future,
    pin::Pin,
    rc::Rc,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use crate::support::bodies::Fed;
use crate::support::{ROADS, Source, Upstream, get, over, site};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, StreamBody};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, limit::ConcurrencyLimit};
use tower_arcgis_auth::{
    ArcgisAuth, ArcgisAuthLayer, IssuedToken, ReplayBody, ResponseBody, ResponseFuture, Site,
    TokenPlacement, token_source_fn,
};

/// Forgets on `clone` that it was ready, and counts calls without readiness.
struct Probe<S> {
    inner: S,
    ready: bool,
    violations: Arc<AtomicUsize>,
    clones: Arc<AtomicUsize>,
}

impl<S> Probe<S> {
    fn new(inner: S) -> Self {
        Self {
            inner,
            ready: false,
            violations: Arc::default(),
            clones: Arc::default(),
        }
    }
}

impl<S: Clone> Clone for Probe<S> {
    fn clone(&self) -> Self {
        self.clones.fetch_add(1, Ordering::SeqCst);
        Self {
            inner: self.inner.clone(),
            ready: false,
            violations: self.violations.clone(),
            clones: self.clones.clone(),
        }
    }
}

impl<S: Service<R>, R> Service<R> for Probe<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        let ready = self.inner.poll_ready(context);
        self.ready = ready.is_ready();
        ready
    }

    fn call(&mut self, request: R) -> S::Future {
        if !std::mem::take(&mut self.ready) {
            self.violations.fetch_add(1, Ordering::SeqCst);
        }
        self.inner.call(request)
    }
}

async fn ready_call<S>(
    service: &mut ArcgisAuth<S>,
    request: Request<Full<Bytes>>,
) -> Response<ResponseBody<Full<Bytes>>>
where
    S: Service<Request<ReplayBody<Full<Bytes>>>, Response = support::Answer, Error = Infallible>
        + Clone,
{
    let service = ServiceExt::<Request<Full<Bytes>>>::ready(service);
    service.await.unwrap().call(request).await.unwrap()
}

fn stream(text: &'static str) -> impl http_body::Body<Data = Bytes, Error = Infallible> + Unpin {
    StreamBody::new(futures_util::stream::iter([Ok(http_body::Frame::data(
        Bytes::from_static(text.as_bytes()),
    ))]))
}

#[tokio::test]
async fn every_sending_is_made_by_a_service_that_was_polled_ready() {
    let source = Source::new();
    let probe = Probe::new(Upstream::secured(&source.valid));
    let violations = probe.violations.clone();
    let mut service = over(probe, &source);

    // Unsigned and sent again, signed at once, revoked and sent again, all through one service.
    for turn in 0..6 {
        if turn % 2 == 0 {
            source.valid.revoke_all();
        }
        let response = ready_call(&mut service, get(ROADS)).await;
        assert!(response.body().outcome().returned_challenge().is_none());
    }
    assert_eq!(violations.load(Ordering::SeqCst), 0);
    assert_eq!(source.logins(), 3);
}

#[tokio::test]
async fn a_login_before_the_first_sending_keeps_the_ready_service() {
    let source = Source::new();
    let probe = Probe::new(Upstream::secured(&source.valid));
    let violations = probe.violations.clone();
    let layer = ArcgisAuthLayer::builder()
        .add_site(site(&source))
        .replay_limit(0)
        .build()
        .unwrap();
    let mut service = layer.layer(probe);
    let request = Request::post(ROADS)
        .body(Full::new(Bytes::from_static(b"too long to keep")))
        .unwrap();

    let response = ready_call(&mut service, request).await;

    assert!(response.body().outcome().signed());
    assert!(!response.body().outcome().resent());
    assert_eq!(violations.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_request_that_cannot_be_sent_again_costs_no_clone_of_the_service() {
    let source = Source::new();
    let probe = Probe::new(Upstream::secured(&source.valid));
    let clones = probe.clones.clone();
    let mut service = over(probe, &source);
    let outside = get("http://elsewhere.test/arcgis/rest/services?f=json");
    let own = get("http://gis.test/arcgis/rest/services/Roads/MapServer?token=mine");
    for request in [outside, own] {
        ready_call(&mut service, request).await;
    }
    assert_eq!(clones.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn the_only_permit_of_a_concurrency_limit_serves_both_sendings() {
    let source = Source::new();
    let limited = ConcurrencyLimit::new(Upstream::secured(&source.valid), 1);
    let service = over(limited, &source);
    let requests = (0..20).map(|_| service.clone().oneshot(get(ROADS)));
    for response in futures_util::future::join_all(requests).await {
        assert!(
            response
                .unwrap()
                .body()
                .outcome()
                .returned_challenge()
                .is_none()
        );
    }
    assert_eq!(source.logins(), 1);
}

#[tokio::test(start_paused = true)]
async fn no_permit_is_held_while_a_login_runs() {
    let source = Source::new().takes(Duration::from_secs(5));
    let limited = ConcurrencyLimit::new(Upstream::secured(&source.valid), 1);
    let service = over(limited, &source);
    let challenged = tokio::spawn(service.clone().oneshot(get(ROADS)));
    while source.logins() == 0 {
        tokio::task::yield_now().await;
    }
    let begun = tokio::time::Instant::now();
    // Another site's request passes while that login runs.
    let outside = get("http://elsewhere.test/open");
    service.clone().oneshot(outside).await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(5));
    challenged.await.unwrap().unwrap();
}

/// Fails on the calls of its list, answers 499 on the others.
#[derive(Clone)]
struct Failing {
    fails_on: usize,
    calls: Arc<AtomicUsize>,
}

#[derive(Debug, PartialEq)]
struct Broken(usize);

impl<B> Service<Request<ReplayBody<B>>> for Failing {
    type Response = support::Answer;
    type Error = Broken;
    type Future = std::future::Ready<Result<support::Answer, Broken>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<ReplayBody<B>>) -> Self::Future {
        let call = self.calls.fetch_add(1, Ordering::SeqCst) + 1;
        std::future::ready(if call == self.fails_on {
            Err(Broken(call))
        } else {
            Ok(support::answer(support::REQUIRED))
        })
    }
}

#[tokio::test]
async fn the_inner_services_error_is_the_error_of_either_sending() {
    for fails_on in [1, 2] {
        let source = Source::new();
        let inner = Failing {
            fails_on,
            calls: Arc::default(),
        };
        let service: ArcgisAuth<Failing> = over(inner, &source);
        let error = service.oneshot(get(ROADS)).await.unwrap_err();
        assert_eq!(error, Broken(fails_on));
    }
}

#[tokio::test]
async fn an_inner_service_that_is_not_ready_for_the_second_sending_says_so() {
    #[derive(Clone)]
    struct ReadyOnce(Arc<AtomicUsize>);
    impl<B> Service<Request<ReplayBody<B>>> for ReadyOnce {
        type Response = support::Answer;
        type Error = Broken;
        type Future = std::future::Ready<Result<support::Answer, Broken>>;
        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Broken>> {
            let polls = self.0.fetch_add(1, Ordering::SeqCst);
            Poll::Ready(if polls == 0 { Ok(()) } else { Err(Broken(9)) })
        }
        fn call(&mut self, _: Request<ReplayBody<B>>) -> Self::Future {
            std::future::ready(Ok(support::answer(support::REQUIRED)))
        }
    }
    let source = Source::new();
    let service = over(ReadyOnce(Arc::default()), &source);
    assert_eq!(service.oneshot(get(ROADS)).await.unwrap_err(), Broken(9));
}

#[test]
fn nothing_but_what_is_needed_is_asked_of_bodies_and_services() {
    /// Neither `Send` nor `Sync` nor `Clone` nor `Default`.
    struct Local<'a>(Rc<RefCell<&'a str>>);
    impl http_body::Body for Local<'_> {
        type Data = Bytes;
        type Error = Infallible;
        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<http_body::Frame<Bytes>, Infallible>>> {
            let text = std::mem::take(&mut *self.0.borrow_mut());
            let frame = http_body::Frame::data(Bytes::copy_from_slice(text.as_bytes()));
            Poll::Ready((!text.is_empty()).then_some(Ok(frame)))
        }
    }
    let source = Source::new();
    let valid = source.valid.clone();
    let answered = String::from(support::CLEAN);
    let challenge = String::from(support::REQUIRED);
    let inner = tower::service_fn(|request: Request<ReplayBody<Local<'static>>>| {
        let (parts, body) = request.into_parts();
        let good = support::token_of(&parts).is_some_and(|token| valid.contains(&token));
        let text = if good { &answered } else { &challenge };
        async move {
            body.collect().await.unwrap();
            Ok::<_, Infallible>(Response::new(Local(Rc::new(RefCell::new(text.as_str())))))
        }
    });
    let layer = ArcgisAuthLayer::try_new(site(&source)).unwrap();
    let site = layer.handle().sites().remove(0);
    let service = layer.layer(inner);
    let request = Request::post(ROADS)
        .body(Local(Rc::new(RefCell::new("f=json&where=1=1"))))
        .unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let response = runtime.block_on(async {
        // A body of unknown length is sent unsigned only where there is no login.
        site.renew().await.unwrap();
        source.valid.revoke_all();
        service.oneshot(request).await.unwrap()
    });
    assert!(response.body().outcome().resent());
}

#[test]
fn auto_traits_follow_the_parts() {
    fn assert_send<T: Send>() {}
    fn assert_sync<T: Sync>() {}
    fn assert_static<T: 'static>() {}
    type Body = Full<Bytes>;
    assert_send::<ArcgisAuthLayer>();
    assert_sync::<ArcgisAuthLayer>();
    assert_send::<ArcgisAuth<Upstream>>();
    assert_sync::<ArcgisAuth<Upstream>>();
    assert_send::<ReplayBody<Body>>();
    assert_sync::<ReplayBody<Body>>();
    assert_send::<ResponseBody<Body>>();
    assert_sync::<ResponseBody<Body>>();
    assert_send::<ResponseFuture<Upstream, Body, Body>>();
    assert_static::<ResponseFuture<Upstream, Body, Body>>();
}

#[tokio::test]
async fn the_layer_composes_with_timeouts_and_redirects_above_and_tracing_below() {
    let source = Source::new();
    let valid = source.valid.clone();
    let inner = tower::service_fn(move |request: Request<_>| {
        let (parts, _body): (_, tower_http::timeout::TimeoutBody<ReplayBody<Full<Bytes>>>) =
            request.into_parts();
        let good = support::token_of(&parts).is_some_and(|token| valid.contains(&token));
        let text = if good {
            support::CLEAN
        } else {
            support::REQUIRED
        };
        async move { Ok::<_, Infallible>(support::answer(text)) }
    });
    let service = ServiceBuilder::new()
        .layer(tower_http::timeout::TimeoutLayer::with_status_code(
            http::StatusCode::GATEWAY_TIMEOUT,
            Duration::from_secs(30),
        ))
        .layer(tower_http::follow_redirect::FollowRedirectLayer::new())
        .layer(ArcgisAuthLayer::try_new(site(&source)).unwrap())
        .layer(tower_http::timeout::RequestBodyTimeoutLayer::new(
            Duration::from_secs(30),
        ))
        .service(inner);
    let response = service.oneshot(get(ROADS)).await.unwrap();
    let outcome = response
        .extensions()
        .get::<tower_arcgis_auth::AuthOutcome>()
        .cloned();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, support::CLEAN);
    assert!(outcome.unwrap().resent());
}

#[tokio::test]
async fn a_body_that_streams_is_sent_again_whole() {
    let source = Source::new();
    let valid = source.valid.clone();
    let inner = tower::service_fn(move |request: Request<ReplayBody<_>>| {
        let valid = valid.clone();
        async move {
            let (parts, body) = request.into_parts();
            let upload = body.collect().await.unwrap().to_bytes();
            let good = support::token_of(&parts).is_some_and(|token| valid.contains(&token));
            Ok::<_, Infallible>(support::answer(if good {
                upload
            } else {
                Bytes::from_static(support::REQUIRED.as_bytes())
            }))
        }
    });
    let layer = ArcgisAuthLayer::try_new(site(&source)).unwrap();
    let service = layer.layer(inner);
    layer.handle().sites()[0].renew().await.unwrap();
    source.valid.revoke_all();
    let request = Request::post(ROADS).body(stream("adds=[1,2,3]")).unwrap();
    let response = service.oneshot(request).await.unwrap();
    assert!(response.body().outcome().resent());
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, "adds=[1,2,3]");
}

/// Named, so that a stack can name its type.
#[test]
fn the_future_has_a_name() {
    fn future_of<S, B, R>(
        service: &mut ArcgisAuth<S>,
        request: Request<B>,
    ) -> ResponseFuture<S, B, R>
    where
        ArcgisAuth<S>: Service<Request<B>, Future = ResponseFuture<S, B, R>>,
        S: Service<Request<ReplayBody<B>>>,
        R: http_body::Body,
    {
        service.call(request)
    }
    let source = Source::new();
    let mut service = over(Upstream::secured(&source.valid), &source);
    let future = future_of::<_, _, Full<Bytes>>(&mut service, get(ROADS));
    fn is_future(_: &impl Future) {}
    is_future(&future);
}

struct OneConnection {
    connection: Arc<Semaphore>,
    permit: Option<OwnedSemaphorePermit>,
    wait: Option<Pin<Box<dyn Future<Output = OwnedSemaphorePermit> + Send>>>,
    seen: Arc<Mutex<Vec<bool>>>,
}
impl Clone for OneConnection {
    fn clone(&self) -> Self {
        Self {
            connection: self.connection.clone(),
            permit: None,
            wait: None,
            seen: self.seen.clone(),
        }
    }
}
impl Service<Request<ReplayBody<Fed>>> for OneConnection {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Self::Response, Infallible>>;
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        if self.permit.is_some() {
            return Poll::Ready(Ok(()));
        }
        let connection = self.connection.clone();
        let wait = self.wait.get_or_insert_with(|| {
            Box::pin(async move { connection.acquire_owned().await.unwrap() })
        });
        match wait.as_mut().poll(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(p) => {
                self.permit = Some(p);
                self.wait = None;
                Poll::Ready(Ok(()))
            }
        }
    }
    fn call(&mut self, request: Request<ReplayBody<Fed>>) -> Self::Future {
        let permit = self.permit.take().expect("not ready");
        let is_valid = request.headers()["x-esri-authorization"] != "Bearer tok1";
        let seen = self.seen.clone();
        // The upload keeps the connection until it has ended or failed; the answer is early.
        tokio::spawn(async move {
            let ok = request.into_body().collect().await.is_ok();
            seen.lock().unwrap().push(ok);
            drop(permit);
        });
        let body = if is_valid {
            "{\"ok\":1}"
        } else {
            support::INVALID
        };
        std::future::ready(Ok(Response::new(Full::from(body))))
    }
}
/// A service whose one connection is busy until the first upload is over.
#[tokio::test(start_paused = true)]
async fn a_connection_busy_with_the_first_upload_is_freed_for_the_second() {
    let inner = OneConnection {
        connection: Arc::new(Semaphore::new(1)),
        permit: None,
        wait: None,
        seen: Arc::default(),
    };
    let seen = inner.seen.clone();
    let logins = AtomicUsize::new(0);
    let site = Site::new("http://gis.example.com/arcgis")
        .token_source(token_source_fn(move |_| {
            let login = logins.fetch_add(1, Ordering::SeqCst) + 1;
            async move { IssuedToken::try_new(format!("tok{login}")) }
        }))
        .placement(TokenPlacement::EsriHeader);
    let layer = ArcgisAuthLayer::try_new(site).unwrap();
    layer.handle().sites()[0].renew().await.unwrap();
    let mut service = layer.layer(inner);
    let (feeder, body) = bodies::fed();
    feeder.data("begin");
    let request = Request::post("http://gis.example.com/arcgis/rest/services/a/FeatureServer/0/x")
        .body(body)
        .unwrap();
    let answer = tokio::time::timeout(
        Duration::from_secs(5),
        service.ready().await.unwrap().call(request),
    )
    .await
    .expect("stuck");
    assert!(answer.unwrap().body().outcome().resent());
    assert_eq!(*seen.lock().unwrap(), [false]);
}
