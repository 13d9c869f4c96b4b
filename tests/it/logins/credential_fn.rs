//! A credential that is asked for when it is needed.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use futures_util::future::join_all;
use tokio::time::{Instant, sleep};
use tower_arcgis_auth::{Cancelled, Credential, SkipReason};

use crate::support::{
    REQUIRED, ROADS, ROOT, Reply, SECOND, TokenService, assert_login_refused, client, get,
    named_site, send,
};

#[tokio::test(start_paused = true)]
async fn a_person_is_asked_once_however_many_requests_wait() {
    let service = TokenService::new().knows("right");
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = asked.clone();
    let site = named_site().credential_fn(move |request| {
        counted.fetch_add(1, Ordering::SeqCst);
        async move {
            assert_eq!(request.site(), ROOT);
            sleep(90 * SECOND).await;
            Ok(Credential::user("reader", "right"))
        }
    });
    let client = client(site, &service);
    let answers = join_all((0..1000).map(|_| send(&client, get(ROADS)))).await;
    assert!(answers.iter().all(|got| got.is_clean()));
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    assert_eq!(service.attempts(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_person_who_cancels_is_not_asked_again_at_once() {
    let service = TokenService::new().knows("right");
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = asked.clone();
    let site = named_site().credential_fn(move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
        async { Err(Cancelled) }
    });
    let client = client(site, &service);
    for _ in 0..5 {
        let got = send(&client, get(ROADS)).await;
        assert_eq!(got.body, REQUIRED);
    }
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    assert_eq!(service.attempts(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_time_limit_of_a_login_begins_when_the_function_has_answered() {
    let service = TokenService::new().knows("right");
    service.next([Reply::Hangs]);
    let site = named_site().credential_fn(|_| async {
        sleep(200 * SECOND).await;
        Ok(Credential::user("reader", "right"))
    });
    let client = client(site, &service);
    let started = Instant::now();
    assert!(!send(&client, get(ROADS)).await.is_clean());
    assert_eq!(started.elapsed().as_secs(), 230);
    sleep(2 * SECOND).await;
    // The answer that was given is still good.
    let started = Instant::now();
    assert!(send(&client, get(ROADS)).await.is_clean());
    assert_eq!(started.elapsed().as_secs(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_person_who_does_not_answer_in_five_minutes_has_not_answered() {
    let service = TokenService::new().knows("right");
    let site = named_site().credential_fn(|_| std::future::pending());
    let begun = Instant::now();
    let got = send(&client(site, &service), get(ROADS)).await;
    assert_eq!(begun.elapsed().as_secs(), 300);
    assert!(
        got.outcome
            .skip_reason()
            .unwrap()
            .to_string()
            .contains("300 seconds")
    );
}

#[tokio::test(start_paused = true)]
async fn how_long_a_person_has_to_answer_can_be_set() {
    let service = TokenService::new();
    let site = named_site()
        .credential_fn(|_| std::future::pending())
        .credential_deadline(20 * SECOND);
    let begun = Instant::now();
    let got = send(&client(site, &service), get(ROADS)).await;
    assert!(!got.is_clean());
    assert_eq!(begun.elapsed().as_secs(), 20);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_is_asked_again_after_a_pause_and_is_no_refusal() {
    let service = TokenService::new().knows("right");
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = asked.clone();
    let site = named_site().try_credential_fn(move |_| {
        let number = counted.fetch_add(1, Ordering::SeqCst);
        async move {
            match number {
                0 => Err(std::io::Error::other("the database hiccups").into()),
                1 => std::future::pending().await,
                _ => Ok(Some(Credential::user("reader", "right"))),
            }
        }
    });
    let client = client(site.credential_deadline(20 * SECOND), &service);
    for (words, number) in [("looked up", 1), ("20 seconds", 2)] {
        let got = send(&client, get(ROADS)).await;
        assert_eq!(got.body, REQUIRED);
        let Some(SkipReason::LoginFailed(error)) = got.outcome.skip_reason() else {
            panic!("{}", got.outcome);
        };
        assert!(error.to_string().contains(words), "{error}");
        // The store is left alone for a while.
        send(&client, get(ROADS)).await;
        assert_eq!(asked.load(Ordering::SeqCst), number);
        sleep(3 * SECOND).await;
    }
    assert!(send(&client, get(ROADS)).await.is_clean());
    assert_eq!(service.attempts(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_error_of_a_store_is_the_cause_that_is_reported() {
    let site = named_site()
        .try_credential_fn(|_| async { Err(std::io::Error::other("the database hiccups").into()) });
    let got = send(&client(site, &TokenService::new()), get(ROADS)).await;
    let reason = got.outcome.skip_reason().unwrap();
    let cause = std::error::Error::source(reason).unwrap();
    assert_eq!(cause.to_string(), "the database hiccups");
}

#[tokio::test(start_paused = true)]
async fn a_store_without_the_credential_is_not_asked_again_at_once() {
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = asked.clone();
    let site = named_site().try_credential_fn(move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
        async { Ok(None) }
    });
    let client = client(site, &TokenService::new());
    for _ in 0..5 {
        let got = send(&client, get(ROADS)).await;
        assert_login_refused(got.outcome.skip_reason());
        sleep(60 * SECOND).await;
    }
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}
