//! The way of one request through the proxy: who asks, for what, and then upstream. Each step may be its end.

mod answer;
mod answering;

use std::{convert::Infallible, net::IpAddr, sync::Arc};

use http::{
    Method, Request, Response,
    header::{ACCESS_CONTROL_REQUEST_METHOD, HeaderMap},
    request::Parts,
};
use hyper::body::Incoming;
use tokio::time::Instant;
use tower::{Layer, ServiceExt, service_fn};
use tower_http::cors::CorsLayer;

use self::answering::Passing;
pub(crate) use self::{answer::AnswerBody, answering::Answering};
use crate::{
    access::Access,
    connections::{Caller, Places, UnderWay},
    cors::remove_access_control,
    headers::Peer,
    measures::Measures,
    refusal::Refusal,
    request_body::{BodyLimits, RequestBody},
    request_id::{self, X_REQUEST_ID},
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
    /// None: nobody asks.
    pub(crate) measures: Option<Arc<Measures>>,
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
    pub(crate) fn answer(&self, mut request: Request<Incoming>, caller: &Arc<Caller>) -> Answering {
        caller.asked(request.version());
        let measures = self.0.measures.as_ref();
        Answering {
            id: Some(request_id::of_request(request.headers_mut())),
            measured: measures.map(|measures| (Arc::clone(measures), Instant::now())),
            passing: self.0.begin(request, caller),
        }
    }
}

impl Steps {
    /// What browsers are told comes first.
    fn begin(self: &Arc<Self>, request: Request<Incoming>, caller: &Arc<Caller>) -> Passing {
        let (head, body) = request.into_parts();
        if let Err(refusal) = self.access.check_browser(&head) {
            return self.refused(refusal, &head, caller.peer().address);
        }
        let request = Request::from_parts(head, body);
        match &self.cors {
            Some(cors) if !is_other_options(&request) => Passing::Boxed(Box::pin(
                self.clone().marked(cors.clone(), request, caller.clone()),
            )),
            _ => self.pass(request, caller),
        }
    }

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
                let mut response = answering.await;
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
    fn pass(self: &Arc<Self>, request: Request<Incoming>, caller: &Arc<Caller>) -> Passing {
        let under_way = caller.begin();
        let (mut head, body) = request.into_parts();
        let peer = caller.peer();
        let client = self.access.client(peer.address, &head);
        let found = match self.routes.find(&mut head) {
            Ok(found) => found,
            Err(Unrouted::Refused(refusal)) => return self.refused(refusal, &head, client),
            Err(Unrouted::Ping) => return Passing::own(ping()),
        };
        let allowed = found
            .route
            .access
            .check(&head, client)
            .and_then(|()| RequestBody::new(body, self.body_limits, caller));
        let body = match allowed {
            Ok(body) => body,
            Err(refusal) => return self.refused(refusal, &head, client),
        };
        let request = Request::from_parts(head, body);
        if under_way.is_beside_others() {
            let steps = Arc::clone(self);
            let answer = steps.beside_others(request, found, under_way, peer.clone());
            return Passing::Boxed(Box::pin(answer));
        }
        Passing::Forwarded {
            forwarded: found.answer(request, peer),
            under_way: Some(under_way),
        }
    }

    fn refused(&self, refusal: Refusal, head: &Parts, client: IpAddr) -> Passing {
        if let Some(measures) = &self.measures {
            measures.refused(refusal);
        }
        let response = refusal.answer();
        tracing::debug!(
            %client,
            method = %head.method,
            path = head.uri.path(),
            status = response.status().as_u16(),
            refused = refusal.name(),
            request = head.headers.get(X_REQUEST_ID).and_then(|id| id.to_str().ok()),
            "answered"
        );
        Passing::own(response)
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
            Err(_) => {
                let (head, _) = request.into_parts();
                return self.refused(Refusal::Places, &head, peer.address).await;
            }
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
