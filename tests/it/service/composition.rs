//! What the layer asks of services and bodies, and what it composes with.

use std::{
    cell::RefCell,
    convert::Infallible,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full, StreamBody};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};
use tower_arcgis_auth::{ArcgisAuth, ArcgisAuthLayer, ReplayBody, ResponseBody, ResponseFuture};

use crate::support::{
    CLEAN, REQUIRED, ROADS, TokenService, Upstream, answer, get, over, site, token_of,
};

#[test]
fn nothing_but_what_is_needed_is_asked_of_bodies_and_services() {
    /// Neither `Send` nor `Sync` nor `Clone` nor `Default`.
    struct Local<'a>(Rc<RefCell<&'a str>>);
    impl Body for Local<'_> {
        type Data = Bytes;
        type Error = Infallible;
        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            let text = std::mem::take(&mut *self.0.borrow_mut());
            let frame = Frame::data(Bytes::copy_from_slice(text.as_bytes()));
            Poll::Ready((!text.is_empty()).then_some(Ok(frame)))
        }
    }
    let source = TokenService::new();
    let valid = source.tokens();
    let got = String::from(CLEAN);
    let challenge = String::from(REQUIRED);
    // All that the scripted upstream is, this is not.
    let inner = service_fn(|request: Request<ReplayBody<Local<'static>>>| {
        let (parts, body) = request.into_parts();
        let good = token_of(&parts).is_some_and(|token| valid.contains(&token));
        let text = if good { &got } else { &challenge };
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
        source.revoke_all();
        service.oneshot(request).await.unwrap()
    });
    assert!(response.body().outcome().resent());
}

#[test]
fn auto_traits_follow_the_parts() {
    fn assert_send<T: Send>() {}
    fn assert_sync<T: Sync>() {}
    fn assert_static<T: 'static>() {}
    type FullBody = Full<Bytes>;
    assert_send::<ArcgisAuthLayer>();
    assert_sync::<ArcgisAuthLayer>();
    assert_send::<ArcgisAuth<Upstream>>();
    assert_sync::<ArcgisAuth<Upstream>>();
    assert_send::<ReplayBody<FullBody>>();
    assert_sync::<ReplayBody<FullBody>>();
    assert_send::<ResponseBody<FullBody>>();
    assert_sync::<ResponseBody<FullBody>>();
    assert_send::<ResponseFuture<Upstream, FullBody, FullBody>>();
    assert_static::<ResponseFuture<Upstream, FullBody, FullBody>>();
}

#[tokio::test]
async fn the_layer_composes_with_timeouts_and_redirects_above_and_timeouts_below() {
    let source = TokenService::new();
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
        .service(Upstream::secured_by(&source));
    let response = service.oneshot(get(ROADS)).await.unwrap();
    let outcome = response
        .extensions()
        .get::<tower_arcgis_auth::AuthOutcome>()
        .cloned();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, CLEAN);
    assert!(outcome.unwrap().resent());
}

fn stream(text: &'static str) -> impl Body<Data = Bytes, Error = Infallible> + Unpin {
    StreamBody::new(futures_util::stream::iter([Ok(Frame::data(
        Bytes::from_static(text.as_bytes()),
    ))]))
}

#[tokio::test]
async fn a_body_that_streams_is_sent_again_whole() {
    let source = TokenService::new();
    let valid = source.tokens();
    // The scripted upstream reads no body.
    let inner = service_fn(move |request: Request<ReplayBody<_>>| {
        let valid = valid.clone();
        async move {
            let (parts, body) = request.into_parts();
            let upload = body.collect().await.unwrap().to_bytes();
            let good = token_of(&parts).is_some_and(|token| valid.contains(&token));
            Ok::<_, Infallible>(answer(if good {
                upload
            } else {
                Bytes::from_static(REQUIRED.as_bytes())
            }))
        }
    });
    let layer = ArcgisAuthLayer::try_new(site(&source)).unwrap();
    let service = layer.layer(inner);
    layer.handle().sites()[0].renew().await.unwrap();
    source.revoke_all();
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
    let source = TokenService::new();
    let mut service = over(Upstream::secured_by(&source), &source);
    let future = future_of::<_, _, Full<Bytes>>(&mut service, get(ROADS));
    fn is_future(_: &impl Future) {}
    is_future(&future);
}
