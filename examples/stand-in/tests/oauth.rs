//! Apps and people get access tokens by OAuth, in Esri's dialect.

mod support;

use std::time::Duration;

use arcgis_stand_in::{Portal, StandIn, TokenFault};
use serde_json::Value;
use support::{get, post_form};

const APP: &str = "planner";
const SECRET: &str = "app secret & 100% + ?#";
const BACK: &str = "https://app.example/back";
/// The example of RFC 7636.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

async fn started() -> Portal {
    let portal = Portal::builder().app(APP, SECRET).start().await;
    portal.unwrap()
}

/// A grant to the app.
async fn grant(portal: &Portal, grant_type: &str, more: &[(&str, &str)]) -> Value {
    let mut fields = vec![
        ("client_id", APP),
        ("grant_type", grant_type),
        ("f", "json"),
    ];
    fields.extend(more);
    token_request(portal, &fields).await
}

async fn token_request(portal: &Portal, fields: &[(&str, &str)]) -> Value {
    let got = post_form(&portal.url("sharing/rest/oauth2/token"), fields).await;
    assert_eq!(got.status, 200);
    got.json()
}

/// The user a token stands for; null if it is no good.
async fn user_of(portal: &Portal, token: &Value) -> Value {
    let token = token.as_str().unwrap();
    let url = format!("sharing/rest/community/self?token={token}");
    get(&portal.url(&url)).await.json()["username"].clone()
}

#[track_caller]
fn assert_refused(answer: &Value, code: u64, error: &str, description: &str) {
    let told = &answer["error"];
    assert_eq!(told["code"], code);
    assert_eq!(told["error"], error);
    assert_eq!(told["error_description"], description);
}

async fn advance(by: Duration) {
    tokio::time::pause();
    tokio::time::advance(by).await;
    tokio::time::resume();
}

#[tokio::test]
async fn an_app_logs_in_with_its_secret_for_the_minutes_it_asks() {
    let portal = started().await;
    let answer = grant(&portal, "client_credentials", &[("client_secret", SECRET)]).await;
    assert_eq!(answer["expires_in"], 120 * 60);
    assert_eq!(user_of(&portal, &answer["access_token"]).await, APP);
    let fields = [("client_secret", SECRET), ("expiration", "5")];
    let answer = grant(&portal, "client_credentials", &fields).await;
    assert_eq!(answer["expires_in"], 5 * 60);
    advance(Duration::from_secs(5 * 60)).await;
    assert!(user_of(&portal, &answer["access_token"]).await.is_null());
    assert_eq!(portal.counters().client_credentials, 2);
}

#[tokio::test]
async fn unknown_apps_and_wrong_secrets_are_refused() {
    let portal = started().await;
    let fields = [
        ("client_id", "stranger"),
        ("client_secret", SECRET),
        ("grant_type", "client_credentials"),
    ];
    let answer = token_request(&portal, &fields).await;
    assert_refused(&answer, 400, "invalid_client_id", "Invalid client_id");
    for more in [&[][..], &[("client_secret", "wrong")]] {
        let answer = grant(&portal, "client_credentials", more).await;
        assert_refused(&answer, 400, "invalid_request", "Invalid client_secret");
    }
    let answer = grant(&portal, "password", &[]).await;
    assert_eq!(answer["error"]["code"], 400);
    let counters = portal.counters();
    assert_eq!((counters.oauth_attempts, counters.oauth_refusals), (4, 4));
}

#[tokio::test]
async fn secrets_in_the_query_are_refused() {
    let portal = started().await;
    let query = format!(
        "sharing/rest/oauth2/token?client_id={APP}&client_secret=x&grant_type=client_credentials"
    );
    assert_eq!(get(&portal.url(&query)).await.code(), 405);
    assert_eq!(post_form(&portal.url(&query), &[]).await.code(), 405);
}

#[tokio::test]
async fn a_code_with_its_verifier_signs_a_person_in_once() {
    let portal = started().await;
    for (challenge, method) in [
        (CHALLENGE, Some("S256")),
        (VERIFIER, Some("plain")),
        (VERIFIER, None),
    ] {
        let code = portal.authorize(APP, BACK, Some(challenge), method, "ada");
        let fields = |verifier| {
            [
                ("code", code.as_str()),
                ("redirect_uri", BACK),
                ("code_verifier", verifier),
            ]
        };
        let answer = grant(&portal, "authorization_code", &fields("wrong")).await;
        assert_refused(&answer, 400, "invalid_request", "Invalid code_verifier");
        let answer = grant(&portal, "authorization_code", &fields(VERIFIER)).await;
        assert_eq!(answer["username"], "ada");
        assert_eq!(answer["expires_in"], 30 * 60);
        assert_eq!(answer["refresh_token_expires_in"], 14 * 24 * 3600);
        assert!(answer["refresh_token"].as_str().unwrap().len() > 400);
        assert_eq!(user_of(&portal, &answer["access_token"]).await, "ada");
        let answer = grant(&portal, "authorization_code", &fields(VERIFIER)).await;
        assert_eq!(answer["error"]["code"], 400);
    }
    assert_eq!(portal.counters().authorization_codes, 3);
}

#[tokio::test]
async fn a_code_needs_its_redirect_and_does_not_wait_for_ever() {
    let portal = started().await;
    let code = portal.authorize(APP, BACK, None, None, "ada");
    let answer = grant(&portal, "authorization_code", &[("code", &code)]).await;
    assert_refused(
        &answer,
        400,
        "invalid_request",
        "redirect_uri not specified",
    );
    let fields = [
        ("code", code.as_str()),
        ("redirect_uri", "https://evil.example/"),
    ];
    let answer = grant(&portal, "authorization_code", &fields).await;
    assert_refused(&answer, 400, "invalid_request", "Invalid redirect_uri");
    advance(Duration::from_secs(10 * 60)).await;
    let fields = [("code", code.as_str()), ("redirect_uri", BACK)];
    let answer = grant(&portal, "authorization_code", &fields).await;
    assert_refused(&answer, 400, "invalid_request", "code expired");
}

#[tokio::test]
async fn a_refresh_token_gives_access_until_it_expires() {
    let portal = started().await;
    let refresh = portal.issue_refresh_token(APP, "ada");
    let fields = [("refresh_token", refresh.as_str())];
    for _ in 0..2 {
        let answer = grant(&portal, "refresh_token", &fields).await;
        assert_eq!(user_of(&portal, &answer["access_token"]).await, "ada");
        assert!(answer.get("refresh_token").is_none());
    }
    portal.expire_all_refresh_tokens();
    let answer = grant(&portal, "refresh_token", &fields).await;
    assert_refused(&answer, 498, "invalid_request", "refresh_token expired");
    let answer = grant(&portal, "refresh_token", &[("refresh_token", "stale")]).await;
    assert_refused(&answer, 498, "invalid_request", "Invalid refresh_token");
    portal.set_app("other", "secret");
    let foreign = portal.issue_refresh_token("other", "ada");
    let answer = grant(&portal, "refresh_token", &[("refresh_token", &foreign)]).await;
    assert_refused(&answer, 498, "invalid_request", "Invalid refresh_token");
    assert_eq!(portal.counters().refreshes, 2);
}

#[tokio::test]
async fn an_exchanged_refresh_token_takes_its_access_tokens_with_it() {
    let portal = started().await;
    let old = portal.issue_refresh_token(APP, "ada");
    let fields = [("refresh_token", old.as_str()), ("redirect_uri", BACK)];
    let access = grant(&portal, "refresh_token", &fields[..1]).await["access_token"].clone();

    let answer = grant(&portal, "exchange_refresh_token", &fields[..1]).await;
    assert_refused(
        &answer,
        400,
        "invalid_request",
        "redirect_uri not specified",
    );
    let answer = grant(&portal, "exchange_refresh_token", &fields).await;
    assert_eq!(user_of(&portal, &answer["access_token"]).await, "ada");
    assert!(user_of(&portal, &access).await.is_null());
    let again = grant(&portal, "exchange_refresh_token", &fields).await;
    assert_refused(&again, 498, "invalid_request", "Invalid refresh_token");

    let new = answer["refresh_token"].as_str().unwrap();
    let answer = grant(&portal, "refresh_token", &[("refresh_token", new)]).await;
    assert_eq!(answer["username"], "ada");
    assert_eq!(portal.counters().refresh_token_exchanges, 1);
}

#[tokio::test]
async fn revoking_ends_access_and_refresh_tokens_and_succeeds_for_unknown_ones() {
    let portal = started().await;
    let refresh = portal.issue_refresh_token(APP, "ada");
    let fields = [("refresh_token", refresh.as_str())];
    let first = grant(&portal, "refresh_token", &fields).await["access_token"].clone();
    let second = grant(&portal, "refresh_token", &fields).await["access_token"].clone();
    let revoke = async |token: &str, hint: &str| {
        let fields = [
            ("auth_token", token),
            ("client_id", APP),
            ("token_type_hint", hint),
        ];
        let url = portal.url("sharing/rest/oauth2/revokeToken");
        post_form(&url, &fields).await.json()["success"].clone()
    };
    assert_eq!(revoke(first.as_str().unwrap(), "access_token").await, true);
    assert!(user_of(&portal, &first).await.is_null());
    assert_eq!(user_of(&portal, &second).await, "ada");

    assert_eq!(revoke(&refresh, "refresh_token").await, true);
    assert!(user_of(&portal, &second).await.is_null());
    assert_eq!(
        grant(&portal, "refresh_token", &fields).await["error"]["code"],
        498
    );
    assert_eq!(revoke("unknown", "refresh_token").await, true);
    assert_eq!(portal.counters().revocations, 3);

    let fields = [("auth_token", "x"), ("client_id", "stranger")];
    let url = portal.url("sharing/rest/oauth2/revokeToken");
    assert_eq!(post_form(&url, &fields).await.code(), 400);
}

#[tokio::test]
async fn tests_can_revoke_refresh_tokens_too() {
    let portal = started().await;
    let tokens = [
        portal.issue_refresh_token(APP, "ada"),
        portal.issue_refresh_token(APP, "bob"),
    ];
    let access = grant(&portal, "refresh_token", &[("refresh_token", &tokens[1])]).await;
    assert!(portal.revoke_refresh_token(&tokens[0]));
    assert!(!portal.revoke_refresh_token(&tokens[0]));
    assert_eq!(portal.revoke_all_refresh_tokens(), 1);
    assert!(user_of(&portal, &access["access_token"]).await.is_null());
}

#[tokio::test]
async fn an_access_token_is_exchanged_for_a_server_token() {
    let portal = started().await;
    let arcgis = StandIn::builder()
        .federated_with(&portal)
        .start()
        .await
        .unwrap();
    let refresh = portal.issue_refresh_token(APP, "ada");
    let access = grant(&portal, "refresh_token", &[("refresh_token", &refresh)]).await;
    let root = arcgis.root();
    let fields = [
        ("request", "getToken"),
        ("serverUrl", root.as_str()),
        ("token", access["access_token"].as_str().unwrap()),
    ];
    let answer = post_form(&portal.token_services_url(), &fields)
        .await
        .json();
    let token = answer["token"].as_str().unwrap();
    let url = arcgis.url(&format!(
        "rest/services/Parcels/MapServer/echo?token={token}"
    ));
    assert_eq!(get(&url).await.json()["user"], "ada");
}

#[tokio::test]
async fn the_sign_in_is_a_page_under_200() {
    let portal = started().await;
    let url = portal.url("sharing/rest/oauth2/authorize?client_id=planner&response_type=code");
    let page = get(&url).await;
    assert_eq!(page.status, 200);
    assert!(
        page.text().contains("oauth_state")
            && page.text().contains("/portal/sharing/oauth2/signin")
    );
    assert_eq!(portal.counters().authorize_requests, 1);
}

#[tokio::test]
async fn grants_break_in_the_way_that_was_set_and_wait_at_gates() {
    let portal = started().await;
    let refresh = portal.issue_refresh_token(APP, "ada");
    let fields = [("refresh_token", refresh.as_str())];
    portal.set_oauth_fault(Some(TokenFault::Refuse));
    let answer = grant(&portal, "refresh_token", &fields).await;
    assert_refused(&answer, 498, "invalid_request", "Invalid refresh_token");
    portal.set_oauth_fault(Some(TokenFault::OddToken));
    let answer = grant(&portal, "refresh_token", &fields).await;
    assert!(answer["access_token"].as_str().unwrap().contains('<'));
    portal.set_oauth_fault(Some(TokenFault::DeadToken));
    let answer = grant(&portal, "refresh_token", &fields).await;
    assert!(user_of(&portal, &answer["access_token"]).await.is_null());

    portal.set_oauth_fault(None);
    let gate = portal.hold_oauth();
    let waiting = tokio::spawn({
        let (portal, refresh) = (portal.clone(), refresh.clone());
        async move { grant(&portal, "refresh_token", &[("refresh_token", &refresh)]).await }
    });
    portal.wait_for_oauth(4).await;
    portal.revoke_refresh_token(&refresh);
    gate.release();
    assert_eq!(waiting.await.unwrap()["error"]["code"], 498);
}
