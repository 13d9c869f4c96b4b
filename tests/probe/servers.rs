//! What a server is, and how its challenges are answered.

use arcgis_stand_in::{ChallengeShape, PASSWORD, Personality, StandIn, USERNAME};
use http::{Response, StatusCode, header::WWW_AUTHENTICATE};
use serde_json::Value;

use super::{PARCELS, as_user, personality, run};

#[tokio::test]
async fn without_a_url_it_probes_a_stand_in_and_says_all_there_is_to_say() {
    let ran = run(&[], &[]).await;
    assert_eq!(ran.code, 0, "{}{}", ran.progress, ran.out);
    for said in [
        "ArcGIS Server 10.9.1, on its own",
        "asks for a token (HTTP 200: 499 Token Required)",
        "/arcgis/tokens/generateToken",
        "works, as the user gis",
        "open (HTTP 200)",
        "usable          yes",
        "Secret::env(\"ARCGIS_PASSWORD\")",
        "arcgis-proxy --upstream http://127.0.0.1:",
    ] {
        assert!(ran.out.contains(said), "{said}: {}", ran.out);
    }
    assert!(ran.progress.contains("one login"), "{}", ran.progress);
    ran.assert_silent(&[PASSWORD], &[]);
}

#[tokio::test]
async fn every_server_of_its_own_is_recognised_and_logged_in_to_once() {
    for (kind, named, source, url) in [
        (
            Personality::Standalone,
            "server",
            "generate_token",
            "tokens/generateToken",
        ),
        (
            Personality::AdminOnly,
            "server",
            "generate_token",
            "admin/generateToken",
        ),
        (Personality::Legacy, "silent", "legacy_token", "tokens"),
    ] {
        let server = personality(kind).await;
        let alone = run(&[&server.url(PARCELS), "--json"], &[]).await;
        let printed = alone.json();
        assert_eq!(alone.code, 1, "no login: {printed:#}");
        assert_eq!(printed["server"]["kind"], named, "{printed:#}");
        assert_eq!(printed["source"]["kind"], source, "{printed:#}");
        assert_eq!(printed["source"]["url"], server.url(url), "{printed:#}");
        assert_eq!(
            printed["without_login"]["kind"], "token_required",
            "{printed:#}"
        );
        assert_eq!(printed["login"], Value::Null, "{printed:#}");
        assert_eq!(server.counters().logins, 0);
        server.reset_counters();

        // As people copy it from a browser, without `f=json`.
        let url = server.url("rest/services/Parcels/MapServer");
        let ran = as_user(&url, PASSWORD, &[]).await;
        let printed = ran.json();
        assert_eq!(ran.code, 0, "{printed:#}");
        assert_eq!(printed["root"], server.root());
        assert_eq!(printed["login"]["works"], true, "{printed:#}");
        assert_eq!(printed["with_login"]["kind"], "open", "{printed:#}");
        assert_eq!(server.counters().logins, 1);
        ran.assert_silent(&[PASSWORD], &[server.received()]);
    }
}

#[tokio::test]
async fn at_a_public_url_a_login_is_tried_all_the_same() {
    let server = StandIn::start().await.unwrap();
    let basemap = server.url("rest/services/Basemap/MapServer");
    let alone = run(&[&basemap, "--json"], &[]).await;
    assert_eq!(alone.code, 0, "{}", alone.out);
    assert_eq!(alone.json()["without_login"]["kind"], "open");
    assert_eq!(server.counters().login_attempts, 0);
    let ran = as_user(&basemap, PASSWORD, &[]).await;
    assert_eq!(ran.code, 0, "{}", ran.out);
    assert_eq!(ran.json()["login"]["works"], true);
    let ran = as_user(&server.root(), "wrong-password", &[]).await;
    assert_eq!(ran.code, 1, "{}", ran.out);
    assert_eq!(server.counters().login_attempts, 2);
}

#[tokio::test]
async fn every_shape_of_a_challenge_is_seen_and_answered() {
    let server = StandIn::start().await.unwrap();
    for (shape, kind) in [
        (ChallengeShape::LoginPage, "login_page"),
        (ChallengeShape::LoginRedirect, "login_redirect"),
        (ChallengeShape::HttpStatus, "token_required"),
        (ChallengeShape::JsonGzip, "token_required"),
    ] {
        server.set_challenge("Parcels/MapServer", shape);
        let ran = as_user(&server.url(PARCELS), PASSWORD, &[]).await;
        let printed = ran.json();
        assert_eq!(printed["without_login"]["kind"], kind, "{printed:#}");
        assert_eq!(ran.code, 0, "{printed:#}");
    }
}

#[tokio::test]
async fn a_service_the_account_may_not_use_is_distinguished_from_a_login_that_fails() {
    let server = StandIn::start().await.unwrap();
    server.refuse_user_on(USERNAME, "Parcels/MapServer");
    let ran = as_user(&server.url(PARCELS), PASSWORD, &[]).await;
    let printed = ran.json();
    assert_eq!(ran.code, 1, "{printed:#}");
    assert_eq!(printed["login"]["works"], true, "{printed:#}");
    assert_eq!(
        printed["with_login"]["kind"], "token_required",
        "{printed:#}"
    );
    let advice = printed["advice"][0].as_str().unwrap();
    assert!(advice.contains("may not use this service"), "{advice}");
    assert_eq!(server.counters().login_attempts, 1);
}

#[tokio::test]
async fn a_web_servers_own_login_is_distinguished_from_arcgis_and_no_password_goes_to_what_is_no_arcgis()
 {
    let server = StandIn::start().await.unwrap();
    server.publish("Intranet/MapServer");
    let mut windows = Response::new("401 - Unauthorized".into());
    *windows.status_mut() = StatusCode::UNAUTHORIZED;
    windows
        .headers_mut()
        .insert(WWW_AUTHENTICATE, "Negotiate".parse().unwrap());
    server.set_answer("Intranet/MapServer", Some(windows));
    let ran = run(
        &[
            &server.url("rest/services/Intranet/MapServer?f=json"),
            "--json",
        ],
        &[],
    )
    .await;
    assert_eq!(ran.code, 1);
    assert_eq!(ran.json()["without_login"]["kind"], "web_server_login");

    server.set_info_present(false);
    let elsewhere = format!("{}/blog", server.origin());
    let ran = as_user(&elsewhere, PASSWORD, &[]).await;
    let printed = ran.json();
    assert_eq!(ran.code, 1, "{printed:#}");
    assert_eq!(printed["server"]["kind"], "unknown", "{printed:#}");
    assert_eq!(printed["login"]["tried"], false, "{printed:#}");
    assert_eq!(printed["code"], Value::Null);
    assert_eq!(server.counters().login_attempts, 0);
}

#[tokio::test]
async fn a_login_below_the_sites_own_root_needs_no_trust_in_the_host_that_the_server_names() {
    let server = StandIn::start().await.unwrap();
    let named = "https://gis01.internal:6443";
    server.set_token_services_url(Some(format!("{named}/arcgis/tokens/")));
    let ran = as_user(&server.url(PARCELS), PASSWORD, &[]).await;
    let printed = ran.json();
    assert_eq!(ran.code, 0, "{printed:#}");
    assert_eq!(printed["unlisted_origin"], named);
    for made in ["code", "proxy"] {
        let text = printed[made].as_str().unwrap();
        assert!(!text.contains(named), "{text}");
    }
    let advice = printed["advice"].to_string();
    assert!(advice.contains("below the site's own root"), "{advice}");
}

#[tokio::test]
async fn plain_http_and_servers_that_are_down_are_said_to_be_that() {
    let server = StandIn::start().await.unwrap();
    let url = server.url(PARCELS);
    server.set_token_services_url(Some("http://tokens.example.com/tokens/".to_owned()));
    let ran = as_user(&url, PASSWORD, &["--trust", "http://tokens.example.com"]).await;
    let printed = ran.json();
    assert_eq!(ran.code, 1, "{printed:#}");
    assert!(
        printed["advice"][0]
            .as_str()
            .unwrap()
            .contains("--allow-insecure-http"),
        "{printed:#}"
    );
    server.stop().await;
    let ran = as_user(&url, PASSWORD, &[]).await;
    let printed = ran.json();
    assert_eq!(ran.code, 1, "{printed:#}");
    assert_eq!(
        printed["without_login"]["kind"], "unreachable",
        "{printed:#}"
    );
    assert_eq!(printed["login"]["tried"], false, "{printed:#}");
}
