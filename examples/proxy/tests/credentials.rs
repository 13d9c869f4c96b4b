//! The ways to log in, and credentials that change.
#![allow(clippy::unwrap_used, reason = "test code outside of test functions")]

mod support;

use arcgis_stand_in::{PASSWORD, Personality, Portal, StandIn, USERNAME};
use http::StatusCode;
use support::{ECHO, File, PARCELS, Proxy, token_of, tokens};

const APP: (&str, &str) = ("mapApp", "the app's secret & more");
const KEY: &str = "AAPK-a-key-0123456789";
/// Far more than fit into the second after which a refused credential is looked at again.
const MOST_REQUESTS: usize = 20_000;

async fn federated() -> (Portal, StandIn) {
    let portal = Portal::start().await.unwrap();
    portal.set_app(APP.0, APP.1);
    let server = StandIn::builder()
        .federated_with(&portal)
        .start()
        .await
        .unwrap();
    (portal, server)
}

/// Asks until the service answers, not longer than it may take.
async fn heals(proxy: &Proxy) -> bool {
    for _ in 0..MOST_REQUESTS {
        if proxy.get(PARCELS).await.is_the_service() {
            return true;
        }
    }
    false
}

async fn log_without(proxy: Proxy, secrets: &[&str]) -> String {
    let log = proxy.terminate().await.log;
    for secret in secrets {
        assert!(!log.contains(secret), "{secret} in {log}");
    }
    log
}

#[tokio::test]
async fn an_application_signs_requests_to_a_federated_server() {
    let (portal, server) = federated().await;
    let file = File::new("client-secret", format!("{}\n", APP.1).as_bytes());
    let (upstream, at) = (server.root(), portal.root());
    let site = ["--upstream", &upstream, "--portal", &at];
    for (more, variables) in [
        (
            vec!["--client-id", APP.0],
            vec![("ARCGIS_CLIENT_SECRET", APP.1)],
        ),
        (
            vec!["--client-secret-file", file.path()],
            vec![
                ("ARCGIS_CLIENT_ID", APP.0),
                ("ARCGIS_CLIENT_SECRET", "wrong"),
            ],
        ),
    ] {
        portal.reset_counters();
        let proxy = Proxy::start(&[&site[..], &more].concat(), &variables).await;
        assert!(proxy.get(PARCELS).await.is_the_service(), "{more:?}");
        server.revoke_all_tokens();
        assert!(proxy.get(PARCELS).await.is_the_service(), "{more:?}");
        assert_eq!(portal.counters().client_credentials, 1, "{more:?}");
        assert_eq!(portal.counters().login_attempts, 0, "{more:?}");
        let mut secrets = tokens(&server);
        secrets.extend(portal.received().iter().filter_map(token_of));
        secrets.push(APP.1.to_owned());
        let secrets: Vec<&str> = secrets.iter().map(String::as_str).collect();
        let log = log_without(proxy, &secrets).await;
        assert!(log.contains("application mapApp"), "{log}");
    }
}

#[tokio::test]
async fn an_applications_changed_secret_heals_a_refused_login() {
    let (portal, server) = federated().await;
    let file = File::new("client-secret-changing", b"wr0ng-secret");
    let (upstream, at) = (server.root(), portal.root());
    let proxy = Proxy::start(
        &[
            "--upstream",
            &upstream,
            "--portal",
            &at,
            "--client-id",
            APP.0,
            "--client-secret-file",
            file.path(),
        ],
        &[],
    )
    .await;
    assert!(!proxy.get(PARCELS).await.is_the_service());
    file.replace(APP.1.as_bytes());
    assert!(heals(&proxy).await);
    let log = log_without(proxy, &["wr0ng-secret", APP.1]).await;
    assert!(log.contains("login failed"), "{log}");
}

#[tokio::test]
async fn a_user_logs_in_at_the_portal_that_is_named() {
    let (portal, server) = federated().await;
    server.set_info_present(false);
    let proxy = Proxy::before(&server, &["--portal", &portal.root()]).await;
    assert!(proxy.get(PARCELS).await.is_the_service());
    assert_eq!(portal.counters().logins, 1);
}

#[tokio::test]
async fn an_api_key_from_the_environment_is_sent() {
    let (portal, server) = federated().await;
    portal.set_api_key(KEY, &[]);
    for variable in ["ARCGIS_API_KEY", "ARCGIS_TOKEN"] {
        server.clear_received();
        let upstream = server.root();
        // A line break is what a file makes of it.
        let key = format!("{KEY}\n");
        let proxy = Proxy::start(&["--upstream", &upstream], &[(variable, &key)]).await;
        assert!(proxy.get(PARCELS).await.is_the_service(), "{variable}");
        assert_eq!(tokens(&server).last().unwrap(), KEY, "{variable}");
        assert_eq!(portal.counters().requests, 0, "{variable}");
        let log = log_without(proxy, &[KEY]).await;
        assert!(log.contains(variable), "{log}");
    }
}

#[tokio::test]
async fn an_api_key_that_has_died_lets_the_challenge_up() {
    let (portal, server) = federated().await;
    portal.set_api_key(KEY, &[]);
    let arguments = ["--upstream", &server.root()];
    let proxy = Proxy::start(&arguments, &[("ARCGIS_API_KEY", KEY)]).await;
    assert!(proxy.get(PARCELS).await.is_the_service());
    assert!(portal.remove_api_key(KEY));
    let got = proxy.get(PARCELS).await;
    assert_eq!(got.json()["error"]["code"], 498);
    assert_eq!(got.header("cache-control"), "no-store");
    let log = log_without(proxy, &[KEY]).await;
    assert!(log.contains("login failed"), "{log}");
}

#[tokio::test]
async fn a_changed_password_file_heals_a_refused_login() {
    let arcgis = StandIn::start().await.unwrap();
    let file = File::new("password-changing", b"wr0ng-password\n");
    let arguments = [
        "--upstream",
        &arcgis.root(),
        "--username",
        USERNAME,
        "--password-file",
        file.path(),
    ];
    let proxy = Proxy::start(&arguments, &[]).await;
    for _ in 0..5 {
        assert!(!proxy.get(PARCELS).await.is_the_service());
    }
    assert_eq!(arcgis.counters().login_attempts, 1);
    file.replace(format!("{PASSWORD}\n").as_bytes());
    assert!(heals(&proxy).await);
    assert_eq!(arcgis.counters().login_attempts, 2);

    // It is read for every login: one that is not refused first, too.
    arcgis.set_user(USERNAME, "the next one");
    file.replace(b"the next one");
    arcgis.revoke_all_tokens();
    assert!(proxy.get(PARCELS).await.is_the_service());
    assert_eq!(arcgis.counters().login_attempts, 3);
    log_without(proxy, &["wr0ng-password", PASSWORD, "the next one"]).await;
}

#[tokio::test]
async fn a_changed_password_file_heals_a_login_refused_at_the_portal() {
    let (portal, server) = federated().await;
    let file = File::new("password-changing-portal", b"wr0ng-password");
    let (upstream, at) = (server.root(), portal.root());
    let arguments = [
        "--upstream",
        &upstream,
        "--portal",
        &at,
        "--username",
        USERNAME,
        "--password-file",
        file.path(),
    ];
    let proxy = Proxy::start(&arguments, &[]).await;
    assert!(!proxy.get(PARCELS).await.is_the_service());
    file.replace(PASSWORD.as_bytes());
    assert!(heals(&proxy).await);
    assert_eq!(portal.counters().login_attempts, 2);
}

#[tokio::test]
async fn an_old_server_is_logged_in_to() {
    let arcgis = StandIn::builder()
        .personality(Personality::Legacy)
        .start()
        .await
        .unwrap();
    let proxy = Proxy::before(&arcgis, &[]).await;
    assert!(proxy.get(PARCELS).await.is_the_service());
    arcgis.revoke_all_tokens();
    assert!(proxy.get(PARCELS).await.is_the_service());
    assert_eq!(proxy.get(ECHO).await.status, StatusCode::OK);
    assert_eq!(arcgis.counters().logins, 2);
    log_without(proxy, &[PASSWORD]).await;
}
