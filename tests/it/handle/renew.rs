//! Renewing from the outside.

use http::request::Parts;
use tower::Layer;
use tower_arcgis_auth::{
    ArcgisAuthLayer, Identity, RenewError, Site, TokenError, TokenReason, token_source_fn,
};

use crate::support::{
    ROADS, ROOT, Reply, TokenService, Upstream, assert_login_refused, get, send, site,
};

#[tokio::test(start_paused = true)]
async fn the_handle_renews_before_the_first_request_and_after_any() {
    let source = TokenService::new();
    let layer = ArcgisAuthLayer::try_new(site(&source)).unwrap();
    let upstream = Upstream::secured_by(&source);
    let service = layer.layer(upstream.clone());
    let handle = layer.handle().sites().remove(0);

    assert_eq!(handle.renew().await.unwrap().generation(), 1);
    assert!(send(&service, get(ROADS)).await.is_clean());
    assert_eq!(handle.renew().await.unwrap().generation(), 2);
    assert!(send(&service, get(ROADS)).await.is_clean());

    let signed: Vec<String> = upstream.tokens().into_iter().flatten().collect();
    assert_eq!(
        signed,
        ["secret-1", "secret-2"],
        "and nothing was challenged"
    );
    assert_eq!(source.reasons(), [TokenReason::Forced; 2]);
}

#[tokio::test(start_paused = true)]
async fn a_forced_renewal_ignores_back_off_but_respects_a_refusal() {
    let source = TokenService::new();
    let layer = ArcgisAuthLayer::try_new(site(&source)).unwrap();
    let handle = layer.handle().sites().remove(0);
    source.next([Reply::Fault]);
    assert!(matches!(handle.renew().await, Err(RenewError::Failed(_))));
    assert_eq!(handle.renew().await.unwrap().generation(), 1);

    source.next([Reply::Refused]);
    for _ in 0..3 {
        assert!(matches!(handle.renew().await, Err(RenewError::Refused(_))));
    }
    assert_eq!(source.attempts(), 3);
    let session = &handle.sessions()[0];
    assert!(session.token().is_some(), "the old one stays");
    assert_login_refused(session.skip_reason());
}

#[tokio::test(start_paused = true)]
async fn why_there_is_no_token_is_an_error_that_tells_its_cause_once() {
    // With a cause of its own, which the scripted token service does not give as a source.
    let source = token_source_fn(|_| async {
        Err(TokenError::fault("the token service cannot be reached")
            .with_source(std::io::Error::other("closed")))
    });
    let layer = ArcgisAuthLayer::try_new(Site::new(ROOT).token_source(source)).unwrap();
    let renewed = layer.handle().sites()[0].renew().await;
    let error: Box<dyn std::error::Error> = renewed.unwrap_err().into();
    assert_eq!(
        error.to_string(),
        "login failed: the token service cannot be reached"
    );
    assert_eq!(error.source().unwrap().to_string(), "closed");
}

#[tokio::test(start_paused = true)]
async fn a_renewal_without_a_credential_or_identity_says_so() {
    let layer = ArcgisAuthLayer::builder()
        .add_site(Site::new("http://open.test"))
        .add_site(site(&TokenService::new()).identity_fn(|_| None))
        .build()
        .unwrap();
    let sites = layer.handle().sites();
    assert!(matches!(
        sites[0].renew().await,
        Err(RenewError::NoCredential)
    ));
    assert!(matches!(
        sites[1].renew().await,
        Err(RenewError::NoSuchIdentity)
    ));
    let alice = Identity::from("alice");
    let one = ArcgisAuthLayer::try_new(site(&TokenService::new())).unwrap();
    assert!(matches!(
        one.handle().sites()[0].renew_identity(&alice).await,
        Err(RenewError::NoSuchIdentity)
    ));
}

#[tokio::test(start_paused = true)]
async fn an_identity_may_be_logged_in_before_the_first_request() {
    let source = TokenService::new();
    let alice = |_: &Parts| Some(Identity::from("alice"));
    let layer = ArcgisAuthLayer::try_new(site(&source).identity_fn(alice)).unwrap();
    let upstream = Upstream::secured_by(&source);
    let handle = layer.handle().sites().remove(0);

    handle
        .renew_identity(&Identity::from("alice"))
        .await
        .unwrap();
    send(&layer.layer(upstream.clone()), get(ROADS)).await;

    assert_eq!(upstream.tokens(), [Some("alice-1".to_owned())]);
}
