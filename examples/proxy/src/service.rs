//! The way of one request through the proxy: who asks, for what, and then upstream. Each step may be its end.

mod answer;

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
use http_body_util::Full;
use hyper::body::Incoming;
use tower::{Layer, ServiceExt, service_fn};
use tower_http::cors::CorsLayer;

pub(crate) use self::answer::AnswerBody;
use crate::{
    access::Access,
    connections::{Caller, Places, UnderWay},
    cors::remove_access_control,
    forward,
    headers::Peer,
    refusal::Refusal,
    request_body::{BodyLimits, RequestBody},
    routes::{Found, Routes, Unrouted, ping},
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
    pub(crate) routes: Routes,
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
    pub(crate) fn answer(&self, request: Request<Incoming>, caller: &Arc<Caller>) -> Answering {
        caller.asked(request.version());
        let steps = &self.0;
        let (head, body) = request.into_parts();
        if let Err(refusal) = steps.access.check_browser(&head) {
            return refused(refusal, &head, caller.peer().address);
        }
        let request = Request::from_parts(head, body);
        match &steps.cors {
            Some(cors) if !is_other_options(&request) => Answering::Boxed(Box::pin(
                steps.clone().marked(cors.clone(), request, caller.clone()),
            )),
            _ => steps.pass(request, caller),
        }
    }
}

impl Steps {
    /// Lets tower-http answer a preflight, and mark all other answers with who may read them.
    async fn marked(
        self: Arc<Self>,
        cors: CorsLayer,
        request: Request<Incoming>,
        caller: Arc<Caller>,
    ) -> Response<AnswerBody> {
        let inner = service_fn(|request| {
            let answering = self.pass(request, &caller);
            async move {
                let mut response = match answering.await {
                    Ok(response) => response,
                    Err(never) => match never {},
                };
                remove_access_control(response.headers_mut());
                Ok::<_, Infallible>(response)
            }
        });
        // The service that is marked is made for this one request.
        match cors.layer(inner).oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }

    /// All that comes behind what browsers are told.
    fn pass(self: &Arc<Self>, request: Request<Incoming>, caller: &Arc<Caller>) -> Answering {
        let under_way = caller.begin();
        let (mut head, body) = request.into_parts();
        let peer = caller.peer();
        let client = self.access.client(peer.address, &head);
        let found = match self.routes.find(&mut head) {
            Ok(found) => found,
            Err(Unrouted::Refused(refusal)) => return refused(refusal, &head, client),
            Err(Unrouted::Ping) => return Answering::own(ping()),
        };
        let allowed = found
            .route
            .access
            .check(&head, client)
            .and_then(|()| RequestBody::new(body, self.body_limits, caller));
        let body = match allowed {
            Ok(body) => body,
            Err(refusal) => return refused(refusal, &head, client),
        };
        let request = Request::from_parts(head, body);
        if under_way.is_beside_others() {
            let steps = Arc::clone(self);
            let answer = steps.beside_others(request, found, under_way, peer.clone());
            return Answering::Boxed(Box::pin(answer));
        }
        Answering::Forwarded {
            forwarded: found.answer(request, peer),
            under_way: Some(under_way),
        }
    }

    /// A further request of a connection has a place of its own.
    async fn beside_others(
        self: Arc<Self>,
        request: Request<RequestBody>,
        found: Found,
        mut under_way: UnderWay,
        peer: Peer,
    ) -> Response<AnswerBody> {
        let many = self.access.stands_for_many(peer.address);
        match self.places.claim(peer.address, many).await {
            Ok(place) => under_way.take(place),
            Err(_) => return Refusal::Places.answer().map(AnswerBody::of_refusal),
        }
        let response = found.answer(request, &peer).await;
        response.map(|body| AnswerBody::new(body, under_way))
    }
}

/// Whether it is an `OPTIONS` that asks something else than a browser's preflight does.
fn is_other_options<B>(request: &Request<B>) -> bool {
    let headers: &HeaderMap = request.headers();
    request.method() == Method::OPTIONS && !headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

fn refused(refusal: Refusal, head: &Parts, client: IpAddr) -> Answering {
    let response = refusal.answer();
    tracing::debug!(
        %client,
        method = %head.method,
        path = head.uri.path(),
        status = response.status().as_u16(),
        refused = refusal.name(),
        "answered"
    );
    Answering::own(response)
}

/// A request that is being answered. Nearly all are forwarded, without a box of their own.
pub(crate) enum Answering {
    Forwarded {
        forwarded: forward::Answering,
        /// Until the answer's body has it.
        under_way: Option<UnderWay>,
    },
    Boxed(Pin<Box<dyn Future<Output = Response<AnswerBody>> + Send>>),
}

impl Answering {
    /// The proxy's own answer.
    fn own(response: Response<Full<Bytes>>) -> Self {
        let response = response.map(AnswerBody::of_refusal);
        Self::Boxed(Box::pin(std::future::ready(response)))
    }
}

impl Future for Answering {
    type Output = Result<Response<AnswerBody>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut *self {
            Self::Forwarded {
                forwarded,
                under_way,
            } => Pin::new(forwarded)
                .poll(context)
                .map(|response| Ok(response.map(|body| AnswerBody::new(body, under_way.take())))),
            Self::Boxed(answering) => answering.as_mut().poll(context).map(Ok),
        }
    }
}
