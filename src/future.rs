//! The response future, a state machine and nothing else: reading a form → calling → peeking → renewing → readying →
//! calling. What it does next is the exchange's to say.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::{HeaderValue, Request, Response, header::CONTENT_LENGTH};
use http_body::Body;
use pin_project::pin_project;
use tokio::time::Sleep;
use tower_service::Service;

use crate::{
    body::{Begun, BodyLength, FormReader, Peek, ReadForm, ReplayBody, ResponseBody},
    error::{BoxError, TokenError},
    exchange::{Beginning, Exchange, Reaction},
    outcome::{AuthOutcome, SkipReason},
    resend::Resend,
    sign::{CallerToken, cache_control, callers_token},
    token::Token,
    waiting::Login,
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
        reason: Option<PassReason>,
        /// What comes back must not reach another identity through a cache, for all that is known of it.
        private: bool,
    },
    /// The caller may have put a token of its own in the form.
    Reading {
        form: Box<UnreadForm<S, B>>,
    },
    Calling {
        #[pin]
        sent: F,
    },
    /// Boxed: the first bytes are mostly there with the head, and every request would carry the room for this.
    Peeking {
        held: Box<Peeking<R>>,
    },
    Renewing {
        login: Login,
        then: Then<S, B, R>,
    },
    /// The last answer is given up; the service gets ready for the next sending.
    Readying {
        resend: Box<Resend<S, B>>,
    },
    Done,
}

/// Why a request passes untouched to its site: what [`SkipReason`] calls by the same names. That has room for an error, which
/// every request would carry.
#[derive(Clone, Copy, Debug)]
pub(crate) enum PassReason {
    NoCredential,
    CallersToken,
    Exempt,
    NoIdentity,
}

impl From<PassReason> for SkipReason {
    fn from(reason: PassReason) -> Self {
        match reason {
            PassReason::NoCredential => Self::NoCredential,
            PassReason::CallersToken => Self::CallersToken,
            PassReason::Exempt => Self::Exempt,
            PassReason::NoIdentity => Self::NoIdentity,
        }
    }
}

/// An answer whose first bytes do not decide, or are not there yet.
struct Peeking<R: Body> {
    response: Response<ResponseBody<R>>,
    peek: Peek,
}

/// What waits for a login. Boxed, because a login is rare, and every request would carry the room for it.
enum Then<S, B, R: Body> {
    /// The first sending.
    Send(Box<Unsent<S, B>>),
    /// A further sending, or this answer if there is no token.
    Answer(Box<Response<ResponseBody<R>>>),
}

/// A form before it is read, and the service that is ready for it.
pub(crate) struct UnreadForm<S, B> {
    pub(crate) service: S,
    pub(crate) request: Request<FormReader<B>>,
}

/// A request before its first sending, and the service that is ready for it.
struct Unsent<S, B> {
    service: S,
    request: Request<UnsentBody<B>>,
    /// When it goes out without a token.
    limit: Pin<Box<Sleep>>,
}

enum UnsentBody<B> {
    /// As the caller made it.
    Whole(B),
    Read(ReadForm<B>),
}

impl<S, B, R> ResponseFuture<S, B, R>
where
    S: Service<Request<ReplayBody<B>>>,
    R: Body,
{
    #[inline]
    pub(crate) fn untouched(sent: S::Future, reason: Option<PassReason>, private: bool) -> Self {
        Self {
            state: State::Untouched {
                sent,
                reason,
                private,
            },
            exchange: None,
        }
    }

    pub(crate) fn reading(form: Box<UnreadForm<S, B>>, exchange: Exchange<S, B>) -> Self {
        Self {
            state: State::Reading { form },
            exchange: Some(exchange),
        }
    }

    #[inline]
    pub(crate) fn calling(sent: S::Future, exchange: Exchange<S, B>) -> Self {
        Self {
            state: State::Calling { sent },
            exchange: Some(exchange),
        }
    }

    pub(crate) fn logging_in(
        login: Login,
        service: S,
        request: Request<B>,
        exchange: Exchange<S, B>,
    ) -> Self {
        let request = request.map(UnsentBody::Whole);
        Self {
            state: State::Renewing {
                login,
                then: Then::Send(Unsent::boxed(service, request, &exchange)),
            },
            exchange: Some(exchange),
        }
    }
}

impl<S, B> Unsent<S, B> {
    fn boxed(service: S, request: Request<UnsentBody<B>>, exchange: &Exchange<S, B>) -> Box<Self> {
        let limit = tokio::time::sleep(exchange.session.settings.login_timeout);
        Box::new(Self {
            service,
            request,
            limit: Box::pin(limit),
        })
    }
}

impl<S, B> Unsent<S, B>
where
    S: Service<Request<ReplayBody<B>>>,
    B: Body,
{
    fn send(self, exchange: &mut Exchange<S, B>, token: Option<Arc<Token>>) -> S::Future {
        let Self {
            service, request, ..
        } = self;
        let (head, body) = request.into_parts();
        match body {
            UnsentBody::Whole(body) => {
                let request = Request::from_parts(head, body);
                exchange.send_first(service, request, token, ReplayBody::kept, ReplayBody::bare)
            }
            UnsentBody::Read(form) => {
                let request = Request::from_parts(head, form);
                send_form(exchange, service, request, token)
            }
        }
    }
}

fn send_form<S, B>(
    exchange: &mut Exchange<S, B>,
    service: S,
    request: Request<ReadForm<B>>,
    token: Option<Arc<Token>>,
) -> S::Future
where
    S: Service<Request<ReplayBody<B>>>,
{
    let keep = |form, _| ReplayBody::read_and_kept(form);
    exchange.send_first(service, request, token, keep, ReplayBody::read)
}

impl<S, B, R> Future for ResponseFuture<S, B, R>
where
    S: Service<Request<ReplayBody<B>>, Response = Response<R>> + Clone,
    B: Body + Unpin,
    B::Error: Into<BoxError>,
    R: Body + Unpin,
{
    type Output = Result<Response<ResponseBody<R>>, S::Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            let mut this = self.as_mut().project();
            match this.state.as_mut().project() {
                StateProjection::Calling { sent } => {
                    // Filled in once and changed in place from then on: moving it costs as much as looking at it.
                    let mut response = match ready!(sent.poll(context)) {
                        Ok(response) => response.map(ResponseBody::untouched),
                        Err(error) => return broke_off(this.exchange.as_ref(), error),
                    };
                    let Some(exchange) = this.exchange else {
                        return done();
                    };
                    let verdict = match exchange.look_at(&mut response, context) {
                        Begun::Decided(verdict) => verdict,
                        Begun::Waiting(peek) => {
                            let held = Box::new(Peeking { response, peek });
                            this.state.set(State::Peeking { held });
                            return Poll::Pending;
                        }
                    };
                    // The finished call goes first: it may hold a permit that the next sending needs.
                    this.state.set(State::Done);
                    match exchange.judge(&response, verdict) {
                        None => {
                            exchange.finish(&mut response);
                            *this.exchange = None;
                            return Poll::Ready(Ok(response));
                        }
                        Some(reaction) => this.state.set(after(reaction, response)),
                    }
                }
                StateProjection::Untouched {
                    sent,
                    reason,
                    private,
                } => {
                    let mut response = ready!(sent.poll(context))?.map(ResponseBody::untouched);
                    if *private {
                        cache_control::make_private(response.headers_mut());
                    }
                    if let Some(reason) = *reason {
                        tell_skip_reason(&mut response, reason.into());
                    }
                    this.state.set(State::Done);
                    return Poll::Ready(Ok(response));
                }
                _ => {
                    if let Some(output) = ready!(self.as_mut().poll_rare(context)) {
                        return Poll::Ready(output);
                    }
                }
            }
        }
    }
}

impl<S, B, R> ResponseFuture<S, B, R>
where
    S: Service<Request<ReplayBody<B>>, Response = Response<R>> + Clone,
    B: Body + Unpin,
    B::Error: Into<BoxError>,
    R: Body + Unpin,
{
    /// What few requests come to. `None` leads to another state, and not to an answer yet.
    // A function of its own, so that the states which all requests come to do not share its large stack frame.
    #[inline(never)]
    fn poll_rare(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<<Self as Future>::Output>> {
        let mut this = self.project();
        let (mut response, reaction) = match this.state.as_mut().project() {
            StateProjection::Reading { form } => {
                ready!(form.request.body_mut().poll_read(context));
                let StateOwned::Reading { form } = this.state.as_mut().project_replace(State::Done)
                else {
                    return done();
                };
                let Some(exchange) = this.exchange.as_mut() else {
                    return done();
                };
                let next = start_form(exchange, *form);
                this.state.set(next);
                return Poll::Ready(None);
            }
            StateProjection::Peeking { held } => {
                let Peeking { response, peek } = &mut **held;
                let verdict = ready!(peek.poll_verdict(response.body_mut(), context));
                let StateOwned::Peeking { held } = this.state.as_mut().project_replace(State::Done)
                else {
                    return done();
                };
                let Some(exchange) = this.exchange.as_mut() else {
                    return done();
                };
                let reaction = exchange.judge(&held.response, verdict);
                (held.response, reaction)
            }
            StateProjection::Renewing { login, then } => {
                let result = match Pin::new(login).poll(context) {
                    Poll::Ready(result) => result,
                    Poll::Pending => match then {
                        Then::Send(unsent) => {
                            ready!(unsent.limit.as_mut().poll(context));
                            Err(too_late())
                        }
                        Then::Answer(_) => return Poll::Pending,
                    },
                };
                let Some(exchange) = this.exchange.as_mut() else {
                    return done();
                };
                let StateOwned::Renewing { then, .. } =
                    this.state.as_mut().project_replace(State::Done)
                else {
                    return done();
                };
                match then {
                    Then::Send(unsent) => {
                        // Without a new one the old, past its end by the clock, is tried.
                        let token =
                            result.map_or_else(|reason| exchange.without_login(reason), Some);
                        let sent = unsent.send(exchange, token);
                        this.state.set(State::Calling { sent });
                        return Poll::Ready(None);
                    }
                    Then::Answer(answer) => {
                        let reaction = match result {
                            Ok(token) => exchange.logged_in(token),
                            Err(reason) => {
                                exchange.not_logged_in(reason);
                                None
                            }
                        };
                        (*answer, reaction)
                    }
                }
            }
            StateProjection::Readying { resend } => {
                if let Err(error) = ready!(resend.service.poll_ready(context)) {
                    return broke_off(this.exchange.as_ref(), error).map(Some);
                }
                let StateOwned::Readying { resend } =
                    this.state.as_mut().project_replace(State::Done)
                else {
                    return done();
                };
                let Resend {
                    mut service,
                    request,
                } = *resend;
                let sent = service.call(request);
                this.state.set(State::Calling { sent });
                return Poll::Ready(None);
            }
            StateProjection::Calling { .. } | StateProjection::Untouched { .. } => {
                return Poll::Ready(None);
            }
            StateProjection::Done => return done(),
        };
        if let Some(reaction) = reaction {
            this.state.set(after(reaction, response));
            return Poll::Ready(None);
        }
        let Some(exchange) = this.exchange.as_mut() else {
            return done();
        };
        exchange.finish(&mut response);
        *this.exchange = None;
        Poll::Ready(Some(Ok(response)))
    }
}

/// What an answer that is not handed up leads to.
fn after<S, B, R>(
    reaction: Reaction<S, B>,
    response: Response<ResponseBody<R>>,
) -> State<S, B, R, S::Future>
where
    S: Service<Request<ReplayBody<B>>>,
    R: Body,
{
    match reaction {
        // Its body may hold the connection or the permit that the next sending waits for: it goes first.
        Reaction::SendAgain(resend) => {
            drop(response);
            State::Readying { resend }
        }
        Reaction::LogIn(login) => State::Renewing {
            login,
            then: Then::Answer(Box::new(response)),
        },
    }
}

/// The inner service failed: its error is the answer.
#[cold]
fn broke_off<S, B, T, E>(exchange: Option<&Exchange<S, B>>, error: E) -> Poll<Result<T, E>> {
    if let Some(exchange) = exchange {
        exchange.broke_off();
    }
    Poll::Ready(Err(error))
}

/// A form has been read: it passes untouched if the caller put a token in it that counts.
fn start_form<S, B, R>(
    exchange: &mut Exchange<S, B>,
    form: UnreadForm<S, B>,
) -> State<S, B, R, S::Future>
where
    S: Service<Request<ReplayBody<B>>>,
    R: Body,
{
    let UnreadForm {
        mut service,
        request,
    } = form;
    let mut request = request.map(FormReader::into_form);
    let text = request.body().text();
    if let Some(text) = text.filter(|text| callers_token::form_has_token(text)) {
        if exchange.session.signing.caller_token == CallerToken::Keep {
            return State::Untouched {
                sent: service.call(request.map(ReplayBody::read)),
                reason: Some(PassReason::CallersToken),
                private: false,
            };
        }
        remove_from_form(&mut request, &text);
    }
    // One that failed, or is longer than it said, has none.
    let length = request.body().length();
    let length = length.map_or(BodyLength::Unknown, BodyLength::Known);
    match exchange.before_sending(request.uri(), length) {
        Beginning::Send(token) => State::Calling {
            sent: send_form(exchange, service, request, token),
        },
        Beginning::LogIn(login) => {
            let request = request.map(UnsentBody::Read);
            State::Renewing {
                login,
                then: Then::Send(Unsent::boxed(service, request, exchange)),
            }
        }
    }
}

/// Takes the caller's token off a form.
fn remove_from_form<B>(request: &mut Request<ReadForm<B>>, text: &[u8]) {
    if let Some(rest) = callers_token::form_without_token(text) {
        let length = HeaderValue::from(rest.len());
        request.headers_mut().insert(CONTENT_LENGTH, length);
        request.body_mut().replace(rest.into());
    }
}

fn tell_skip_reason<R: Body>(response: &mut Response<ResponseBody<R>>, reason: SkipReason) {
    let outcome = AuthOutcome {
        skip_reason: Some(reason),
        ..AuthOutcome::default()
    };
    response.extensions_mut().insert(outcome.clone());
    response.body_mut().set_outcome(outcome);
}

fn too_late() -> SkipReason {
    let error = TokenError::fault(
        "the login took longer than `login_timeout`; it goes on for the requests to come",
    );
    SkipReason::LoginFailed(error.timed_out())
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
