//! A call whose answer's outcome is complete: answers to requests that went unsigned for want of an identity or a
//! credential are looked at as well.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::Response;
use http_body::Body;
use pin_project::pin_project;

use super::AuthFailure;
use crate::{
    body::{Begun, Peek, ResponseBody},
    challenge::{Challenge, Noted, RequestFacts, Verdict},
    outcome::{AuthOutcome, SkipReason},
};

/// A call of the layer's service, up to its answer and what that failed by.
#[pin_project]
pub(super) struct Judged<F, R: Body> {
    #[pin]
    state: State<F, R>,
    is_head: bool,
}

#[pin_project(project = StateProjection, project_replace = StateOwned)]
enum State<F, R: Body> {
    Calling {
        #[pin]
        sent: F,
    },
    Peeking {
        held: Box<(Response<ResponseBody<R>>, Peek)>,
    },
    Done,
}

impl<F, R: Body> Judged<F, R> {
    pub(super) fn new(sent: F, is_head: bool) -> Self {
        Self {
            state: State::Calling { sent },
            is_head,
        }
    }

    pub(super) fn is_head(&self) -> bool {
        self.is_head
    }
}

type Answered<R> = (Response<ResponseBody<R>>, Option<AuthFailure>);

impl<F, R, E> Future for Judged<F, R>
where
    F: Future<Output = Result<Response<ResponseBody<R>>, E>>,
    R: Body + Unpin,
{
    type Output = Result<Answered<R>, E>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let (mut response, verdict) = match this.state.as_mut().project() {
            StateProjection::Calling { sent } => {
                let mut response = ready!(sent.poll(context))?;
                if !is_unseen(response.body().outcome()) {
                    this.state.set(State::Done);
                    let failure = AuthFailure::of(response.body().outcome());
                    return Poll::Ready(Ok((response, failure)));
                }
                let noted = Noted::of(response.headers());
                let facts = RequestFacts {
                    head: *this.is_head,
                    token: false,
                };
                match Peek::begin(&mut response, noted, facts, context) {
                    Begun::Decided(verdict) => (response, verdict),
                    Begun::Waiting(peek) => {
                        let held = Box::new((response, peek));
                        this.state.set(State::Peeking { held });
                        return Poll::Pending;
                    }
                }
            }
            StateProjection::Peeking { held } => {
                let (response, peek) = &mut **held;
                let verdict = ready!(peek.poll_verdict(response.body_mut(), context));
                match this.state.as_mut().project_replace(State::Done) {
                    StateOwned::Peeking { held } => (held.0, verdict),
                    _ => return done(),
                }
            }
            StateProjection::Done => return done(),
        };
        this.state.set(State::Done);
        if let Verdict::Challenge(challenge) = verdict {
            returned(&mut response, challenge);
        }
        let failure = AuthFailure::of(response.body().outcome());
        Poll::Ready(Ok((response, failure)))
    }
}

/// Whether the layer let the answer pass unseen, though its challenge is not the caller's own matter.
fn is_unseen(outcome: &AuthOutcome) -> bool {
    matches!(
        outcome.skip_reason(),
        Some(SkipReason::NoCredential | SkipReason::NoIdentity)
    )
}

fn returned<R: Body>(response: &mut Response<ResponseBody<R>>, challenge: Challenge) {
    let mut outcome = response.body().outcome().clone();
    outcome.challenge = Some(challenge);
    outcome.returned_challenge = Some(challenge);
    response.extensions_mut().insert(outcome.clone());
    response.body_mut().set_outcome(outcome);
}

/// Polled after it was ready, which the contract of `Future` forbids.
#[allow(
    clippy::panic,
    reason = "a bug of the caller's, as in every other future"
)]
fn done<T>() -> Poll<T> {
    panic!("the future of a failure's layer polled after completion")
}
