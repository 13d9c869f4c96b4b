//! The store's transitions: one plain struct, no clock and no runtime of its own, so that every order of events can
//! be tested. [`TokenStore`](super::TokenStore) keeps it behind one lock and does what it says.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::{runtime::Id, sync::oneshot, task::AbortHandle, time::Instant};

use crate::{
    error::TokenError,
    login::Unanswered,
    outcome::SkipReason,
    token::{Freshness, Token, TokenReason, TokenRequest},
    url::ServiceKey,
};

/// ArcGIS Server's built-in store and Portal lock an account for 15 minutes after 5 failed logins in 15 minutes.
pub(crate) const REFUSAL_REMEMBERED: Duration = Duration::from_secs(15 * 60);
/// How long a service that refuses this account is left alone.
pub(crate) const SERVICE_REMEMBERED: Duration = Duration::from_secs(5 * 60);
/// How often a refused credential is compared with what there is now: it may be read from a file.
const CREDENTIAL_LOOKED_AT: Duration = Duration::from_secs(1);
/// The first pause after a login that bore no fruit, and after a broken token service.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_FRUITLESS_PAUSE: Duration = Duration::from_secs(5 * 60);
/// Logins for services that then challenge again pause no longer than this: meanwhile a server that says 499 for a dead
/// token too does not heal.
const LONGEST_VAIN_PAUSE: Duration = Duration::from_secs(30);
/// A token service that was down for an hour is found well again within two minutes.
const LONGEST_FAULT_PAUSE: Duration = Duration::from_secs(2 * 60);
/// Bounds the memory a hostile mix of paths can take.
const MOST_SERVICES: usize = 1024;

/// What a waiting request is told.
pub(crate) type LoginResult = Result<Arc<Token>, SkipReason>;

/// What a request that wants a token should do.
#[derive(Debug)]
pub(crate) enum Step {
    /// There is a newer token than the one that failed: use it.
    Use(Arc<Token>),
    /// A login is under way: its result comes here. Whoever gets a ticket with it is on another runtime than the login,
    /// and watches from there that it ends in time.
    Wait(oneshot::Receiver<LoginResult>, Option<(Ticket, Instant)>),
    /// Nobody is logging in: do it, under this ticket, and wait for it like everyone else.
    Lead(Ticket, oneshot::Receiver<LoginResult>),
    /// No token is to be had now.
    Denied(SkipReason),
}

/// Who wants a token.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asker {
    /// Where it runs, if that is tokio.
    pub(crate) runtime: Option<Id>,
    /// How long a login it begins may take.
    pub(crate) patience: Duration,
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
    unanswered: Unanswered,
    /// The ticket of the last login that gave a token.
    landed: u64,
    fruitless: Option<Fruitless>,
    vain: Option<Vain>,
    services: HashMap<ServiceKey, RefusedService>,
    /// Until when, at the latest, those will be done who are about to tell the source that somebody signs out: no login is
    /// made meanwhile.
    signing_out: HashMap<u64, Instant>,
    sign_outs: u64,
    /// Who waited for a login that was given up, to be dropped once the store's lock is free.
    abandoned: Vec<oneshot::Sender<LoginResult>>,
}

#[derive(Debug)]
struct Flight {
    ticket: Ticket,
    waiters: Vec<oneshot::Sender<LoginResult>>,
    /// When it is given up: its runtime may have stopped without a word.
    deadline: Instant,
    runtime: Option<Id>,
    /// Where somebody watches it: such a runtime may stop as well.
    watched_on: Vec<Id>,
    reason: TokenReason,
    login: Option<Login>,
}

/// A login's task, and what its source was told.
#[derive(Debug)]
struct Login {
    task: AbortHandle,
    request: TokenRequest,
}

/// No login before `until`, because the last one failed.
#[derive(Debug)]
struct HoldOff {
    until: Instant,
    error: TokenError,
    /// Of the credential that failed.
    fingerprint: Option<u64>,
    /// When it is next worth looking whether the credential has changed.
    look_at: Instant,
}

/// A refusal in force.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) error: TokenError,
    /// The fingerprint of the refused credential, where it is time to compare.
    pub(crate) compare: Option<u64>,
}

/// Logins since a signed request last came back clean.
#[derive(Debug)]
struct Fruitless {
    logins: u32,
    until: Instant,
}

/// Logins for a 499 after which the service challenged again, and none of which helped.
#[derive(Debug)]
struct Vain {
    logins: u32,
    until: Instant,
}

#[derive(Debug)]
struct RefusedService {
    until: Instant,
    strikes: u32,
    /// It calls every token invalid, as against asking for one.
    invalid: bool,
}

/// What a sign-out leaves to be done.
#[must_use]
#[derive(Debug)]
pub(crate) struct SignedOut {
    pub(crate) number: u64,
    /// Those who wait for a login that was under way, and its task.
    pub(crate) ended: Option<(Waiters, Option<AbortHandle>)>,
}

/// Those who waited for a login, to be told once the store's lock is free: a waker may poll at once.
#[must_use]
#[derive(Debug)]
pub(crate) struct Waiters {
    waiters: Vec<oneshot::Sender<LoginResult>>,
    result: LoginResult,
}

impl Waiters {
    pub(crate) fn tell(self) {
        for waiter in self.waiters {
            // A waiter that hung up needs no answer.
            let _ = waiter.send(self.result.clone());
        }
    }
}

impl State {
    /// A request wants a token because of `reason`; `failed` is the generation it was signed with, if it was signed.
    pub(crate) fn want(
        &mut self,
        failed: Option<u64>,
        reason: TokenReason,
        asker: Asker,
        now: Instant,
    ) -> Step {
        // Requests in flight with a dead token come back one after another, long after the new one arrived.
        let newer = self
            .current
            .as_ref()
            .filter(|current| failed != Some(current.generation()));
        if let Some(current) = newer {
            let is_dying = current.is_rejected() && self.flight.is_some();
            if !is_dying && current.freshness() != Freshness::PastEnd {
                return Step::Use(Arc::clone(current));
            }
        }
        if let Some(given_up) = self.flight.take_if(|flight| flight.deadline <= now) {
            self.learn_of_given_up(&given_up, now);
            self.abandoned.extend(given_up.waiters);
        }
        if let Some(flight) = &mut self.flight {
            let (sender, receiver) = oneshot::channel();
            // A caller that hung up leaves its sender behind; drop those before the list grows.
            if flight.waiters.len() == flight.waiters.capacity() {
                flight.waiters.retain(|waiter| !waiter.is_closed());
            }
            flight.waiters.push(sender);
            let elsewhere = asker.runtime.filter(|asker| {
                flight.runtime != Some(*asker) && !flight.watched_on.contains(asker)
            });
            flight.watched_on.extend(elsewhere);
            let watch = elsewhere.map(|_| (flight.ticket, flight.deadline));
            return Step::Wait(receiver, watch);
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
            deadline: now + asker.patience,
            runtime: asker.runtime,
            watched_on: Vec::new(),
            reason,
            login: None,
        });
        Step::Lead(ticket, receiver)
    }

    fn denial(&self, reason: TokenReason, now: Instant) -> Option<SkipReason> {
        if self.signing_out.values().any(|until| now < *until) {
            return Some(SkipReason::SignedOut);
        }
        let is_ordered = reason == TokenReason::Forced;
        let hold_off = self
            .hold_off
            .as_ref()
            .filter(|held| now < held.until && (held.error.is_refused() || !is_ordered));
        if let Some(hold_off) = hold_off {
            let error = hold_off.error.clone().remembered();
            return Some(if error.is_refused() {
                SkipReason::LoginRefused(error)
            } else {
                SkipReason::LoginFailed(error)
            });
        }
        if let Some(error) = self.unanswered.denial(now) {
            return Some(SkipReason::LoginFailed(error));
        }
        let fruitless = self.fruitless.as_ref();
        let vain = self
            .vain
            .as_ref()
            .filter(|_| reason == TokenReason::RequiredDespiteToken);
        if fruitless.is_some_and(|pause| now < pause.until && !is_ordered)
            || vain.is_some_and(|pause| now < pause.until)
        {
            return Some(SkipReason::LoginBudgetSpent);
        }
        None
    }

    /// Why no login would be made now for a token that is missing, and whether one is under way.
    pub(crate) fn outlook(&self, now: Instant) -> (Option<SkipReason>, bool) {
        (
            self.denial(TokenReason::Missing, now),
            self.flight.is_some(),
        )
    }

    /// Whether a login would be refused out of hand now: then a copy of the request would be kept for nothing.
    pub(crate) fn login_is_refused(&mut self, now: Instant) -> Option<Refusal> {
        let hold_off = self
            .hold_off
            .as_mut()
            .filter(|hold_off| hold_off.error.is_refused() && now < hold_off.until)?;
        let is_due = hold_off.look_at <= now;
        if is_due {
            hold_off.look_at = now + CREDENTIAL_LOOKED_AT;
        }
        Some(Refusal {
            error: hold_off.error.clone(),
            compare: is_due.then_some(hold_off.fingerprint).flatten(),
        })
    }

    /// The fingerprint of the credential refused last, if that still counts.
    pub(crate) fn refused_fingerprint(&self) -> Option<u64> {
        let hold_off = self.hold_off.as_ref()?;
        hold_off.fingerprint.filter(|_| hold_off.error.is_refused())
    }

    /// The credential is another than the one of this fingerprint, which was refused.
    pub(crate) fn lift_refusal(&mut self, refused: u64) {
        self.hold_off.take_if(|hold_off| {
            hold_off.error.is_refused() && hold_off.fingerprint == Some(refused)
        });
    }

    pub(crate) fn next_generation(&self) -> u64 {
        self.logins + 1
    }

    /// The login under `ticket` gave a token. Returns it for the lock-free cell, and those who wait; `None` if the
    /// ticket is void.
    pub(crate) fn landed(
        &mut self,
        ticket: Ticket,
        token: Token,
        now: Instant,
    ) -> Option<(Arc<Token>, Waiters)> {
        let flight = self.flight.take_if(|flight| flight.ticket == ticket)?;
        let token = Arc::new(token);
        self.logins += 1;
        self.hold_off = None;
        self.faults = 0;
        self.unanswered = Unanswered::default();
        self.landed = ticket.0;
        // A login somebody orders needs no request to bear fruit.
        if flight.reason != TokenReason::Forced {
            self.count_fruitless(now);
        }
        self.current = Some(Arc::clone(&token));
        let waiters = Waiters {
            waiters: flight.waiters,
            result: Ok(Arc::clone(&token)),
        };
        Some((token, waiters))
    }

    /// The login under `ticket` failed; `None` if the ticket is void. `jitter` is a number from 0 to 1 that spreads the
    /// retries of many machines. The current token, if there is one, stays: a failed refresh never displaces it.
    pub(crate) fn failed(
        &mut self,
        ticket: Ticket,
        error: TokenError,
        fingerprint: Option<u64>,
        now: Instant,
        jitter: f64,
    ) -> Option<Waiters> {
        // Those that somebody has signed out of as well: the token service counts them.
        if error.is_unanswered() {
            self.unanswered.add(ticket.0, now);
        }
        let Some(flight) = self.flight.take_if(|flight| flight.ticket == ticket) else {
            if error.is_refused() && !error.is_not_given() && self.landed < ticket.0 {
                self.hold_off_after(error, fingerprint, now, jitter);
            }
            return None;
        };
        let skip_reason = self.hold_off_after(error, fingerprint, now, jitter);
        Some(Waiters {
            waiters: flight.waiters,
            result: Err(skip_reason),
        })
    }

    /// Whoever waited for the login under `ticket` gives it up; `None` if the ticket is void.
    pub(crate) fn given_up(
        &mut self,
        ticket: Ticket,
        error: TokenError,
        now: Instant,
    ) -> Option<Waiters> {
        let flight = self.flight.as_ref();
        let flight = flight.filter(|flight| flight.ticket == ticket)?;
        let (error, used) = match &flight.login {
            Some(login) => (
                login.request.broken_off(error),
                login.request.fate().used_hash(),
            ),
            None => (error, None),
        };
        self.failed(ticket, error, used, now, 0.0)
    }

    /// Should it end after all, it is not counted again.
    fn learn_of_given_up(&mut self, flight: &Flight, now: Instant) {
        let Some(login) = &flight.login else {
            return;
        };
        let fate = login.request.fate();
        if fate.is_unanswered() {
            self.unanswered.add(flight.ticket.0, now);
        } else if let Some(refusal) = fate.refusal().filter(|refusal| !refusal.is_not_given()) {
            self.hold_off_after(refusal, fate.used_hash(), now, 0.0);
        }
    }

    /// Those to be dropped once the store's lock is free: that tells them.
    pub(crate) fn abandoned(&mut self) -> Vec<oneshot::Sender<LoginResult>> {
        std::mem::take(&mut self.abandoned)
    }

    /// No login is made for a while because of `error`.
    fn hold_off_after(
        &mut self,
        error: TokenError,
        fingerprint: Option<u64>,
        now: Instant,
        jitter: f64,
    ) -> SkipReason {
        let longest = now + REFUSAL_REMEMBERED;
        let (until, skip_reason) = if error.is_refused() {
            self.faults = 0;
            let until = error
                .remembered_until()
                .map_or(longest, |until| until.min(longest));
            // Whoever it is handed on to remembers it no longer than it is remembered here.
            let error = error.clone().remember_until(until);
            (until, SkipReason::LoginRefused(error))
        } else {
            let pause = doubled(FIRST_PAUSE, self.faults, LONGEST_FAULT_PAUSE);
            self.faults = self.faults.saturating_add(1);
            let until = now + pause.mul_f64(0.5 + 0.5 * jitter.clamp(0.0, 1.0));
            (until, SkipReason::LoginFailed(error))
        };
        // A refusal that came late says more than a fault that came later.
        let is_refused = self.is_refused_at(now);
        if let Some(error) = skip_reason.token_error() {
            if error.is_refused() || !is_refused {
                self.hold_off = Some(HoldOff {
                    until,
                    error: error.clone(),
                    fingerprint,
                    look_at: now,
                });
            }
        }
        skip_reason
    }

    /// The login under `ticket` runs in this task.
    /// Returns whether it still counts.
    pub(crate) fn set_login(
        &mut self,
        ticket: Ticket,
        task: AbortHandle,
        request: TokenRequest,
    ) -> bool {
        let flight = self.flight.as_mut();
        let flight = flight.filter(|flight| flight.ticket == ticket);
        let login = Login { task, request };
        flight.map(|flight| flight.login = Some(login)).is_some()
    }

    fn count_fruitless(&mut self, now: Instant) {
        let fruitless = self.fruitless.as_ref();
        let logins = fruitless.map_or(0, |fruitless| fruitless.logins) + 1;
        // One token may well be revoked before it is of use; two in a row are a pattern.
        let pause = match logins {
            1 => Duration::ZERO,
            _ => doubled(FIRST_PAUSE, logins - 2, LONGEST_FRUITLESS_PAUSE),
        };
        self.fruitless = Some(Fruitless {
            logins,
            until: now + pause,
        });
    }

    /// Forgets all but what the token service has not forgotten either: refused logins, and those that may count as
    /// such. No login is made until [`signed_out`](Self::signed_out), or `until` then.
    pub(crate) fn sign_out(&mut self, until: Instant, now: Instant) -> SignedOut {
        let before = std::mem::take(self);
        self.logins = before.logins;
        self.tickets = before.tickets;
        self.unanswered = before.unanswered;
        self.hold_off = before.hold_off.filter(|hold_off| {
            let error = &hold_off.error;
            error.is_refused() && !error.is_not_given()
        });
        self.landed = before.landed;
        self.abandoned = before.abandoned;
        self.sign_outs = before.sign_outs + 1;
        self.signing_out = before.signing_out;
        self.signing_out.insert(self.sign_outs, until);
        let ended = before.flight.map(|flight| {
            self.learn_of_given_up(&flight, now);
            let waiters = Waiters {
                waiters: flight.waiters,
                result: Err(SkipReason::SignedOut),
            };
            (waiters, flight.login.map(|login| login.task))
        });
        SignedOut {
            number: self.sign_outs,
            ended,
        }
    }

    /// The source has been told of the sign-out of this number, or cannot be.
    pub(crate) fn signed_out(&mut self, number: u64) {
        self.signing_out.remove(&number);
    }

    pub(crate) fn is_refused_at(&self, now: Instant) -> bool {
        self.is_refused() && self.hold_off.as_ref().is_some_and(|held| now < held.until)
    }

    pub(crate) fn is_refused(&self) -> bool {
        let hold_off = self.hold_off.as_ref();
        hold_off.is_some_and(|hold_off| hold_off.error.is_refused())
    }

    /// Whether a login is under way, or must not be made for a while: then the state must not be lost.
    pub(crate) fn is_worth_keeping(&self, now: Instant) -> bool {
        self.flight.is_some()
            || self.unanswered.is_any(now)
            || self
                .hold_off
                .as_ref()
                .is_some_and(|hold_off| now < hold_off.until)
    }

    /// A request signed with `generation` came back clean: logins bear fruit. A token that has been replaced since
    /// counts as well, if it came after the last one known to work.
    pub(crate) fn proven(&mut self, generation: u64) {
        let unproven = self
            .fruitless
            .as_ref()
            .map_or(0, |fruitless| u64::from(fruitless.logins));
        if generation + unproven > self.logins {
            self.fruitless = None;
        }
    }

    /// A login made for a 499 was the cure.
    pub(crate) fn cured(&mut self) {
        self.vain = None;
    }

    /// `service` challenged a second time, after a fresh login. Told `invalid` where it called that token invalid: that
    /// may as well be the next revocation, so it is believed only by and by.
    pub(crate) fn service_refused(&mut self, service: ServiceKey, invalid: bool, now: Instant) {
        if !invalid {
            let logins = self.vain.as_ref().map_or(0, |vain| vain.logins) + 1;
            // The first says nothing yet: most sites have some service that this account may not see.
            let pause = match logins {
                1 => Duration::ZERO,
                _ => doubled(FIRST_PAUSE, logins - 2, LONGEST_VAIN_PAUSE),
            };
            let until = now + pause;
            self.vain = Some(Vain { logins, until });
        }
        if self.services.len() >= MOST_SERVICES && !self.services.contains_key(&service) {
            self.services.retain(|_, refused| now < refused.until);
            let oldest = self
                .services
                .iter()
                .min_by_key(|(_, refused)| refused.until);
            if let Some(oldest) = oldest.map(|(service, _)| *service) {
                if self.services.len() >= MOST_SERVICES {
                    self.services.remove(&oldest);
                }
            }
        }
        let refused = self.services.entry(service).or_insert(RefusedService {
            until: now,
            strikes: 0,
            invalid,
        });
        let pause = if invalid {
            doubled(FIRST_PAUSE, refused.strikes, SERVICE_REMEMBERED)
        } else {
            SERVICE_REMEMBERED
        };
        refused.strikes = refused.strikes.saturating_add(1);
        refused.until = now + pause;
        refused.invalid = invalid;
    }

    /// Whether challenges of `service` go up without a login now, and if so, whether it calls every token invalid.
    pub(crate) fn refused_service(&self, service: ServiceKey, now: Instant) -> Option<bool> {
        self.services
            .get(&service)
            .filter(|refused| now < refused.until)
            .map(|refused| refused.invalid)
    }

    /// `service` answered a signed request cleanly. Returns whether any service is still remembered.
    pub(crate) fn service_clean(&mut self, service: ServiceKey) -> bool {
        self.services.remove(&service);
        !self.services.is_empty()
    }
}

/// `first`, doubled `times` times, at most `longest`.
fn doubled(first: Duration, times: u32, longest: Duration) -> Duration {
    1u32.checked_shl(times)
        .and_then(|factor| first.checked_mul(factor))
        .map_or(longest, |pause| pause.min(longest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::token::IssuedToken;

    #[derive(Clone, Debug)]
    enum Event {
        /// A request wants a token, after one signed `behind` generations ago failed, or after none.
        Want {
            behind: Option<u64>,
            reason: TokenReason,
        },
        Land,
        Refuse,
        Fault,
        /// A login that was given up long ago reports after all.
        LandLate,
        Prove,
        Wait(Duration),
        /// A caller hangs up.
        Forget,
    }

    fn events() -> impl Strategy<Value = Vec<Event>> {
        let reason = prop_oneof![
            Just(TokenReason::Missing),
            Just(TokenReason::Expiring),
            Just(TokenReason::Expired),
            Just(TokenReason::Rejected),
        ];
        let event = prop_oneof![
            6 => (prop::option::of(0u64..3), reason)
                .prop_map(|(behind, reason)| Event::Want { behind, reason }),
            3 => Just(Event::Land),
            1 => Just(Event::Refuse),
            1 => Just(Event::Fault),
            1 => Just(Event::LandLate),
            1 => Just(Event::Prove),
            2 => (0u64..400_000).prop_map(|milliseconds| {
                Event::Wait(Duration::from_millis(milliseconds))
            }),
            1 => Just(Event::Forget),
        ];
        prop::collection::vec(event, 0..60)
    }

    /// With more patience than any test.
    const ASKER: Asker = Asker {
        runtime: None,
        patience: Duration::from_secs(1_000_000_000),
    };

    fn token(generation: u64, now: Instant) -> Token {
        let issued = IssuedToken::try_new(format!("t{generation}")).unwrap();
        Token::new(issued, generation, now).unwrap()
    }

    /// What a test knows of the store from outside.
    #[derive(Default)]
    struct Outside {
        flight: Option<Ticket>,
        waiting: Vec<oneshot::Receiver<LoginResult>>,
        generation: u64,
        proven: bool,
        /// No login may start before this, and why.
        hold_off: Option<(Instant, bool)>,
        rejected_before: Option<Instant>,
        fruitless: u32,
        /// Tickets of logins that have ended, and whether with a token.
        spent: Vec<(Ticket, bool)>,
    }

    impl Outside {
        fn all_told(&mut self, succeeded: bool) {
            for mut waiter in self.waiting.drain(..) {
                let told = waiter.try_recv().expect("whoever waits is told");
                assert_eq!(told.is_ok(), succeeded);
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(600) })]

        /// Every order of events: one login at a time, all who wait are told, no login before its time.
        #[test]
        fn the_store_keeps_its_promises_in_every_order_of_events(events in events()) {
            let mut state = State::default();
            let mut outside = Outside::default();
            let start = Instant::now();
            let mut now = start;
            for event in events {
                match event {
                    Event::Wait(time) => now += time,
                    Event::Forget => drop(outside.waiting.pop()),
                    Event::Want { behind, reason } => {
                        let failed = behind.and_then(|behind| outside.generation.checked_sub(behind));
                        let failed = failed.filter(|generation| *generation > 0);
                        match state.want(failed, reason, ASKER, now) {
                            Step::Use(token) => {
                                prop_assert_eq!(token.generation(), outside.generation);
                                prop_assert_ne!(failed, Some(outside.generation));
                            }
                            Step::Wait(waiter, _) => {
                                prop_assert!(outside.flight.is_some());
                                outside.waiting.push(waiter);
                            }
                            Step::Lead(ticket, waiter) => {
                                prop_assert!(outside.flight.is_none(), "one login at a time");
                                let newest = outside.generation;
                                prop_assert!(newest == 0 || failed == Some(newest));
                                if let Some((until, _)) = outside.hold_off {
                                    prop_assert!(now >= until, "a login before its time");
                                }
                                if is_before(outside.rejected_before, now)
                                {
                                    prop_assert!(false, "a fruitless login before its time");
                                }
                                outside.flight = Some(ticket);
                                outside.waiting.push(waiter);
                            }
                            Step::Denied(skip_reason) => {
                                prop_assert!(outside.flight.is_none());
                                match skip_reason {
                                    SkipReason::LoginRefused(_) => {
                                        prop_assert!(matches!(outside.hold_off, Some((until, true)) if now < until));
                                    }
                                    SkipReason::LoginFailed(_) => {
                                        prop_assert!(matches!(outside.hold_off, Some((_, false))));
                                    }
                                    SkipReason::LoginBudgetSpent => {
                                        prop_assert!(!outside.proven && outside.generation > 0);
                                    }
                                    other => prop_assert!(false, "{other:?}"),
                                }
                            }
                        }
                    }
                    Event::Land => {
                        if let Some(ticket) = outside.flight.take() {
                            let next = state.next_generation();
                            prop_assert!(next > outside.generation, "generations grow");
                            let landed = state.landed(ticket, token(next, now), now);
                            prop_assert!(landed.is_some());
                            if let Some((_, waiters)) = landed {
                                waiters.tell();
                            }
                            outside.generation = next;
                            outside.proven = false;
                            outside.fruitless += 1;
                            let pause = match outside.fruitless {
                                1 => Duration::ZERO,
                                logins => Duration::from_secs(1 << (logins - 2).min(20)),
                            };
                            outside.rejected_before = Some(now + pause.min(Duration::from_secs(300)));
                            outside.hold_off = None;
                            outside.spent.push((ticket, true));
                            outside.all_told(true);
                        }
                    }
                    Event::Refuse | Event::Fault => {
                        if let Some(ticket) = outside.flight.take() {
                            let refused = matches!(event, Event::Refuse);
                            let error = if refused { TokenError::refused("no") } else { TokenError::fault("down") };
                            if let Some(waiters) = state.failed(ticket, error, None, now, 0.0) {
                                waiters.tell();
                            }
                            // Half a second at the least, whatever the jitter.
                            let pause = if refused { Duration::from_secs(900) } else { Duration::from_millis(500) };
                            let knows_better = matches!(outside.hold_off, Some((until, true)) if now < until);
                            if refused || !knows_better {
                                outside.hold_off = Some((now + pause, refused));
                            }
                            outside.spent.push((ticket, false));
                            outside.all_told(false);
                        }
                    }
                    Event::LandLate => {
                        if let Some((ticket, has_landed)) = outside.spent.last().copied() {
                            prop_assert!(state.landed(ticket, token(99, now), now).is_none());
                            prop_assert!(state.failed(ticket, TokenError::refused("late"), None, now, 0.5).is_none());
                            // The token service has counted it, unless a token has come since.
                            if !has_landed {
                                outside.hold_off = Some((now + Duration::from_secs(900), true));
                            }
                        }
                    }
                    Event::Prove => {
                        if outside.generation > 0 {
                            state.proven(outside.generation);
                            outside.proven = true;
                            outside.fruitless = 0;
                            outside.rejected_before = None;
                        }
                    }
                }
            }
            // Whatever happened, it heals: after the longest pause of all a login is made.
            if let Some(ticket) = outside.flight.take() {
                if let Some(waiters) = state.failed(ticket, TokenError::fault("down"), None, now, 1.0) {
                    waiters.tell();
                }
                outside.all_told(false);
            }
            now += Duration::from_secs(901);
            let newest = (outside.generation > 0).then_some(outside.generation);
            prop_assert!(matches!(state.want(newest, TokenReason::Rejected, ASKER, now), Step::Lead(..)));
        }
    }

    fn is_before(until: Option<Instant>, now: Instant) -> bool {
        until.is_some_and(|until| now < until)
    }

    #[test]
    fn the_memory_of_services_is_bounded() {
        let mut state = State::default();
        let now = Instant::now();
        for number in 0..10 * MOST_SERVICES {
            state.service_refused(ServiceKey(number as u64), false, now);
        }
        assert!(state.services.len() <= MOST_SERVICES);
    }

    #[test]
    fn pauses_double_up_to_their_longest() {
        let longest = Duration::from_secs(300);
        let pauses: Vec<u64> = [0, 1, 2, 8, 9, 31, 32, u32::MAX]
            .iter()
            .map(|times| doubled(FIRST_PAUSE, *times, longest).as_secs())
            .collect();
        assert_eq!(pauses, [1, 2, 4, 256, 300, 300, 300, 300]);
    }
}
