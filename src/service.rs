//! The service: a request's way from its site to the first sending.

use std::{
    fmt, mem,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Method, Request, Response};
use http_body::Body;
use tower_service::Service;

use crate::{
    body::{ReplayBody, ResponseBody},
    error::BoxError,
    future::{Exchange, ResponseFuture, Unsent},
    handle::{ArcgisAuthHandle, KnownSite},
    outcome::SkipReason,
    routes::SiteTable,
    session::{Accounts, Renewal},
    site::CallerToken,
    token::{Freshness, Token, TokenReason},
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

/// What all clones of a layer and its services share.
pub(crate) struct Shared {
    pub(crate) sites: SiteTable<Accounts>,
    pub(crate) known: Vec<Arc<KnownSite>>,
    pub(crate) replay_limit: usize,
    pub(crate) outcome_in_every_response: bool,
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
        // The answer to TRACE is the request itself, and would hold the token.
        if is_exempt(path) || *request.method() == Method::TRACE {
            return self.pass(request, Some(SkipReason::Exempt));
        }
        let replaces_token = signing.caller_token == CallerToken::Replace;
        if !replaces_token && signing.has_token(&request) {
            return self.pass(request, Some(SkipReason::CallersToken));
        }
        let root = request.uri().path().len() - path.len();
        // Settled here and now: a second sending is for whom the first was for.
        let account = match site.one() {
            Some(account) => Arc::clone(account),
            None => {
                let (head, body) = request.into_parts();
                let account = site.of_caller(&head);
                request = Request::from_parts(head, body);
                let Some(account) = account else {
                    // It may be a challenge, which is nobody else's either.
                    let private = signing.private_answers;
                    let sent = self.inner.call(request.map(ReplayBody::bare));
                    return ResponseFuture::untouched(sent, Some(SkipReason::NoIdentity), private);
                };
                account
            }
        };
        if replaces_token {
            account.signing.remove_token(&mut request);
        }

        let mut exchange = Exchange::new(
            account,
            root,
            *request.method() == Method::HEAD,
            self.shared.outcome_in_every_response,
            self.shared.replay_limit,
        );
        match exchange.before_sending(&request) {
            Beginning::Send(token) => {
                let sent = if exchange.may_send_again() {
                    let ready = self.take_ready();
                    exchange.send_and_keep(ready, request, token)
                } else {
                    exchange.send(&mut self.inner, request, token)
                };
                ResponseFuture::calling(sent, exchange)
            }
            Beginning::LogIn(login) => {
                let unsent = Unsent {
                    service: self.take_ready(),
                    request,
                };
                ResponseFuture::logging_in(login, unsent, exchange)
            }
        }
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
}

impl<S: Clone> ArcgisAuth<S> {
    /// The service that was polled ready goes along with the request; its clone starts afresh.
    fn take_ready(&mut self) -> S {
        let clone = self.inner.clone();
        mem::replace(&mut self.inner, clone)
    }
}

/// How a request starts.
pub(crate) enum Beginning {
    /// At once, signed with the token if there is one.
    Send(Option<Arc<Token>>),
    /// After a login.
    LogIn(Login),
}

pub(crate) type Login = tokio::sync::oneshot::Receiver<crate::session::LoginResult>;

impl<S, B: Body> Exchange<S, B> {
    /// Decides what is kept and what is waited for before anything is sent.
    fn before_sending(&mut self, request: &Request<B>) -> Beginning {
        let store = &self.account.store;
        if store.remembers_services() {
            let service = self.service_of(request.uri());
            if let Some(is_foreign) = store.refused_service(service) {
                self.no_second_sending = Some(SkipReason::ServiceRefused);
                self.service_is_foreign = is_foreign;
            }
            self.service = Some(service);
        }
        if let Some(error) = store.refused_login() {
            self.no_second_sending = Some(SkipReason::LoginRefused(error));
        }
        if self.no_second_sending.is_none()
            && !ReplayBody::can_keep(request.body(), self.replay_limit)
        {
            self.no_second_sending = Some(SkipReason::BodyNotReplayable);
        }
        let one_sending = matches!(self.no_second_sending, Some(SkipReason::BodyNotReplayable));

        let token = store.current();
        self.generation_before = token.as_ref().map_or(0, |token| token.generation());
        let renewal = match &token {
            None if one_sending => store.renew(None, TokenReason::Missing),
            None => return Beginning::Send(None),
            Some(current) => match current.freshness() {
                Freshness::PastEnd => store.renew(Some(current), TokenReason::Expired),
                _ if one_sending && current.is_rejected() => {
                    store.renew(Some(current), TokenReason::Rejected)
                }
                Freshness::NearEnd => {
                    store.renew_ahead(current);
                    return Beginning::Send(token);
                }
                Freshness::Fresh => return Beginning::Send(token),
            },
        };
        match renewal {
            Renewal::Token(token) => Beginning::Send(Some(token)),
            Renewal::Login(login) => {
                self.token = token;
                Beginning::LogIn(login)
            }
            // A token past its end by the clock may still be taken: nothing better is to be had.
            Renewal::SkipReason(_) if token.is_some() => Beginning::Send(token),
            Renewal::SkipReason(skip_reason) => {
                self.outcome.skip_reason = Some(skip_reason);
                Beginning::Send(None)
            }
        }
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

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("sites", &self.known)
            .field("replay_limit", &self.replay_limit)
            .field("outcome_in_every_response", &self.outcome_in_every_response)
            .finish()
    }
}
