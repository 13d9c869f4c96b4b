//! One request's way: turned towards the upstream, signed and sent by the client, its answer turned back.

use std::{net::IpAddr, sync::Arc};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version,
    header::{AUTHORIZATION, CONTENT_LOCATION, EXPECT, HOST, HeaderName, LOCATION, REFERER},
    request,
};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy;
use tokio::time::Instant;
use tower::ServiceExt;
use tower_arcgis_auth::ResponseBody;

use crate::{
    headers::{X_FORWARDED_FOR, remove_hop_by_hop, set_forwarded, set_no_store},
    origin::Upstream,
    refusal::{Refusal, error},
    request_body::RequestBody,
    upstream::{SigningClient, chain},
    warnings::{Watched, other_root, warn_of_https, watch},
};

/// The upstream's body as it comes, or looked at as it passes, or a few words of the proxy's own.
pub(crate) type Body = Either<ResponseBody<Incoming>, Either<Watched, Full<Bytes>>>;

/// The proxy without its sockets. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Forward {
    client: SigningClient,
    upstream: Arc<Upstream>,
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
            upstream: Arc::new(upstream),
            passing,
        }
    }

    /// Answers one request of `caller`'s. Whatever goes wrong is an answer too.
    pub(crate) async fn answer(
        self,
        request: Request<RequestBody>,
        caller: IpAddr,
    ) -> Response<Body> {
        let started = Instant::now();
        let method = request.method().clone();
        // Without the query: there the tokens are.
        let path = request.uri().path().to_owned();
        let (parts, body) = request.into_parts();
        let fault = body.fault();
        let mut auth = None;
        let response = match self.towards_upstream(parts, caller) {
            Ok(parts) => {
                let request = Request::from_parts(parts, body);
                match self.client.clone().oneshot(request).await {
                    Ok(response) => {
                        auth = Some(response.body().outcome().clone());
                        self.towards_caller(response, &method, &path)
                    }
                    Err(error) => match fault.and_then(|fault| fault.refusal()) {
                        Some(refusal) => refused(refusal),
                        None => self.no_answer(&error),
                    },
                }
            }
            Err(refusal) => refused(refusal),
        };
        tracing::debug!(
            %caller,
            %method,
            path,
            status = response.status().as_u16(),
            auth = auth.as_ref().map(tracing::field::display),
            took_milliseconds = started.elapsed().as_millis() as u64,
            "answered"
        );
        response
    }

    /// The request's head as the upstream is to get it, or why it gets none.
    fn towards_upstream(
        &self,
        mut parts: request::Parts,
        caller: IpAddr,
    ) -> Result<request::Parts, Refusal> {
        if is_refused(&parts.method) {
            return Err(Refusal::Method);
        }
        // The authority of an absolute request target (`GET http://elsewhere/`) has no say.
        let uri = parts
            .uri
            .path_and_query()
            .filter(|target| target.path().starts_with('/'))
            .and_then(|target| self.upstream.uri(target.clone()).ok())
            .ok_or(Refusal::Target)?;

        let headers = &mut parts.headers;
        remove_hop_by_hop(headers);
        set_forwarded(headers, &parts.uri, caller);
        if !self.passing.callers_address {
            headers.remove(X_FORWARDED_FOR);
        }
        // The client writes the upstream's.
        headers.remove(HOST);
        // Kept by the server side already: it tells the caller to go on when the body is wanted.
        headers.remove(EXPECT);
        if !self.passing.authorization {
            headers.remove(AUTHORIZATION);
        }
        if let Some(referer) = &self.passing.referer {
            headers.insert(REFERER, referer.clone());
        }
        parts.uri = uri;
        // The client speaks what it agrees on with the upstream.
        parts.version = Version::HTTP_11;
        Ok(parts)
    }

    fn towards_caller(
        &self,
        mut response: Response<ResponseBody<Incoming>>,
        method: &Method,
        path: &str,
    ) -> Response<Body> {
        let outcome = response.body().outcome();
        let is_signed = outcome.signed();
        let challenge = outcome.returned_challenge().is_some();
        let headers = response.headers_mut();
        remove_hop_by_hop(headers);
        if challenge {
            set_no_store(headers);
        }
        let location = headers.get(LOCATION).and_then(|value| value.to_str().ok());
        if let Some(location) = location.filter(|location| self.upstream.is_at_https(location)) {
            warn_of_https(&self.upstream.root_url(), location);
        }
        self.turn_around(headers, LOCATION);
        self.turn_around(headers, CONTENT_LOCATION);
        *response.version_mut() = Version::HTTP_11;
        let may_be_outside = self.passing.signs && !is_signed && !challenge;
        let other = may_be_outside.then(|| other_root(path, self.upstream.root()));
        match other.flatten() {
            Some(other) => {
                let expected = self.upstream.url_of_root(other);
                watch(response, method, self.upstream.root_url(), expected)
                    .map(|body| Either::Right(Either::Left(body)))
            }
            None => response.map(Either::Left),
        }
    }

    fn turn_around(&self, headers: &mut HeaderMap, name: HeaderName) {
        let turned = headers
            .get(&name)
            .and_then(|location| self.upstream.through_proxy(location.to_str().ok()?))
            .and_then(|location| HeaderValue::try_from(location).ok());
        if let Some(turned) = turned {
            headers.insert(name, turned);
        }
    }

    /// Callers learn what kind of failure it was; the log has the rest.
    fn no_answer(&self, failure: &legacy::Error) -> Response<Body> {
        tracing::warn!(
            upstream = self.upstream.root_url(),
            error = chain(failure),
            "no answer from the upstream"
        );
        let detail = if failure.is_connect() {
            "No connection could be made. The proxy's log says why."
        } else {
            "The connection broke before there was an answer. The proxy's log says why."
        };
        own(error(
            StatusCode::BAD_GATEWAY,
            "The ArcGIS server behind this proxy does not answer.",
            detail,
        ))
    }
}

/// The answer to `TRACE`, and to the `TRACK` of IIS, is the request as the server got it, with what the web servers on the
/// way have added. Servers read methods in any case.
fn is_refused(method: &Method) -> bool {
    ["CONNECT", "TRACE", "TRACK"]
        .iter()
        .any(|refused| method.as_str().eq_ignore_ascii_case(refused))
}

fn refused(refusal: Refusal) -> Response<Body> {
    own(refusal.answer())
}

fn own(answer: Response<Full<Bytes>>) -> Response<Body> {
    answer.map(|body| Either::Right(Either::Right(body)))
}
