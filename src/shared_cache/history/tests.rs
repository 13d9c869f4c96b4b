//! The guards of several processes with one shared cache: a process is a guard with a history of its own.

use std::sync::{
    Mutex,
    atomic::{AtomicUsize, Ordering},
};

use futures_util::future::join_all;
use tokio::time::{Instant, sleep};

use super::*;
use crate::{
    SealedTokenCache, TokenCacheKeys, TokenError,
    credential::Fingerprint,
    guard::LockoutGuard,
    shared_cache::memory::{Fault, MemoryCache},
};

const USER: &str = "ada.lovelace";
const RIGHT: &str = "right-hunter2";
const ORIGIN: &str = "https://gis.test";
const OTHER_KEY: &str = "1111111111111111111111111111111111111111111111111111111111111111";
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

fn sealed_with(cache: &MemoryCache, keys: &str) -> SealedTokenCache {
    SealedTokenCache::new(cache.clone(), TokenCacheKeys::try_new(keys).unwrap())
}

fn sealed(cache: &MemoryCache) -> SealedTokenCache {
    sealed_with(cache, &"0a".repeat(32))
}

fn guard_with(cache: SealedTokenCache) -> LockoutGuard {
    LockoutGuard::new().shared_through(cache.history())
}

fn process(cache: &MemoryCache) -> LockoutGuard {
    guard_with(sealed(cache))
}

fn processes(cache: &MemoryCache, count: usize) -> Vec<LockoutGuard> {
    (0..count).map(|_| process(cache)).collect()
}

fn fingerprint(password: &str) -> Fingerprint {
    let mut fingerprint = Fingerprint::empty();
    fingerprint.account(USER);
    fingerprint.secret(password);
    fingerprint
}

fn key(password: &str) -> LoginKey {
    LoginKey::new(ORIGIN, fingerprint(password))
}

/// A token service with a directory behind it: counts, and takes a while.
struct Directory {
    takes: Duration,
    answers: bool,
    attempts: AtomicUsize,
    failures: Mutex<Vec<Instant>>,
}

impl Directory {
    fn new() -> Self {
        Self {
            takes: SECOND / 5,
            answers: true,
            attempts: AtomicUsize::new(0),
            failures: Mutex::default(),
        }
    }

    fn attempts(&self) -> usize {
        self.attempts.load(Ordering::SeqCst)
    }

    /// As the sources of this crate log in.
    async fn log_in(&self, guard: &LockoutGuard, password: &str) -> Result<(), TokenError> {
        let deadline = Instant::now() + 30 * SECOND;
        let mut attempt = guard.attempt(key(password), deadline).await?;
        attempt.sent();
        self.attempts.fetch_add(1, Ordering::SeqCst);
        sleep(self.takes).await;
        if !self.answers {
            return Err(TokenError::fault("no answer"));
        }
        if password == RIGHT {
            self.failures.lock().unwrap().clear();
            attempt.succeeded();
            return Ok(());
        }
        let mut failures = self.failures.lock().unwrap();
        failures.retain(|at| at.elapsed() < 15 * MINUTE);
        failures.push(Instant::now());
        let error = TokenError::refused("Invalid username or password.");
        attempt.refused(&error);
        Err(error)
    }
}

/// What came of a login is written down in a task of its own.
async fn written() {
    sleep(SECOND / 100).await;
}

#[tokio::test(start_paused = true)]
async fn ten_processes_with_a_wrong_password_make_one_attempt() {
    let (cache, directory) = (MemoryCache::default(), Directory::new());
    let processes = processes(&cache, 10);
    let logins = processes.iter().map(|it| directory.log_in(it, "wrong"));
    for result in join_all(logins).await {
        let error = result.unwrap_err();
        assert!(error.is_refused(), "{error}");
        assert_eq!(error.to_string(), "Invalid username or password.");
    }
    assert_eq!(directory.attempts(), 1);
    // It is remembered for a quarter of an hour.
    sleep(15 * MINUTE - 2 * SECOND).await;
    let late = process(&cache);
    assert!(directory.log_in(&late, "wrong").await.is_err());
    assert_eq!(directory.attempts(), 1);
    sleep(2 * SECOND).await;
    assert!(directory.log_in(&late, "wrong").await.is_err());
    assert_eq!(directory.attempts(), 2);
}

#[tokio::test(start_paused = true)]
async fn another_password_is_tried_at_once() {
    let (cache, directory) = (MemoryCache::default(), Directory::new());
    for password in ["wrong-a", "wrong-b", RIGHT] {
        for process in processes(&cache, 4) {
            let result = directory.log_in(&process, password).await;
            assert_eq!(result.is_ok(), password == RIGHT);
            written().await;
        }
    }
    assert_eq!(directory.attempts(), 1 + 1 + 4);
}

#[tokio::test(start_paused = true)]
async fn a_new_wrong_password_in_each_process_is_tried_four_times() {
    let (cache, directory) = (MemoryCache::default(), Directory::new());
    for (number, process) in processes(&cache, 9).iter().enumerate() {
        let _ = directory.log_in(process, &format!("wrong-{number}")).await;
        written().await;
    }
    assert_eq!(directory.attempts(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_success_in_one_process_clears_the_count_for_all() {
    let (cache, directory) = (MemoryCache::default(), Directory::new());
    for round in 0..3 {
        for wrong in 0..3 {
            let password = format!("wrong-{round}-{wrong}");
            assert!(directory.log_in(&process(&cache), &password).await.is_err());
            written().await;
        }
        directory.log_in(&process(&cache), RIGHT).await.unwrap();
        written().await;
    }
    assert_eq!(directory.attempts(), 12);
    assert!(directory.failures.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn logins_without_an_answer_count_for_all() {
    let cache = MemoryCache::default();
    let directory = Directory {
        answers: false,
        ..Directory::new()
    };
    for process in processes(&cache, 10) {
        assert!(directory.log_in(&process, RIGHT).await.is_err());
        written().await;
    }
    assert_eq!(directory.attempts(), 4);
}

#[tokio::test(start_paused = true)]
async fn one_process_at_a_time_tries_a_password_that_has_not_worked_yet() {
    let cache = MemoryCache::default();
    let directory = Directory {
        takes: 5 * SECOND,
        ..Directory::new()
    };
    let (one, other) = (process(&cache), process(&cache));
    let started = Instant::now();
    let logins = [&one, &other].map(|it| directory.log_in(it, RIGHT));
    for result in join_all(logins).await {
        result.unwrap();
    }
    assert!(started.elapsed() >= 10 * SECOND);
    // It works: the next do not wait for each other.
    let started = Instant::now();
    let logins = [&one, &other].map(|it| directory.log_in(it, RIGHT));
    join_all(logins).await;
    assert!(started.elapsed() < 6 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_process_that_died_as_it_logged_in_is_waited_for_for_a_lease_and_counts() {
    let (cache, directory) = (MemoryCache::default(), Directory::new());
    let died = sealed(&cache).history();
    for round in 0..4 {
        let begun = died.begin(&key(RIGHT), round).await;
        assert!(matches!(begun, Some(Decision::Go)), "{begun:?}");
        let began = Instant::now();
        if round < 3 {
            // Only to wait until the lease is over.
            let waited = process(&cache);
            let attempt = waited.attempt(key(RIGHT), began + 30 * SECOND).await;
            attempt.unwrap().no_verdict();
            written().await;
            let waited = began.elapsed();
            assert!((10 * SECOND..11 * SECOND).contains(&waited), "{waited:?}");
        }
    }
    sleep(10 * SECOND).await;
    let error = directory.log_in(&process(&cache), RIGHT).await.unwrap_err();
    assert!(error.to_string().contains("nothing was sent"), "{error}");
    assert_eq!(directory.attempts(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_dead_process_whose_clock_was_wrong_keeps_no_other_from_logging_in() {
    for clock_is_ahead in [true, false] {
        let (cache, directory) = (MemoryCache::default(), Directory::new());
        let records = &sealed(&cache).history().records;
        let subject = Subject::history(&fingerprint(RIGHT));
        let while_open = WhileOpen::GiveUp;
        let found = records.find::<History>(&subject, while_open).await;
        let (mut found, _) = found.unwrap();
        let hour = millis(60 * MINUTE);
        let its_time = if clock_is_ahead {
            now() + hour
        } else {
            now() - hour
        };
        let mut history = History::default();
        let login = login(found.key(), &key(RIGHT));
        let begun = history.begin(login, 1, its_time, Some(millis(LEASE)));
        assert!(matches!(begun, Decision::Go));
        assert!(records.swap(&mut found, history, while_open).await.unwrap());
        directory.log_in(&process(&cache), RIGHT).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn records_that_vanish_cost_one_attempt_for_each_process_that_finds_none() {
    let (cache, directory) = (MemoryCache::default(), Directory::new());
    let processes = processes(&cache, 5);
    for _ in 0..4 {
        for process in &processes {
            cache.forget_all();
            assert!(directory.log_in(process, "wrong").await.is_err());
            written().await;
        }
    }
    assert_eq!(directory.attempts(), 5, "one a process, never two by one");
}

#[tokio::test(start_paused = true)]
async fn a_cache_that_fails_in_whatever_way_leaves_each_process_its_own_guard() {
    for fault in [
        Fault::Fails,
        Fault::Hangs,
        Fault::Nonsense,
        Fault::Full,
        Fault::NeverSwaps,
        Fault::Forgets,
        Fault::LosesAnswers,
    ] {
        let (cache, directory) = (MemoryCache::default(), Directory::new());
        cache.set_fault(Some(fault));
        for process in processes(&cache, 2) {
            let started = Instant::now();
            let error = directory.log_in(&process, "wrong").await.unwrap_err();
            assert!(error.is_refused(), "{fault:?}: {error}");
            let waited = started.elapsed() - directory.takes;
            assert!(waited <= 2 * SECOND, "{fault:?}: {waited:?}");
            written().await;
            assert!(directory.log_in(&process, "wrong").await.is_err());
            // What the first left under way in a cache that loses answers is waited for as if it had died.
            sleep(12 * SECOND).await;
        }
        assert_eq!(directory.attempts(), 2, "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_cache_is_waited_for_for_two_seconds_and_hears_of_the_verdict() {
    for slow in [150, 199, 200, 201, 300, 600, 900, 999] {
        let (cache, directory) = (MemoryCache::default(), Directory::new());
        let slow = SECOND * slow / 1000;
        cache.set_fault(Some(Fault::Slow(slow)));
        let started = Instant::now();
        let process_a = process(&cache);
        assert!(directory.log_in(&process_a, "wrong").await.is_err());
        let waited = started.elapsed() - directory.takes;
        assert!(waited <= 2 * SECOND, "{slow:?}: {waited:?}");
        sleep(5 * SECOND).await;
        assert!(directory.log_in(&process(&cache), "wrong").await.is_err());
        assert_eq!(directory.attempts(), 1, "{slow:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_verdict_is_written_though_the_cache_is_slow_by_then() {
    let (cache, directory) = (MemoryCache::default(), Directory::new());
    let slow = async {
        sleep(directory.takes / 2).await;
        cache.set_fault(Some(Fault::Slow(SECOND * 3 / 5)));
    };
    let process_a = process(&cache);
    let (result, ()) = tokio::join!(directory.log_in(&process_a, "wrong"), slow);
    assert!(result.is_err());
    sleep(5 * SECOND).await;
    cache.set_fault(None);
    assert!(directory.log_in(&process(&cache), "wrong").await.is_err());
    assert_eq!(directory.attempts(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_under_an_older_key_counts() {
    let (cache, directory) = (MemoryCache::default(), Directory::new());
    assert!(directory.log_in(&process(&cache), "wrong").await.is_err());
    written().await;
    let both = format!("{OTHER_KEY},{}", "0a".repeat(32));
    let changed = guard_with(sealed_with(&cache, &both));
    assert!(directory.log_in(&changed, "wrong").await.is_err());
    assert_eq!(directory.attempts(), 1);
    directory.log_in(&changed, RIGHT).await.unwrap();
    // With another key alone nothing is shared.
    let stranger = guard_with(sealed_with(&cache, OTHER_KEY));
    assert!(directory.log_in(&stranger, "wrong").await.is_err());
    assert_eq!(directory.attempts(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_about_one_machine_stays_there() {
    let cache = MemoryCache::default();
    let (one, other) = (process(&cache), process(&cache));
    let deadline = Instant::now() + 30 * SECOND;
    let mut attempt = one.attempt(key(RIGHT), deadline).await.unwrap();
    attempt.sent();
    attempt.refused(&TokenError::refused("403 for this address").only_here());
    written().await;
    assert!(one.attempt(key(RIGHT), deadline).await.is_err());
    other
        .attempt(key(RIGHT), deadline)
        .await
        .unwrap()
        .no_verdict();
}

#[tokio::test(start_paused = true)]
async fn a_long_message_is_cut() {
    let cache = MemoryCache::default();
    let (one, other) = (process(&cache), process(&cache));
    let deadline = Instant::now() + 30 * SECOND;
    let attempt = one.attempt(key("wrong"), deadline).await.unwrap();
    attempt.refused(&TokenError::refused("é".repeat(100_000)));
    written().await;
    let error = other.attempt(key("wrong"), deadline).await.unwrap_err();
    assert_eq!(error.to_string(), "é".repeat(LONGEST_MESSAGE));
}

#[tokio::test(start_paused = true)]
async fn two_guards_with_the_same_numbers_are_told_apart() {
    let cache = MemoryCache::default();
    let (one, other) = (process(&cache), process(&cache));
    let deadline = Instant::now() + 30 * SECOND;
    // The first attempts of both have the same number. That of the second ends first.
    let first = one.attempt(key(RIGHT), deadline).await.unwrap();
    let second = LoginKey::new("https://other.test", fingerprint("other-password"));
    let second = other.attempt(second, deadline).await.unwrap();
    second.no_verdict();
    written().await;
    let waits = process(&cache);
    let waits = waits.attempt(key(RIGHT), Instant::now() + 3 * SECOND).await;
    assert!(waits.unwrap_err().to_string().contains("other logins"));
    drop(first);
}

#[tokio::test(start_paused = true)]
async fn records_show_neither_user_nor_password_nor_token_service() {
    let (cache, directory) = (MemoryCache::default(), Directory::new());
    let _ = directory.log_in(&process(&cache), "wrong-hunter2").await;
    directory.log_in(&process(&cache), RIGHT).await.unwrap();
    written().await;
    let records = cache.records();
    assert_eq!(records.len(), 1);
    for (name, bytes) in records {
        assert!(name.len() == 64 && name.bytes().all(|digit| digit.is_ascii_hexdigit()));
        let text = format!("{name} {}", String::from_utf8_lossy(&bytes));
        for secret in [USER, "hunter2", "gis.test", "Invalid", "attempts"] {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_history_in_which_nothing_counts_and_nothing_has_worked_is_removed() {
    let cache = MemoryCache::default();
    let deadline = Instant::now() + 30 * SECOND;
    let attempt = process(&cache).attempt(key(RIGHT), deadline).await.unwrap();
    assert_eq!(cache.records().len(), 1);
    attempt.no_verdict();
    written().await;
    assert_eq!(cache.records(), []);
}
