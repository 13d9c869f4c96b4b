//! The options of the login, each by what it changes on the wire; and what the log says of them.
#![allow(clippy::unwrap_used, reason = "test code outside of test functions")]

mod support;

use std::net::{IpAddr, Ipv4Addr};

use arcgis_stand_in::{PASSWORD, Personality, Portal, StandIn, USERNAME};
use support::{ECHO, PARCELS, PUBLIC_ECHO, Proxy, tokens};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
};

/// The settings of the library that have an option here.
const SETTINGS: [&str; 7] = [
    "`trust_token_service`",
    "`token_url`",
    "`portal`",
    "`allow_insecure_http`",
    "`send_portal_token`",
    "`login_timeout`",
    "`credentials_in_url`",
];

/// The log, which names no setting of the library.
async fn log_of(proxy: Proxy) -> String {
    let log = proxy.terminate().await.log;
    for setting in SETTINGS {
        assert!(!log.contains(setting), "{setting} in {log}");
    }
    log
}

/// Another address of `arcgis`, which its portal does not know.
async fn another_address_of(arcgis: &StandIn) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let root = format!("http://{}/arcgis", listener.local_addr().unwrap());
    let address = arcgis.addr();
    tokio::spawn(async move {
        while let Ok((mut caller, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut server = TcpStream::connect(address).await?;
                copy_bidirectional(&mut caller, &mut server).await
            });
        }
    });
    root
}

#[tokio::test]
async fn the_first_request_is_signed_only_with_login_first() {
    let arcgis = StandIn::start().await.unwrap();
    for (more, is_signed) in [(&[][..], false), (&["--login-first"], true)] {
        arcgis.reset_counters();
        let proxy = Proxy::before(&arcgis, more).await;
        // A public service challenges nobody, no more than a list of services does.
        let echo = proxy.get(PUBLIC_ECHO).await;
        assert_eq!(echo.echoed_target().contains("token="), is_signed);
        assert_eq!(arcgis.counters().logins, u64::from(is_signed));
    }
}

#[tokio::test]
async fn with_login_first_a_refused_login_lets_requests_go_unsigned() {
    let arcgis = StandIn::start().await.unwrap();
    let arguments = [
        "--upstream",
        &arcgis.root(),
        "--username",
        USERNAME,
        "--login-first",
    ];
    let proxy = Proxy::start(&arguments, &[("ARCGIS_PASSWORD", "wrong")]).await;
    for _ in 0..3 {
        let echo = proxy.get(PUBLIC_ECHO).await;
        assert!(!echo.echoed_target().contains("token="));
    }
    assert_eq!(arcgis.counters().login_attempts, 1);
}

#[tokio::test]
async fn tokens_are_bound_to_the_address_where_that_is_asked_for() {
    let arcgis = StandIn::start().await.unwrap();
    let proxy = Proxy::before(&arcgis, &["--bind-to-address"]).await;
    let headers = [("x-forwarded-for", "192.0.2.7")];
    let echo = proxy.get_with(ECHO, &headers).await;
    assert_eq!(echo.echoed("referer"), None);
    assert_eq!(echo.echoed("x-forwarded-for"), None);
    assert!(echo.echoed("x-forwarded-host").is_some());
    assert_eq!(arcgis.counters().address_mismatches, 0);

    let elsewhere = IpAddr::from(Ipv4Addr::new(192, 0, 2, 8));
    arcgis.set_seen_address(Some(elsewhere));
    assert!(proxy.get(PARCELS).await.is_the_service(), "a new token");
    assert_eq!(arcgis.counters().address_mismatches, 1);
    assert_eq!(arcgis.counters().referer_mismatches, 0);
}

#[tokio::test]
async fn a_referer_is_sent_without_a_credential_too() {
    let arcgis = StandIn::start().await.unwrap();
    let referer = "https://maps.example.com/";
    let arguments = ["--upstream", &arcgis.root(), "--referer", referer];
    let proxy = Proxy::start(&arguments, &[]).await;
    let callers = arcgis.issue_token(USERNAME, Some(referer));
    let headers = [("referer", "https://elsewhere.example/")];
    let echo = proxy
        .get_with(&format!("{ECHO}?token={callers}"), &headers)
        .await;
    assert_eq!(echo.echoed("referer").as_deref(), Some(referer));
    assert_eq!(arcgis.counters().referer_mismatches, 0);
    assert_eq!(arcgis.counters().login_attempts, 0);
}

#[tokio::test]
async fn a_password_is_in_a_url_only_where_that_is_asked_for() {
    let arcgis = StandIn::builder().personality(Personality::Legacy);
    let arcgis = arcgis.start().await.unwrap();
    arcgis.set_legacy_post_allowed(false);
    let has_password = || {
        let received = arcgis.received();
        let password: String = form_encoded(PASSWORD);
        received
            .iter()
            .any(|request| request.path_and_query.contains(&password))
    };

    let proxy = Proxy::before(&arcgis, &[]).await;
    assert_eq!(proxy.get(PARCELS).await.json()["error"]["code"], 499);
    assert!(!has_password());

    let proxy = Proxy::before(&arcgis, &["--credentials-in-url"]).await;
    assert!(proxy.get(PARCELS).await.is_the_service());
    assert!(has_password());
    let log = log_of(proxy).await;
    assert!(!log.contains(PASSWORD), "{log}");
    assert!(!log.contains(&form_encoded(PASSWORD)), "{log}");
}

fn form_encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b' ' => "+".to_owned(),
            byte if byte.is_ascii_alphanumeric() || b"*-._".contains(&byte) => {
                char::from(byte).to_string()
            }
            byte => format!("%{byte:02X}"),
        })
        .collect()
}

#[tokio::test]
async fn a_portals_own_token_is_sent_only_where_that_is_asked_for() {
    let portal = Portal::start().await.unwrap();
    let arcgis = StandIn::builder().federated_with(&portal);
    let arcgis = arcgis.start().await.unwrap();
    arcgis.set_takes_portal_tokens(true);
    let upstream = another_address_of(&arcgis).await;
    let portal_root = portal.root();

    let proxy = Proxy::at(&upstream, &["--portal", &portal_root]).await;
    assert_eq!(proxy.get(PARCELS).await.json()["error"]["code"], 499);
    assert!(tokens(&arcgis).is_empty());
    let log = log_of(proxy).await;
    assert!(log.contains("--send-portal-token lets"), "{log}");

    let more = ["--portal", &portal_root, "--send-portal-token"];
    let proxy = Proxy::at(&upstream, &more).await;
    assert!(proxy.get(PARCELS).await.is_the_service());
    log_of(proxy).await;
}

#[tokio::test]
async fn a_portal_that_is_not_trusted_is_named_with_the_option_that_trusts_it() {
    let portal = Portal::start().await.unwrap();
    let arcgis = StandIn::builder().federated_with(&portal);
    let arcgis = arcgis.start().await.unwrap();
    let proxy = Proxy::before(&arcgis, &[]).await;
    assert_eq!(proxy.get(PARCELS).await.json()["error"]["code"], 499);
    assert_eq!(portal.counters().login_attempts, 0);
    let log = log_of(proxy).await;
    assert!(log.contains(&portal.origin()), "{log}");
    assert!(
        log.contains("list it with --trust-token-service ORIGIN"),
        "{log}"
    );
}

#[tokio::test]
async fn a_token_service_may_be_named_without_its_last_segment() {
    let arcgis = StandIn::start().await.unwrap();
    arcgis.set_info_present(false);
    for end in ["tokens", "tokens/", "tokens/generateToken"] {
        let proxy = Proxy::before(&arcgis, &["--token-url", &arcgis.url(end)]).await;
        assert!(proxy.get(PARCELS).await.is_the_service(), "{end}");
    }
}

#[tokio::test]
async fn a_login_that_is_redirected_names_the_place_and_the_option() {
    let arcgis = StandIn::start().await.unwrap();
    let place = "https://secure.example.com/arcgis/tokens/generateToken";
    arcgis.set_token_fault(Some(arcgis_stand_in::TokenFault::Redirect(
        place.to_owned(),
    )));
    let proxy = Proxy::before(&arcgis, &[]).await;
    proxy.get(PARCELS).await;
    let log = log_of(proxy).await;
    assert!(log.contains(place), "{log}");
    for option in ["--upstream", "--token-url URL"] {
        assert!(log.contains(option), "{log}");
    }
}
