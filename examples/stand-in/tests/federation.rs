//! A federated server sends to its portal, and the portal's server tokens open it and no other.

mod support;

use arcgis_stand_in::{PASSWORD, Portal, StandIn, TokenFault, USERNAME};
use support::{Got, get, get_with, login_with, parcels, post_form};

async fn federated() -> (Portal, StandIn) {
    let portal = Portal::start().await.unwrap();
    let arcgis = federated_with(&portal).await;
    (portal, arcgis)
}

async fn federated_with(portal: &Portal) -> StandIn {
    let arcgis = StandIn::builder().federated_with(portal).start().await;
    arcgis.unwrap()
}

async fn exchange(portal: &Portal, server_url: &str, token: &str, more: &[(&str, &str)]) -> Got {
    let mut fields = vec![
        ("request", "getToken"),
        ("serverUrl", server_url),
        ("token", token),
        ("f", "json"),
    ];
    fields.extend(more);
    post_form(&portal.token_services_url(), &fields).await
}

fn token(got: &Got) -> String {
    got.json()["token"].as_str().unwrap().to_owned()
}

async fn code(arcgis: &StandIn, token: &str) -> u64 {
    get(&parcels(arcgis, &format!("?f=json&token={token}")))
        .await
        .code()
}

#[tokio::test]
async fn a_federated_server_names_its_portal_and_has_no_users_of_its_own() {
    let (portal, arcgis) = federated().await;
    let info = get(&arcgis.url("rest/info?f=json")).await.json();
    assert_eq!(info["owningSystemUrl"], portal.root());
    assert_eq!(
        info["authInfo"]["tokenServicesUrl"],
        portal.token_services_url()
    );
    assert_eq!(login_with(&arcgis, PASSWORD).await.code(), 401);
}

#[tokio::test]
async fn a_portal_token_is_exchanged_for_a_server_token_of_the_same_user() {
    let (portal, arcgis) = federated().await;
    let mine = portal.issue_token("ada", None);
    for server_url in [arcgis.root(), parcels(&arcgis, "/0/query?f=json")] {
        let answer = exchange(&portal, &server_url, &mine, &[]).await;
        assert!(answer.json()["expires"].is_u64());
        let echo = parcels(&arcgis, &format!("/echo?token={}", token(&answer)));
        assert_eq!(get(&echo).await.json()["user"], "ada");
    }
    assert_eq!(portal.counters().exchanges, 2);
    assert_eq!(portal.user_counters("ada").exchanges, 2);
    assert_eq!(portal.counters().login_attempts, 0);
}

#[tokio::test]
async fn a_server_token_is_good_at_its_server_only() {
    let (portal, arcgis) = federated().await;
    let other = federated_with(&portal).await;
    let mine = portal.issue_token(USERNAME, None);
    let server_token = token(&exchange(&portal, &arcgis.root(), &mine, &[]).await);
    assert_eq!(code(&arcgis, &server_token).await, 0);
    assert_eq!(code(&other, &server_token).await, 498);
    let url = format!("sharing/rest/portals/self?token={server_token}");
    assert_eq!(get(&portal.url(&url)).await.code(), 498);
}

#[tokio::test]
async fn unknown_servers_are_refused_for_good() {
    let (portal, arcgis) = federated().await;
    let stranger = StandIn::start().await.unwrap();
    let mine = portal.issue_token(USERNAME, None);
    for server_url in [
        stranger.root(),
        arcgis.url("/elsewhere"),
        portal.root(),
        "nonsense".into(),
    ] {
        let error = exchange(&portal, &server_url, &mine, &[]).await.json()["error"].clone();
        assert_eq!(error["code"], 400, "{server_url}");
        assert_eq!(error["message"], "Unable to generate token");
        assert_eq!(
            error["details"][0],
            "Unable to generate token for this server"
        );
    }
    assert_eq!(portal.counters().exchange_refusals, 4);
    drop(arcgis);
}

#[tokio::test]
async fn dead_and_missing_portal_tokens_and_tokens_in_the_query_are_refused() {
    let (portal, arcgis) = federated().await;
    let dead = exchange(&portal, &arcgis.root(), "dead", &[]).await;
    assert_eq!(dead.code(), 498);
    assert_eq!(dead.json()["error"]["message"], "Invalid token.");
    assert_eq!(exchange(&portal, &arcgis.root(), "", &[]).await.code(), 499);

    let mine = portal.issue_token(USERNAME, None);
    let url = format!("{}?token={mine}", portal.token_services_url());
    let root = arcgis.root();
    let fields = [("request", "getToken"), ("serverUrl", root.as_str())];
    assert_eq!(post_form(&url, &fields).await.code(), 405);
    let url = format!("{url}&request=getToken&serverUrl={root}");
    assert_eq!(get(&url).await.code(), 405);
    assert_eq!(portal.counters().exchanges, 0);
    assert_eq!(portal.counters().exchange_attempts, 4);
}

#[tokio::test]
async fn the_referer_goes_with_the_exchange_and_with_the_server_token() {
    let (portal, arcgis) = federated().await;
    let referer = "https://app.example/";
    let mine = portal.issue_token(USERNAME, Some(referer));
    assert_eq!(
        exchange(&portal, &arcgis.root(), &mine, &[]).await.code(),
        498
    );
    let answer = exchange(&portal, &arcgis.root(), &mine, &[("referer", referer)]).await;
    let server_token = token(&answer);
    assert_eq!(code(&arcgis, &server_token).await, 498);
    let url = parcels(&arcgis, &format!("?f=json&token={server_token}"));
    assert_eq!(get_with(&url, &[("referer", referer)]).await.code(), 0);
}

#[tokio::test]
async fn portal_tokens_and_server_tokens_are_revoked_apart() {
    let (portal, arcgis) = federated().await;
    let mine = portal.issue_token(USERNAME, None);
    let first = token(&exchange(&portal, &arcgis.root(), &mine, &[]).await);
    assert_eq!(arcgis.revoke_all_tokens(), 1);
    assert_eq!(code(&arcgis, &first).await, 498);

    let second = token(&exchange(&portal, &arcgis.root(), &mine, &[]).await);
    assert_eq!(portal.revoke_all_tokens(), 1);
    assert_eq!(code(&arcgis, &second).await, 0);
    assert_eq!(
        exchange(&portal, &arcgis.root(), &mine, &[]).await.code(),
        498
    );
}

#[tokio::test]
async fn portal_tokens_themselves_are_taken_only_when_told_to() {
    let (portal, arcgis) = federated().await;
    let mine = portal.issue_token("ada", None);
    assert_eq!(code(&arcgis, &mine).await, 498);
    arcgis.set_takes_portal_tokens(true);
    let echo = parcels(&arcgis, &format!("/echo?token={mine}"));
    assert_eq!(get(&echo).await.json()["user"], "ada");
    portal.revoke_all_tokens();
    assert_eq!(code(&arcgis, &mine).await, 498);
}

#[tokio::test]
async fn api_keys_open_federated_servers_and_no_others() {
    let (portal, arcgis) = federated().await;
    let name = portal.set_api_key("AAPK", &["https://app.example"]);
    let stranger = StandIn::start().await.unwrap();
    let headers = [("referer", "https://app.example/")];
    let got = get_with(&parcels(&arcgis, "/echo?token=AAPK"), &headers).await;
    assert_eq!(got.json()["user"], name);
    assert_eq!(code(&arcgis, "AAPK").await, 498);
    assert_eq!(arcgis.counters().referer_mismatches, 1);
    let got = get_with(&parcels(&stranger, "?f=json&token=AAPK"), &headers).await;
    assert_eq!(got.code(), 498);
}

#[tokio::test]
async fn exchanges_break_in_the_way_that_was_set_while_logins_do_not() {
    let (portal, arcgis) = federated().await;
    let mine = portal.issue_token(USERNAME, None);
    portal.set_exchange_fault(Some(TokenFault::Refuse));
    assert_eq!(
        exchange(&portal, &arcgis.root(), &mine, &[]).await.code(),
        400
    );
    portal.set_exchange_fault(Some(TokenFault::DeadToken));
    let dead = token(&exchange(&portal, &arcgis.root(), &mine, &[]).await);
    assert_eq!(code(&arcgis, &dead).await, 498);
    let fields = [("username", USERNAME), ("password", PASSWORD)];
    token(&post_form(&portal.token_services_url(), &fields).await);
}

#[tokio::test]
async fn held_exchanges_are_judged_after_the_gate_opens() {
    let (portal, arcgis) = federated().await;
    let mine = portal.issue_token(USERNAME, None);
    let gate = portal.hold_exchanges();
    let waiting = tokio::spawn({
        let (portal, root) = (portal.clone(), arcgis.root());
        async move { exchange(&portal, &root, &mine, &[]).await }
    });
    portal.wait_for_exchanges(1).await;
    portal.revoke_all_tokens();
    gate.release();
    assert_eq!(waiting.await.unwrap().code(), 498);
}

#[tokio::test]
async fn a_server_that_took_anothers_place_is_the_one_the_portal_knows() {
    let (portal, arcgis) = federated().await;
    arcgis.stop().await;
    let again = StandIn::builder().listen(arcgis.addr());
    let again = again.federated_with(&portal).start().await.unwrap();
    let mine = portal.issue_token(USERNAME, None);
    let server_token = token(&exchange(&portal, &again.root(), &mine, &[]).await);
    assert_eq!(code(&again, &server_token).await, 0);
}
