//! Renewals, and logins that end when the cache has changed.

use tokio::time::sleep;
use tower::Layer;
use tower_arcgis_auth::{ArcgisAuth, ArcgisAuthLayer, Site};

use super::{Fleet, KEY, PASSWORD, ask, ask_all, assert_clean};
use crate::support::{MINUTE, ROOT, SECOND, TokenService, Upstream};

#[tokio::test(start_paused = true)]
async fn a_token_near_its_end_is_renewed_once_for_all() {
    let fleet = Fleet::new();
    let source = TokenService::new().lifetime(60 * MINUTE);
    let replica = |_| {
        let wrapped = fleet.sealed(KEY).wrap(source.clone());
        let site = Site::new(ROOT).token_source(wrapped);
        fleet.layer(site).layer(Upstream::secured_by(&source))
    };
    let replicas: Vec<_> = (0..5).map(replica).collect();
    assert_clean(&ask_all(&replicas).await);
    sleep(3550 * SECOND).await;
    assert_clean(&ask_all(&replicas).await);
    sleep(5 * SECOND).await;
    assert_clean(&ask_all(&replicas).await);
    assert_eq!(source.attempts(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_lost_the_lead_keeps_its_token_and_writes_nothing() {
    let fleet = Fleet::taking(5 * SECOND);
    let (held_up, next) = (fleet.replica(), fleet.replica());
    let late_writer = tokio::spawn(async move { ask(&held_up).await.is_clean() });
    sleep(SECOND).await;
    fleet.cache.forget_all();
    // Takes the lead while the first is still at it, and is done after it.
    assert!(ask(&next).await.is_clean());
    assert!(late_writer.await.unwrap());
    assert_eq!(fleet.attempts(), 2);
    let late = fleet.replica();
    assert!(ask(&late).await.is_clean());
    assert_eq!(
        late.get_ref().tokens().last().unwrap().as_deref(),
        Some("secret-2")
    );
}

/// A login is refused, slowly. Meanwhile the token that was in the cache when it began goes out of it.
async fn refused_while(
    fleet: &Fleet,
    goes: impl AsyncFnOnce(&ArcgisAuthLayer, &ArcgisAuth<Upstream>),
) {
    let layer = || fleet.layer(fleet.shared(fleet.site(PASSWORD)));
    let (renewing, other) = (layer(), layer());
    let client = renewing.layer(Upstream::secured_by(&fleet.service));
    let other_client = other.layer(Upstream::secured_by(&fleet.service));
    assert_clean(&ask_all(&[client, other_client.clone()]).await);
    fleet.service.set_password("changed");
    let handle = renewing.handle();
    let renewal = tokio::spawn(async move { handle.site(ROOT).unwrap().renew().await.is_ok() });
    sleep(SECOND).await;
    goes(&other, &other_client).await;
    assert!(!renewal.await.unwrap());
    let late = fleet.replica();
    ask(&late).await;
    assert_eq!(late.get_ref().tokens(), [None]);
}

#[tokio::test(start_paused = true)]
async fn a_refused_login_brings_no_token_back_that_was_revoked_meanwhile() {
    let fleet = Fleet::taking(5 * SECOND);
    let goes = async |layer: &ArcgisAuthLayer, client: &ArcgisAuth<Upstream>| {
        fleet.service.revoke_all();
        let client = client.clone();
        let asked = tokio::spawn(async move { ask(&client).await });
        sleep(SECOND).await;
        // Its process ends before it can log in.
        asked.abort();
        layer.handle().sign_out().await.unwrap();
    };
    refused_while(&fleet, goes).await;
}

#[tokio::test(start_paused = true)]
async fn a_refused_login_brings_no_token_back_that_was_signed_out() {
    let fleet = Fleet::taking(5 * SECOND);
    let goes = async |layer: &ArcgisAuthLayer, _: &ArcgisAuth<Upstream>| {
        layer.handle().sign_out().await.unwrap();
    };
    refused_while(&fleet, goes).await;
}
