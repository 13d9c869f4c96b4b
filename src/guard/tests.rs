//! Attempts by the guard: who waits for a turn, what is forgotten, and what is told of them.

use std::time::Duration;

use super::{local::MOST_IDLE, *};
use crate::credential::Fingerprint;

fn key(service: &str, user: &str, password: &str) -> LoginKey {
    let mut fingerprint = Fingerprint::empty();
    fingerprint.account(user);
    fingerprint.secret(password);
    LoginKey::new(service, fingerprint)
}

const SERVICE: &str = "https://gis.example.com";

fn in_a_minute() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

#[tokio::test(start_paused = true)]
async fn two_hundred_guesses_at_once_for_one_user_make_four_attempts() {
    let guard = LockoutGuard::new();
    let mut guesses = tokio::task::JoinSet::new();
    for guess in 0..200 {
        let guard = guard.clone();
        guesses.spawn(async move {
            let key = key(SERVICE, "ada", &format!("guess {guess}"));
            match guard.attempt(key, in_a_minute()).await {
                Ok(mut attempt) => {
                    attempt.sent();
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    attempt.refused(&TokenError::refused("no"));
                    1
                }
                Err(_) => 0,
            }
        });
    }
    let sent: u32 = guesses.join_all().await.into_iter().sum();
    assert_eq!(sent, 4);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_is_dropped_counts_once_the_credential_is_sent() {
    let guard = LockoutGuard::new();
    for _ in 0..9 {
        let attempt = guard
            .attempt(key(SERVICE, "ada", "secret"), in_a_minute())
            .await;
        drop(attempt.unwrap());
    }
    for _ in 0..4 {
        let attempt = guard
            .attempt(key(SERVICE, "ada", "secret"), in_a_minute())
            .await;
        let mut attempt = attempt.unwrap();
        attempt.sent();
        drop(attempt);
    }
    let error = guard
        .attempt(key(SERVICE, "ada", "secret"), in_a_minute())
        .await;
    assert!(error.unwrap_err().to_string().contains("nothing was sent"));
    // Another account is another matter.
    assert!(
        guard
            .attempt(key(SERVICE, "grace", "secret"), in_a_minute())
            .await
            .is_ok()
    );
}

#[tokio::test(start_paused = true)]
async fn who_waits_too_long_for_a_turn_sends_nothing() {
    let guard = LockoutGuard::new();
    let mut first = guard
        .attempt(key(SERVICE, "ada", "secret"), in_a_minute())
        .await
        .unwrap();
    first.sent();
    let started = Instant::now();
    let second = guard
        .attempt(key(SERVICE, "ada", "secret"), in_a_minute())
        .await;
    assert!(second.unwrap_err().to_string().contains("login_timeout"));
    assert_eq!(started.elapsed(), Duration::from_secs(40));
    first.succeeded();
    assert!(
        guard
            .attempt(key(SERVICE, "ada", "secret"), in_a_minute())
            .await
            .is_ok()
    );
}

#[tokio::test(start_paused = true)]
async fn histories_that_count_nothing_are_forgotten_once_there_are_many() {
    let guard = LockoutGuard::new();
    for user in 1..MOST_IDLE {
        log_in(&guard, user, LoginAttempt::succeeded).await;
    }
    assert_eq!(guard.local.users(), MOST_IDLE - 1);
    log_in(&guard, MOST_IDLE, LoginAttempt::succeeded).await;
    assert_eq!(guard.local.users(), 1, "the one that logs in now stays");
}

#[test]
fn the_memory_of_refused_sessions_is_bounded() {
    let guard = LockoutGuard::new();
    let id = |identity: usize| {
        SessionId::new(
            "https://gis",
            Some(&identity.to_string().as_str().into()),
            false,
        )
    };
    let refused = TokenError::refused("no");
    for identity in 0..100_000 {
        guard.refuse_session(id(identity), None, &refused);
    }
    assert!(guard.local.sessions().len() <= 10_000);
    assert!(guard.refused_session(id(99_999)).is_some());
}

#[test]
fn no_debug_shows_a_user_name_or_a_password() {
    let shown = format!(
        "{:?} {:?}",
        LockoutGuard::new(),
        key(SERVICE, "ada", "hunter2")
    );
    assert!(
        !shown.contains("ada") && !shown.contains("hunter2"),
        "{shown}"
    );
}

async fn log_in(guard: &LockoutGuard, user: usize, end: impl FnOnce(LoginAttempt)) {
    let key = key(SERVICE, &user.to_string(), "secret");
    let mut attempt = guard.attempt(key, in_a_minute()).await.unwrap();
    attempt.sent();
    end(attempt);
}

fn refuse(attempt: LoginAttempt) {
    attempt.refused(&TokenError::refused("no"));
}

#[tokio::test(start_paused = true)]
async fn histories_are_kept_until_there_are_many_and_the_empty_ones_go_first() {
    let guard = LockoutGuard::new();
    log_in(&guard, 1, LoginAttempt::no_verdict).await;
    for user in 2..MOST_IDLE {
        log_in(&guard, user, LoginAttempt::succeeded).await;
    }
    assert_eq!(guard.local.users(), MOST_IDLE - 1, "none is forgotten yet");
    log_in(&guard, MOST_IDLE, LoginAttempt::succeeded).await;
    assert_eq!(guard.local.users(), MOST_IDLE - 1, "the empty one is");
}

#[tokio::test(start_paused = true)]
async fn what_works_is_known_for_longer_than_what_came_to_nothing() {
    let guard = LockoutGuard::new();
    for user in 1..=9 {
        log_in(&guard, user, LoginAttempt::succeeded).await;
    }
    for user in 10..=MOST_IDLE {
        log_in(&guard, user, LoginAttempt::no_verdict).await;
    }
    assert_eq!(guard.local.users(), 10);
    // Only where a credential has worked are two logins under way at once.
    let again = || guard.attempt(key(SERVICE, "9", "secret"), in_a_minute());
    let (first, second) = (again().await.unwrap(), again().await.unwrap());
    drop((first, second));
}

#[tokio::test(start_paused = true)]
async fn no_number_of_users_makes_a_refusal_forgotten() {
    let guard = LockoutGuard::new();
    log_in(&guard, 0, refuse).await;
    for user in 1..=MOST_IDLE {
        log_in(&guard, user, LoginAttempt::succeeded).await;
    }
    let again = guard.attempt(key(SERVICE, "0", "secret"), in_a_minute());
    assert!(again.await.unwrap_err().is_refused());
}

#[tokio::test(start_paused = true)]
async fn histories_that_must_stay_are_not_gone_through_at_every_login() {
    let guard = LockoutGuard::new();
    for user in 1..=MOST_IDLE {
        log_in(&guard, user, refuse).await;
    }
    for user in 1..=9 {
        log_in(&guard, MOST_IDLE + user, LoginAttempt::succeeded).await;
    }
    assert_eq!(guard.local.users(), MOST_IDLE + 9);
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_turn_is_told_though_histories_are_forgotten_meanwhile() {
    let guard = LockoutGuard::new();
    let ada = key(SERVICE, "ada", "secret");
    let ended = guard.local.ended(&ada);
    let mut told = pin!(ended.notified());
    told.as_mut().enable();
    // Others come in between, so many that what counts nothing is forgotten.
    for user in 1..=MOST_IDLE {
        log_in(&guard, user, LoginAttempt::succeeded).await;
    }
    assert!(guard.local.users() < MOST_IDLE);
    let attempt = guard.attempt(ada, in_a_minute()).await.unwrap();
    attempt.no_verdict();
    let waited = tokio::time::timeout(Duration::from_secs(1), told).await;
    assert!(waited.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_debug_says_what_it_is_of() {
    let guard = LockoutGuard::new();
    log_in(&guard, 1, refuse).await;
    log_in(&guard, 2, refuse).await;
    assert_eq!(
        format!("{guard:?}"),
        "LockoutGuard { users: 2, is_shared: false }"
    );
    let attempt = guard.attempt(key(SERVICE, "ada", "secret"), in_a_minute());
    let shown = format!("{:?}", attempt.await.unwrap());
    assert!(
        shown.starts_with("LoginAttempt { key: LoginKey {"),
        "{shown}"
    );
    assert!(
        shown.contains(SERVICE) && shown.contains("is_sent: false"),
        "{shown}"
    );
}
