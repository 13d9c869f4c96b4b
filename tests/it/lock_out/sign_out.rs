//! Signing out makes nothing forgotten that the token service may have counted.

use tokio::time::sleep;
use tower::Layer;
use tower_arcgis_auth::{ArcgisAuthLayer, Identity, RenewError};

use crate::support::{
    ROADS, Reply, SECOND, TokenService, Upstream, assert_login_refused, get, get_as, layer,
    named_like_identities, named_site, send, site,
};

#[tokio::test(start_paused = true)]
async fn a_sign_out_lifts_no_refusal() {
    let source = TokenService::new();
    source.always(Reply::Refused);
    let layer = ArcgisAuthLayer::try_new(site(&source)).unwrap();
    let service = layer.layer(Upstream::secured_by(&source));
    let handle = layer.handle().sites().remove(0);
    for _ in 0..6 {
        let renewed = handle.renew().await;
        assert!(matches!(renewed, Err(RenewError::Refused(_))));
        handle.sign_out().await.unwrap();
        let got = send(&service, get(ROADS)).await;
        let skip_reason = got.outcome.skip_reason();
        assert_login_refused(skip_reason);
    }
    assert_eq!(source.attempts(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_sign_out_lifts_no_limit_on_unanswered_logins() {
    let source = TokenService::new()
        .asking_for_leave()
        .answering(Reply::Hangs);
    let layer = ArcgisAuthLayer::try_new(site(&source)).unwrap();
    let handle = layer.handle().sites().remove(0);
    for _ in 0..8 {
        assert!(handle.renew().await.is_err());
        handle.sign_out().await.unwrap();
    }
    assert_eq!(source.attempts(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_sign_out_in_the_middle_of_a_login_leaves_its_outcome_unknown() {
    let service = TokenService::new().answering_to("alice", Reply::Hangs);
    let layer = layer(named_like_identities(named_site()), &service);
    let client = layer.layer(Upstream::open_to_any_token());
    let handle = layer.handle().sites().remove(0);
    let alice = Identity::from("alice");
    for number in 0..8 {
        let other = client.clone();
        let sent = tokio::spawn(async move { send(&other, get_as("alice")).await });
        sleep(2 * SECOND).await;
        handle.sign_out_identity(&alice).await.unwrap();
        assert!(!sent.await.unwrap().is_clean());
        // A request a minute later makes the layer look what it may forget.
        sleep(61 * SECOND).await;
        let got = send(&client, get_as(format!("bob{number}"))).await;
        assert!(got.is_clean());
    }
    assert_eq!(service.attempts_of("alice"), 4);
}
