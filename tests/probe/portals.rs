//! Portals, applications and keys.

use arcgis_stand_in::{PASSWORD, Portal, StandIn};
use serde_json::Value;

use super::{PARCELS, as_user, federated, run};

#[tokio::test]
async fn a_portal_that_is_not_listed_is_named_and_gets_nothing_until_it_is() {
    let (portal, server) = federated().await;
    let ran = as_user(&server.url(PARCELS), PASSWORD, &[]).await;
    let printed = ran.json();
    assert_eq!(ran.code, 1, "{printed:#}");
    assert_eq!(printed["server"]["kind"], "federated_server");
    assert_eq!(printed["owning_portal"], portal.root());
    assert_eq!(printed["source"], Value::Null);
    assert_eq!(printed["unlisted_origin"], portal.origin());
    assert_eq!(printed["login"]["tried"], false, "{printed:#}");
    let error = printed["source_error"].as_str().unwrap();
    assert!(error.contains("list it with --trust ORIGIN"), "{error}");
    let setting = format!(".trust_token_service(\"{}\")", portal.origin());
    assert!(
        printed["code"].as_str().unwrap().contains(&setting),
        "{printed:#}"
    );
    assert_eq!(portal.counters().login_attempts, 0);

    for more in [["--trust", &portal.origin()], ["--portal", &portal.root()]] {
        portal.reset_counters();
        let ran = as_user(&server.url(PARCELS), PASSWORD, &more).await;
        let printed = ran.json();
        assert_eq!(ran.code, 0, "{printed:#}");
        assert_eq!(printed["source"]["kind"], "federated_server");
        assert_eq!(portal.counters().logins, 1);
        ran.assert_silent(&[PASSWORD], &[server.received(), portal.received()]);
    }
}

#[tokio::test]
async fn a_portal_is_asked_as_one_and_applications_log_in_there() {
    let portal = Portal::start().await.unwrap();
    let ran = as_user(&portal.root(), PASSWORD, &[]).await;
    let printed = ran.json();
    assert_eq!(ran.code, 0, "{printed:#}");
    assert_eq!(printed["server"]["kind"], "portal");
    assert_eq!(portal.counters().logins, 1);

    portal.set_app("mapApp", "the app's secret");
    let app = [
        ("ARCGIS_CLIENT_ID", "mapApp"),
        ("ARCGIS_CLIENT_SECRET", "the app's secret"),
    ];
    let ran = run(
        &[&portal.url("sharing/rest/content/items/abc"), "--json"],
        &app,
    )
    .await;
    let printed = ran.json();
    assert_eq!(ran.code, 0, "{printed:#}");
    assert_eq!(printed["environment"][0], "ARCGIS_CLIENT_SECRET");
    ran.assert_silent(&["the app's secret"], &[portal.received()]);
}

#[tokio::test]
async fn a_key_that_is_not_taken_is_said_to_be_that() {
    let portal = Portal::start().await.unwrap();
    portal.set_api_key("AAPK-good-0123456789", &[]);
    let item = portal.url("sharing/rest/content/items/abc?f=json");
    for (key, code) in [("AAPK-good-0123456789", 0), ("AAPK-dead-0123456789", 1)] {
        let ran = run(&[&item, "--json"], &[("ARCGIS_API_KEY", key)]).await;
        let printed = ran.json();
        assert_eq!(ran.code, code, "{printed:#}");
        assert_eq!(printed["source"]["kind"], "static_token");
        assert_eq!(printed["login"]["works"], code == 0, "{printed:#}");
        ran.assert_silent(&[key], &[]);
    }
    assert_eq!(portal.counters().login_attempts, 0);
}

#[tokio::test]
async fn a_key_is_not_proven_where_nothing_asks_for_one() {
    let server = StandIn::start().await.unwrap();
    let key = [("ARCGIS_API_KEY", "AAPK-made-up-0123456789")];
    let printed = run(&[&server.root(), "--json"], &key).await.json();
    assert_eq!(printed["login"]["works"], Value::Null, "{printed:#}");
    let ran = run(&[&server.root()], &key).await;
    assert!(ran.out.contains("not proven"), "{}", ran.out);
    assert!(ran.out.contains("URL of a secured service"), "{}", ran.out);
    assert!(ran.progress.contains("takes no login"), "{}", ran.progress);
}

#[tokio::test]
async fn a_key_that_is_taken_works_whatever_else_is_wrong_with_the_url() {
    let portal = Portal::start().await.unwrap();
    portal.set_api_key("AAPK-good-0123456789", &[]);
    let server = StandIn::builder().federated_with(&portal).start().await;
    let server = server.unwrap();
    let url = server.url("rest/services/Parcels/MapServer/nonsense?f=json");
    let key = [("ARCGIS_API_KEY", "AAPK-good-0123456789")];
    let printed = run(&[&url, "--json"], &key).await.json();
    assert_eq!(printed["with_login"]["kind"], "error", "{printed:#}");
    assert_eq!(printed["login"]["works"], true, "{printed:#}");
}

#[tokio::test]
async fn a_key_bound_to_a_referer_is_taken_with_it() {
    let portal = Portal::start().await.unwrap();
    portal.set_api_key("AAPK-good-0123456789", &["https://maps.example.com"]);
    let item = portal.url("sharing/rest/content/items/abc?f=json");
    let key = [("ARCGIS_API_KEY", "AAPK-good-0123456789")];
    let ran = run(&[&item], &key).await;
    assert_eq!(ran.code, 1, "{}", ran.out);
    assert!(ran.out.contains("--referer"), "{}", ran.out);
    let referer = "https://maps.example.com/";
    let ran = run(&[&item, "--referer", referer], &key).await;
    assert_eq!(ran.code, 0, "{}", ran.out);
    for setting in [
        ".referer(\"https://maps.example.com/\")",
        "--referer https://maps.example.com/",
    ] {
        assert!(ran.out.contains(setting), "{}", ran.out);
    }
}

#[tokio::test]
async fn a_portal_named_without_its_web_adaptor_is_said_to_be_that() {
    let (portal, server) = federated().await;
    let origin = portal.origin();
    let arguments = ["--portal", origin.as_str(), "--allow-insecure-http"];
    let ran = as_user(&server.url(PARCELS), PASSWORD, &arguments).await;
    assert_eq!(ran.code, 1, "{}", ran.out);
    assert!(ran.out.contains("Check `--portal`"), "{}", ran.out);
}
