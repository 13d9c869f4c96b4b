//! Only a service that was polled ready is called, and no permit of it is kept for nothing.

use std::{
    convert::Infallible,
    future::Ready,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures_util::future::join_all;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout},
};
use tower::{Layer, Service, ServiceExt, limit::ConcurrencyLimit};
use tower_arcgis_auth::{ArcgisAuthLayer, ReplayBody, Site, TokenPlacement};

use super::ready_call;
use crate::support::{
    INVALID, ROADS, TokenService, Upstream,
    bodies::{self, Fed},
    get, over, site,
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

#[tokio::test]
async fn every_sending_is_made_by_a_service_that_was_polled_ready() {
    let source = TokenService::new();
    let probe = Probe::new(Upstream::secured_by(&source));
    let violations = probe.violations.clone();
    let mut service = over(probe, &source);

    // Unsigned and sent again, signed at once, revoked and sent again, all through one service.
    for turn in 0..6 {
        if turn % 2 == 0 {
            source.revoke_all();
        }
        let response = ready_call(&mut service, get(ROADS)).await;
        assert!(response.body().outcome().returned_challenge().is_none());
    }
    assert_eq!(violations.load(Ordering::SeqCst), 0);
    assert_eq!(source.attempts(), 3);
}

#[tokio::test]
async fn a_login_before_the_first_sending_keeps_the_ready_service() {
    let source = TokenService::new();
    let probe = Probe::new(Upstream::secured_by(&source));
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
    let source = TokenService::new();
    let probe = Probe::new(Upstream::secured_by(&source));
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
    let source = TokenService::new();
    let limited = ConcurrencyLimit::new(Upstream::secured_by(&source), 1);
    let service = over(limited, &source);
    let requests = (0..20).map(|_| service.clone().oneshot(get(ROADS)));
    for response in join_all(requests).await {
        assert!(
            response
                .unwrap()
                .body()
                .outcome()
                .returned_challenge()
                .is_none()
        );
    }
    assert_eq!(source.attempts(), 1);
}

#[tokio::test(start_paused = true)]
async fn no_permit_is_held_while_a_login_runs() {
    let source = TokenService::new().takes(Duration::from_secs(5));
    let limited = ConcurrencyLimit::new(Upstream::secured_by(&source), 1);
    let service = over(limited, &source);
    let challenged = tokio::spawn(service.clone().oneshot(get(ROADS)));
    while source.attempts() == 0 {
        tokio::task::yield_now().await;
    }
    let begun = Instant::now();
    // Another site's request passes while that login runs.
    let outside = get("http://elsewhere.test/open");
    service.clone().oneshot(outside).await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(5));
    challenged.await.unwrap().unwrap();
}

/// A service with one connection, which an upload holds until it is over: the scripted upstream reads no bodies.
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
    type Future = Ready<Result<Self::Response, Infallible>>;
    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        if self.permit.is_some() {
            return Poll::Ready(Ok(()));
        }
        let connection = self.connection.clone();
        let wait = self.wait.get_or_insert_with(|| {
            Box::pin(async move { connection.acquire_owned().await.unwrap() })
        });
        match wait.as_mut().poll(context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(permit) => {
                self.permit = Some(permit);
                self.wait = None;
                Poll::Ready(Ok(()))
            }
        }
    }
    fn call(&mut self, request: Request<ReplayBody<Fed>>) -> Self::Future {
        let permit = self.permit.take().expect("not ready");
        let is_valid = request.headers()["x-esri-authorization"] != "Bearer secret-1";
        let seen = self.seen.clone();
        // The upload keeps the connection until it has ended or failed; the answer is early.
        tokio::spawn(async move {
            let ok = request.into_body().collect().await.is_ok();
            seen.lock().unwrap().push(ok);
            drop(permit);
        });
        let body = if is_valid { "{\"ok\":1}" } else { INVALID };
        std::future::ready(Ok(Response::new(Full::from(body))))
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_busy_with_the_first_upload_is_freed_for_the_second() {
    let inner = OneConnection {
        connection: Arc::new(Semaphore::new(1)),
        permit: None,
        wait: None,
        seen: Arc::default(),
    };
    let seen = inner.seen.clone();
    let site = Site::new("http://gis.example.com/arcgis")
        .token_source(TokenService::new())
        .placement(TokenPlacement::EsriHeader);
    let layer = ArcgisAuthLayer::try_new(site).unwrap();
    layer.handle().sites()[0].renew().await.unwrap();
    let mut service = layer.layer(inner);
    let (feeder, body) = bodies::fed();
    feeder.data("begin");
    let request = Request::post("http://gis.example.com/arcgis/rest/services/a/FeatureServer/0/x")
        .body(body)
        .unwrap();
    let answer = timeout(
        Duration::from_secs(5),
        service.ready().await.unwrap().call(request),
    )
    .await
    .expect("stuck");
    assert!(answer.unwrap().body().outcome().resent());
    assert_eq!(*seen.lock().unwrap(), [false]);
}
