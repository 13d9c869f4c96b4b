//! The promises of the state, in every order of events.

use std::time::Duration;

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
    /// A login whose ticket is void reports after all.
    LandLate,
    SignOut,
    Told,
    Wait(Duration),
    /// A caller hangs up.
    HangUp,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let reason = prop_oneof![
        Just(TokenReason::Missing),
        Just(TokenReason::Expiring),
        Just(TokenReason::Expired),
        Just(TokenReason::Rejected),
        Just(TokenReason::RequiredDespiteToken),
        Just(TokenReason::Forced),
    ];
    let event = prop_oneof![
        6 => (prop::option::of(0u64..3), reason)
            .prop_map(|(behind, reason)| Event::Want { behind, reason }),
        3 => Just(Event::Land),
        1 => Just(Event::Refuse),
        1 => Just(Event::Fault),
        1 => Just(Event::LandLate),
        1 => Just(Event::SignOut),
        1 => Just(Event::Told),
        2 => (0u64..40_000).prop_map(|milliseconds| Event::Wait(Duration::from_millis(milliseconds))),
        1 => Just(Event::HangUp),
    ];
    prop::collection::vec(event, 0..80)
}

fn token(generation: u64, now: Instant) -> Token {
    let issued = IssuedToken::try_new(format!("t{generation}")).unwrap();
    Token::new(issued, generation, now).unwrap()
}

/// What a test knows of the state from outside.
#[derive(Default)]
struct Outside {
    login: Option<(Ticket, TokenReason)>,
    waiting: Vec<oneshot::Receiver<LoginResult>>,
    generation: u64,
    has_token: bool,
    refused_until: Option<Instant>,
    backoff_until: Option<Instant>,
    faults: u32,
    signing_out: u32,
    /// When challenges caused logins.
    spent: Vec<Instant>,
    void: Vec<Ticket>,
}

impl Outside {
    fn all_told(&mut self, succeeded: bool) {
        for mut waiter in self.waiting.drain(..) {
            let told = waiter.try_recv().expect("each waiter is told");
            assert_eq!(told.is_ok(), succeeded);
        }
    }

    fn refusal(&self, now: Instant) -> Option<TokenError> {
        self.refused_until
            .filter(|until| now < *until)
            .map(|_| TokenError::refused("no"))
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(600) })]

    /// Every order of events: one login at a time, all who wait are told, no login before its time.
    #[test]
    fn the_state_keeps_its_promises_in_every_order_of_events(events in events()) {
        let mut state = State::default();
        let mut outside = Outside::default();
        let start = Instant::now();
        let mut now = start;
        for event in events {
            match event {
                Event::Wait(time) => now += time,
                Event::HangUp => drop(outside.waiting.pop()),
                Event::Want { behind, reason } => {
                    let failed = behind.and_then(|behind| outside.generation.checked_sub(behind));
                    let failed = failed.filter(|generation| *generation > 0);
                    let refusal = outside.refusal(now);
                    let is_refused = refusal.is_some();
                    let backs_off = outside.backoff_until.is_some_and(|until| now < until);
                    match state.want(failed, reason, refusal, now) {
                        Step::Use(token) => {
                            prop_assert!(outside.has_token);
                            prop_assert_eq!(token.generation(), outside.generation);
                            prop_assert_ne!(failed, Some(outside.generation));
                        }
                        Step::Wait(waiter) => {
                            prop_assert!(outside.login.is_some());
                            outside.waiting.push(waiter);
                        }
                        Step::Lead(ticket, waiter) => {
                            prop_assert!(outside.login.is_none(), "one login at a time");
                            prop_assert!(!outside.has_token || failed == Some(outside.generation));
                            prop_assert!(!is_refused, "a login in spite of a refusal");
                            prop_assert!(!backs_off || reason == TokenReason::Forced);
                            prop_assert_eq!(outside.signing_out, 0);
                            outside.login = Some((ticket, reason));
                            outside.waiting.push(waiter);
                        }
                        Step::Denied(reason_denied) => {
                            prop_assert!(outside.login.is_none());
                            match reason_denied {
                                SkipReason::SignedOut => prop_assert!(outside.signing_out > 0),
                                SkipReason::LoginRefused(_) => prop_assert!(is_refused),
                                SkipReason::LoginFailed(_) => prop_assert!(backs_off),
                                SkipReason::LoginBudgetSpent => {
                                    prop_assert!(reason.is_challenge());
                                    prop_assert!(outside.spent.len() >= 20);
                                }
                                other => prop_assert!(false, "{other:?}"),
                            }
                        }
                    }
                }
                Event::Land => {
                    if let Some((ticket, reason)) = outside.login.take() {
                        if reason.is_challenge() {
                            state.budget.spend(now);
                            outside.spent.push(now);
                        }
                        let next = state.next_generation();
                        prop_assert!(next > outside.generation, "generations grow");
                        let landed = state.landed(ticket, token(next, now));
                        prop_assert!(landed.is_some());
                        if let Some((_, waiters)) = landed {
                            waiters.tell();
                        }
                        outside.generation = next;
                        outside.has_token = true;
                        outside.backoff_until = None;
                        outside.faults = 0;
                        outside.void.push(ticket);
                        outside.all_told(true);
                    }
                }
                Event::Refuse | Event::Fault => {
                    if let Some((ticket, _)) = outside.login.take() {
                        let refused = matches!(event, Event::Refuse);
                        let error = if refused { TokenError::refused("no") } else { TokenError::fault("down") };
                        if let Some(waiters) = state.failed(ticket, error, 0.0, now) {
                            waiters.tell();
                        }
                        if refused {
                            outside.refused_until = Some(now + Duration::from_secs(900));
                            outside.backoff_until = None;
                            outside.faults = 0;
                        } else {
                            let pause = Duration::from_secs(1 << outside.faults.min(7)).min(Duration::from_secs(120));
                            outside.backoff_until = Some(now + pause);
                            outside.faults += 1;
                        }
                        outside.void.push(ticket);
                        outside.all_told(false);
                    }
                }
                Event::LandLate => {
                    if let Some(ticket) = outside.void.last().copied() {
                        prop_assert!(state.landed(ticket, token(99, now)).is_none());
                        prop_assert!(state.failed(ticket, TokenError::fault("late"), 0.5, now).is_none());
                    }
                }
                Event::SignOut => {
                    let ended = state.sign_out();
                    prop_assert_eq!(ended.is_some(), outside.login.is_some());
                    if let Some((waiters, _)) = ended {
                        waiters.tell();
                    }
                    outside.void.extend(outside.login.take().map(|(ticket, _)| ticket));
                    outside.all_told(false);
                    outside.has_token = false;
                    outside.backoff_until = None;
                    outside.faults = 0;
                    outside.signing_out += 1;
                }
                Event::Told => {
                    if outside.signing_out > 0 {
                        outside.signing_out -= 1;
                        state.told();
                    }
                }
            }
        }
        // Whatever happened, it heals: after the longest pause of all a login is made.
        if let Some((ticket, _)) = outside.login.take() {
            if let Some(waiters) = state.failed(ticket, TokenError::fault("down"), 1.0, now) {
                waiters.tell();
            }
            outside.all_told(false);
        }
        for _ in 0..outside.signing_out {
            state.told();
        }
        now += Duration::from_secs(901);
        let newest = outside.has_token.then_some(outside.generation);
        let healed = state.want(newest, TokenReason::Rejected, outside.refusal(now), now);
        prop_assert!(matches!(healed, Step::Lead(..)));
    }
}

#[test]
fn a_challenge_for_a_token_that_was_replaced_since_gets_the_newer_one() {
    let (mut state, now) = (State::default(), Instant::now());
    for generation in 1..=2 {
        let Step::Lead(ticket, _) = state.want(
            Some(generation - 1).filter(|before| *before > 0),
            TokenReason::Rejected,
            None,
            now,
        ) else {
            panic!("no login");
        };
        assert!(state.landed(ticket, token(generation, now)).is_some());
    }
    let step = state.want(Some(1), TokenReason::Rejected, None, now);
    assert!(matches!(step, Step::Use(token) if token.generation() == 2));
}

#[test]
fn what_no_challenge_causes_needs_no_budget() {
    let now = Instant::now();
    for (reason, is_denied) in [
        (TokenReason::Missing, false),
        (TokenReason::Expiring, false),
        (TokenReason::Expired, false),
        (TokenReason::Forced, false),
        (TokenReason::Rejected, true),
        (TokenReason::RequiredDespiteToken, true),
    ] {
        let mut state = State::default();
        for _ in 0..20 {
            state.budget.spend(now);
        }
        let denied = matches!(
            state.want(None, reason, None, now),
            Step::Denied(SkipReason::LoginBudgetSpent)
        );
        assert_eq!(denied, is_denied, "{reason}");
    }
}

/// A state whose first login gave a token.
fn with_a_token(now: Instant) -> (State, Arc<Token>) {
    let mut state = State::default();
    let Step::Lead(ticket, _) = state.want(None, TokenReason::Missing, None, now) else {
        panic!("no login");
    };
    let (token, _waiters) = state.landed(ticket, token(1, now)).unwrap();
    (state, token)
}

#[test]
fn a_token_signs_while_the_next_is_fetched_unless_it_is_rejected() {
    let now = Instant::now();
    let (mut state, token) = with_a_token(now);
    let step = state.want(Some(1), TokenReason::Expiring, None, now);
    assert!(matches!(step, Step::Lead(..)));
    let step = state.want(None, TokenReason::Missing, None, now);
    assert!(matches!(step, Step::Use(_)));
    token.set_rejected(true);
    let step = state.want(None, TokenReason::Missing, None, now);
    assert!(matches!(step, Step::Wait(_)));
}

#[test]
fn a_rejected_token_signs_where_no_login_is_under_way() {
    let now = Instant::now();
    let (mut state, token) = with_a_token(now);
    token.set_rejected(true);
    let step = state.want(None, TokenReason::Missing, None, now);
    assert!(matches!(step, Step::Use(_)));
}

#[test]
fn a_login_of_before_a_sign_out_ends_none_that_began_after_it() {
    let now = Instant::now();
    let mut state = State::default();
    let Step::Lead(before, _) = state.want(None, TokenReason::Missing, None, now) else {
        panic!("no login");
    };
    let _ = state.sign_out();
    state.told();
    let step = state.want(None, TokenReason::Missing, None, now);
    assert!(matches!(step, Step::Lead(..)));
    assert!(state.landed(before, token(1, now)).is_none());
    assert!(
        state
            .failed(before, TokenError::fault("late"), 0.0, now)
            .is_none()
    );
    assert!(state.is_logging_in());
}

#[test]
fn callers_that_hung_up_make_room_before_the_list_of_waiters_grows() {
    let now = Instant::now();
    let mut state = State::default();
    let mut want = || {
        let step = state.want(None, TokenReason::Missing, None, now);
        let (Step::Lead(_, receiver) | Step::Wait(receiver)) = step else {
            panic!("no login");
        };
        let waiters = &state.login.as_ref().unwrap().waiters;
        (receiver, waiters.len(), waiters.capacity())
    };
    let _leader = want();
    let mut callers = Vec::new();
    loop {
        let (caller, waiting, room) = want();
        callers.push(caller);
        if waiting == room {
            break;
        }
    }
    drop(callers);
    let (_caller, waiting, _) = want();
    assert_eq!(waiting, 2);
}
