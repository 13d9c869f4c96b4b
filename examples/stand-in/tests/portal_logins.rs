//! A portal lets the right ones in, in its own words, and guards what it has.

mod support;

use std::net::IpAddr;
use std::time::Duration;

use arcgis_stand_in::{PASSWORD, Portal, PortalCounters, TokenFault, USERNAME};
use http::Method;
use serde_json::Value;
use support::{FORM, Got, form, get, get_with, http1, post_form, send};

async fn log_in(portal: &Portal, password: &str, more: &[(&str, &str)]) -> Got {
    let mut fields = vec![
        ("username", USERNAME),
        ("password", password),
        ("f", "json"),
    ];
    fields.extend(more);
    post_form(&portal.token_services_url(), &fields).await
}

fn token(got: &Got) -> String {
    got.json()["token"].as_str().unwrap().to_owned()
}

async fn code_of_self(portal: &Portal, token: &str) -> u64 {
    let url = format!("sharing/rest/community/self?f=json&token={token}");
    get(&portal.url(&url)).await.code()
}

#[tokio::test]
async fn both_spellings_of_info_name_the_portal_and_its_token_service() {
    let portal = Portal::start().await.unwrap();
    for path in ["sharing/rest/info?f=json", "sharing/info"] {
        let info = get(&portal.url(path)).await.json();
        assert_eq!(info["owningSystemUrl"], portal.root());
        let auth = &info["authInfo"];
        assert_eq!(auth["tokenServicesUrl"], portal.token_services_url());
    }
    portal.set_info_present(false);
    assert_eq!(get(&portal.url("sharing/rest/info")).await.status, 404);
    assert_eq!(portal.counters().info_requests, 3);
}

#[tokio::test]
async fn a_login_gives_a_token_with_its_ssl_flag_at_both_addresses() {
    let portal = Portal::start().await.unwrap();
    let answer = log_in(&portal, PASSWORD, &[]).await.json();
    assert!(answer["expires"].is_u64());
    assert_eq!(answer["ssl"], false);
    portal.set_ssl(true);
    let fields = [("username", USERNAME), ("password", PASSWORD)];
    let old = post_form(&portal.url("sharing/generateToken"), &fields).await;
    assert_eq!(old.json()["ssl"], true);
    assert!(old.header("content-type").starts_with("application/json"));
    assert_eq!(code_of_self(&portal, &token(&old)).await, 0);
    assert_eq!(portal.user_counters(USERNAME).logins, 2);
}

#[tokio::test]
async fn refusals_are_in_a_portals_words() {
    let portal = Portal::start().await.unwrap();
    let url = portal.token_services_url();
    for (fields, details) in [
        (
            &[("username", USERNAME), ("password", "wrong")][..],
            "Invalid username or password.",
        ),
        (&[("password", PASSWORD)], "'username' must be specified."),
        (&[("username", USERNAME)], "'password' must be specified."),
    ] {
        let error = post_form(&url, fields).await.json()["error"].clone();
        assert_eq!(error["code"], 400);
        assert_eq!(error["message"], "Unable to generate token.");
        assert_eq!(error["details"], Value::from(vec![details]));
    }
    assert_eq!(portal.counters().login_refusals, 3);
}

#[tokio::test]
async fn credentials_in_the_query_are_refused() {
    let portal = Portal::start().await.unwrap();
    let query = form(&[("username", USERNAME), ("password", PASSWORD)]);
    let url = format!("{}?{query}", portal.token_services_url());
    for method in [Method::GET, Method::POST] {
        let got = send(&http1(), method, &url, &[FORM], "").await;
        assert_eq!(got.code(), 405);
    }
    assert_eq!(portal.counters().logins, 0);
}

#[tokio::test]
async fn tokens_live_two_hours_and_no_longer_than_the_longest() {
    let portal = Portal::builder().clock_skew(0).start().await.unwrap();
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    for (asked_for, minutes) in [(None, 120), (Some("10"), 10), (Some("99999"), 20_160)] {
        let more: Vec<_> = asked_for
            .map(|asked_for| ("expiration", asked_for))
            .into_iter()
            .collect();
        let answer = log_in(&portal, PASSWORD, &more).await.json();
        let expires = answer["expires"].as_u64().unwrap() / 1000;
        assert!(expires.abs_diff(now + minutes * 60) < 60, "{minutes}");
    }
}

#[tokio::test]
async fn five_failures_lock_the_account_for_fifteen_minutes() {
    let portal = Portal::start().await.unwrap();
    for _ in 0..5 {
        assert!(!portal.is_locked(USERNAME));
        log_in(&portal, "wrong", &[]).await;
    }
    assert!(portal.is_locked(USERNAME));
    assert_eq!(log_in(&portal, PASSWORD, &[]).await.code(), 400);
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(15 * 60)).await;
    tokio::time::resume();
    token(&log_in(&portal, PASSWORD, &[]).await);
    assert_eq!(portal.login_failures(USERNAME), 0);
}

#[tokio::test]
async fn portal_tokens_are_bound_revoked_and_expired() {
    let portal = Portal::start().await.unwrap();
    let bound = log_in(&portal, PASSWORD, &[("referer", "https://app.example/")]).await;
    assert_eq!(code_of_self(&portal, &token(&bound)).await, 498);
    let url = format!("sharing/rest/portals/self?token={}", token(&bound));
    let headers = [("referer", "https://app.example/")];
    assert_eq!(get_with(&portal.url(&url), &headers).await.code(), 0);

    let here = token(&log_in(&portal, PASSWORD, &[("client", "requestip")]).await);
    portal.set_seen_address(Some(IpAddr::from([10, 0, 0, 1])));
    assert_eq!(code_of_self(&portal, &here).await, 498);
    portal.set_seen_address(None);
    assert_eq!(code_of_self(&portal, &here).await, 0);
    let counters = portal.counters();
    assert_eq!(
        (counters.referer_mismatches, counters.address_mismatches),
        (1, 1)
    );

    assert!(portal.revoke(&here));
    assert_eq!(code_of_self(&portal, &here).await, 498);
    assert_eq!(portal.revoke_all_tokens(), 1);
    let token = portal.issue_token(USERNAME, None);
    portal.expire_all_tokens();
    assert_eq!(code_of_self(&portal, &token).await, 498);
    assert_eq!(portal.live_tokens(), 0);
}

#[tokio::test]
async fn items_are_forbidden_and_the_rest_wants_a_token() {
    let portal = Portal::start().await.unwrap();
    let item = portal.url("sharing/rest/content/items/0123abcd?f=json");
    let error = get(&item).await.json()["error"].clone();
    assert_eq!(
        (&error["code"], &error["messageCode"]),
        (&Value::from(403), &Value::from("GWM_0003"))
    );
    for path in ["portals/self", "community/self"] {
        let url = portal.url(&format!("sharing/rest/{path}?f=json"));
        assert_eq!(get(&url).await.code(), 499, "{path}");
        let error = get(&format!("{url}&token=stale")).await.json()["error"].clone();
        assert_eq!(
            (&error["code"], &error["message"]),
            (&Value::from(498), &Value::from("Invalid token."))
        );
    }
    assert_eq!(get(&format!("{item}&token=stale")).await.code(), 498);

    let token = portal.issue_token("ada", None);
    let shown = get(&format!("{item}&token={token}")).await.json();
    assert_eq!(
        (&shown["id"], &shown["owner"]),
        (&Value::from("0123abcd"), &Value::from("ada"))
    );
    let counters = portal.counters();
    assert_eq!(
        (
            counters.content_requests,
            counters.signed_requests,
            counters.challenges
        ),
        (7, 4, 6)
    );
}

#[tokio::test]
async fn api_keys_are_taken_like_tokens_and_may_be_locked_to_pages() {
    let portal = Portal::builder()
        .api_key("AAPK-open", &[])
        .start()
        .await
        .unwrap();
    let locked = portal.set_api_key("AAPK-locked", &["https://app.example/map"]);
    assert_eq!(locked, "api-key-2");
    assert_eq!(code_of_self(&portal, "AAPK-open").await, 0);
    assert_eq!(code_of_self(&portal, "AAPK-locked").await, 498);

    let item = portal.url("sharing/rest/content/items/0123abcd?token=AAPK-locked");
    for (referer, code) in [
        ("https://app.example/", 403),
        ("https://app.example/mapper", 403),
        ("https://app.example/map", 0),
        ("https://app.example/map/index.html", 0),
    ] {
        let got = get_with(&item, &[("referer", referer)]).await;
        assert_eq!(got.code(), code, "{referer}");
    }
    portal.revoke_all_tokens();
    assert_eq!(code_of_self(&portal, "AAPK-open").await, 0);
    assert!(portal.remove_api_key("AAPK-open"));
    assert_eq!(code_of_self(&portal, "AAPK-open").await, 498);
}

#[tokio::test]
async fn logins_break_in_the_way_that_was_set() {
    let portal = Portal::start().await.unwrap();
    portal.set_token_fault(Some(TokenFault::Status(503)));
    assert_eq!(log_in(&portal, PASSWORD, &[]).await.status, 503);
    portal.set_token_fault(Some(TokenFault::Refuse));
    assert_eq!(log_in(&portal, PASSWORD, &[]).await.code(), 400);
    portal.set_token_fault(Some(TokenFault::DeadToken));
    let dead = token(&log_in(&portal, PASSWORD, &[]).await);
    assert_eq!(code_of_self(&portal, &dead).await, 498);
    portal.set_token_fault(Some(TokenFault::Hang));
    let waiting = tokio::spawn({
        let portal = portal.clone();
        async move { log_in(&portal, PASSWORD, &[]).await }
    });
    portal.wait_for_logins(4).await;
    portal.set_token_fault(None);
    token(&waiting.await.unwrap());
    assert_eq!(portal.login_failures(USERNAME), 0);
}

#[tokio::test]
async fn held_logins_wait_and_are_remembered() {
    let portal = Portal::start().await.unwrap();
    let gate = portal.hold_logins();
    let waiting = tokio::spawn({
        let portal = portal.clone();
        async move { log_in(&portal, PASSWORD, &[]).await }
    });
    portal.wait_for_logins(1).await;
    assert_eq!(portal.counters().logins, 0);
    gate.release();
    waiting.await.unwrap();
    let received = portal.received();
    assert_eq!(
        received[0].path_and_query,
        "/portal/sharing/rest/generateToken"
    );
    portal.clear_received();
    portal.reset_counters();
    assert_eq!(portal.counters(), PortalCounters::default());
}

#[tokio::test]
async fn a_person_with_curl_can_revoke_and_count() {
    let portal = Portal::start().await.unwrap();
    log_in(&portal, PASSWORD, &[]).await;
    let url = portal.url("/stand-in/revoke");
    let revoked = send(&http1(), Method::POST, &url, &[], "").await.json();
    assert_eq!(revoked["revoked"], 1);
    let counters = get(&portal.url("/stand-in/counters")).await.json();
    assert_eq!(
        (&counters["logins"], &counters["liveTokens"]),
        (&Value::from(1), &Value::from(0))
    );
}

#[tokio::test]
async fn a_stopped_portal_frees_its_port_and_there_is_nothing_elsewhere_on_it() {
    let portal = Portal::start().await.unwrap();
    for path in ["sharing/rest/nothing", "/arcgis/rest/info", ""] {
        assert_eq!(get(&portal.url(path)).await.status, 404, "{path}");
    }
    let addr = portal.addr();
    portal.stop().await;
    let again = Portal::builder().listen(addr).start().await.unwrap();
    assert_eq!(again.origin(), portal.origin());
}
