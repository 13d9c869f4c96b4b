//! The response future: calling → peeking → renewing → readying → calling.

use std::{
    fmt, mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::{
    Extensions, HeaderMap, HeaderName, HeaderValue, Method, Request, Response, Uri, Version,
};
use http_body::Body;
use pin_project::pin_project;
use tower_service::Service;

use crate::{
    body::{KeptBody, Peek, ReplayBody, ResponseBody},
    challenge::{Challenge, Detector, Noted, RequestFacts, Start, Verdict},
    error::BoxError,
    outcome::{AuthOutcome, SkipReason},
    service::Login,
    session::{Account, Renewal, broken_off},
    sign::{cache_control::make_private, scrub},
    token::{Token, TokenReason},
    url::{ServiceKey, service_key},
};

/// The future of [`ArcgisAuth`](crate::ArcgisAuth).
#[pin_project]
pub struct ResponseFuture<S, B, R>
where
    S: Service<Request<ReplayBody<B>>>,
    R: Body,
{
    #[pin]
    state: State<S, B, R, S::Future>,
    exchange: Option<Exchange<S, B>>,
}

#[allow(
    clippy::large_enum_variant,
    reason = "a box would cost every request an allocation"
)]
#[pin_project(project = StateProjection, project_replace = StateOwned)]
enum State<S, B, R: Body, F> {
    /// Not signed and not looked at.
    Untouched {
        #[pin]
        sent: F,
        skip_reason: Option<SkipReason>,
        /// What comes back must not reach somebody else through a cache, for all that is known of it.
        private: bool,
    },
    Calling {
        #[pin]
        sent: F,
    },
    Peeking {
        response: Response<ResponseBody<R>>,
        peek: Peek,
    },
    Renewing {
        login: Login,
        then: Then<S, B, R>,
    },
    /// The first answer is given up; the service gets ready for the second sending.
    Readying {
        second: Box<Second<S, B>>,
    },
    Done,
}

/// What waits for a login. Boxed, because a login is rare, and every request would carry the room for it.
enum Then<S, B, R: Body> {
    /// The first sending.
    Send(Box<Unsent<S, B>>),
    /// The second sending, or this answer if there is no token.
    Answer(Box<Response<ResponseBody<R>>>),
}

/// The second sending, and the service that gets ready for it.
struct Second<S, B> {
    service: S,
    request: Request<ReplayBody<B>>,
}

/// A request before its first sending, and the service that is ready for it.
pub(crate) struct Unsent<S, B> {
    pub(crate) service: S,
    pub(crate) request: Request<B>,
}

/// What a request carries through all its states.
pub(crate) struct Exchange<S, B> {
    pub(crate) account: Arc<Account>,
    pub(crate) outcome: AuthOutcome,
    /// What the refused-service memory calls this request's service. Named only when that may matter.
    pub(crate) service: Option<ServiceKey>,
    /// That service calls every token invalid, as against asking for one.
    pub(crate) service_is_foreign: bool,
    /// How long the site's root is in the URI's path.
    root: usize,
    /// The newest token when the request came; 0 for none. What is newer comes of a login made for it or beside it.
    pub(crate) generation_before: u64,
    /// The first sending was asked for a token though it had one.
    asked_in_spite: bool,
    /// Where the second sending went, for the log.
    path: String,
    /// Why a challenge could not be acted on, where that is known beforehand: then no copy is kept.
    pub(crate) no_second_sending: Option<SkipReason>,
    pub(crate) replay_limit: usize,
    head: bool,
    always_tell: bool,
    /// What the last sending was signed with; before the first, what it is signed with if no login gives better.
    pub(crate) token: Option<Arc<Token>>,
    /// Boxed: moving it along with the future costs more than the allocation.
    kept: Option<Box<Kept<S, B>>>,
}

/// What a second sending is made from.
pub(crate) struct Kept<S, B> {
    pub(crate) service: S,
    pub(crate) request: Unsigned,
    pub(crate) body: KeptBody<B>,
}

/// The head of a request as the caller made it: it holds no secret of ours.
#[derive(Clone)]
pub(crate) struct Unsigned {
    method: Method,
    uri: Uri,
    version: Version,
    /// Flat, because cloning a `HeaderMap` takes two allocations and this takes one.
    headers: Vec<(HeaderName, HeaderValue)>,
    extensions: Extensions,
}

impl Unsigned {
    fn of<B>(request: &Request<B>) -> Self {
        let mut headers = Vec::with_capacity(request.headers().len());
        headers.extend(
            request
                .headers()
                .iter()
                .map(|(name, value)| (name.clone(), value.clone())),
        );
        Self {
            method: request.method().clone(),
            uri: request.uri().clone(),
            version: request.version(),
            headers,
            extensions: request.extensions().clone(),
        }
    }

    fn into_request<B>(self, body: B) -> Request<B> {
        let mut request = Request::new(body);
        *request.method_mut() = self.method;
        *request.uri_mut() = self.uri;
        *request.version_mut() = self.version;
        *request.extensions_mut() = self.extensions;
        let mut headers = HeaderMap::with_capacity(self.headers.len() + 1);
        for (name, value) in self.headers {
            headers.append(name, value);
        }
        *request.headers_mut() = headers;
        request
    }
}

impl<S, B> Exchange<S, B> {
    pub(crate) fn new(
        account: Arc<Account>,
        root: usize,
        head: bool,
        always_tell: bool,
        replay_limit: usize,
    ) -> Self {
        Self {
            account,
            outcome: AuthOutcome::default(),
            service: None,
            service_is_foreign: false,
            root,
            generation_before: 0,
            asked_in_spite: false,
            path: String::new(),
            no_second_sending: None,
            replay_limit,
            head,
            always_tell,
            token: None,
            kept: None,
        }
    }

    fn sign<T>(&mut self, request: &mut Request<T>, token: Arc<Token>) {
        self.account.signing.sign(request, &token);
        self.outcome.signed = true;
        self.token = Some(token);
    }

    /// What the head of an answer says. It is cleaned of the token by this.
    fn read_head<R>(&self, response: &mut Response<ResponseBody<R>>) -> Start
    where
        R: Body + Unpin,
    {
        let noted = Noted::of(response.headers());
        let facts = RequestFacts {
            head: self.head,
            token: self.outcome.signed,
        };
        let is_empty = response.body().is_end_stream();
        let headers = response.headers();
        let start = Detector::start(response.status(), headers, noted, facts, is_empty);
        // After the detector, which knows a sign-in page by where the redirect leads.
        if let Some(token) = &self.token {
            scrub::clean(response.headers_mut(), noted, token);
        }
        start
    }

    /// Attaches what happened to what goes up.
    fn finish<R: Body>(&mut self, response: &mut Response<ResponseBody<R>>) {
        let outcome = mem::take(&mut self.outcome);
        let is_callers_own = outcome.signed || outcome.returned_challenge.is_some();
        if self.account.signing.private_answers && is_callers_own {
            make_private(response.headers_mut());
        }
        if self.always_tell || outcome.is_worth_telling() {
            response.extensions_mut().insert(outcome.clone());
        }
        let body = response.body_mut();
        body.set_outcome(outcome);
        body.set_token(self.token.take());
    }

    /// The service `uri` belongs to, as it is remembered.
    pub(crate) fn service_of(&self, uri: &Uri) -> ServiceKey {
        service_key(uri, self.root)
    }

    fn note_clean(&mut self) {
        let Some(token) = &self.token else {
            return;
        };
        let store = &self.account.store;
        store.note_clean(token);
        if let Some(service) = self.service {
            store.note_clean_service(service);
        }
        if self.outcome.resent && self.asked_in_spite {
            store.note_cured();
        }
    }

    /// What the first sending is signed with where the login before it failed.
    fn without_login(&mut self, skip_reason: SkipReason) -> Option<Arc<Token>> {
        if self.token.is_none() {
            self.outcome.skip_reason = Some(skip_reason);
        }
        self.token.take()
    }

    /// What to do about a challenge.
    fn challenged(&mut self, challenge: Challenge) -> Reaction {
        self.outcome.returned_challenge = Some(challenge);
        let store = &self.account.store;
        store.tally.challenges.add_one();
        let generation = self.token.as_ref().map_or(0, |token| token.generation());
        let is_invalid = challenge == Challenge::TokenInvalid;
        if self.outcome.resent {
            let is_second_hand = self
                .token
                .as_ref()
                .is_some_and(|token| token.is_second_hand());
            if !is_second_hand {
                // Without a fresh login the token may be as dead as the first.
                if let Some(service) = self.service {
                    if generation > self.generation_before {
                        store.note_second_challenge(service, &self.path, challenge);
                    }
                }
                return Reaction::Answer;
            }
            // Nobody logged in, so that nothing is said of the service: one more sending, with a token of a login, or
            // else that login for the sake of the requests to come.
        }
        self.outcome.challenge.get_or_insert(challenge);
        let reason = match &self.token {
            None => TokenReason::Missing,
            Some(token) if is_invalid => {
                token.set_rejected(true);
                TokenReason::Rejected
            }
            Some(_) => {
                self.asked_in_spite = true;
                TokenReason::RequiredDespiteToken
            }
        };
        let replayable = match (&self.kept, self.no_second_sending.take()) {
            (_, Some(skip_reason @ SkipReason::LoginRefused(_))) => {
                self.outcome.skip_reason = Some(skip_reason);
                return Reaction::Answer;
            }
            (_, Some(skip_reason @ SkipReason::ServiceRefused)) => {
                self.outcome.skip_reason = Some(skip_reason);
                if is_invalid && !self.service_is_foreign {
                    // It knew the token before, so the token has died since: for the sake of the requests to come.
                    store.renew(self.token.as_ref(), reason);
                }
                return Reaction::Answer;
            }
            (Some(kept), _) => kept.body.pause(),
            (None, _) => false,
        };
        let renewal = store.renew(self.token.as_ref(), reason);
        if !replayable {
            // The login goes on for the sake of the requests to come. One that failed before the sending says more, and
            // after a second sending its answer is the answer.
            if !self.outcome.resent {
                self.outcome
                    .skip_reason
                    .get_or_insert(SkipReason::BodyNotReplayable);
            }
            return Reaction::Answer;
        }
        match renewal {
            Renewal::Token(token) => Reaction::SendAgain(token),
            Renewal::Login(login) => Reaction::LogIn(login),
            Renewal::SkipReason(skip_reason) => {
                self.outcome.skip_reason = Some(skip_reason);
                Reaction::Answer
            }
        }
    }
}

/// What a challenge leads to.
enum Reaction {
    /// It is the answer.
    Answer,
    SendAgain(Arc<Token>),
    LogIn(Login),
}

impl<S, B> Exchange<S, B>
where
    B: Body,
{
    /// Whether a challenge could be acted on, as far as that is known beforehand.
    pub(crate) fn may_send_again(&self) -> bool {
        self.no_second_sending.is_none()
    }

    /// The only sending of a request, signed with the token if there is one.
    // Inlined, because a call copies the request once more.
    #[inline]
    pub(crate) fn send(
        &mut self,
        service: &mut S,
        mut request: Request<B>,
        token: Option<Arc<Token>>,
    ) -> S::Future
    where
        S: Service<Request<ReplayBody<B>>>,
    {
        if let Some(token) = token {
            self.sign(&mut request, token);
        }
        service.call(request.map(ReplayBody::bare))
    }

    /// The first sending of a request. What a second could be made from is taken before it is signed.
    pub(crate) fn send_and_keep(
        &mut self,
        mut service: S,
        mut request: Request<B>,
        token: Option<Arc<Token>>,
    ) -> S::Future
    where
        S: Service<Request<ReplayBody<B>>>,
    {
        let unsigned = Unsigned::of(&request);
        if let Some(token) = token {
            self.sign(&mut request, token);
        }
        let (head, body) = request.into_parts();
        let (body, kept_body) = ReplayBody::kept(body, self.replay_limit);
        let sent = service.call(Request::from_parts(head, body));
        self.kept = Some(Box::new(Kept {
            service,
            request: unsigned,
            body: kept_body,
        }));
        sent
    }

    /// The second sending, signed. `None` where the body is lost. A first sending still under way fails by this:
    /// the service may not get ready for the second before it is rid of the first.
    fn second_sending(&mut self, token: Arc<Token>) -> Option<Box<Second<S, B>>>
    where
        S: Clone,
    {
        let Kept {
            service,
            request,
            body,
        } = *self.kept.take()?;
        // What another process got may have died since.
        let again = if token.is_second_hand() && !self.outcome.resent {
            body.copy()
        } else {
            None
        };
        self.kept = again.map(|body| {
            Box::new(Kept {
                service: service.clone(),
                request: request.clone(),
                body,
            })
        });
        let mut request = request.into_request(body.take()?);
        self.service = Some(self.service_of(request.uri()));
        self.path = request.uri().path().chars().take(200).collect();
        self.sign(&mut request, token);
        self.outcome.resent = true;
        self.account.store.tally.sent_again.add_one();
        self.outcome.returned_challenge = None;
        self.outcome.skip_reason = None;
        Some(Box::new(Second { service, request }))
    }
}

impl<S, B, R> ResponseFuture<S, B, R>
where
    S: Service<Request<ReplayBody<B>>>,
    R: Body,
{
    pub(crate) fn untouched(
        sent: S::Future,
        skip_reason: Option<SkipReason>,
        private: bool,
    ) -> Self {
        Self {
            state: State::Untouched {
                sent,
                skip_reason,
                private,
            },
            exchange: None,
        }
    }

    pub(crate) fn calling(sent: S::Future, exchange: Exchange<S, B>) -> Self {
        Self {
            state: State::Calling { sent },
            exchange: Some(exchange),
        }
    }

    pub(crate) fn logging_in(login: Login, unsent: Unsent<S, B>, exchange: Exchange<S, B>) -> Self {
        Self {
            state: State::Renewing {
                login,
                then: Then::Send(Box::new(unsent)),
            },
            exchange: Some(exchange),
        }
    }
}

impl<S, B, R> Future for ResponseFuture<S, B, R>
where
    S: Service<Request<ReplayBody<B>>, Response = Response<R>> + Clone,
    B: Body + Unpin,
    B::Error: Into<BoxError>,
    R: Body + Unpin,
{
    type Output = Result<Response<ResponseBody<R>>, S::Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            // Filled in once and changed in place from then on: moving it costs as much as looking at it.
            let mut response;
            // An answer let go by its head alone says nothing of the token.
            let mut looked_at = true;
            let verdict = match this.state.as_mut().project() {
                StateProjection::Untouched {
                    sent,
                    skip_reason,
                    private,
                } => {
                    response = ready!(sent.poll(context))?.map(ResponseBody::untouched);
                    if *private {
                        make_private(response.headers_mut());
                    }
                    if let Some(skip_reason) = skip_reason.take() {
                        tell_skip_reason(&mut response, skip_reason);
                    }
                    this.state.set(State::Done);
                    return Poll::Ready(Ok(response));
                }
                StateProjection::Calling { sent } => {
                    response = ready!(sent.poll(context))?.map(ResponseBody::untouched);
                    let Some(exchange) = this.exchange else {
                        return done();
                    };
                    match exchange.read_head(&mut response) {
                        Start::Decided(verdict) => {
                            looked_at = false;
                            verdict
                        }
                        Start::Look(detector) => {
                            let mut peek = Peek::new(detector);
                            // The first bytes are mostly there with the head, and mostly decide.
                            match peek.poll_verdict(response.body_mut(), context) {
                                Poll::Ready(verdict) => verdict,
                                Poll::Pending => {
                                    this.state.set(State::Peeking { response, peek });
                                    return Poll::Pending;
                                }
                            }
                        }
                    }
                }
                StateProjection::Peeking {
                    response: held,
                    peek,
                } => {
                    let verdict = ready!(peek.poll_verdict(held.body_mut(), context));
                    match this.state.as_mut().project_replace(State::Done) {
                        StateOwned::Peeking { response: held, .. } => response = held,
                        _ => return done(),
                    }
                    verdict
                }
                StateProjection::Renewing { login, .. } => {
                    let result = ready!(Pin::new(login).poll(context));
                    let result = result.unwrap_or_else(|_| Err(broken_off()));
                    let Some(exchange) = this.exchange.as_mut() else {
                        return done();
                    };
                    match this.state.as_mut().project_replace(State::Done) {
                        StateOwned::Renewing {
                            then: Then::Send(unsent),
                            ..
                        } => {
                            // Without a new one the old, past its end by the clock, is tried.
                            let token = result.map_or_else(
                                |skip_reason| exchange.without_login(skip_reason),
                                Some,
                            );
                            let Unsent {
                                mut service,
                                request,
                            } = *unsent;
                            let sent = if exchange.may_send_again() {
                                exchange.send_and_keep(service, request, token)
                            } else {
                                exchange.send(&mut service, request, token)
                            };
                            this.state.set(State::Calling { sent });
                            continue;
                        }
                        StateOwned::Renewing {
                            then: Then::Answer(answer),
                            ..
                        } => {
                            let second = match result {
                                Ok(token) => exchange.second_sending(token),
                                Err(skip_reason) => {
                                    exchange.outcome.skip_reason = Some(skip_reason);
                                    None
                                }
                            };
                            let Some(second) = second else {
                                let mut response = *answer;
                                exchange.finish(&mut response);
                                *this.exchange = None;
                                return Poll::Ready(Ok(response));
                            };
                            // Its connection or permit may be what the second sending waits for.
                            drop(answer);
                            this.state.set(State::Readying { second });
                            continue;
                        }
                        _ => return done(),
                    }
                }
                StateProjection::Readying { second } => {
                    ready!(second.service.poll_ready(context))?;
                    let StateOwned::Readying { second } =
                        this.state.as_mut().project_replace(State::Done)
                    else {
                        return done();
                    };
                    let Second {
                        mut service,
                        request,
                    } = *second;
                    let sent = service.call(request);
                    this.state.set(State::Calling { sent });
                    continue;
                }
                StateProjection::Done => return done(),
            };

            // The finished call goes first: it may hold a permit that the second sending needs.
            this.state.set(State::Done);
            let Some(exchange) = this.exchange.as_mut() else {
                return done();
            };
            let reaction = match verdict {
                Verdict::Challenge(challenge) => exchange.challenged(challenge),
                Verdict::Clean if looked_at && response.status().is_success() => {
                    exchange.note_clean();
                    Reaction::Answer
                }
                // Let go by its head, broken off under the look, or a gateway's word: nothing is said of the token.
                Verdict::Clean | Verdict::More => Reaction::Answer,
            };
            let second = match reaction {
                Reaction::Answer => None,
                Reaction::SendAgain(token) => exchange.second_sending(token),
                Reaction::LogIn(login) => {
                    let then = Then::Answer(Box::new(response));
                    this.state.set(State::Renewing { login, then });
                    continue;
                }
            };
            let Some(second) = second else {
                exchange.finish(&mut response);
                *this.exchange = None;
                return Poll::Ready(Ok(response));
            };
            drop(response);
            this.state.set(State::Readying { second });
        }
    }
}

fn tell_skip_reason<R: Body>(response: &mut Response<ResponseBody<R>>, skip_reason: SkipReason) {
    let outcome = AuthOutcome {
        skip_reason: Some(skip_reason),
        ..AuthOutcome::default()
    };
    response.extensions_mut().insert(outcome.clone());
    response.body_mut().set_outcome(outcome);
}

/// Polled after it was ready, which the contract of `Future` forbids.
#[allow(
    clippy::panic,
    reason = "a bug of the caller's, as in every other future"
)]
fn done<T>() -> Poll<T> {
    panic!("ResponseFuture polled after completion")
}

impl<S, B, R> fmt::Debug for ResponseFuture<S, B, R>
where
    S: Service<Request<ReplayBody<B>>>,
    R: Body,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
