//! The way of one request through the proxy: who asks, for what, and then upstream. Each step may be its end.

mod answer;
mod answering;

use std::{convert::Infallible, net::IpAddr, sync::Arc};

use http::{Method, Request, Response, header::ACCESS_CONTROL_REQUEST_METHOD, request::Parts};
use hyper::body::Incoming;
use tokio::time::Instant;
use tower::{Layer, ServiceExt, service_fn};
use tower_http::cors::CorsLayer;

use self::answering::Passing;
pub(crate) use self::{answer::AnswerBody, answering::Answering};
use crate::{
    access::Access,
    arrived::Arrived,
    connections::{Caller, Places, UnderWay},
    cors::remove_access_control,
    forward::Forward,
    headers::Peer,
    measures::Measures,
    refusal::Refusal,
    request_body::{BodyLimits, RequestBody},
    request_id::X_REQUEST_ID,
    routes::{Back, Routes, Unrouted, ping},
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
    pub(crate) fn answer(&self, request: Request<Incoming>, caller: &Arc<Caller>) -> Answering {
        let (head, body) = request.into_parts();
        caller.asked(head.version);
        let measures = self.0.measures.as_ref();
        let arrived = Arrived::new(head);
        Answering {
            id: Some(arrived.id.clone()),
            measured: measures.map(|measures| (Arc::clone(measures), Instant::now())),
            passing: self.0.begin(arrived, body, caller),
        }
    }
}

impl Steps {
    /// What browsers are told comes first.
    fn begin(self: &Arc<Self>, arrived: Arrived, body: Incoming, caller: &Arc<Caller>) -> Passing {
        if let Err(refusal) = self.access.check_browser(&arrived) {
            return self.refused(refusal, &arrived.head, caller.peer().address);
        }
        match &self.cors {
            Some(cors) if !is_other_options(&arrived.head) => Passing::Boxed(Box::pin(
                self.clone()
                    .marked(cors.clone(), arrived, body, caller.clone()),
            )),
            _ => self.pass(arrived, body, caller),
        }
    }

    /// Lets tower-http answer a preflight, and mark all other answers with who may read them.
    async fn marked(
        self: Arc<Self>,
        cors: CorsLayer,
        arrived: Arrived,
        body: Incoming,
        caller: Arc<Caller>,
    ) -> Response<AnswerBody> {
        let Arrived { head, id, present } = arrived;
        let inner = service_fn(|request: Request<Incoming>| {
            let (head, body) = request.into_parts();
            let id = id.clone();
            let answering = self.pass(Arrived { head, id, present }, body, &caller);
            async move {
                let mut response = answering.await;
                remove_access_control(response.headers_mut());
                Ok::<_, Infallible>(response)
            }
        });
        // The service that is marked is made for this one request.
        let request = Request::from_parts(head, body);
        match cors.layer(inner).oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }

    /// All that comes behind what browsers are told.
    fn pass(
        self: &Arc<Self>,
        mut arrived: Arrived,
        body: Incoming,
        caller: &Arc<Caller>,
    ) -> Passing {
        let under_way = caller.begin();
        let peer = caller.peer();
        let head = &mut arrived.head;
        let client = |head: &Parts| self.access.client(peer.address, head);
        let found = match self.routes.find(head) {
            Ok(found) => found,
            Err(Unrouted::Refused(refusal)) => return self.refused(refusal, head, client(head)),
            Err(Unrouted::Ping) => return Passing::own(ping()),
        };
        let allowed = found
            .access
            .check(head, || client(head))
            .and_then(|()| RequestBody::new(body, self.body_limits, caller));
        let body = match allowed {
            Ok(body) => body,
            Err(refusal) => return self.refused(refusal, head, client(head)),
        };
        if under_way.is_beside_others() {
            let steps = Arc::clone(self);
            let way = (found.forward.clone(), found.back);
            let answer = steps.beside_others(arrived, body, way, under_way, peer.clone());
            return Passing::Boxed(Box::pin(answer));
        }
        Passing::Forwarded {
            forwarded: found.forward.answer(arrived, body, peer, found.back),
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
        arrived: Arrived,
        body: RequestBody,
        (forward, back): (Forward, Back),
        mut under_way: UnderWay,
        peer: Peer,
    ) -> Response<AnswerBody> {
        let many = self.access.stands_for_many(peer.address);
        match self.places.claim(peer.address, many).await {
            Ok(place) => under_way.take(place),
            Err(_) => {
                return self
                    .refused(Refusal::Places, &arrived.head, peer.address)
                    .await;
            }
        }
        let response = forward.answer(arrived, body, &peer, back).await;
        response.map(|body| AnswerBody::new(body, under_way))
    }
}

/// Whether it is an `OPTIONS` that asks something else than a browser's preflight does.
fn is_other_options(head: &Parts) -> bool {
    head.method == Method::OPTIONS && !head.headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}
