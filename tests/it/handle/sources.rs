//! Sources that take part in a sign-out, and take their time.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};
use tower::Layer;
use tower_arcgis_auth::{ArcgisAuthLayer, Identity, RenewError, SiteHandle, SkipReason};

use crate::support::{ROADS, SECOND, TokenService, Upstream, get, identity_in_header, send, site};

/// A site on which each identity has a session with this source.
fn handle_for_each(source: &TokenService) -> SiteHandle {
    let site = site(source).identity_fn(identity_in_header);
    let layer = ArcgisAuthLayer::try_new(site).unwrap();
    layer.handle().sites().remove(0)
}

async fn sign_in_a_hundred(handle: &SiteHandle) {
    for number in 0..100 {
        let identity = Identity::from(format!("identity{number}"));
        handle.renew_identity(&identity).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn no_login_is_made_until_the_source_has_signed_out() {
    let source = TokenService::new().sign_out_takes(2 * SECOND);
    let layer = ArcgisAuthLayer::try_new(site(&source)).unwrap();
    let service = layer.layer(Upstream::open_to_any_token());
    assert!(send(&service, get(ROADS)).await.is_clean());
    let handle = layer.handle();
    let meanwhile = async {
        sleep(SECOND).await;
        send(&service, get(ROADS)).await
    };
    let (signed_out, got) = tokio::join!(handle.sign_out(), meanwhile);
    signed_out.unwrap();
    assert!(matches!(
        got.outcome.skip_reason(),
        Some(SkipReason::SignedOut)
    ));
    let left = source.tokens();
    assert!(left.is_empty(), "left behind: {left:?}");
    assert!(send(&service, get(ROADS)).await.is_clean());
}

#[tokio::test(start_paused = true)]
async fn signing_out_many_goes_on_at_once_and_to_the_end() {
    let source = TokenService::new().sign_out_takes(5 * SECOND);
    let handle = handle_for_each(&source);
    sign_in_a_hundred(&handle).await;
    let started = Instant::now();
    let given_up = timeout(SECOND, handle.sign_out()).await;
    assert!(given_up.is_err());
    while !source.tokens().is_empty() {
        sleep(SECOND).await;
    }
    assert_eq!(source.sign_outs(), 100);
    let took = started.elapsed();
    assert!(took < 30 * SECOND, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_source_that_hangs_at_a_sign_out_delays_logins_for_seconds_only() {
    let source = TokenService::new().sign_out_takes(Duration::from_secs(24 * 60 * 60));
    let layer = ArcgisAuthLayer::try_new(site(&source)).unwrap();
    let handle = layer.handle().sites().remove(0);
    handle.renew().await.unwrap();
    let error = handle.sign_out().await.unwrap_err();
    assert!(error.to_string().contains("sign out again"), "{error}");
    handle.renew().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn sources_that_hang_at_a_sign_out_delay_the_next_by_a_second() {
    let source = TokenService::new().sign_out_takes(Duration::from_secs(24 * 60 * 60));
    let handle = handle_for_each(&source);
    sign_in_a_hundred(&handle).await;
    let started = Instant::now();
    assert!(handle.sign_out().await.is_err());
    assert_eq!(started.elapsed().as_secs(), 15 + 100 / 32);
    for session in handle.sessions() {
        assert!(session.skip_reason().is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn an_identity_that_was_evicted_logs_in_after_the_sign_out_and_not_during_it() {
    let source = TokenService::new().sign_out_takes(10 * SECOND);
    let handle = handle_for_each(&source);
    let alice = Identity::from("alice");
    let meanwhile = async {
        sleep(SECOND).await;
        handle.renew_identity(&alice).await
    };
    let (signed_out, renewed) = tokio::join!(handle.sign_out_identity(&alice), meanwhile);
    signed_out.unwrap();
    assert!(matches!(renewed, Err(RenewError::SignedOut)));
    assert_eq!(source.attempts(), 0);
    handle.renew_identity(&alice).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_identity_that_was_evicted_is_signed_out_all_the_same() {
    let source = TokenService::new();
    let site = site(&source)
        .identity_fn(identity_in_header)
        .remember_identities(10, Duration::from_nanos(1));
    let layer = ArcgisAuthLayer::try_new(site).unwrap();
    let handle = layer.handle().sites().remove(0);
    let alice = Identity::from("alice");
    handle.renew_identity(&alice).await.unwrap();
    assert!(handle.sessions().is_empty());
    handle.sign_out_identity(&alice).await.unwrap();
    assert_eq!(source.sign_outs(), 1);
}
