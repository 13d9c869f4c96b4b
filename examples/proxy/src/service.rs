//! The way of one request through the proxy: who asks, for what, and then upstream. Each step may be its end.

use std::{
    convert::Infallible,
    net::IpAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{
    Method, Request, Response,
    header::{ACCESS_CONTROL_REQUEST_METHOD, HeaderMap},
    request::Parts,
};
use http_body::{Body, Frame, SizeHint};
use http_body_util::Either;
use hyper::body::Incoming;
use pin_project::pin_project;
use tower::{BoxError, Layer, ServiceExt, service_fn};
use tower_http::cors::CorsLayer;

use crate::{
    access::Access,
    connections::{Caller, Places, UnderWay},
    cors::remove_access_control,
    forward::{self, Forward},
    refusal::Refusal,
    request_body::{BodyLimits, RequestBody},
};

/// The proxy without its sockets. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Service(Arc<Steps>);

/// What a request passes.
pub(crate) struct Steps {
    pub(crate) access: Arc<Access>,
    pub(crate) cors: Option<CorsLayer>,
    pub(crate) places: Arc<Places>,
    pub(crate) body_limits: BodyLimits,
    pub(crate) forward: Forward,
}

impl Service {
    pub(crate) fn new(steps: Steps) -> Self {
        Self(Arc::new(steps))
    }

    pub(crate) fn places(&self) -> &Arc<Places> {
        &self.0.places
    }

    /// Whether many clients come by this address.
    pub(crate) fn stands_for_many(&self, peer: IpAddr) -> bool {
        self.0.access.stands_for_many(peer)
    }

    /// Answers one request of `caller`'s. Whatever goes wrong is an answer too.
    pub(crate) fn answer(
        &self,
        request: Request<Incoming>,
        caller: &Arc<Caller>,
    ) -> impl Future<Output = Response<AnswerBody>> + use<> {
        let steps = Arc::clone(&self.0);
        let caller = Arc::clone(caller);
        async move { steps.answer(request, &caller).await }
    }
}

impl Steps {
    async fn answer(
        &self,
        request: Request<Incoming>,
        caller: &Arc<Caller>,
    ) -> Response<AnswerBody> {
        caller.asked(request.version());
        let (head, body) = request.into_parts();
        if let Err(refusal) = self.access.check_browser(&head) {
            return refused(refusal, &head, caller.address());
        }
        let request = Request::from_parts(head, body);
        match &self.cors {
            Some(cors) if !is_other_options(&request) => {
                let inner = service_fn(|request| async {
                    let mut response = self.pass(request, caller).await;
                    remove_access_control(response.headers_mut());
                    Ok::<_, Infallible>(response)
                });
                // The service that is marked is made for this one request.
                match cors.layer(inner).oneshot(request).await {
                    Ok(response) => response,
                    Err(never) => match never {},
                }
            }
            _ => self.pass(request, caller).await,
        }
    }

    /// All that comes behind what browsers are told.
    async fn pass(&self, request: Request<Incoming>, caller: &Arc<Caller>) -> Response<AnswerBody> {
        let mut under_way = caller.begin();
        let (head, body) = request.into_parts();
        let peer = caller.address();
        let client = self.access.client(peer, &head);
        let allowed = self
            .access
            .check(&head, client)
            .and_then(|()| RequestBody::new(body, self.body_limits, caller));
        let body = match allowed {
            Ok(body) => body,
            Err(refusal) => return refused(refusal, &head, client),
        };
        if under_way.is_beside_others() {
            let many = self.access.stands_for_many(peer);
            match self.places.claim(peer, many).await {
                Ok(place) => under_way.take(place),
                Err(_) => return refused(Refusal::Places, &head, client),
            }
        }
        let request = Request::from_parts(head, body);
        let response = self.forward.clone().answer(request, peer).await;
        response.map(|body| AnswerBody {
            body,
            _under_way: Some(under_way),
        })
    }
}

/// Whether it is an `OPTIONS` that asks something else than a browser's preflight does.
fn is_other_options<B>(request: &Request<B>) -> bool {
    let headers: &HeaderMap = request.headers();
    request.method() == Method::OPTIONS && !headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

fn refused(refusal: Refusal, head: &Parts, client: IpAddr) -> Response<AnswerBody> {
    let response = refusal.answer();
    tracing::debug!(
        %client,
        method = %head.method,
        path = head.uri.path(),
        status = response.status().as_u16(),
        refused = refusal.name(),
        "answered"
    );
    response.map(|body| AnswerBody {
        body: Either::Right(Either::Right(body)),
        _under_way: None,
    })
}

/// An answer's body. The request is under way until it is dropped.
#[pin_project]
pub(crate) struct AnswerBody {
    #[pin]
    body: forward::Body,
    _under_way: Option<UnderWay>,
}

impl Default for AnswerBody {
    fn default() -> Self {
        Self {
            body: Either::Right(Either::Right(Default::default())),
            _under_way: None,
        }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.project().body.poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
