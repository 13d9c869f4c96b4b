//! Servers over https: which are trusted, by which name, and what to do about the others.

use std::{fs, net::SocketAddr, path::PathBuf};

use arcgis_stand_in::{PASSWORD, StandIn, USERNAME};
use serde_json::Value;

use super::{
    PARCELS, as_user,
    https::{Ca, Front, Identity},
    run,
};

/// A file that only this test has; removed when dropped.
struct CaFile(PathBuf);

impl CaFile {
    fn of(server: SocketAddr, pem: &str) -> Self {
        let name = format!("probe-{}.pem", server.port());
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::write(&path, pem).unwrap();
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for CaFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn advice(printed: &Value) -> String {
    printed["advice"].to_string()
}

#[tokio::test]
async fn a_servers_own_certificate_is_trusted_as_it_is_and_the_proxy_is_told_of_it() {
    let server = StandIn::start().await.unwrap();
    for identity in [Identity::of_openssl(), Identity::expired()] {
        let front = Front::of(&server, &identity, "http/1.1").await;
        server.reset_counters();
        let url = format!("{}/arcgis/{PARCELS}", front.origin());
        let file = CaFile::of(front.address, &identity.pem);
        let ran = as_user(&url, PASSWORD, &["--ca-file", file.path()]).await;
        let printed = ran.json();
        assert_eq!(ran.code, 0, "{printed:#}");
        assert_eq!(server.counters().logins, 1);
        let proxy = printed["proxy"].as_str().unwrap();
        assert!(
            proxy.contains(&format!(" --ca-file {}", file.path())),
            "{proxy}"
        );
        assert!(advice(&printed).contains("`token_client`"), "{printed:#}");
    }
}

#[tokio::test]
async fn a_certificate_for_another_name_is_trusted_by_that_name() {
    let server = StandIn::start().await.unwrap();
    let ca = Ca::new("ours");
    let front = Front::of(&server, &ca.signs("gis.internal"), "http/1.1").await;
    let url = format!("{}/arcgis/{PARCELS}", front.origin());
    let file = CaFile::of(front.address, &ca.pem);
    let without = as_user(&url, PASSWORD, &["--ca-file", file.path()]).await;
    let printed = without.json();
    assert_eq!(without.code, 1, "{printed:#}");
    assert_eq!(printed["login"]["tried"], false, "{printed:#}");
    let says = printed["without_login"]["says"].as_str().unwrap();
    assert!(says.contains("gis.internal"), "{printed:#}");
    assert!(advice(&printed).contains("--tls-name"), "{printed:#}");

    let arguments = ["--ca-file", file.path(), "--tls-name", "gis.internal"];
    let ran = as_user(&url, PASSWORD, &arguments).await;
    let printed = ran.json();
    assert_eq!(ran.code, 0, "{printed:#}");
    assert_eq!(server.counters().logins, 1);
    let proxy = printed["proxy"].as_str().unwrap();
    assert!(proxy.contains(" --tls-name gis.internal"), "{proxy}");
    let names = front.names();
    let is_given = |name: &Option<String>| name.as_deref() == Some("gis.internal");
    assert!(!names.is_empty() && names.iter().all(is_given), "{names:?}");
}

#[tokio::test]
async fn a_server_or_a_login_that_is_not_trusted_is_said_with_what_to_do() {
    let server = StandIn::start().await.unwrap();
    let ca = Ca::new("ours");
    let front = Front::of(&server, &Identity::of_openssl(), "http/1.1").await;
    // Trusting someone else, so that the test needs no certificates of the platform's.
    let file = CaFile::of(front.address, &ca.pem);
    let url = format!("{}/arcgis/{PARCELS}", front.origin());
    let at_server = as_user(&url, PASSWORD, &["--ca-file", file.path()])
        .await
        .json();
    assert_eq!(at_server["without_login"]["kind"], "unreachable");
    let tokens = format!("{}/arcgis/tokens/generateToken", front.origin());
    let arguments = ["--ca-file", file.path(), "--token-url", &tokens];
    let at_login = as_user(&server.url(PARCELS), PASSWORD, &arguments).await;
    let at_login = at_login.json();
    assert_eq!(at_login["login"]["works"], false, "{at_login:#}");
    for printed in [at_server, at_login] {
        assert!(advice(&printed).contains("--ca-file PEM"), "{printed:#}");
    }
    assert_eq!(server.counters().login_attempts, 0);
}

#[tokio::test]
async fn a_file_a_name_or_a_proxy_that_cannot_be_used_is_refused() {
    for (arguments, said) in [
        (
            &["https://h/a", "--ca-file", "/nowhere/at/all"][..],
            "/nowhere/at/all cannot be read",
        ),
        (&["https://h/a", "--tls-name", "h:443"], "without a port"),
        (&["--ca-file", "/nowhere/at/all"], "no URL of one"),
        (&["--tls-name", "h"], "no URL of one"),
        (&["https://h/a"], "HTTPS_PROXY names a SOCKS proxy"),
    ] {
        let proxy = [("HTTPS_PROXY", "socks5://clerk:hunter2@127.0.0.1")];
        let ran = run(arguments, &proxy).await;
        assert_eq!(ran.code, 2, "{arguments:?}: {}", ran.progress);
        assert!(ran.progress.contains(said), "{}", ran.progress);
        ran.assert_silent(&["hunter2"], &[]);
    }
}

#[tokio::test]
async fn the_way_through_a_proxy_is_said_without_its_password() {
    let server = StandIn::start().await.unwrap();
    server.stop().await;
    let proxy = format!("http://clerk:hunter2@{}", server.addr());
    let environment = [("HTTPS_PROXY", &*proxy), ("ARCGIS_PASSWORD", PASSWORD)];
    let file = CaFile::of(server.addr(), &Ca::new("ours").pem);
    let url = "https://gis.invalid/arcgis";
    let arguments = [url, "--username", USERNAME, "--ca-file", file.path()];
    let ran = run(&arguments, &environment).await;
    assert_eq!(ran.code, 1, "{}{}", ran.out, ran.progress);
    let way = format!("http://{}", server.addr());
    assert!(ran.progress.contains(&way), "{}", ran.progress);
    let failed = format!("no way through the proxy {way} of HTTPS_PROXY");
    assert!(ran.out.contains(&failed), "{}", ran.out);
    ran.assert_silent(&["hunter2"], &[]);
}
