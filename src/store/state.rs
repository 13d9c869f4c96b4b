//! The store's transitions: one plain struct, no clock and no runtime of its own, so that every order of events can
//! be tested. [`TokenStore`](super::TokenStore) keeps it behind one lock and does what it says.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::{sync::oneshot, time::Instant};

use crate::{error::TokenError, outcome::Withheld, source::TokenReason, token::Token};

/// ArcGIS Server's built-in store and Portal lock an account for 15 minutes after 5 failed logins in 15 minutes.
pub(crate) const REFUSAL_REMEMBERED: Duration = Duration::from_secs(15 * 60);
/// How long a service that refuses this account is left alone.
pub(crate) const SERVICE_REMEMBERED: Duration = Duration::from_secs(5 * 60);
/// The first pause after a login that bore no fruit, and after a broken token service.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_FRUITLESS_PAUSE: Duration = Duration::from_secs(5 * 60);
/// A token service that was down for an hour is found well again within two minutes.
const LONGEST_FAULT_PAUSE: Duration = Duration::from_secs(2 * 60);
/// Bounds the memory a hostile mix of paths can take.
const MOST_SERVICES: usize = 1024;

/// What a waiting request is told.
pub(crate) type LoginResult = Result<Arc<Token>, Withheld>;

/// What a request that wants a token should do.
#[derive(Debug)]
pub(crate) enum Step {
    /// There is a newer token than the one that failed: use it.
    Use(Arc<Token>),
    /// A login is under way: its result comes here.
    Wait(oneshot::Receiver<LoginResult>),
    /// Nobody is logging in: do it, under this ticket, and wait for it like everyone else.
    Lead(Ticket, oneshot::Receiver<LoginResult>),
    /// No token is to be had now.
    Denied(Withheld),
}

/// The right to log in once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ticket(u64);

#[derive(Debug, Default)]
pub(crate) struct State {
    current: Option<Arc<Token>>,
    logins: u64,
    flight: Option<Flight>,
    tickets: u64,
    hold_off: Option<HoldOff>,
    faults: u32,
    fruitless: Option<Fruitless>,
    services: HashMap<String, RefusedService>,
}

#[derive(Debug)]
struct Flight {
    ticket: Ticket,
    waiters: Vec<oneshot::Sender<LoginResult>>,
}

/// No login before `until`, because the last one failed.
#[derive(Debug)]
struct HoldOff {
    until: Instant,
    error: TokenError,
}

/// Logins since a signed request last came back clean.
#[derive(Debug)]
struct Fruitless {
    logins: u32,
    until: Instant,
}

#[derive(Debug)]
struct RefusedService {
    until: Instant,
    strikes: u32,
}

impl State {
    /// A request wants a token because of `reason`; `failed` is the generation it was signed with, if it was signed.
    pub(crate) fn want(&mut self, failed: Option<u64>, reason: TokenReason, now: Instant) -> Step {
        if let Some(current) = &self.current {
            // Requests in flight with a dead token come back one after another, long after the new one arrived.
            if failed != Some(current.generation()) {
                return Step::Use(Arc::clone(current));
            }
        }
        if let Some(flight) = &mut self.flight {
            let (sender, receiver) = oneshot::channel();
            // A caller that hung up leaves its sender behind; drop those before the list grows.
            if flight.waiters.len() == flight.waiters.capacity() {
                flight.waiters.retain(|waiter| !waiter.is_closed());
            }
            flight.waiters.push(sender);
            return Step::Wait(receiver);
        }
        if let Some(denied) = self.denial(reason, now) {
            return Step::Denied(denied);
        }
        let (sender, receiver) = oneshot::channel();
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        self.flight = Some(Flight {
            ticket,
            waiters: vec![sender],
        });
        Step::Lead(ticket, receiver)
    }

    fn denial(&self, reason: TokenReason, now: Instant) -> Option<Withheld> {
        if let Some(hold_off) = self.hold_off.as_ref().filter(|held| now < held.until) {
            let error = hold_off.error.clone();
            return Some(if error.is_refused() {
                Withheld::LoginRefused(error)
            } else {
                Withheld::TokenServiceFault(error)
            });
        }
        // A token that ran out by the clock says nothing of whether logins bear fruit.
        let fruitless = self.fruitless.as_ref();
        if reason == TokenReason::Rejected && fruitless.is_some_and(|pause| now < pause.until) {
            return Some(Withheld::FruitlessLogins);
        }
        None
    }

    /// Whether a login would be refused out of hand now: then a copy of the request would be kept for nothing.
    pub(crate) fn login_is_refused(&self, now: Instant) -> Option<TokenError> {
        self.hold_off
            .as_ref()
            .filter(|hold_off| hold_off.error.is_refused() && now < hold_off.until)
            .map(|hold_off| hold_off.error.clone())
    }

    pub(crate) fn next_generation(&self) -> u64 {
        self.logins + 1
    }

    /// The login under `ticket` gave a token. Returns it for the lock-free cell; `None` if the ticket is void.
    pub(crate) fn landed(
        &mut self,
        ticket: Ticket,
        token: Token,
        now: Instant,
    ) -> Option<Arc<Token>> {
        let flight = self.flight.take_if(|flight| flight.ticket == ticket)?;
        let token = Arc::new(token);
        self.logins += 1;
        self.hold_off = None;
        self.faults = 0;
        let logins = self
            .fruitless
            .as_ref()
            .map_or(0, |fruitless| fruitless.logins)
            + 1;
        self.fruitless = Some(Fruitless {
            logins,
            until: now + doubled(FIRST_PAUSE, logins - 1, LONGEST_FRUITLESS_PAUSE),
        });
        self.current = Some(Arc::clone(&token));
        for waiter in flight.waiters {
            // A waiter that hung up needs no token.
            let _ = waiter.send(Ok(Arc::clone(&token)));
        }
        Some(token)
    }

    /// The login under `ticket` failed. `jitter` is a number from 0 to 1 that spreads the retries of many machines.
    /// The current token, if there is one, stays: a failed refresh never displaces it.
    pub(crate) fn failed(&mut self, ticket: Ticket, error: TokenError, now: Instant, jitter: f64) {
        let Some(flight) = self.flight.take_if(|flight| flight.ticket == ticket) else {
            return;
        };
        let (pause, withheld) = if error.is_refused() {
            self.faults = 0;
            (REFUSAL_REMEMBERED, Withheld::LoginRefused(error.clone()))
        } else {
            let pause = doubled(FIRST_PAUSE, self.faults, LONGEST_FAULT_PAUSE);
            self.faults = self.faults.saturating_add(1);
            (
                pause.mul_f64(0.5 + 0.5 * jitter.clamp(0.0, 1.0)),
                Withheld::TokenServiceFault(error.clone()),
            )
        };
        self.hold_off = Some(HoldOff {
            until: now + pause,
            error,
        });
        for waiter in flight.waiters {
            // As above: whoever hung up needs no answer.
            let _ = waiter.send(Err(withheld.clone()));
        }
    }

    /// A request signed with `generation` came back clean: logins bear fruit.
    pub(crate) fn proven(&mut self, generation: u64) {
        if self
            .current
            .as_ref()
            .is_some_and(|current| current.generation() == generation)
        {
            self.fruitless = None;
        }
    }

    /// `service` challenged a second time, after the request was signed with a token of this moment. Told `invalid`
    /// where it called that token invalid: that may as well be the next revocation, so it is believed only by and by.
    pub(crate) fn service_refused(&mut self, service: &str, invalid: bool, now: Instant) {
        if self.services.len() >= MOST_SERVICES && !self.services.contains_key(service) {
            self.services.retain(|_, refused| now < refused.until);
            if self.services.len() >= MOST_SERVICES {
                self.services.clear();
            }
        }
        let refused = self
            .services
            .entry(service.to_owned())
            .or_insert(RefusedService {
                until: now,
                strikes: 0,
            });
        let pause = if invalid {
            doubled(FIRST_PAUSE, refused.strikes, SERVICE_REMEMBERED)
        } else {
            SERVICE_REMEMBERED
        };
        refused.strikes = refused.strikes.saturating_add(1);
        refused.until = now + pause;
    }

    /// Whether challenges of `service` go up without a login now.
    pub(crate) fn is_refused_service(&self, service: &str, now: Instant) -> bool {
        self.services
            .get(service)
            .is_some_and(|refused| now < refused.until)
    }

    /// `service` answered a signed request cleanly. Returns whether any service is still remembered.
    pub(crate) fn service_clean(&mut self, service: &str) -> bool {
        self.services.remove(service);
        !self.services.is_empty()
    }
}

/// `first`, doubled `times` times, at most `longest`.
fn doubled(first: Duration, times: u32, longest: Duration) -> Duration {
    1u32.checked_shl(times)
        .and_then(|factor| first.checked_mul(factor))
        .map_or(longest, |pause| pause.min(longest))
}
