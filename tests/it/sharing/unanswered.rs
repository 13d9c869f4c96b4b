//! Logins whose outcome is unknown count for all replicas.

use std::time::Duration;

use http::StatusCode;
use tokio::time::{Instant, sleep};
use tower_arcgis_auth::{ArcgisAuthLayer, Credential, GenerateToken, Site};

use super::{Fleet, KEY, PASSWORD, ask, ask_all};
use crate::support::{MINUTE, ROOT, Reply, SECOND, reader, shared_cache::Fault};

#[tokio::test(start_paused = true)]
async fn a_fleet_makes_four_logins_without_an_answer() {
    // The token service takes in every attempt, counts it, and answers too late.
    let fleet = Fleet::taking(45 * SECOND);
    let replicas: Vec<_> = (0..10).map(|_| fleet.replica()).collect();
    let started = Instant::now();
    while started.elapsed() < 14 * MINUTE {
        ask_all(&replicas).await;
        sleep(5 * SECOND).await;
    }
    assert_eq!(fleet.attempts(), 4);
}

async fn sign_out(layer: ArcgisAuthLayer) {
    // The cache may be too slow to be told in time.
    let _ = layer.handle().sign_out().await;
}

/// Makes `logins` logins, each by a replica of its own, in which the cache becomes slow as soon as the token service has
/// answered, and does `with` each replica as it writes down what came of it.
async fn slow_once_answered(
    fleet: &Fleet,
    logins: usize,
    mut with: impl AsyncFnMut(ArcgisAuthLayer),
) -> Vec<bool> {
    fleet.slow_when_answered();
    let mut renewed = Vec::new();
    for _ in 0..logins {
        let layer = fleet.layer(fleet.shared(fleet.site(PASSWORD)));
        let handle = layer.handle().sites().remove(0);
        let renewal = tokio::spawn(async move { handle.renew().await.is_ok() });
        sleep(fleet.takes + Duration::from_millis(100)).await;
        with(layer).await;
        renewed.push(renewal.await.unwrap());
        fleet.cache.set_fault(None);
        sleep(20 * SECOND).await;
    }
    renewed
}

#[tokio::test(start_paused = true)]
async fn a_login_that_ends_with_a_sign_out_once_it_is_answered_does_not_count() {
    let fleet = Fleet::new();
    slow_once_answered(&fleet, 6, sign_out).await;
    assert_eq!(fleet.attempts(), 6);
}

#[tokio::test(start_paused = true)]
async fn a_login_that_is_answered_just_in_time_was_answered_whatever_the_cache_takes() {
    let fleet = Fleet::taking(Duration::from_millis(29_500));
    let renewed = slow_once_answered(&fleet, 6, async |_| {}).await;
    assert_eq!((renewed, fleet.attempts()), (vec![false; 6], 6));
}

#[tokio::test(start_paused = true)]
async fn a_gateway_that_gives_up_on_the_token_service_counts_for_all_replicas() {
    let fleet = Fleet::new();
    let page = Reply::page(StatusCode::GATEWAY_TIMEOUT, "<html>no answer</html>");
    fleet.service.always(page.after(15 * SECOND));
    for _ in 0..10 {
        let layer = fleet.layer(fleet.shared(fleet.site(PASSWORD)));
        assert!(layer.handle().sites()[0].renew().await.is_err());
    }
    assert_eq!(fleet.attempts(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_that_is_written_as_a_user_signs_out_is_remembered() {
    let fleet = Fleet::new();
    fleet.service.set_password("changed");
    slow_once_answered(&fleet, 6, sign_out).await;
    assert_eq!(fleet.attempts(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_just_in_time_is_remembered_whatever_the_cache_takes() {
    let fleet = Fleet::taking(Duration::from_millis(29_500));
    fleet.service.set_password("changed");
    slow_once_answered(&fleet, 6, async |_| {}).await;
    assert_eq!(fleet.attempts(), 1);
    // One process, ordinary requests, a source of its own choice.
    let url = format!("{ROOT}/tokens/generateToken");
    let wrong = Credential::user("another.user", "wrong");
    let own = GenerateToken::try_new(&url, wrong, fleet.service.client()).unwrap();
    let own = fleet.sealed(KEY).wrap(own.allow_insecure_http());
    let replica = fleet.over(Site::new(ROOT).token_source(own));
    let started = Instant::now();
    while started.elapsed() < 14 * MINUTE {
        assert!(!ask(&replica).await.is_clean());
        fleet.cache.set_fault(None);
        sleep(SECOND).await;
    }
    assert_eq!(fleet.attempts(), 2);
}

async fn attempts_at_a_gateway(takes: Duration, loses_answers: bool) -> usize {
    let fleet = Fleet::new();
    let page = Reply::page(StatusCode::GATEWAY_TIMEOUT, "<html>no answer</html>");
    fleet.service.set_takes(Duration::ZERO);
    fleet.service.always(page.after(takes));
    let replica = || fleet.layer(fleet.shared(fleet.site(PASSWORD)));
    // One that is counted as it should be.
    assert!(replica().handle().sites()[0].renew().await.is_err());
    sleep(20 * SECOND).await;
    // One whose outcome is written, though the answer to that is lost.
    let second = replica();
    let sites = second.handle().sites();
    let renewal = tokio::spawn(async move { sites[0].renew().await.is_err() });
    sleep(14 * SECOND).await;
    let fault = loses_answers.then_some(Fault::LosesAnswers);
    fleet.cache.set_fault(fault);
    assert!(renewal.await.unwrap());
    sleep(MINUTE).await;
    fleet.cache.set_fault(None);
    sleep(10 * SECOND).await;
    // Others.
    for _ in 0..4 {
        assert!(replica().handle().sites()[0].renew().await.is_err());
        sleep(20 * SECOND).await;
    }
    fleet.attempts()
}

#[tokio::test(start_paused = true)]
async fn a_login_counts_once_though_the_caches_answer_is_lost() {
    // The gateway gives up in time, or too late.
    for takes in [15 * SECOND, 45 * SECOND] {
        for loses_answers in [false, true] {
            let attempts = attempts_at_a_gateway(takes, loses_answers).await;
            assert_eq!(attempts, 4, "takes {takes:?}, loses: {loses_answers}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_fleet_with_a_named_source_makes_four_logins_without_an_answer() {
    let fleet = Fleet::new();
    fleet.service.always(Reply::Hangs);
    let replica = |_| {
        let url = format!("{ROOT}/tokens/generateToken");
        let own = GenerateToken::try_new(&url, reader(), fleet.service.client()).unwrap();
        let site = Site::new(ROOT).token_source(own.allow_insecure_http());
        fleet.over(fleet.shared(site))
    };
    let replicas: Vec<_> = (0..10).map(replica).collect();
    let started = Instant::now();
    while started.elapsed() < 14 * MINUTE {
        ask_all(&replicas).await;
        sleep(5 * SECOND).await;
    }
    assert_eq!(fleet.attempts(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_login_counts_after_an_outage_as_long_as_it_is_remembered() {
    let fleet = Fleet::taking(5 * SECOND);
    let page = Reply::page(StatusCode::GATEWAY_TIMEOUT, "<html>no answer</html>");
    fleet.service.always(page);
    let cache = fleet.cache.clone();
    let fails = move || cache.set_fault(Some(Fault::Fails));
    fleet.service.when_answered(fails);
    let mut replicas = Vec::new();
    for _ in 0..6 {
        let replica = fleet.layer(fleet.shared(fleet.site(PASSWORD)));
        assert!(replica.handle().sites()[0].renew().await.is_err());
        replicas.push(replica);
        sleep(90 * SECOND).await;
        fleet.cache.set_fault(None);
        sleep(15 * SECOND).await;
    }
    assert_eq!(fleet.attempts(), 4);
}
