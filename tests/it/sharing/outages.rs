//! A cache that fails, hangs, is slow, or forgets.

use std::time::Duration;

use tokio::time::{Instant, advance, sleep};
use tower_arcgis_auth::{Credential, Site};

use super::{Fleet, KEY, NAME, OTHER_KEY, PASSWORD, ask, ask_all, assert_clean};
use crate::support::{INVALID, REQUIRED, ROOT, SECOND, shared_cache::Fault};

#[tokio::test(start_paused = true)]
async fn a_cache_that_fails_costs_no_answer_and_no_time() {
    let fleet = Fleet::new();
    fleet.cache.set_fault(Some(Fault::Fails));
    let started = Instant::now();
    let replicas = fleet.replicas(3);
    assert_clean(&ask_all(&replicas).await);
    assert_eq!(fleet.attempts(), 3);
    assert_eq!(started.elapsed(), fleet.takes);
}

#[tokio::test(start_paused = true)]
async fn a_cache_that_hangs_costs_one_second() {
    let fleet = Fleet::new();
    fleet.cache.set_fault(Some(Fault::Hangs));
    let started = Instant::now();
    assert!(ask(&fleet.replica()).await.is_clean());
    let took = started.elapsed();
    assert!(
        took <= fleet.takes + Duration::from_millis(1010),
        "{took:?}"
    );
    assert_eq!(fleet.cache.questions(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_cache_may_be_given_all_the_time_there_is() {
    let fleet = Fleet::new();
    let cache = fleet.sealed(KEY).time_limit(Duration::MAX);
    let replica = || fleet.over(fleet.site(PASSWORD).shared_token_cache(&cache));
    assert_clean(&ask_all(&[replica(), replica()]).await);
    assert_eq!(fleet.attempts(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_cache_that_is_slow_is_still_a_cache() {
    let fleet = Fleet::new();
    // A fifth of the time limit.
    let slow = Duration::from_millis(200);
    fleet.cache.set_fault(Some(Fault::Slow(slow)));
    assert_clean(&ask_all(&fleet.replicas(5)).await);
    assert_eq!(fleet.attempts(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_cache_that_is_slow_within_its_limit_costs_two_seconds_for_all_levels_of_a_login() {
    let two = format!("{KEY},{OTHER_KEY}");
    for keys in [KEY, &two] {
        for at_portal in [false, true] {
            for slow in [100, 199, 200, 201, 300, 600, 900, 999] {
                let fleet = Fleet::new();
                let slow = Duration::from_millis(slow);
                fleet.cache.set_fault(Some(Fault::Slow(slow)));
                let site = if at_portal {
                    Site::new(ROOT)
                        .credential(Credential::user(NAME, PASSWORD))
                        .portal("http://portal.test/portal")
                        .allow_insecure_http()
                } else {
                    fleet.site(PASSWORD)
                };
                let replica = fleet.over(site.shared_token_cache(&fleet.sealed(keys)));
                let started = Instant::now();
                assert!(ask(&replica).await.is_clean());
                let waited = started.elapsed() - fleet.takes * fleet.attempts() as u32;
                assert!(
                    waited <= Duration::from_millis(2010),
                    "{waited:?} for a cache that takes {slow:?}, at a portal: {at_portal}"
                );
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_cache_that_answers_nonsense_is_as_good_as_empty() {
    let fleet = Fleet::new();
    fleet.cache.set_fault(Some(Fault::Nonsense));
    assert_clean(&ask_all(&fleet.replicas(3)).await);
    assert_eq!(fleet.attempts(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_full_cache_costs_the_sharing_only() {
    let fleet = Fleet::new();
    fleet.cache.set_fault(Some(Fault::Full));
    assert_clean(&ask_all(&fleet.replicas(3)).await);
    assert_eq!(fleet.attempts(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_cache_that_comes_back_is_used_again() {
    let fleet = Fleet::new();
    let replicas = fleet.replicas(4);
    assert_clean(&ask_all(&replicas).await);
    fleet.cache.set_fault(Some(Fault::Hangs));
    fleet.service.revoke_all();
    assert_clean(&ask_all(&replicas).await);
    assert_eq!(fleet.attempts(), 1 + 4);
    fleet.cache.set_fault(None);
    advance(4 * SECOND).await;
    fleet.service.revoke_all();
    // The cache has the token from before its outage still; those who saw it die know better.
    assert_clean(&ask_all(&replicas).await);
    assert_eq!(fleet.attempts(), 1 + 4 + 1);
}

#[tokio::test(start_paused = true)]
async fn a_token_got_in_an_outage_stays_in_its_process_and_the_next_login_is_shared() {
    let fleet = Fleet::new();
    let replica = fleet.replica();
    fleet.cache.set_fault(Some(Fault::Fails));
    assert!(ask(&replica).await.is_clean());
    fleet.cache.set_fault(None);
    sleep(10 * SECOND).await;
    let late = fleet.replica();
    assert!(ask(&late).await.is_clean());
    assert_eq!(fleet.attempts(), 2);
    fleet.service.revoke_all();
    assert_clean(&ask_all(&[replica, late]).await);
    assert_eq!(fleet.attempts(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_token_replaced_in_an_outage_costs_the_next_replica_one_more_sending() {
    for invalid in [INVALID, REQUIRED] {
        let fleet = Fleet::new();
        let replica = fleet.replica_before(invalid);
        assert!(ask(&replica).await.is_clean());
        fleet.cache.set_fault(Some(Fault::Fails));
        fleet.service.revoke_all();
        assert!(ask(&replica).await.is_clean());
        fleet.cache.set_fault(None);
        sleep(10 * SECOND).await;
        for (late, sendings) in [(fleet.replica_before(invalid), 3), (fleet.replica(), 2)] {
            assert!(ask(&late).await.is_clean());
            assert_eq!(late.get_ref().tokens().len(), sendings);
        }
        assert_eq!(fleet.attempts(), 3);
    }
}

#[tokio::test(start_paused = true)]
async fn a_cache_that_forgets_everything_costs_a_login_at_most() {
    let fleet = Fleet::new();
    let replicas = fleet.replicas(4);
    assert_clean(&ask_all(&replicas).await);
    fleet.cache.forget_all();
    assert_clean(&ask_all(&replicas).await);
    assert_eq!(fleet.attempts(), 1);
    assert!(ask(&fleet.replica()).await.is_clean());
    assert_eq!(fleet.attempts(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_cache_that_goes_in_the_middle_of_a_login_costs_no_second_one() {
    let fleet = Fleet::taking(8 * SECOND);
    let replica = fleet.replica();
    let asked = tokio::spawn(async move { ask(&replica).await.is_clean() });
    sleep(SECOND).await;
    fleet.cache.set_fault(Some(Fault::Hangs));
    assert!(asked.await.unwrap());
    assert_eq!(fleet.attempts(), 1);
}
