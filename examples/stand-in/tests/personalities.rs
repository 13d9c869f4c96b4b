//! A stand-in is the kind of server it was told to be.

mod support;

use arcgis_stand_in::{LegacyRefusal, PASSWORD, Personality, StandIn, TokenFault, USERNAME};
use http::Method;
use support::{FORM, Got, form, get, get_with, http1, login_with, parcels, post_form, send};

const REFERER: &str = "https://app.example/";

async fn started(personality: Personality) -> StandIn {
    let arcgis = StandIn::builder().personality(personality).start().await;
    arcgis.unwrap()
}

/// A `getToken` in the query.
async fn get_token(arcgis: &StandIn, password: &str, more: &[(&str, &str)]) -> Got {
    get(&arcgis.url(&format!("tokens?{}", get_token_fields(password, more)))).await
}

fn get_token_fields(password: &str, more: &[(&str, &str)]) -> String {
    let mut fields = vec![
        ("request", "getToken"),
        ("username", USERNAME),
        ("password", password),
    ];
    fields.extend(more);
    form(&fields)
}

#[tokio::test]
async fn a_legacy_server_has_neither_info_nor_generate_token() {
    let arcgis = started(Personality::Legacy).await;
    for path in [
        "rest/info?f=json",
        "tokens/generateToken",
        "admin/generateToken",
        "admin/",
    ] {
        let got = get(&arcgis.url(path)).await;
        assert_eq!(got.status, 404, "{path}");
        assert!(got.header("content-type").starts_with("text/html"));
    }
    assert_eq!(login_with(&arcgis, PASSWORD).await.status, 404);
    assert_eq!(arcgis.counters().login_attempts, 0);
    let astray = arcgis.received().pop().unwrap();
    assert!(astray.body.starts_with(b"username="));
    let page = get(&arcgis.url("tokens")).await;
    assert!(page.text().contains("ArcGIS Token Service"));
}

#[tokio::test]
async fn a_legacy_token_is_plain_text_and_opens_services() {
    let arcgis = started(Personality::Legacy).await;
    let got = get_token(&arcgis, PASSWORD, &[("expiration", "5")]).await;
    assert!(got.header("content-type").starts_with("text/plain"));
    let url = parcels(&arcgis, &format!("?f=json&token={}", got.text()));
    assert_eq!(get(&url).await.code(), 0);

    let url = arcgis.url("tokens/");
    let body = get_token_fields(PASSWORD, &[]);
    let posted = send(&http1(), Method::POST, &url, &[FORM], &body).await;
    let url = parcels(&arcgis, &format!("?f=json&token={}", posted.text()));
    assert_eq!(get(&url).await.code(), 0);
    let counters = arcgis.counters();
    assert_eq!((counters.login_attempts, counters.logins), (2, 2));
}

#[tokio::test]
async fn a_legacy_token_is_bound_to_its_client_id() {
    let arcgis = started(Personality::Legacy).await;
    let client_id = format!("ref.{REFERER}");
    let token = get_token(&arcgis, PASSWORD, &[("clientid", &client_id)]).await;
    let url = parcels(&arcgis, &format!("?f=json&token={}", token.text()));
    assert_eq!(get(&url).await.code(), 498);
    assert_eq!(get_with(&url, &[("referer", REFERER)]).await.code(), 0);

    for (address, code) in [("127.0.0.1", 0), ("10.0.0.1", 498)] {
        let client_id = format!("ip.{address}");
        let token = get_token(&arcgis, PASSWORD, &[("clientid", &client_id)]).await;
        let url = parcels(&arcgis, &format!("?f=json&token={}", token.text()));
        assert_eq!(get(&url).await.code(), code, "{address}");
    }
    let odd = get_token(&arcgis, PASSWORD, &[("clientid", "requestip")]).await;
    assert!(odd.text().contains("Unable to generate token"));
}

#[tokio::test]
async fn a_legacy_refusal_is_a_page_under_200_or_403_and_locks_in_the_end() {
    let arcgis = started(Personality::Legacy).await;
    let got = get_token(&arcgis, "wrong", &[]).await;
    assert_eq!(got.status, 200);
    assert!(got.header("content-type").starts_with("text/html"));
    assert!(got.text().contains("Invalid username or password."));

    arcgis.set_legacy_refusal(LegacyRefusal::Forbidden);
    assert_eq!(get_token(&arcgis, "wrong", &[]).await.status, 403);
    for _ in 0..3 {
        get_token(&arcgis, "wrong", &[]).await;
    }
    assert!(arcgis.is_locked(USERNAME));
    assert_eq!(get_token(&arcgis, PASSWORD, &[]).await.status, 403);
    assert_eq!(arcgis.counters().login_refusals, 6);
}

#[tokio::test]
async fn legacy_logins_by_get_and_by_post_can_be_switched_off() {
    let arcgis = started(Personality::Legacy).await;
    let url = arcgis.url("tokens");
    let body = get_token_fields(PASSWORD, &[]);
    let post = async || send(&http1(), Method::POST, &url, &[FORM], &body).await;

    arcgis.set_legacy_get_allowed(false);
    assert_eq!(get_token(&arcgis, PASSWORD, &[]).await.status, 403);
    assert_eq!(post().await.status, 200);
    arcgis.set_legacy_get_allowed(true);
    arcgis.set_legacy_post_allowed(false);
    assert_eq!(get_token(&arcgis, PASSWORD, &[]).await.status, 200);
    assert_eq!(post().await.status, 403);
    assert_eq!(arcgis.login_failures(USERNAME), 0);
}

#[tokio::test]
async fn a_legacy_server_may_answer_every_login_with_a_page() {
    let arcgis = started(Personality::Legacy).await;
    arcgis.set_legacy_only_pages(true);
    let got = get_token(&arcgis, PASSWORD, &[]).await;
    assert_eq!(got.status, 200);
    assert!(got.text().contains("<html"));
    assert_eq!(arcgis.live_tokens(), 0);
}

#[tokio::test]
async fn faults_are_for_legacy_logins_too() {
    let arcgis = started(Personality::Legacy).await;
    arcgis.set_token_fault(Some(TokenFault::Status(503)));
    assert_eq!(get_token(&arcgis, PASSWORD, &[]).await.status, 503);
    arcgis.set_token_fault(Some(TokenFault::DeadToken));
    let token = get_token(&arcgis, PASSWORD, &[]).await;
    let url = parcels(&arcgis, &format!("?f=json&token={}", token.text()));
    assert_eq!(get(&url).await.code(), 498);
}

#[tokio::test]
async fn a_server_with_only_the_administrators_door_names_it() {
    let arcgis = started(Personality::AdminOnly).await;
    let info = get(&arcgis.url("rest/info?f=json")).await.json();
    let url = info["authInfo"]["tokenServicesUrl"].as_str().unwrap();
    assert_eq!(url, arcgis.url("admin/generateToken"));
    assert_eq!(url, arcgis.token_services_url());

    let fields = [("username", USERNAME), ("password", PASSWORD)];
    let answer = post_form(url, &fields).await.json();
    assert!(answer["expires"].is_string());
    let token = answer["token"].as_str().unwrap();
    let service = parcels(&arcgis, &format!("?f=json&token={token}"));
    assert_eq!(get(&service).await.code(), 0);

    assert_eq!(login_with(&arcgis, PASSWORD).await.status, 404);
    assert_eq!(get(&arcgis.url("tokens/")).await.status, 404);
}
