//! Logins: why they began, what came of them, how long they took, and why others were not made.

use tokio::time::advance;
use tower::Layer;
use tower_arcgis_auth::ArcgisAuthLayer;

use crate::{
    recorder::Recorded,
    support::{
        INVALID, MINUTE, REQUIRED, ROADS, Reply, SECOND, TokenService, Upstream, get, map_server,
        over, send, site,
    },
};

const STARTED: &str = "arcgis_auth_logins_started_total";
const LOGINS: &str = "arcgis_auth_logins_total";
const DURATION: &str = "arcgis_auth_login_duration_seconds";
const WITHHELD: &str = "arcgis_auth_logins_withheld_total";
const RETURNED: &str = "arcgis_auth_challenges_returned_total";

#[tokio::test(start_paused = true)]
async fn a_login_is_counted_with_its_duration() {
    let recorded = Recorded::new();
    let _here = recorded.here();
    let source = TokenService::new().takes(3 * SECOND);
    let service = over(Upstream::secured_by(&source), &source);

    assert!(send(&service, get(ROADS)).await.is_clean());

    assert_eq!(recorded.counts(STARTED), [("missing".into(), 1)]);
    assert_eq!(recorded.counts(LOGINS), [("succeeded".into(), 1)]);
    assert_eq!(recorded.samples(DURATION, "outcome=succeeded"), [3.0]);
    assert_eq!(recorded.counts(WITHHELD), []);
}

#[tokio::test(start_paused = true)]
async fn a_refused_login_is_the_credentials_fault_and_is_not_repeated() {
    let recorded = Recorded::new();
    let _here = recorded.here();
    let source = TokenService::new().answering(Reply::Refused);
    let service = over(Upstream::secured_by(&source), &source);

    for _ in 0..3 {
        assert!(!send(&service, get(ROADS)).await.is_clean());
    }

    assert_eq!(recorded.counts(LOGINS), [("refused".into(), 1)]);
    assert_eq!(recorded.counts(WITHHELD), [("refused_before".into(), 2)]);
    assert_eq!(recorded.counts(RETURNED), [("login_refused".into(), 3)]);
}

#[tokio::test(start_paused = true)]
async fn a_failed_login_is_a_fault_and_the_pause_after_it_withholds_others() {
    let recorded = Recorded::new();
    let _here = recorded.here();
    let source = TokenService::new()
        .answering(Reply::Fault)
        .takes(2 * SECOND);
    let service = over(Upstream::secured_by(&source), &source);

    for _ in 0..3 {
        assert!(!send(&service, get(ROADS)).await.is_clean());
    }

    assert_eq!(recorded.counts(LOGINS), [("failed".into(), 1)]);
    assert_eq!(recorded.samples(DURATION, "outcome=failed"), [2.0]);
    assert_eq!(recorded.counts(WITHHELD), [("back_off".into(), 2)]);
    assert_eq!(recorded.counts(RETURNED), [("login_failed".into(), 3)]);
}

#[tokio::test(start_paused = true)]
async fn a_login_that_panics_has_failed() {
    let recorded = Recorded::new();
    let _here = recorded.here();
    let source = TokenService::new().answering(Reply::Panics);
    let service = over(Upstream::secured_by(&source), &source);
    assert!(!send(&service, get(ROADS)).await.is_clean());
    assert_eq!(recorded.counts(LOGINS), [("failed".into(), 1)]);
}

#[tokio::test(start_paused = true)]
async fn a_login_that_might_lock_the_account_is_withheld() {
    let recorded = Recorded::new();
    let _here = recorded.here();
    let source = TokenService::new()
        .asking_for_leave()
        .answering(Reply::Refused);
    let layer = ArcgisAuthLayer::try_new(site(&source)).unwrap();
    let handle = layer.handle().sites().remove(0);

    for password in ["a", "b", "c", "d", "e"] {
        source.set_secret(password);
        assert!(handle.renew().await.is_err());
    }

    assert_eq!(source.attempts(), 4);
    let outcomes = [("refused".into(), 4), ("withheld".into(), 1)];
    assert_eq!(recorded.counts(LOGINS), outcomes);
    assert_eq!(recorded.counts(WITHHELD), [("lockout_guard".into(), 1)]);
    assert_eq!(recorded.counts(STARTED), [("forced".into(), 5)]);
}

#[tokio::test(start_paused = true)]
async fn a_spent_budget_withholds_logins() {
    let recorded = Recorded::new();
    let _here = recorded.here();
    let source = TokenService::new();
    let service = over(Upstream::secured_by(&source), &source);
    send(&service, get(ROADS)).await;

    for _ in 0..22 {
        source.revoke_all();
        send(&service, get(ROADS)).await;
    }

    assert_eq!(recorded.counts(LOGINS), [("succeeded".into(), 21)]);
    assert_eq!(
        recorded.counts(WITHHELD),
        [("login_budget_spent".into(), 2)]
    );
    assert_eq!(
        recorded.counts(RETURNED),
        [("login_budget_spent".into(), 2)]
    );
}

#[tokio::test(start_paused = true)]
async fn a_renewal_ahead_of_time_and_one_after_the_end_have_their_reasons() {
    let recorded = Recorded::new();
    let _here = recorded.here();
    let source = TokenService::new().lifetime(60 * MINUTE);
    let service = over(Upstream::secured_by(&source), &source);
    send(&service, get(ROADS)).await;

    advance(56 * MINUTE).await;
    tokio::task::yield_now().await;
    assert!(send(&service, get(ROADS)).await.is_clean());
    tokio::task::yield_now().await;
    let ahead = [("expiring".into(), 1), ("missing".into(), 1)];
    assert_eq!(recorded.counts(STARTED), ahead);

    advance(61 * MINUTE).await;
    tokio::task::yield_now().await;
    assert!(send(&service, get(ROADS)).await.is_clean());
    assert_eq!(recorded.count(STARTED, "reason=expired"), 1);
    assert_eq!(recorded.counts(LOGINS), [("succeeded".into(), 3)]);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_asks_for_a_token_despite_one_is_a_reason_of_its_own() {
    let recorded = Recorded::new();
    let _here = recorded.here();
    let source = TokenService::new();
    let upstream = Upstream::secured_by(&source).refusing("Secret");
    let service = over(upstream, &source);
    send(&service, get(ROADS)).await;
    send(&service, get(&map_server("Secret"))).await;
    assert_eq!(recorded.count(STARTED, "reason=required_despite_token"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_sign_out_ends_a_login_under_way() {
    let recorded = Recorded::new();
    let _here = recorded.here();
    let source = TokenService::new().holding();
    let layer = ArcgisAuthLayer::try_new(site(&source)).unwrap();
    let service = layer.layer(Upstream::secured_by(&source));
    let waits = tokio::spawn(async move { send(&service, get(ROADS)).await });
    source.begun().await;

    layer.handle().sign_out().await.unwrap();

    assert_eq!(waits.await.unwrap().body, REQUIRED);
    assert_eq!(recorded.counts(LOGINS), [("signed_out".into(), 1)]);
    assert_eq!(recorded.count("arcgis_auth_sign_outs_total", ""), 1);
    assert_eq!(recorded.counts(RETURNED), [("signed_out".into(), 1)]);
}

#[tokio::test(start_paused = true)]
async fn each_login_that_began_ends_once() {
    let recorded = Recorded::new();
    let _here = recorded.here();
    let source = TokenService::new();
    let upstream = Upstream::secured_by(&source).except("Odd", |_| crate::support::answer(INVALID));
    let service = over(upstream, &source);
    source.next([Reply::Fault, Reply::Panics, Reply::Refused, Reply::Useless]);
    for number in 0..12 {
        source.revoke_all();
        send(&service, get(ROADS)).await;
        send(&service, get(&map_server(&format!("Odd{number}")))).await;
        advance(10 * MINUTE).await;
    }
    let sum = |name| -> u64 { recorded.counts(name).iter().map(|(_, count)| count).sum() };
    assert!(sum(STARTED) > 10);
    assert_eq!(sum(STARTED), sum(LOGINS));
}
