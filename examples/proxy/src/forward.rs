//! One request's way: turned towards the upstream, signed and sent by the client, its answer turned back.

use std::{
    future::{Ready, ready},
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{
    HeaderValue, Method, Request, Response, StatusCode, Version,
    header::{AUTHORIZATION, EXPECT, HOST, REFERER},
    request,
};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy;
use tower::Service;
use tower_arcgis_auth::ResponseBody;

use crate::{
    arrived::Arrived,
    headers::{
        Peer, Present, add_caller, remove_callers, remove_hop_by_hop, set_forwarded_host,
        set_no_store,
    },
    log_line::LogLine,
    origin::Upstream,
    redirects::{Prefix, Way, turn_around},
    refusal::{Refusal, error},
    request_body::{Fault, RequestBody},
    routes::Back,
    upstream::{SigningClient, chain},
    warnings::{Watched, other_root, watch},
};

/// The upstream's body as it comes, or looked at as it passes, or a few words of the proxy's own.
pub(crate) type Body = Either<ResponseBody<Incoming>, Either<Watched, Full<Bytes>>>;

/// The proxy without its sockets. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Forward {
    client: SigningClient,
    rules: Arc<Rules>,
}

/// What is the same for all requests.
struct Rules {
    upstream: Upstream,
    passing: Passing,
}

/// What the user wants of requests that are passed on.
#[derive(Clone, Debug)]
pub(crate) struct Passing {
    /// There is a credential, with which requests to the site are signed.
    pub(crate) signs: bool,
    /// Put on every request.
    pub(crate) referer: Option<HeaderValue>,
    /// The callers' `Authorization` stays.
    pub(crate) authorization: bool,
    /// `X-Forwarded-For` says who asked.
    pub(crate) callers_address: bool,
}

impl Forward {
    pub(crate) fn new(client: SigningClient, upstream: Upstream, passing: Passing) -> Self {
        Self {
            client,
            rules: Arc::new(Rules { upstream, passing }),
        }
    }

    /// Answers one request of `caller`'s. Whatever goes wrong is an answer too.
    pub(crate) fn answer(
        &self,
        mut arrived: Arrived,
        body: RequestBody,
        caller: &Peer,
        back: Back,
    ) -> Answering {
        let log = LogLine::begin(&arrived, caller);
        let fault = body.fault();
        match self.rules.towards_upstream(&mut arrived, caller, back) {
            Ok(asked) => {
                // The client is always ready.
                let request = Request::from_parts(arrived.head, body);
                let sent = self.client.clone().call(request);
                Answering {
                    state: State::Sent {
                        sent: Box::pin(sent),
                        rules: Arc::clone(&self.rules),
                        asked,
                        fault,
                    },
                    log,
                }
            }
            Err(refusal) => Answering {
                state: State::Refused(Box::new(ready(refusal.answer().map(own_words)))),
                log,
            },
        }
    }
}

/// A request that is being answered. Small, however large what goes on behind it: it is moved more than once on its way
/// into the server's connection.
pub(crate) struct Answering {
    state: State,
    log: Option<Box<LogLine>>,
}

enum State {
    Sent {
        sent: Pin<Box<<SigningClient as Service<Request<RequestBody>>>::Future>>,
        rules: Arc<Rules>,
        asked: Asked,
        fault: Option<Fault>,
    },
    Refused(Box<Ready<Response<Body>>>),
}

impl Future for Answering {
    type Output = Response<Body>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let mut auth = None;
        let response = match &mut this.state {
            State::Sent {
                sent,
                rules,
                asked,
                fault,
            } => match ready!(sent.as_mut().poll(context)) {
                Ok(response) => {
                    if this.log.is_some() {
                        auth = Some(response.body().outcome().clone());
                    }
                    rules.towards_caller(response, asked)
                }
                Err(error) => match fault.as_ref().and_then(Fault::refusal) {
                    Some(refusal) => refusal.answer().map(own_words),
                    None => rules.no_answer(&error, &asked.id),
                },
            },
            State::Refused(refused) => ready!(Pin::new(&mut **refused).poll(context)),
        };
        if let Some(log) = this.log.take() {
            log.end(response.status(), auth.as_ref());
        }
        Poll::Ready(response)
    }
}

/// What an answer's way back needs to know of its request.
struct Asked {
    /// The request's name, for the log.
    id: HeaderValue,
    prefix: Option<Prefix>,
    /// The way back where the proxy's paths are not the server's.
    way: Option<Box<Way>>,
    outside: Option<Box<Outside>>,
}

/// A request for a service that may lie below another root than the one that is signed.
struct Outside {
    method: Method,
    root: String,
}

impl Rules {
    /// Turns the request's head into what the upstream is to get, or says why it gets none.
    fn towards_upstream(
        &self,
        arrived: &mut Arrived,
        caller: &Peer,
        back: Back,
    ) -> Result<Asked, Refusal> {
        let parts = &mut arrived.head;
        if is_refused(&parts.method) {
            return Err(Refusal::Method);
        }
        // The authority of an absolute request target (`GET http://elsewhere/`) has no say.
        let target = mem::take(&mut parts.uri).into_parts();
        parts.uri = target
            .path_and_query
            .filter(|target| target.path().starts_with('/'))
            .and_then(|target| self.upstream.uri(target))
            .ok_or(Refusal::Target)?;

        let headers = &mut parts.headers;
        let present = remove_hop_by_hop(headers, arrived.present);
        if self.passing.callers_address {
            add_caller(headers, present, caller);
        } else {
            remove_callers(headers, present);
        }
        let host = match self.upstream.host() {
            Some(upstreams) => headers.insert(HOST, upstreams.clone()),
            // The client writes the upstream's.
            None => headers.remove(HOST),
        };
        set_forwarded_host(headers, present, target.authority.as_ref(), host);
        let prefix = if present.has(Present::FORWARDED_PREFIX) {
            Prefix::take(headers)
        } else {
            None
        };
        if present.has(Present::EXPECT) {
            // Kept by the server side already: it tells the caller to go on when the body is wanted.
            headers.remove(EXPECT);
        }
        if present.has(Present::AUTHORIZATION) && !self.passing.authorization {
            headers.remove(AUTHORIZATION);
        }
        if let Some(referer) = &self.passing.referer {
            headers.insert(REFERER, referer.clone());
        }
        // The client speaks what it agrees on with the upstream.
        parts.version = Version::HTTP_11;
        let way = match back {
            Back::Same => None,
            Back::Listed(listed) => Some(Box::new(Way {
                listed,
                path: parts.uri.path().into(),
            })),
        };
        Ok(Asked {
            id: arrived.id.clone(),
            prefix,
            way,
            outside: self.outside(&arrived.head),
        })
    }

    fn outside(&self, parts: &request::Parts) -> Option<Box<Outside>> {
        let path = parts.uri.path();
        if !self.passing.signs || self.upstream.is_below_root(path) {
            return None;
        }
        let root = other_root(path, self.upstream.root())?.to_owned();
        let method = parts.method.clone();
        Some(Box::new(Outside { method, root }))
    }

    fn towards_caller(
        &self,
        mut response: Response<ResponseBody<Incoming>>,
        asked: &Asked,
    ) -> Response<Body> {
        let outcome = response.body().outcome();
        let is_signed = outcome.signed();
        let challenge = outcome.returned_challenge().is_some();
        *response.version_mut() = Version::HTTP_11;
        let headers = response.headers_mut();
        let present = Present::of(headers);
        let present = remove_hop_by_hop(headers, present);
        if challenge {
            set_no_store(headers);
        }
        if present.has(Present::LOCATION) {
            turn_around(
                headers,
                &self.upstream,
                asked.way.as_deref(),
                asked.prefix.as_ref(),
            );
        }
        match &asked.outside {
            Some(outside) if !is_signed && !challenge => {
                let expected = self.upstream.url_of_root(&outside.root);
                watch(
                    response,
                    &outside.method,
                    self.upstream.root_url(),
                    expected,
                )
                .map(|body| Either::Right(Either::Left(body)))
            }
            _ => response.map(Either::Left),
        }
    }

    /// Callers learn what kind of failure it was; the log has the rest.
    fn no_answer(&self, failure: &legacy::Error, id: &HeaderValue) -> Response<Body> {
        tracing::warn!(
            upstream = self.upstream.root_url(),
            error = chain(failure),
            request = id.to_str().ok(),
            "no answer from the upstream"
        );
        let detail = if failure.is_connect() {
            "No connection could be made. The proxy's log says why."
        } else {
            "The connection broke before there was an answer. The proxy's log says why."
        };
        error(
            StatusCode::BAD_GATEWAY,
            "The ArcGIS server behind this proxy does not answer.",
            detail,
        )
        .map(own_words)
    }
}

fn own_words(body: Full<Bytes>) -> Body {
    Either::Right(Either::Right(body))
}

/// The answer to `TRACE`, and to the `TRACK` of IIS, is the request as the server got it, with what the web servers on the
/// way have added. Servers read methods in any case.
fn is_refused(method: &Method) -> bool {
    ["CONNECT", "TRACE", "TRACK"]
        .iter()
        .any(|refused| method.as_str().eq_ignore_ascii_case(refused))
}
