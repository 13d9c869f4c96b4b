//! The rule in every order of events, and the cases that lock accounts elsewhere.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicU64, Ordering},
};

use proptest::prelude::*;
use tokio::time::Instant;

use super::*;

const SECOND: Millis = 1000;
const WINDOW: Millis = 15 * 60 * SECOND;

fn login(service: u64, credential: u64) -> Login {
    Login {
        service,
        credential,
    }
}

fn refused() -> Verdict {
    Verdict::Refused {
        message: "no".to_owned(),
    }
}

/// A token service that knows one right password, and locks an account as ArcGIS does.
#[derive(Default)]
struct Directory {
    failures: Vec<Millis>,
}

impl Directory {
    fn fails(&mut self, now: Millis) {
        self.failures.retain(|at| now < at + WINDOW);
        self.failures.push(now);
        assert!(self.failures.len() <= 4, "one more locks the account");
    }
}

#[derive(Clone, Debug)]
enum Event {
    Begin {
        service: u64,
        credential: u64,
    },
    End {
        which: prop::sample::Index,
        verdict: u8,
    },
    Wait(Millis),
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        5 => (0u64..3, 0u64..5).prop_map(|(service, credential)| Event::Begin { service, credential }),
        5 => (any::<prop::sample::Index>(), 0u8..4).prop_map(|(which, verdict)| Event::End { which, verdict }),
        2 => (0..6 * 60 * SECOND).prop_map(Event::Wait),
    ];
    prop::collection::vec(event, 0..200)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(800) })]

    /// Whatever the order of events: four failures at most for an account in a row, and for a credential, in any 15 minutes.
    #[test]
    fn no_order_of_events_locks_an_account(events in events()) {
        let mut history = History::default();
        let mut now = WINDOW;
        let mut number = 0;
        let mut under_way: Vec<(u64, Login, Millis)> = Vec::new();
        // Failures since the last success that began after them, by account and by credential; and what was refused.
        let mut accounts: HashMap<u64, Vec<Millis>> = HashMap::new();
        let mut credentials: HashMap<u64, Vec<Millis>> = HashMap::new();
        let mut refusals: Vec<(Login, Millis)> = Vec::new();
        for event in events {
            match event {
                Event::Wait(time) => now += time,
                Event::Begin { service, credential } => {
                    number += 1;
                    let login = login(service, credential);
                    if let Decision::Go = history.begin(login, number, now, None) {
                        prop_assert!(
                            refusals.iter().all(|(other, at)| *other != login || now >= at + WINDOW),
                            "a refused credential is tried again"
                        );
                        under_way.push((number, login, now));
                    }
                    let live = |times: Option<&Vec<Millis>>| {
                        times.into_iter().flatten().filter(|at| now < **at + WINDOW).count()
                    };
                    let all = |is_it: &dyn Fn(&Login) -> bool| {
                        under_way.iter().filter(|(_, login, _)| is_it(login)).count()
                    };
                    prop_assert!(live(accounts.get(&service)) + all(&|login| login.service == service) <= 4);
                    prop_assert!(
                        live(credentials.get(&credential)) + all(&|login| login.credential == credential) <= 4
                    );
                }
                Event::End { which, verdict } if !under_way.is_empty() => {
                    let (number, login, began) = under_way.remove(which.index(under_way.len()));
                    let verdict = match verdict {
                        0 => Verdict::Succeeded,
                        1 => Verdict::Unknown,
                        2 => Verdict::None,
                        _ => refused(),
                    };
                    history.end(number, &verdict, now);
                    match verdict {
                        Verdict::Succeeded => {
                            refusals.retain(|(other, at)| *other != login || *at > began);
                            accounts.entry(login.service).or_default().retain(|at| *at > began);
                            credentials.entry(login.credential).or_default().retain(|at| *at > began);
                        }
                        Verdict::None => {}
                        _ => {
                            accounts.entry(login.service).or_default().push(now);
                            credentials.entry(login.credential).or_default().push(now);
                            if matches!(verdict, Verdict::Refused { .. }) {
                                refusals.push((login, now));
                            }
                        }
                    }
                }
                Event::End { .. } => {}
            }
        }
        // Whatever happened, a credential that was never refused may log in once all is over.
        for (number, ..) in under_way {
            history.end(number, &Verdict::Unknown, now);
        }
        let decision = history.begin(login(9, 9), 0, now + WINDOW, None);
        prop_assert!(matches!(decision, Decision::Go));
    }
}

/// Begins and ends at once.
fn attempt(history: &mut History, login: Login, verdict: &Verdict, now: Millis) -> bool {
    static NUMBERS: AtomicU64 = AtomicU64::new(0);
    let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
    let may = matches!(history.begin(login, number, now, None), Decision::Go);
    if may {
        history.end(number, verdict, now);
    }
    may
}

#[test]
fn passwords_that_alternate_are_each_tried_once() {
    let (mut history, mut directory) = (History::default(), Directory::default());
    let mut sent = 0;
    for request in 0..9 {
        let now = WINDOW + request * 60 * SECOND;
        if attempt(&mut history, login(1, request % 2), &refused(), now) {
            directory.fails(now);
            sent += 1;
        }
    }
    assert_eq!(sent, 2);
}

#[test]
fn a_new_wrong_password_each_time_is_tried_four_times() {
    let (mut history, mut directory) = (History::default(), Directory::default());
    let mut sent = 0;
    for request in 0..9 {
        if attempt(&mut history, login(1, request), &refused(), WINDOW) {
            directory.fails(WINDOW);
            sent += 1;
        }
    }
    assert_eq!(sent, 4);
    // The oldest counts for a quarter of an hour.
    assert!(!attempt(
        &mut history,
        login(1, 20),
        &refused(),
        2 * WINDOW - 1
    ));
    assert!(attempt(&mut history, login(1, 20), &refused(), 2 * WINDOW));
}

#[test]
fn one_credential_at_six_token_services_is_tried_four_times() {
    let mut history = History::default();
    let sent =
        (0..6).filter(|service| attempt(&mut history, login(*service, 1), &refused(), WINDOW));
    assert_eq!(sent.count(), 4);
}

#[test]
fn logins_that_were_not_answered_count_like_refusals() {
    let mut history = History::default();
    for _ in 0..4 {
        assert!(attempt(
            &mut history,
            login(1, 1),
            &Verdict::Unknown,
            WINDOW
        ));
    }
    let decision = history.begin(login(1, 1), 99, WINDOW, None);
    assert!(matches!(decision, Decision::Denied(error) if !error.is_refused()));
}

#[test]
fn a_success_clears_the_count_and_keeps_what_was_refused() {
    let mut history = History::default();
    for wrong in 1..=3 {
        assert!(attempt(&mut history, login(1, wrong), &refused(), WINDOW));
    }
    assert!(attempt(
        &mut history,
        login(1, 9),
        &Verdict::Succeeded,
        WINDOW + 1
    ));
    assert!(!attempt(&mut history, login(1, 2), &refused(), WINDOW + 2));
    for wrong in 11..=13 {
        assert!(attempt(
            &mut history,
            login(1, wrong),
            &refused(),
            WINDOW + 3
        ));
    }
    assert!(!attempt(&mut history, login(1, 14), &refused(), WINDOW + 4));
}

#[test]
fn guesses_leave_the_fourth_failure_to_the_credential_that_works() {
    let mut history = History::default();
    assert!(attempt(
        &mut history,
        login(1, 9),
        &Verdict::Succeeded,
        WINDOW
    ));
    for wrong in 1..=3 {
        assert!(attempt(
            &mut history,
            login(1, wrong),
            &refused(),
            WINDOW + 1
        ));
    }
    assert!(!attempt(&mut history, login(1, 4), &refused(), WINDOW + 1));
    assert!(attempt(
        &mut history,
        login(1, 9),
        &Verdict::Succeeded,
        WINDOW + 2
    ));
}

#[test]
fn until_a_credential_has_worked_one_login_is_under_way() {
    let mut history = History::default();
    let begin = |history: &mut History, number| history.begin(login(1, 1), number, WINDOW, None);
    assert!(matches!(begin(&mut history, 1), Decision::Go));
    assert!(matches!(begin(&mut history, 2), Decision::Wait));
    // The same password at another token service, and another password here, wait as well.
    assert!(matches!(
        history.begin(login(2, 1), 3, WINDOW, None),
        Decision::Wait
    ));
    assert!(matches!(
        history.begin(login(1, 2), 4, WINDOW, None),
        Decision::Wait
    ));
    history.end(1, &Verdict::Succeeded, WINDOW);
    for number in 5..8 {
        assert!(
            matches!(begin(&mut history, number), Decision::Go),
            "{number}"
        );
    }
    assert!(matches!(begin(&mut history, 8), Decision::Wait));
    history.end(5, &Verdict::Unknown, WINDOW);
    assert!(matches!(begin(&mut history, 8), Decision::Wait));
    history.end(6, &Verdict::Succeeded, WINDOW);
    assert!(matches!(begin(&mut history, 8), Decision::Go));
}

#[test]
fn a_password_that_was_changed_is_one_that_has_not_worked() {
    let mut history = History::default();
    assert!(attempt(
        &mut history,
        login(1, 1),
        &Verdict::Succeeded,
        WINDOW
    ));
    assert!(attempt(&mut history, login(1, 1), &refused(), WINDOW + 1));
    assert!(matches!(
        history.begin(login(1, 2), 7, WINDOW + 2, None),
        Decision::Go
    ));
    assert!(matches!(
        history.begin(login(1, 3), 8, WINDOW + 2, None),
        Decision::Wait
    ));
}

#[test]
fn an_attempt_of_a_process_that_is_gone_counts_and_is_not_waited_for() {
    let mut history = History::default();
    let lease = Some(10 * SECOND);
    assert!(matches!(
        history.begin(login(1, 1), 1, WINDOW, lease),
        Decision::Go
    ));
    let before = WINDOW + 10 * SECOND - 1;
    assert!(matches!(
        history.begin(login(1, 1), 2, before, lease),
        Decision::Wait
    ));
    for number in 2..5 {
        let now = WINDOW + number * 10 * SECOND;
        assert!(matches!(
            history.begin(login(1, 1), number, now, lease),
            Decision::Go
        ));
    }
    let now = WINDOW + 60 * SECOND;
    assert!(matches!(
        history.begin(login(1, 1), 9, now, lease),
        Decision::Denied(_)
    ));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_says_how_long_it_is_remembered() {
    let mut history = History::default();
    assert!(attempt(&mut history, login(1, 1), &refused(), WINDOW));
    let Decision::Denied(error) = history.begin(login(1, 1), 2, WINDOW + 60 * SECOND, None) else {
        panic!("not denied");
    };
    assert!(error.is_refused());
    assert_eq!(error.to_string(), "no");
    let left = error.remembered_until().unwrap() - Instant::now();
    assert_eq!(left, Duration::from_secs(14 * 60));
}
#[test]
fn a_failure_counts_for_a_quarter_of_an_hour_and_a_login_under_way_until_it_ends() {
    let mut history = History::default();
    assert!(attempt(&mut history, login(1, 1), &refused(), WINDOW));
    assert!(history.counts_anything(2 * WINDOW - 1));
    assert!(!history.counts_anything(2 * WINDOW));
    let decision = history.begin(login(1, 2), 7, 2 * WINDOW, None);
    assert!(matches!(decision, Decision::Go));
    assert!(history.counts_anything(9 * WINDOW));
    history.end(7, &Verdict::None, 9 * WINDOW);
    assert!(!history.counts_anything(9 * WINDOW));
}

#[test]
fn a_success_clears_the_count_of_the_credential_at_every_token_service() {
    let mut history = History::default();
    let unknown = Verdict::Unknown;
    for _ in 0..3 {
        assert!(attempt(&mut history, login(1, 1), &unknown, WINDOW));
    }
    let works = Verdict::Succeeded;
    assert!(attempt(&mut history, login(1, 1), &works, WINDOW + 1));
    for _ in 0..4 {
        assert!(attempt(&mut history, login(2, 1), &unknown, WINDOW + 2));
    }
    assert!(!attempt(&mut history, login(2, 1), &unknown, WINDOW + 2));
}

#[test]
fn a_credential_that_works_does_not_make_another_that_works_unknown() {
    let mut history = History::default();
    for credential in 1..=2 {
        let works = Verdict::Succeeded;
        assert!(attempt(&mut history, login(1, credential), &works, WINDOW));
    }
    // Only one that is known to work has two logins under way.
    for number in 1..=2 {
        let decision = history.begin(login(1, 1), number, WINDOW, None);
        assert!(matches!(decision, Decision::Go), "{number}");
    }
}

/// As many credentials are refused at token service 1, where another works each time.
fn with_refusals(count: u64, works_elsewhere: bool) -> History {
    let mut history = History::default();
    for credential in 0..count {
        let refused_here = login(1, credential);
        assert!(attempt(&mut history, refused_here, &refused(), WINDOW));
        let works = Verdict::Succeeded;
        assert!(attempt(&mut history, login(1, 1000), &works, WINDOW + 1));
        if works_elsewhere {
            let elsewhere = login(2, credential);
            assert!(attempt(&mut history, elsewhere, &works, WINDOW + 1));
        }
    }
    history
}

fn is_refused(history: &mut History, credential: u64) -> bool {
    let decision = history.begin(login(1, credential), 99, WINDOW + 2, None);
    matches!(decision, Decision::Denied(error) if error.is_refused())
}

#[test]
fn of_refusals_that_count_for_nothing_the_oldest_go_beyond_sixty_four() {
    let mut history = with_refusals(64, true);
    assert!(is_refused(&mut history, 0));
    let mut history = with_refusals(65, true);
    assert!(is_refused(&mut history, 1));
    assert!(!is_refused(&mut history, 0));
}

#[test]
fn refusals_that_count_stay_however_many_there_are() {
    let mut history = with_refusals(70, false);
    for credential in 0..70 {
        assert!(is_refused(&mut history, credential), "{credential}");
    }
}
