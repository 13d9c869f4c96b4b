//! Where credentials come from.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use arcgis_stand_in::Portal;
use tower::Layer;
use tower_arcgis_auth::{ArcgisAuthLayer, Credential, Secret, Site, StaticToken, TokenSource};

use super::{error_of, log_in, site};
use crate::support::{
    CLEAN, INVALID, REQUIRED, ROADS, ROOT, TokenService, Upstream, answer, assert_login_refused,
    get,
    loopback::{assert_open, client_for, fetch},
    send, token_of,
};

#[tokio::test]
async fn a_secret_that_is_not_there_is_a_fault_that_names_its_place() {
    for (secret, named) in [
        (Secret::file("/nowhere/password"), "/nowhere/password"),
        (
            Secret::env("ARCGIS_AUTH_TEST_UNSET"),
            "ARCGIS_AUTH_TEST_UNSET",
        ),
    ] {
        let service = TokenService::new();
        let site = site(ROOT)
            .token_url("https://gis.city.gov/arcgis/tokens/generateToken")
            .credential(Credential::user("reader", secret));
        let (got, _) = log_in(site, &service, ROADS).await;
        let error = error_of(&got);
        assert!(!error.is_refused());
        assert!(error.to_string().contains(named), "{error}");
        assert_eq!(service.attempts(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_static_token_is_used_until_it_is_invalid_and_then_its_challenge_is_returned() {
    let alive = Arc::new(AtomicBool::new(true));
    let living = alive.clone();
    let upstream = Upstream::new(move |request| {
        answer(match token_of(request).as_deref() {
            Some("static") if living.load(Ordering::SeqCst) => CLEAN,
            Some("fresh") => CLEAN,
            Some(_) => INVALID,
            None => REQUIRED,
        })
    });
    let static_only =
        ArcgisAuthLayer::try_new(Site::new(ROOT).credential(Credential::token("static")))
            .unwrap()
            .layer(upstream.clone());
    let renewing = StaticToken::new("static").or_else(TokenService::new().issuing("fresh"));
    let renewed = ArcgisAuthLayer::try_new(Site::new(ROOT).token_source(renewing))
        .unwrap()
        .layer(upstream);
    assert!(send(&static_only, get(ROADS)).await.is_clean());
    assert!(send(&renewed, get(ROADS)).await.is_clean());

    alive.store(false, Ordering::SeqCst);
    for _ in 0..3 {
        let got = send(&static_only, get(ROADS)).await;
        assert_eq!(got.body, INVALID);
        assert_login_refused(got.outcome.skip_reason());
    }
    assert!(
        send(&renewed, get(ROADS)).await.is_clean(),
        "the next source was asked"
    );
}

#[tokio::test]
async fn an_api_key_limited_to_a_referer_works_with_that_referer() {
    let portal = Portal::start().await.unwrap();
    let key = "AAPK-a-key-0123456789";
    portal.set_api_key(key, &["https://maps.city.gov/app"]);
    let site = Site::new(portal.root()).credential(Credential::token(key));
    let service = client_for(site.referer("https://maps.city.gov/app"));
    assert_open(
        &fetch(
            &service,
            portal.url("sharing/rest/content/items/abc?f=json"),
        )
        .await,
    );
}
