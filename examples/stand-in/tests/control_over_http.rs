//! Programs that are no Rust control the stand-in over HTTP.

mod support;

use arcgis_stand_in::{ChallengeShape, Portal, StandIn, USERNAME};
use http::Method;
use serde_json::{Value, json};
use support::{Got, get, http1, login, login_with, parcels, post_form, send, started};

async fn control(arcgis: &StandIn, name: &str, fields: &[(&str, &str)]) -> Value {
    let got = post_form(&arcgis.url(&format!("/stand-in/{name}")), fields).await;
    assert_eq!(got.status, 200, "{name}: {}", got.text());
    got.json()
}

async fn read(arcgis: &StandIn, name: &str) -> Value {
    get(&arcgis.url(&format!("/stand-in/{name}"))).await.json()
}

/// Why a control end point refuses.
fn refusal(got: &Got) -> String {
    assert_eq!(got.status, 400, "{}", got.text());
    got.json()["error"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn every_challenge_can_be_chosen_for_one_service_or_for_all() {
    let arcgis = started().await;
    let names = read(&arcgis, "challenges").await;
    for (shape, name) in ChallengeShape::ALL.iter().zip(names.as_array().unwrap()) {
        let name = name.as_str().unwrap();
        control(&arcgis, "challenge", &[("shape", name)]).await;
        let over_http = get(&parcels(&arcgis, "?f=json")).await;
        arcgis.set_challenge("", *shape);
        let in_process = get(&parcels(&arcgis, "?f=json")).await;
        assert_eq!(
            (over_http.status, over_http.body),
            (in_process.status, in_process.body),
            "{name}"
        );
    }
    control(&arcgis, "challenge", &[("shape", "json")]).await;
    let fields = [("shape", "login-page"), ("service", "Zoning/MapServer")];
    control(&arcgis, "challenge", &fields).await;
    assert_eq!(get(&parcels(&arcgis, "?f=json")).await.code(), 499);
    let zoning = get(&arcgis.url("rest/services/Zoning/MapServer?f=json")).await;
    assert!(zoning.text().contains("<form"));
}

#[tokio::test]
async fn tokens_die_by_revocation_and_by_expiry() {
    let arcgis = started().await;
    for (name, field, expected) in [
        ("revoke", None, json!({ "revoked": 2 })),
        ("expire", None, json!({ "expired": 2 })),
        ("revoke", Some("token"), json!({ "revoked": 1 })),
    ] {
        arcgis.reset();
        let token = login(&arcgis).await;
        let other = login(&arcgis).await;
        let fields: Vec<_> = field
            .map(|field| (field, token.as_str()))
            .into_iter()
            .collect();
        assert_eq!(control(&arcgis, name, &fields).await, expected);
        let code = async |token: &str| {
            get(&parcels(&arcgis, &format!("?f=json&token={token}")))
                .await
                .code()
        };
        assert_eq!(code(&token).await, 498);
        assert_eq!(code(&other).await, if field.is_some() { 0 } else { 498 });
    }
}

#[tokio::test]
async fn the_token_service_breaks_and_is_mended() {
    let arcgis = started().await;
    control(&arcgis, "token-fault", &[("fault", "status:503")]).await;
    assert_eq!(login_with(&arcgis, "any").await.status, 503);
    control(&arcgis, "token-fault", &[]).await;
    login(&arcgis).await;
}

#[tokio::test]
async fn held_logins_wait_until_they_are_released() {
    let arcgis = started().await;
    control(&arcgis, "hold", &[]).await;
    let waiting = tokio::spawn({
        let arcgis = arcgis.clone();
        async move { login(&arcgis).await }
    });
    arcgis.wait_for_logins(1).await;
    assert_eq!(read(&arcgis, "counters").await["loginAttempts"], 1);
    assert_eq!(read(&arcgis, "counters").await["logins"], 0);
    assert_eq!(control(&arcgis, "release", &[]).await["released"], 1);
    waiting.await.unwrap();
    assert_eq!(read(&arcgis, "counters").await["logins"], 1);
}

#[tokio::test]
async fn a_locked_account_is_seen_and_unlocked() {
    let arcgis = started().await;
    for _ in 0..5 {
        login_with(&arcgis, "wrong").await;
    }
    let path = format!("counters?user={USERNAME}");
    let counters = read(&arcgis, &path).await;
    assert_eq!(
        (&counters["locked"], &counters["loginAttempts"]),
        (&json!(true), &json!(5))
    );
    control(&arcgis, "unlock", &[("user", USERNAME)]).await;
    assert_eq!(read(&arcgis, &path).await["locked"], false);
    login(&arcgis).await;
}

#[tokio::test]
async fn services_are_published_and_secured() {
    let arcgis = started().await;
    let url = arcgis.url("rest/services/Trees/FeatureServer?f=json");
    for (name, code) in [("secure", 499), ("publish", 0)] {
        control(&arcgis, name, &[("service", "Trees/FeatureServer")]).await;
        assert_eq!(get(&url).await.code(), code, "{name}");
    }
}

#[tokio::test]
async fn requests_are_listed_with_what_was_sent_and_answered() {
    let arcgis = started().await;
    login(&arcgis).await;
    let requests = read(&arcgis, "requests").await;
    assert_eq!(requests.as_array().unwrap().len(), 1);
    let request = &requests[0];
    assert_eq!(request["method"], "POST");
    assert_eq!(request["pathAndQuery"], "/arcgis/tokens/generateToken");
    assert_eq!(request["status"], 200);
    assert!(
        request["body"]
            .as_str()
            .unwrap()
            .contains("client=requestip")
    );
    let headers = request["headers"].as_array().unwrap();
    assert!(headers.contains(&json!([
        "content-type",
        "application/x-www-form-urlencoded"
    ])));
}

#[tokio::test]
async fn a_reset_leaves_nothing_of_the_test_before() {
    let arcgis = StandIn::builder()
        .challenge(ChallengeShape::LoginPage)
        .start()
        .await
        .unwrap();
    let token = login(&arcgis).await;
    for _ in 0..5 {
        login_with(&arcgis, "wrong").await;
    }
    arcgis.refuse_user_on(USERNAME, "");
    for (name, fields) in [
        ("challenge", [("shape", "soap-fault")]),
        ("token-fault", [("fault", "hang")]),
        ("hold", [("what", "logins")]),
        ("hold", [("what", "services")]),
        ("secure", [("service", "Trees/FeatureServer")]),
    ] {
        control(&arcgis, name, &fields).await;
    }
    control(&arcgis, "reset", &[]).await;
    assert_eq!(arcgis.counters(), arcgis_stand_in::Counters::default());
    assert!(arcgis.received().is_empty());

    let old = get(&parcels(&arcgis, &format!("?f=json&token={token}"))).await;
    assert!(old.text().contains("<form"), "{}", old.text());
    let new = login(&arcgis).await;
    let got = get(&parcels(&arcgis, &format!("?f=json&token={new}"))).await;
    assert_eq!(got.json()["capabilities"], "Map,Query,Data");
    // What is published stays.
    let trees = get(&arcgis.url("rest/services/Trees/FeatureServer")).await;
    assert!(trees.text().contains("<form"));
}

#[tokio::test]
async fn what_cannot_be_done_is_refused_with_what_can_be() {
    let arcgis = started().await;
    for (name, fields, why) in [
        (
            "challenge",
            [("shape", "logon")],
            "there are json, json-pretty",
        ),
        ("challenge", [("service", "Parcels")], "say which shape"),
        (
            "token-fault",
            [("fault", "status:x")],
            "status:CODE, slow:SECONDS",
        ),
        ("hold", [("what", "tokens")], "there are logins, services"),
        ("unlock", [("name", "x")], "say which user"),
        ("explode", [("x", "y")], "GET /stand-in/ lists"),
    ] {
        let got = post_form(&arcgis.url(&format!("/stand-in/{name}")), &fields).await;
        assert!(refusal(&got).contains(why), "{}", got.text());
    }
    let url = arcgis.url("/stand-in/challenge");
    let as_json = [("content-type", "application/json")];
    let got = send(&http1(), Method::POST, &url, &as_json, "{}").await;
    assert!(refusal(&got).contains("x-www-form-urlencoded"));
    assert!(refusal(&get(&url).await).contains("no GET /stand-in/challenge"));
}

#[tokio::test]
async fn the_list_of_end_points_names_those_that_there_are() {
    let arcgis = started().await;
    let portal = Portal::start().await.unwrap();
    for url in [
        arcgis.url("/stand-in/"),
        arcgis.url("/stand-in"),
        portal.url("/stand-in/"),
    ] {
        let list = get(&url).await;
        let mut asked = 0;
        for line in list.text().lines() {
            let mut words = line.split_whitespace();
            let (method, name) = match (words.next(), words.next()) {
                (Some("GET"), Some(name)) => (Method::GET, name),
                (Some("POST"), Some(name)) => (Method::POST, name),
                _ => continue,
            };
            let url = format!("{}/{name}", url.trim_end_matches('/'));
            let got = send(&http1(), method, &url, &[], "").await;
            assert!(!got.text().contains("lists what there is"), "{line}");
            asked += 1;
        }
        assert!(asked >= 9, "{}", list.text());
    }
    assert_eq!(arcgis.counters().requests, 0);
}

#[tokio::test]
async fn pages_of_other_origins_may_control_it() {
    let arcgis = started().await;
    let headers = [
        ("origin", "https://app.example"),
        ("access-control-request-method", "POST"),
    ];
    for (method, name) in [(Method::OPTIONS, "revoke"), (Method::GET, "counters")] {
        let url = arcgis.url(&format!("/stand-in/{name}"));
        let got = send(&http1(), method, &url, &headers, "").await;
        assert_eq!(got.header("access-control-allow-origin"), headers[0].1);
    }
}

#[tokio::test]
async fn a_portal_is_controlled_by_itself() {
    let portal = Portal::start().await.unwrap();
    let arcgis = StandIn::builder()
        .federated_with(&portal)
        .start()
        .await
        .unwrap();
    let fields = [("what", "exchanges"), ("fault", "status:502")];
    post_form(&portal.url("/stand-in/token-fault"), &fields).await;
    let token = portal.issue_token(USERNAME, None);
    let root = arcgis.root();
    let exchange = [
        ("request", "getToken"),
        ("serverUrl", root.as_str()),
        ("token", token.as_str()),
    ];
    let url = portal.token_services_url();
    assert_eq!(post_form(&url, &exchange).await.status, 502);
    post_form(&portal.url("/stand-in/reset"), &[]).await;
    // Mended, and the portal token is gone.
    let refused = post_form(&url, &exchange).await;
    assert_eq!((refused.status.as_u16(), refused.code()), (200, 498));
}
