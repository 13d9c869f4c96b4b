//! Signing out of a server ends the login at its portal.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use arcgis_stand_in::Portal;
use tokio::time::sleep;
use tower_arcgis_auth::{ArcgisAuthLayer, Identity, RenewError, Site};

use crate::support::{
    MINUTE, ROOT, Reply, SECOND, TokenService, identity_in_header, layer,
    loopback::{PARCELS, assert_open, client_of, federated_with, fetch, member},
    reader,
};

/// What a server of the portal at `http://gis.test/portal` says of itself.
const MEMBER: &str = r#"{"currentVersion":11,"owningSystemUrl":"http://gis.test/portal"}"#;

#[tokio::test]
async fn signing_out_of_a_server_ends_the_login_at_its_portal() {
    let portal = Portal::start().await.unwrap();
    let server = federated_with(&portal).await;
    let layer = ArcgisAuthLayer::try_new(member(&server, &portal)).unwrap();
    let service = client_of(&layer);
    assert_open(&fetch(&service, server.url(PARCELS)).await);

    layer.handle().sign_out().await.unwrap();

    assert_open(&fetch(&service, server.url(PARCELS)).await);
    assert_eq!(portal.counters().logins, 2);
}

#[tokio::test(start_paused = true)]
async fn signing_out_after_a_fault_ends_the_login_at_the_portal_too() {
    let is_down = Arc::new(AtomicBool::new(false));
    let down = is_down.clone();
    let service = TokenService::new().info(MEMBER).logins(move |asked| {
        let is_exchange = asked.field("serverUrl").is_some();
        match is_exchange && down.load(Ordering::SeqCst) {
            true => Reply::Fault,
            false => Reply::Token,
        }
    });
    let site = Site::new(ROOT).allow_insecure_http().credential(reader());
    let handle = layer(site, &service).handle().sites().remove(0);
    handle.renew().await.unwrap();
    is_down.store(true, Ordering::SeqCst);
    assert!(handle.renew().await.is_err());
    handle.sign_out().await.unwrap();
    is_down.store(false, Ordering::SeqCst);
    handle.renew().await.unwrap();
    assert_eq!(service.passwords(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_portals_login_ends_with_the_last_identity_that_uses_it() {
    let service = TokenService::new().info(MEMBER).takes(SECOND);
    let site = Site::new(ROOT)
        .allow_insecure_http()
        .identity_fn(identity_in_header)
        .credential(reader());
    let handle = layer(site, &service).handle().sites().remove(0);
    let (alice, bob) = (Identity::from("alice"), Identity::from("bob"));

    // Alice signs out while both wait for the portal.
    let signing_out = async {
        sleep(SECOND / 2).await;
        handle.sign_out_identity(&alice).await.unwrap();
    };
    let (for_alice, for_bob, ()) = tokio::join!(
        handle.renew_identity(&alice),
        handle.renew_identity(&bob),
        signing_out
    );
    assert!(matches!(for_alice, Err(RenewError::SignedOut)));
    for_bob.unwrap();
    handle.renew_identity(&alice).await.unwrap();
    handle.sign_out_identity(&alice).await.unwrap();
    handle.renew_identity(&bob).await.unwrap();
    assert_eq!(service.passwords(), 1);

    handle.sign_out_identity(&bob).await.unwrap();
    handle.renew_identity(&bob).await.unwrap();
    assert_eq!(service.passwords(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_sign_out_during_the_first_login_ends_that_at_the_portal_too() {
    let service = TokenService::new().logins(|asked| match asked.field("password") {
        Some(_) => Reply::Token.after(5 * SECOND),
        None => Reply::Token,
    });
    let site = Site::new(ROOT)
        .allow_insecure_http()
        .portal("http://portal.test/portal")
        .credential_fn(|_| async { Ok(reader()) });
    let handle = layer(site, &service).handle().sites().remove(0);
    let sign_out = async {
        sleep(2 * SECOND).await;
        handle.sign_out().await
    };
    let (renewed, signed_out) = tokio::join!(handle.renew(), sign_out);
    assert!(renewed.is_err());
    signed_out.unwrap();
    sleep(MINUTE).await;
    assert_eq!((service.attempts(), service.answered()), (1, 0));
}
