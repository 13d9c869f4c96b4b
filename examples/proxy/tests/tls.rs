//! An upstream over https: whose certificates are trusted, by which name, and what is said of those that are not.
#![allow(clippy::unwrap_used, reason = "test code outside of test functions")]

mod support;

use arcgis_stand_in::{PASSWORD, StandIn, USERNAME};
use http::StatusCode;
use support::{
    ECHO, File, PARCELS, Proxy,
    https::{Ca, Front, Identity},
};

/// A file that only this test has.
fn file(front: &Front, pem: &str) -> File {
    File::new(&format!("ca-{}.pem", front.address.port()), pem.as_bytes())
}

/// In front of `arcgis`, which is asked at plain http; the login goes to `front`, where `ca` is trusted.
async fn logging_in_at(arcgis: &StandIn, front: &Front, ca: &str) -> Proxy {
    let token_url = format!("{}/arcgis/tokens/generateToken", front.origin());
    let file = file(front, ca);
    let upstream = arcgis.root();
    let arguments = [
        "--upstream",
        &upstream,
        "--username",
        USERNAME,
        "--token-url",
        &token_url,
        "--ca-file",
        file.path(),
    ];
    Proxy::start(&arguments, &[("ARCGIS_PASSWORD", PASSWORD)]).await
}

/// The one line of a log that has these words.
fn line<'a>(log: &'a str, words: &str) -> &'a str {
    let found: Vec<&str> = log.lines().filter(|line| line.contains(words)).collect();
    assert_eq!(found.len(), 1, "{words}: {log}");
    found[0]
}

#[tokio::test]
async fn a_ca_file_is_trusted_for_requests_and_logins() {
    let arcgis = StandIn::start().await.unwrap();
    let ca = Ca::new("ours");
    for (protocol, version) in [("http/1.1", "HTTP/1.1"), ("h2", "HTTP/2.0")] {
        let front = Front::of(&arcgis, &ca.signs("127.0.0.1"), protocol).await;
        arcgis.reset_counters();
        let file = file(&front, &ca.pem);
        let proxy = Proxy::at(&front.origin(), &["--ca-file", file.path()]).await;
        assert!(proxy.get(PARCELS).await.is_the_service());
        let echo = proxy
            .get_with(
                ECHO,
                &[
                    ("connection", "x-mine"),
                    ("x-mine", "1"),
                    ("te", "trailers"),
                ],
            )
            .await;
        assert_eq!(echo.json()["version"], version);
        assert_eq!(echo.echoed("x-mine"), None);
        assert_eq!(echo.echoed("te").as_deref(), Some("trailers"));
        assert_eq!(arcgis.counters().logins, 1);
    }
}

#[tokio::test]
async fn a_servers_own_certificate_in_the_ca_file_is_trusted_as_it_is() {
    let arcgis = StandIn::start().await.unwrap();
    let for_another_name = Ca::new("ours").signs("gis.internal");
    for identity in [
        Identity::of_openssl(),
        Identity::of_version_1(),
        for_another_name,
        Identity::expired(),
    ] {
        let front = Front::of(&arcgis, &identity, "http/1.1").await;
        arcgis.reset_counters();
        let file = file(&front, &identity.pem);
        let proxy = Proxy::at(&front.origin(), &["--ca-file", file.path()]).await;
        assert!(proxy.get(PARCELS).await.is_the_service());
        assert_eq!(arcgis.counters().logins, 1);
    }
}

#[tokio::test]
async fn a_server_that_shows_a_trusted_certificate_without_its_key_is_refused() {
    let arcgis = StandIn::start().await.unwrap();
    for identity in [Identity::of_openssl(), Identity::of_version_1()] {
        let thief = identity.with_key_of(&Identity::of_openssl());
        let front = Front::of(&arcgis, &thief, "http/1.1").await;
        let file = file(&front, &thief.pem);
        let proxy = Proxy::at(&front.origin(), &["--ca-file", file.path()]).await;
        assert_eq!(proxy.get(PARCELS).await.status, StatusCode::BAD_GATEWAY);
        assert_eq!(arcgis.counters().requests, 0);
        let log = proxy.terminate().await.log;
        assert!(log.contains("BadSignature"), "{log}");
    }
}

#[tokio::test]
async fn the_name_given_is_checked_and_asked_for_by_requests_and_logins() {
    let arcgis = StandIn::start().await.unwrap();
    let ca = Ca::new("ours");
    let front = Front::of(&arcgis, &ca.signs("gis.internal"), "http/1.1").await;
    let file = file(&front, &ca.pem);
    let arguments = ["--ca-file", file.path(), "--tls-name", "gis.internal"];
    let proxy = Proxy::at(&front.origin(), &arguments).await;
    let echo = proxy.get(ECHO).await;
    assert_eq!(
        echo.echoed("host"),
        Some(front.address.to_string()),
        "{echo:?}"
    );
    assert!(proxy.get(PARCELS).await.is_the_service());
    assert_eq!(arcgis.counters().logins, 1);
    let names = front.names();
    assert!(names.len() >= 2, "{names:?}");
    assert!(
        names
            .iter()
            .all(|name| name.as_deref() == Some("gis.internal")),
        "{names:?}"
    );
}

#[tokio::test]
async fn the_name_given_is_not_for_logins_at_another_host() {
    let arcgis = StandIn::start().await.unwrap();
    let ca = Ca::new("ours");
    let front = Front::of(&arcgis, &ca.signs("gis.internal"), "http/1.1").await;
    let portal = Front::start(&arcgis, &ca.signs("localhost"), "http/1.1").await;
    let file = file(&front, &ca.pem);
    let token_url = format!(
        "https://localhost:{}/arcgis/tokens/generateToken",
        portal.address.port()
    );
    let arguments = [
        "--ca-file",
        file.path(),
        "--tls-name",
        "gis.internal",
        "--token-url",
        &token_url,
    ];
    let proxy = Proxy::at(&front.origin(), &arguments).await;
    assert!(proxy.get(PARCELS).await.is_the_service());
    assert_eq!(portal.names(), [Some("localhost".to_owned())]);
}

#[tokio::test]
async fn a_certificate_that_is_refused_is_said_with_what_to_do() {
    let arcgis = StandIn::start().await.unwrap();
    let ca = Ca::new("ours");
    for (identity, said) in [
        (
            Ca::new("theirs").signs("127.0.0.1"),
            &["UnknownIssuer", "--ca-file"][..],
        ),
        (
            Ca::new("ours").signs("127.0.0.1"),
            &["BadSignature", "--ca-file"],
        ),
        (Identity::of_openssl(), &["CaUsedAsEndEntity", "--ca-file"]),
        (
            ca.signs("gis.internal"),
            &["127.0.0.1", "gis.internal", "--tls-name"],
        ),
        (
            ca.signs_expired("127.0.0.1"),
            &["certificate expired", "renewed"],
        ),
    ] {
        let front = Front::of(&arcgis, &identity, "http/1.1").await;
        arcgis.reset_counters();
        // Trusting someone else, so that the test needs no certificates of the platform's.
        let file = file(&front, &ca.pem);
        let proxy = Proxy::at(&front.origin(), &["--ca-file", file.path()]).await;
        assert_eq!(proxy.get(PARCELS).await.status, StatusCode::BAD_GATEWAY);
        assert_eq!(arcgis.counters().requests, 0);
        let log = proxy.terminate().await.log;
        let line = line(&log, "no answer from the upstream");
        assert!(line.contains("invalid peer certificate"), "{line}");
        for words in said {
            assert!(line.contains(words), "{words}: {line}");
        }
    }
}

#[tokio::test]
async fn a_login_at_a_server_that_is_not_trusted_sends_no_password_and_says_what_to_do() {
    let arcgis = StandIn::start().await.unwrap();
    let ca = Ca::new("ours");
    for (identity, said) in [
        (Ca::new("theirs").signs("127.0.0.1"), "--ca-file"),
        (Identity::of_openssl(), "--ca-file"),
        (ca.signs("gis.internal"), "--tls-name"),
        (ca.signs_expired("127.0.0.1"), "certificate expired"),
    ] {
        let front = Front::start(&arcgis, &identity, "http/1.1").await;
        let proxy = logging_in_at(&arcgis, &front, &ca.pem).await;
        assert_eq!(proxy.get(PARCELS).await.json()["error"]["code"], 499);
        assert_eq!(arcgis.counters().login_attempts, 0);
        let log = proxy.terminate().await.log;
        let line = line(&log, "login failed site=");
        assert!(line.contains(said), "{said}: {line}");
    }
}
