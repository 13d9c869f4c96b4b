//! Applications, refresh tokens, and people who sign in.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use arcgis_stand_in::{Portal, USERNAME};
use tokio::time::{Instant, sleep};
use tower::Layer;
use tower_arcgis_auth::{
    ArcgisAuthLayer, Credential, OAuthApp, RefreshToken, Site, TokenClient, revoke_token,
};

#[cfg(feature = "sign-in")]
use tower_arcgis_auth::SignIn;

use crate::support::{
    MINUTE, ROADS, ROOT, Reply, SECOND, TokenService, Upstream, assert_login_refused, get,
    loopback::{PARCELS, assert_open, client_for, client_of, federated_with, fetch, member},
    send,
};

const APP: (&str, &str) = ("mapApp", "the app's secret & more");

async fn portal_with_app() -> Portal {
    let portal = Portal::start().await.unwrap();
    portal.set_app(APP.0, APP.1);
    portal
}

#[tokio::test]
async fn an_application_logs_in_at_the_portal_for_its_servers() {
    let portal = portal_with_app().await;
    let server = federated_with(&portal).await;
    let site = member(&server, &portal).credential(Credential::app(APP.0, APP.1));
    let service = client_for(site);
    assert_open(&fetch(&service, server.url(PARCELS)).await);
    assert_eq!(portal.counters().client_credentials, 1);
    assert_eq!(portal.counters().login_attempts, 0);
}

#[tokio::test]
async fn an_applications_wrong_secret_is_a_refusal_and_in_no_error() {
    let portal = portal_with_app().await;
    for credential in [
        Credential::app(APP.0, "wr0ng-secret"),
        Credential::app("unknown", "wr0ng-secret"),
    ] {
        let source =
            OAuthApp::try_new(&portal.root(), credential, TokenClient::platform().unwrap());
        let service = client_for(Site::new(portal.root()).token_source(source.unwrap()));
        let outcome = fetch(&service, portal.url("sharing/rest/portals/self?f=json"))
            .await
            .outcome;
        assert_login_refused(outcome.skip_reason());
        assert!(!outcome.to_string().contains("wr0ng"));
    }
}

#[tokio::test]
async fn a_refresh_token_gives_access_tokens_until_it_is_revoked() {
    let portal = portal_with_app().await;
    let refresh = portal.issue_refresh_token(APP.0, USERNAME);
    let client = || TokenClient::platform().unwrap();
    let source = RefreshToken::try_new(&portal.root(), APP.0, refresh.as_str(), client()).unwrap();
    let service = client_for(Site::new(portal.root()).token_source(source));
    let item = portal.url("sharing/rest/content/items/abc?f=json");
    assert_open(&fetch(&service, item.clone()).await);
    portal.revoke_all_tokens();
    assert_open(&fetch(&service, item.clone()).await);
    assert_eq!(portal.counters().refreshes, 2);

    revoke_token(&portal.root(), APP.0, &refresh, &client())
        .await
        .unwrap();
    portal.revoke_all_tokens();
    let outcome = fetch(&service, item).await.outcome;
    assert!(
        outcome
            .skip_reason()
            .unwrap()
            .to_string()
            .contains("sign in again"),
        "{outcome}"
    );
}

#[tokio::test]
async fn signing_out_revokes_the_refresh_token_at_its_portal() {
    let portal = portal_with_app().await;
    let refresh = portal.issue_refresh_token(APP.0, USERNAME);
    let client = TokenClient::platform().unwrap();
    let source = RefreshToken::try_new(&portal.root(), APP.0, refresh.as_str(), client).unwrap();
    let layer = ArcgisAuthLayer::try_new(Site::new(portal.root()).token_source(source)).unwrap();
    let service = client_of(&layer);
    let item = portal.url("sharing/rest/content/items/abc?f=json");
    assert_open(&fetch(&service, item.clone()).await);

    layer.handle().sign_out().await.unwrap();

    let outcome = fetch(&service, item).await.outcome;
    let skip_reason = outcome.skip_reason().unwrap().to_string();
    assert!(skip_reason.contains("sign in again"), "{outcome}");
}

#[tokio::test]
async fn a_refresh_token_near_its_end_is_exchanged_and_the_new_one_is_handed_over() {
    let portal = portal_with_app().await;
    let refresh = portal.issue_refresh_token(APP.0, USERNAME);
    let kept = Arc::new(Mutex::new(Vec::new()));
    let store = kept.clone();
    let source = RefreshToken::try_new(
        &portal.root(),
        APP.0,
        refresh.as_str(),
        TokenClient::platform().unwrap(),
    )
    .unwrap()
    .redirect_uri("https://app.example/signed-in")
    .valid_for(Duration::ZERO)
    .on_rotation(move |rotated| {
        store.lock().unwrap().push(rotated.expose().to_owned());
        async {}
    });
    let service = client_for(Site::new(portal.root()).token_source(source));
    let item = portal.url("sharing/rest/content/items/abc?f=json");
    assert_open(&fetch(&service, item.clone()).await);
    assert_eq!(portal.counters().refresh_token_exchanges, 1);
    let kept = kept.lock().unwrap().clone();
    assert_eq!(kept.len(), 1);
    assert_ne!(kept[0], refresh);
    // From then on it is the new one that refreshes.
    portal.revoke_all_tokens();
    assert_open(&fetch(&service, item).await);
    assert_eq!(portal.counters().refreshes, 1);
}

#[tokio::test(start_paused = true)]
async fn a_refresh_that_gets_no_answer_ends_and_the_next_is_made() {
    let service = TokenService::new();
    service.next([Reply::Hangs]);
    let source = RefreshToken::try_new(
        "https://portal.test/portal",
        "app",
        "refresh",
        service.client(),
    );
    let site = Site::new(ROOT).token_source(source.unwrap());
    let client = ArcgisAuthLayer::try_new(site)
        .unwrap()
        .layer(Upstream::open_to_any_token());
    let metrics = tokio::runtime::Handle::current().metrics();
    let before = metrics.num_alive_tasks();
    let started = Instant::now();
    while !send(&client, get(ROADS)).await.is_clean() {
        assert!(started.elapsed() < 5 * MINUTE);
        sleep(SECOND).await;
    }
    assert_eq!(service.attempts(), 2);
    // One may watch the age of the new token.
    let tasks = metrics.num_alive_tasks();
    assert!(tasks <= before + 1, "{tasks} tasks");
}

#[cfg(feature = "sign-in")]
#[tokio::test]
async fn a_person_signs_in_with_a_code_and_its_verifier() {
    let portal = portal_with_app().await;
    let redirect = "https://app.example/signed-in";
    let sign_in = SignIn::try_new(&portal.root(), APP.0, redirect).unwrap();
    let query: Vec<(String, String)> =
        form_urlencoded::parse(sign_in.url().split_once('?').unwrap().1.as_bytes())
            .into_owned()
            .collect();
    let parameter = |name: &str| {
        let found = query.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.clone()).unwrap()
    };
    assert_eq!(parameter("state"), sign_in.state());
    let code = portal.authorize(
        APP.0,
        redirect,
        Some(&parameter("code_challenge")),
        Some(&parameter("code_challenge_method")),
        USERNAME,
    );
    let client = TokenClient::platform().unwrap();
    let state = sign_in.state();
    let forged = sign_in.redeem(&code, "forged", &client).await;
    assert!(forged.unwrap_err().to_string().contains("`state`"));
    let another = SignIn::resume(&portal.root(), APP.0, redirect, state, &"x".repeat(43)).unwrap();
    let refused = another.redeem(&code, state, &client).await;
    assert!(refused.unwrap_err().is_refused());
    let code = portal.authorize(
        APP.0,
        redirect,
        Some(&parameter("code_challenge")),
        Some("S256"),
        USERNAME,
    );
    let kept = SignIn::resume(&portal.root(), APP.0, redirect, state, sign_in.verifier()).unwrap();
    let signed_in = kept.redeem(&code, state, &client).await.unwrap();
    assert_eq!(signed_in.user.as_deref(), Some(USERNAME));
    assert!(signed_in.refresh_token.is_some());
}
