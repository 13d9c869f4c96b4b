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
    exchange::{Beginning, Exchange, RequestNotes, SignedSending, Unsigned},
    future::{PassReason, ResponseFuture, UnreadForm},
    handle::{ArcgisAuthHandle, Shared},
    resend::Kept,
    routes::Place,
    session::Session,
    sign::{CallerToken, CallersHeaders, QueryToken, TokenPlacement, callers_token},
    token::Token,
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
        let Some(place) = self.shared.sites.find(request.uri()) else {
            return self.pass(request, None);
        };
        let Place {
            site,
            root,
            below_root,
        } = place;
        let Some(signing) = site.signing() else {
            let reason = why_unsigned(&request, below_root);
            return self.pass(request, Some(reason));
        };
        if is_exempt(below_root) || echoes(request.method()) {
            return self.pass(request, Some(PassReason::Exempt));
        }
        let keeps = signing.caller_token == CallerToken::Keep;
        let mut query_token = QueryToken::of(request.uri());
        let callers = CallersHeaders::of(request.headers());
        let has_token = || {
            query_token == QueryToken::Present
                || callers.have_token(request.headers(), signing.placement)
        };
        if keeps && has_token() {
            return self.pass(request, Some(PassReason::CallersToken));
        }
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
                    return ResponseFuture::untouched(sent, Some(PassReason::NoIdentity), private);
                };
                session
            }
        };
        if !keeps {
            let placement = session.signing.placement;
            callers_token::remove_token(&mut request, placement, callers, query_token);
            query_token = QueryToken::None;
        }
        let notes = RequestNotes {
            root,
            is_head: *request.method() == Method::HEAD,
            query_token,
        };
        let carries_cookie = keeps && callers.have_token_cookie(request.headers());
        let is_form = callers.say_form(request.headers());
        if !carries_cookie && !is_form {
            if let Some(token) = session.unremarkable_token() {
                // There is nothing to decide about the token: nearly always.
                let limit = session.settings.replay_limit;
                let length = BodyLength::of(&request.body().size_hint(), request.headers());
                if length.is_within(limit) {
                    return self.sign_keep_and_send(request, session, notes, token);
                }
                let signing = &session.signing;
                let placed = signing.sign(&mut request, &token, query_token, false);
                let sent = self.inner.call(request.map(ReplayBody::bare));
                let sending = SignedSending {
                    token,
                    placed,
                    kept: None,
                };
                return ResponseFuture::calling(sent, Exchange::signed(session, notes, sending));
            }
        }
        let unsigned = carries_cookie.then_some(Unsigned::TokenCookie);
        let exchange = Exchange::new(session, notes, unsigned);
        if is_form && is_short(&request) {
            let form = UnreadForm {
                service: self.take_ready(),
                request: request.map(|body| FormReader::new(body, LONGEST_FORM)),
            };
            return ResponseFuture::reading(Box::new(form), exchange);
        }
        self.start(request, exchange)
    }
}

/// Why a request to a site without a credential is not signed: it may be the caller's own matter, as it is elsewhere.
#[cold]
fn why_unsigned<B>(request: &Request<B>, path: &str) -> PassReason {
    let headers = request.headers();
    let callers = CallersHeaders::of(headers);
    // Without a credential no placement is more likely than another.
    let has_token = QueryToken::of(request.uri()) == QueryToken::Present
        || callers.have_token(headers, TokenPlacement::Bearer)
        || callers.have_token_cookie(headers);
    if is_exempt(path) || echoes(request.method()) {
        PassReason::Exempt
    } else if has_token {
        PassReason::CallersToken
    } else {
        PassReason::NoCredential
    }
}

/// The answer to TRACE is the request itself, and would hold the token; IIS knows TRACK as well, and neither server minds
/// the case.
#[inline]
fn echoes(method: &Method) -> bool {
    *method != Method::GET && is_trace(method.as_str())
}

fn is_trace(name: &str) -> bool {
    name.eq_ignore_ascii_case("TRACE") || name.eq_ignore_ascii_case("TRACK")
}

/// Longer form bodies are not looked into for a token of the caller's own, in bytes.
const LONGEST_FORM: usize = 64 * 1024;

/// Whether a form says how long it is, and is not long.
fn is_short<B: Body>(request: &Request<B>) -> bool {
    match BodyLength::of(&request.body().size_hint(), request.headers()) {
        BodyLength::Known(length) => (1..=LONGEST_FORM as u64).contains(&length),
        _ => false,
    }
}

impl<S> ArcgisAuth<S> {
    /// Sends a request that is not the layer's to sign.
    fn pass<B, R: Body>(
        &mut self,
        request: Request<B>,
        reason: Option<PassReason>,
    ) -> ResponseFuture<S, B, R>
    where
        S: Service<Request<ReplayBody<B>>>,
    {
        let sent = self.inner.call(request.map(ReplayBody::bare));
        ResponseFuture::untouched(sent, reason, false)
    }

    /// Sends a request with a token about which there is nothing to decide, and keeps a copy of it.
    fn sign_keep_and_send<B, R>(
        &mut self,
        request: Request<B>,
        session: Arc<Session>,
        notes: RequestNotes,
        token: Arc<Token>,
    ) -> ResponseFuture<S, B, R>
    where
        S: Service<Request<ReplayBody<B>>> + Clone,
        B: Body,
        R: Body,
    {
        let limit = session.settings.replay_limit;
        let signing = &session.signing;
        let mut placed = signing.placement;
        let (sent, kept) = Kept::send(
            self.take_ready(),
            request,
            |request| placed = signing.sign(request, &token, notes.query_token, false),
            |body| ReplayBody::kept(body, limit),
        );
        let sending = SignedSending {
            token,
            placed,
            kept: Some(kept),
        };
        ResponseFuture::calling(sent, Exchange::signed(session, notes, sending))
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
    #[inline]
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
