//! The transitions of a token store: one plain struct, no clock and no runtime of its own, so that every order of events
//! can be tested. [`TokenStore`](super::TokenStore) keeps it behind one lock and does what it says.
//!
//! ```text
//!              want                      landed
//!   no login ────────▶ login under way ──────────▶ no login, a newer token
//!      ▲                 │      ▲  │
//!      │  failed         │      └──┘ want: one waiter more
//!      └─────────────────┘
//!   back-off, or a refusal that the guard remembers: want is denied
//! ```

use std::sync::Arc;

use tokio::{sync::oneshot, task::AbortHandle, time::Instant};

use super::{backoff::Backoff, budget::LoginBudget};
use crate::{
    error::TokenError,
    outcome::SkipReason,
    token::{Freshness, Token, TokenReason},
};

/// What a waiting request is told.
pub(crate) type LoginResult = Result<Arc<Token>, SkipReason>;

/// What a request that wants a token does.
#[derive(Debug)]
pub(super) enum Step {
    /// There is a newer token than the one that failed: use it.
    Use(Arc<Token>),
    /// A login is under way: its result comes here.
    Wait(oneshot::Receiver<LoginResult>),
    /// None is: log in under this ticket, and wait for it like all others.
    Lead(Ticket, oneshot::Receiver<LoginResult>),
    /// No token is to be had now.
    Denied(SkipReason),
}

/// The right to log in once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ticket(u64);

#[derive(Debug, Default)]
pub(super) struct State {
    current: Option<Arc<Token>>,
    /// Tokens got so far.
    generation: u64,
    tickets: u64,
    login: Option<Login>,
    backoff: Backoff,
    pub(super) budget: LoginBudget,
    /// Sign-outs that the source has yet to hear of: no login is made meanwhile.
    signing_out: u32,
}

/// A login under way.
#[derive(Debug)]
struct Login {
    ticket: Ticket,
    waiters: Vec<oneshot::Sender<LoginResult>>,
    task: Option<AbortHandle>,
}

/// Those who waited for a login, to be told once the store's lock is free: a waker may poll at once.
#[must_use]
#[derive(Debug)]
pub(super) struct Waiters {
    waiters: Vec<oneshot::Sender<LoginResult>>,
    result: LoginResult,
}

impl Waiters {
    pub(super) fn tell(self) {
        for waiter in self.waiters {
            // A waiter that hung up needs no answer.
            let _ = waiter.send(self.result.clone());
        }
    }
}

impl State {
    /// A request wants a token because of `reason`; `failed` is the generation it was signed with, if it was signed, and
    /// `refusal` what the guard remembers of this session's logins.
    pub(super) fn want(
        &mut self,
        failed: Option<u64>,
        reason: TokenReason,
        refusal: Option<TokenError>,
        now: Instant,
    ) -> Step {
        // Requests in flight with a dead token come back one after another, long after the new one arrived.
        let newer = self
            .current
            .as_ref()
            .filter(|current| failed != Some(current.generation()));
        if let Some(current) = newer {
            let is_dying = current.is_rejected() && self.login.is_some();
            if !is_dying && current.freshness() != Freshness::PastEnd {
                return Step::Use(Arc::clone(current));
            }
        }
        let (sender, receiver) = oneshot::channel();
        if let Some(login) = &mut self.login {
            // A caller that hung up leaves its sender behind; drop those before the list grows.
            if login.waiters.len() == login.waiters.capacity() {
                login.waiters.retain(|waiter| !waiter.is_closed());
            }
            login.waiters.push(sender);
            return Step::Wait(receiver);
        }
        if let Some(denied) = self.denial(reason, refusal, now) {
            return Step::Denied(denied);
        }
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        self.login = Some(Login {
            ticket,
            waiters: vec![sender],
            task: None,
        });
        Step::Lead(ticket, receiver)
    }

    /// Why no login is made now for this reason.
    pub(super) fn denial(
        &self,
        reason: TokenReason,
        refusal: Option<TokenError>,
        now: Instant,
    ) -> Option<SkipReason> {
        if self.signing_out > 0 {
            return Some(SkipReason::SignedOut);
        }
        if let Some(refusal) = refusal {
            return Some(SkipReason::LoginRefused(refusal));
        }
        if reason != TokenReason::Forced {
            if let Some(error) = self.backoff.error(now) {
                return Some(SkipReason::LoginFailed(error.clone()));
            }
        }
        (reason.is_challenge() && self.budget.is_empty(now)).then_some(SkipReason::LoginBudgetSpent)
    }

    pub(super) fn is_logging_in(&self) -> bool {
        self.login.is_some()
    }

    pub(super) fn next_generation(&self) -> u64 {
        self.generation + 1
    }

    /// The login under `ticket` runs in this task. False where it does not count any more: a sign-out came since.
    pub(super) fn set_task(&mut self, ticket: Ticket, task: AbortHandle) -> bool {
        let login = self.login.as_mut().filter(|login| login.ticket == ticket);
        login.map(|login| login.task = Some(task)).is_some()
    }

    /// The login under `ticket` gave a token. Returns it for the lock-free cell, and those who wait; `None` if the ticket is
    /// void.
    pub(super) fn landed(&mut self, ticket: Ticket, token: Token) -> Option<(Arc<Token>, Waiters)> {
        let login = self.login.take_if(|login| login.ticket == ticket)?;
        let token = Arc::new(token);
        self.generation += 1;
        self.backoff.reset();
        self.current = Some(Arc::clone(&token));
        let waiters = Waiters {
            waiters: login.waiters,
            result: Ok(Arc::clone(&token)),
        };
        Some((token, waiters))
    }

    /// The login under `ticket` failed; `None` if the ticket is void. `jitter` is a number from 0 to 1. The current token,
    /// if there is one, stays: a failed refresh never displaces it.
    pub(super) fn failed(
        &mut self,
        ticket: Ticket,
        error: TokenError,
        jitter: f64,
        now: Instant,
    ) -> Option<Waiters> {
        let login = self.login.take_if(|login| login.ticket == ticket)?;
        let reason = if error.is_refused() {
            // The token service works: the guard remembers what it said.
            self.backoff.reset();
            SkipReason::LoginRefused(error)
        } else {
            let paused = self.backoff.failed(error.clone(), jitter, now);
            // Those who waited for a wrong answer got one; the others are as those who come now.
            SkipReason::LoginFailed(if error.is_unanswered() {
                paused.clone()
            } else {
                error
            })
        };
        Some(Waiters {
            waiters: login.waiters,
            result: Err(reason),
        })
    }

    /// Forgets the token, and gives up the login under way. No other is made until [`told`](Self::told).
    pub(super) fn sign_out(&mut self) -> Option<(Waiters, Option<AbortHandle>)> {
        self.signing_out += 1;
        self.current = None;
        self.backoff.reset();
        let login = self.login.take()?;
        let waiters = Waiters {
            waiters: login.waiters,
            result: Err(SkipReason::SignedOut),
        };
        Some((waiters, login.task))
    }

    /// The source has heard of a sign-out, or cannot.
    pub(super) fn told(&mut self) {
        self.signing_out -= 1;
    }
}

#[cfg(test)]
mod tests;
