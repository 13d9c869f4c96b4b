//! What the library's settings are called on the command line.

use std::path::Path;

use arcgis_stand_in::{PASSWORD, StandIn, USERNAME};

use super::{PARCELS, Ran, federated, run, steps};

/// The settings of the library, as it writes them.
const SETTINGS: [&str; 7] = [
    "`trust_token_service`",
    "`token_url`",
    "`portal`",
    "`allow_insecure_http`",
    "`send_portal_token`",
    "`login_timeout`",
    "`credentials_in_url`",
];

fn assert_names_options(ran: &Ran, options: &[&str]) {
    let all = format!("{}{}", ran.out, ran.progress);
    for setting in SETTINGS {
        assert!(!all.contains(setting), "{setting} in {all}");
    }
    for option in options {
        assert!(all.contains(option), "{option} not in {all}");
    }
}

#[tokio::test]
async fn errors_name_the_probes_own_options() {
    let (portal, server) = federated().await;
    let user = [("ARCGIS_PASSWORD", PASSWORD)];
    let as_user = ["--username", USERNAME];
    let parcels = server.url(PARCELS);
    let ran = run(&[&[parcels.as_str()], &as_user[..]].concat(), &user).await;
    assert_names_options(&ran, &["list it with --trust ORIGIN"]);

    let stranger = StandIn::start().await.unwrap();
    stranger.set_owning_system_url(Some(portal.root()));
    let (parcels, origin) = (stranger.url(PARCELS), portal.origin());
    let trusting = [&[parcels.as_str(), "--trust", &origin], &as_user[..]].concat();
    let ran = run(&trusting, &user).await;
    assert_eq!(ran.code, 1);
    assert_names_options(&ran, &["--send-portal-token lets"]);
    let ran = run(&[&trusting[..], &["--send-portal-token"]].concat(), &user).await;
    assert_names_options(
        &ran,
        &[
            ".send_portal_token()",
            "arcgis-proxy",
            " --send-portal-token",
        ],
    );
    assert!(stranger.counters().signed_requests > 0, "{}", ran.out);

    let server = StandIn::start().await.unwrap();
    server.set_token_services_url(Some("http://[".to_owned()));
    let parcels = server.url(PARCELS);
    let asking = [&[parcels.as_str()], &as_user[..]].concat();
    let ran = run(&asking, &user).await;
    assert_names_options(&ran, &["--token-url URL"]);
    let url = server.url("tokens");
    let ran = run(&[&asking[..], &["--token-url", &url]].concat(), &user).await;
    assert_eq!(ran.code, 0, "{}", ran.out);
    assert_names_options(
        &ran,
        &[
            &format!(".token_url(\"{url}\")"),
            &format!("--token-url {url}"),
        ],
    );

    for (option, value) in [
        ("--token-url", "tokens/generateToken"),
        ("--trust", "portal.example.com"),
        ("--portal", "portal.example.com"),
        ("--referer", "a\u{7f}b"),
    ] {
        let ran = run(&[&asking[..], &[option, value]].concat(), &user).await;
        assert_eq!(ran.code, 2, "{}{}", ran.out, ran.progress);
        assert_names_options(&ran, &[&format!("{option} `")]);
    }
}

#[test]
fn every_setting_that_the_library_names_has_an_option() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    // What only the library's own users meet, and a parameter of sign-ins.
    let unreachable = [
        "add_site",
        "credential_deadline",
        "default_site",
        "identity_fn",
        "state",
    ];
    steps::option_names::assert_complete(&source, &steps::option_names::NAMES, &unreachable);
}
