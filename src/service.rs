//! The service: a request's way to its site, and to its first sending.

use std::{
    fmt, mem,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Method, Request, Response};
use http_body::Body;
use tower_service::Service;

use crate::{
    body::{BodyLength, FormReader, ReplayBody, ResponseBody},
    error::BoxError,
    exchange::{Beginning, Exchange, Unsigned},
    future::{ResponseFuture, UnreadForm},
    handle::{ArcgisAuthHandle, Shared},
    outcome::SkipReason,
    sign::{CallerToken, QueryToken, callers_token},
    url::is_exempt,
};

/// Signs requests to ArcGIS sites, and answers their challenges. See the [crate's documentation](crate).
///
/// Made by [`ArcgisAuthLayer`](crate::ArcgisAuthLayer). Cheap to clone; clones share their tokens.
///
/// Needs a tokio runtime to be called on once a login is due.
///
/// ```
/// use http_body_util::Full;
/// use bytes::Bytes;
/// use http::{Request, Response};
/// use tower::{Layer, Service, ServiceExt};
/// use tower_arcgis_auth::{ArcgisAuthLayer, IssuedToken, ReplayBody, Site, token_source_fn};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// // A server that wants a token.
/// let server = tower::service_fn(|request: Request<ReplayBody<Full<Bytes>>>| async move {
///     let signed = request.uri().query().is_some_and(|query| query.contains("token=secret"));
///     let body = if signed { r#"{"layers":[]}"# } else { r#"{"error":{"code":499,"message":"Token Required"}}"# };
///     Ok::<_, std::io::Error>(Response::new(Full::new(Bytes::from(body))))
/// });
/// let site = Site::new("https://gis.example.com/arcgis")
///     .token_source(token_source_fn(|_| async { IssuedToken::try_new("secret") }));
/// let mut service = ArcgisAuthLayer::try_new(site)?.layer(server);
///
/// let request = Request::get("https://gis.example.com/arcgis/rest/services/Roads/MapServer?f=json")
///     .body(Full::default())?;
/// let response = service.ready().await?.call(request).await?;
/// assert!(response.body().outcome().resent());
/// assert!(response.body().outcome().returned_challenge().is_none());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct ArcgisAuth<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl<S> ArcgisAuth<S> {
    pub(crate) fn new(inner: S, shared: Arc<Shared>) -> Self {
        Self { inner, shared }
    }

    /// A handle on this service's sites and tokens, and those of all services its layer made.
    pub fn handle(&self) -> ArcgisAuthHandle {
        ArcgisAuthHandle::new(Arc::clone(&self.shared))
    }

    /// The inner service.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The inner service, mutably.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// Consumes the layer's part.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, B, R> Service<Request<B>> for ArcgisAuth<S>
where
    S: Service<Request<ReplayBody<B>>, Response = Response<R>> + Clone,
    B: Body + Unpin,
    B::Error: Into<BoxError>,
    R: Body + Unpin,
{
    type Response = Response<ResponseBody<R>>;
    type Error = S::Error;
    type Future = ResponseFuture<S, B, R>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let Some((site, path)) = self.shared.sites.find(request.uri()) else {
            return self.pass(request, None);
        };
        let Some(signing) = site.signing() else {
            return self.pass(request, Some(SkipReason::NoCredential));
        };
        if is_exempt(path) || echoes(request.method()) {
            return self.pass(request, Some(SkipReason::Exempt));
        }
        let keeps = signing.caller_token == CallerToken::Keep;
        let mut query_token = QueryToken::of(request.uri());
        let has_token = || {
            query_token == QueryToken::Present
                || callers_token::has_token_header(request.headers(), signing.placement)
        };
        if keeps && has_token() {
            return self.pass(request, Some(SkipReason::CallersToken));
        }
        let root = request.uri().path().len() - path.len();
        // The identity is determined once, on arrival: a second sending is for whom the first was for.
        let session = match site.one() {
            Some(session) => Arc::clone(session),
            None => {
                let (head, body) = request.into_parts();
                let session = site.of_request(&head);
                request = Request::from_parts(head, body);
                let Some(session) = session else {
                    // It may be a challenge, which is for no other either.
                    let private = signing.private_answers;
                    let sent = self.inner.call(request.map(ReplayBody::bare));
                    return ResponseFuture::untouched(sent, Some(SkipReason::NoIdentity), private);
                };
                session
            }
        };
        if !keeps {
            callers_token::remove_token(&mut request, session.signing.placement);
            query_token = QueryToken::None;
        }
        let unsigned = (keeps && callers_token::carries_token_cookie(request.headers()))
            .then_some(Unsigned::TokenCookie);
        let is_head = *request.method() == Method::HEAD;
        let exchange = Exchange::new(
            session,
            self.shared.settings,
            root,
            is_head,
            query_token,
            unsigned,
        );
        if is_short_form(&request) {
            let form = UnreadForm {
                service: self.take_ready(),
                request: request.map(|body| FormReader::new(body, LONGEST_FORM)),
            };
            return ResponseFuture::reading(Box::new(form), exchange);
        }
        self.start(request, exchange)
    }
}

/// The answer to TRACE is the request itself, and would hold the token; IIS knows TRACK as well, and neither server minds
/// the case.
fn echoes(method: &Method) -> bool {
    let name = method.as_str();
    name.eq_ignore_ascii_case("TRACE") || name.eq_ignore_ascii_case("TRACK")
}

/// Longer form bodies are not looked into for a token of the caller's own, in bytes.
const LONGEST_FORM: usize = 64 * 1024;

/// Whether the body is a form that says how long it is, and is not long.
fn is_short_form<B: Body>(request: &Request<B>) -> bool {
    callers_token::is_form(request.headers())
        && match BodyLength::of(&request.body().size_hint(), request.headers()) {
            BodyLength::Known(length) => (1..=LONGEST_FORM as u64).contains(&length),
            _ => false,
        }
}

impl<S> ArcgisAuth<S> {
    /// Sends a request that is not the layer's to sign.
    fn pass<B, R: Body>(
        &mut self,
        request: Request<B>,
        skip_reason: Option<SkipReason>,
    ) -> ResponseFuture<S, B, R>
    where
        S: Service<Request<ReplayBody<B>>>,
    {
        let sent = self.inner.call(request.map(ReplayBody::bare));
        ResponseFuture::untouched(sent, skip_reason, false)
    }

    fn start<B, R>(
        &mut self,
        request: Request<B>,
        mut exchange: Exchange<S, B>,
    ) -> ResponseFuture<S, B, R>
    where
        S: Service<Request<ReplayBody<B>>> + Clone,
        B: Body,
        R: Body,
    {
        let length = BodyLength::of(&request.body().size_hint(), request.headers());
        match exchange.before_sending(request.uri(), length) {
            Beginning::Send(token) => {
                let sent = if exchange.may_send_again() {
                    let ready = self.take_ready();
                    exchange.send_and_keep(ready, request, token, ReplayBody::kept)
                } else {
                    exchange.send(&mut self.inner, request, token, ReplayBody::bare)
                };
                ResponseFuture::calling(sent, exchange)
            }
            Beginning::LogIn(login) => {
                ResponseFuture::logging_in(login, self.take_ready(), request, exchange)
            }
        }
    }
}

impl<S: Clone> ArcgisAuth<S> {
    /// The service that was polled ready goes along with the request; its clone starts afresh.
    fn take_ready(&mut self) -> S {
        let clone = self.inner.clone();
        mem::replace(&mut self.inner, clone)
    }
}

impl<S: fmt::Debug> fmt::Debug for ArcgisAuth<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ArcgisAuth")
            .field("inner", &self.inner)
            .field("shared", &self.shared)
            .finish()
    }
}
