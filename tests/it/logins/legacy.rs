//! ArcGIS 9.3 to 10.2, and the token service of the administrator API.

use arcgis_stand_in::Personality;
use tower_arcgis_auth::{LegacyToken, Site, TokenClient};

use crate::support::{
    assert_login_refused,
    loopback::{PARCELS, assert_open, client_for, fetch, server_like, user, wrong_user},
};

#[tokio::test]
async fn a_server_with_nothing_newer_is_asked_at_the_old_token_service() {
    let server = server_like(Personality::Legacy).await;
    let service = client_for(Site::new(server.root()).credential(user()));
    assert_open(&fetch(&service, server.url(PARCELS)).await);
    server.revoke_all_tokens();
    assert_open(&fetch(&service, server.url(PARCELS)).await);
    assert_eq!(server.counters().logins, 2);
    let credentials_in_urls = server
        .received()
        .iter()
        .filter(|received| received.path_and_query.contains("password="))
        .count();
    assert_eq!(credentials_in_urls, 0);
}

#[tokio::test]
async fn a_page_is_never_taken_for_a_legacy_token() {
    let server = server_like(Personality::Legacy).await;
    server.set_legacy_only_pages(true);
    let service = client_for(Site::new(server.root()).credential(user()));
    for _ in 0..3 {
        let outcome = fetch(&service, server.url(PARCELS)).await.outcome;
        assert!(outcome.skip_reason().is_some(), "{outcome}");
    }
    assert_eq!(
        server.counters().login_attempts,
        1,
        "it may have been a refusal"
    );
}

#[tokio::test]
async fn a_refusal_of_the_legacy_token_service_is_a_refusal() {
    let server = server_like(Personality::Legacy).await;
    let service = client_for(Site::new(server.root()).credential(wrong_user()));
    for _ in 0..3 {
        let outcome = fetch(&service, server.url(PARCELS)).await.outcome;
        assert_login_refused(outcome.skip_reason());
    }
    assert_eq!(server.counters().login_refusals, 1);
}

#[tokio::test]
async fn the_source_for_legacy_tokens_puts_credentials_into_the_url_only_where_that_is_set() {
    let server = server_like(Personality::Legacy).await;
    server.set_legacy_post_allowed(false);
    let client = || TokenClient::platform().unwrap();
    let legacy = || LegacyToken::try_new(&server.url("tokens"), user(), client()).unwrap();
    let by_post = client_for(Site::new(server.root()).token_source(legacy()));
    assert!(
        fetch(&by_post, server.url(PARCELS))
            .await
            .outcome
            .returned_challenge()
            .is_some()
    );
    let by_url = client_for(Site::new(server.root()).token_source(legacy().credentials_in_url()));
    assert_open(&fetch(&by_url, server.url(PARCELS)).await);
}

#[tokio::test]
async fn the_token_service_of_the_administrator_is_found_and_its_expiry_read_as_a_string() {
    let server = server_like(Personality::AdminOnly).await;
    let service = client_for(Site::new(server.root()).credential(user()));
    assert_open(&fetch(&service, server.url(PARCELS)).await);
    assert_eq!(server.counters().logins, 1);
}
