//! What can be said on the command line, what cannot, and what is never repeated.
#![allow(clippy::unwrap_used, reason = "test code outside of test functions")]

mod support;

use arcgis_stand_in::{PASSWORD, StandIn, USERNAME};
use support::{ECHO, File, PARCELS, Proxy, program, tokens};

/// Not https: where the platform has no certificates, that alone would be refused.
const UPSTREAM: [&str; 2] = ["--upstream", "http://gis.example.com/arcgis"];

/// Starts the program with arguments that cannot work; returns what it says on stderr.
async fn refused(arguments: &[&str], variables: &[(&str, &str)]) -> String {
    let output = program(arguments, variables).output().await.unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
    assert!(output.stdout.is_empty(), "{arguments:?}");
    assert!(said.starts_with("error: "), "{arguments:?}: {said}");
    said
}

#[tokio::test]
async fn arguments_that_cannot_work_are_refused_with_a_reason() {
    let no_pem = File::new("no.pem", b"not a certificate");
    let bad_pem = File::new(
        "bad.pem",
        b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    );
    let empty = File::new("empty-password", b"\n");
    for (arguments, words) in [
        (
            vec!["--listen", "localhost:8080"],
            "write an IP address and a port",
        ),
        (vec!["--listen", "8080"], "write an IP address and a port"),
        (
            vec!["--upstream", "gis.example.com/arcgis"],
            "write it like https://gis.example.com/arcgis",
        ),
        (
            vec!["--upstream", "https://gis.example.com/arcgis/rest/services"],
            "before it",
        ),
        (
            vec!["--upstream", "http://gis.example.com/a/../arcgis"],
            "`..`",
        ),
        (vec!["--username", "ada"], "add --upstream"),
        (vec!["--client-id", "mapApp"], "add --upstream"),
        (
            [&UPSTREAM[..], &["--client-id", "mapApp"]].concat(),
            "ARCGIS_CLIENT_SECRET",
        ),
        (
            [&UPSTREAM[..], &["--client-secret-file", "/nowhere/at/all"]].concat(),
            "the client secret file /nowhere/at/all cannot be read",
        ),
        (
            [&UPSTREAM[..], &["--client-secret-file", empty.path()]].concat(),
            "is empty",
        ),
        (
            [&UPSTREAM[..], &["--client-secret-file", no_pem.path()]].concat(),
            "no application",
        ),
        (
            [
                &UPSTREAM[..],
                &["--client-id", "mapApp", "--client-secret-file"],
                &[
                    no_pem.path(),
                    "--token-url",
                    "https://gis.example.com/tokens",
                ],
            ]
            .concat(),
            "--portal",
        ),
        (
            [
                &UPSTREAM[..],
                &["--portal", "https://portal.example.com/portal"],
                &["--token-url", "https://gis.example.com/tokens"],
            ]
            .concat(),
            "cannot be used with",
        ),
        (
            [&UPSTREAM[..], &["--portal", "portal.example.com/portal"]].concat(),
            "like https://portal.example.com/portal",
        ),
        (
            [
                &UPSTREAM[..],
                &["--portal", "https://portal.example.com/portal/sharing/rest"],
            ]
            .concat(),
            "before /sharing",
        ),
        (
            [&UPSTREAM[..], &["--username", "ada"]].concat(),
            "ARCGIS_PASSWORD",
        ),
        (
            [&UPSTREAM[..], &["--password-file", "/nowhere/at/all"]].concat(),
            "/nowhere/at/all cannot be read",
        ),
        (
            [
                &UPSTREAM[..],
                &["--username", "ada", "--password-file", empty.path()],
            ]
            .concat(),
            "is empty",
        ),
        (
            [&UPSTREAM[..], &["--ca-file", "/nowhere/at/all"]].concat(),
            "/nowhere/at/all cannot be read",
        ),
        (
            [&UPSTREAM[..], &["--ca-file", no_pem.path()]].concat(),
            "no certificate in",
        ),
        (
            [&UPSTREAM[..], &["--ca-file", bad_pem.path()]].concat(),
            "--ca-file cannot be trusted",
        ),
        (vec!["--ca-file", no_pem.path()], "--upstream <URL>"),
        (vec!["--tls-name", "gis.internal"], "--upstream <URL>"),
        (
            [&UPSTREAM[..], &["--tls-name", "gis.internal:6443"]].concat(),
            "without a port",
        ),
        (vec!["--send-portal-token"], "--upstream <URL>"),
        (vec!["--credentials-in-url"], "--upstream <URL>"),
        (
            vec![
                "--bind-to-address",
                "--referer",
                "https://maps.example.com/",
            ],
            "cannot be used with",
        ),
        (
            [&UPSTREAM[..], &["--referer", "a\u{7f}b"]].concat(),
            "--referer",
        ),
        (
            vec!["--token-placement", "form"],
            "[possible values: query, cookie, header, bearer]",
        ),
        (
            vec!["--caller-token", "forward"],
            "[possible values: keep, replace]",
        ),
    ] {
        let said = refused(&arguments, &[]).await;
        assert!(said.contains(words), "{arguments:?}: {said}");
    }
}

#[tokio::test]
async fn settings_of_the_login_that_cannot_work_are_refused_with_a_reason() {
    for (more, words) in [
        (
            ["--token-url", "tokens/generateToken"],
            "--token-url `tokens",
        ),
        (
            ["--trust-token-service", "portal.example.com"],
            "--trust-token-service `portal.example.com` is not an origin",
        ),
        (["--referer", "a\u{7f}b"], "--referer `"),
    ] {
        let arguments = [&UPSTREAM[..], &["--username", "ada"], &more].concat();
        let said = refused(&arguments, &[("ARCGIS_PASSWORD", "hunter2")]).await;
        assert!(said.contains(words), "{more:?}: {said}");
        assert!(!said.contains("hunter2"), "{more:?}: {said}");
    }
}

#[tokio::test]
async fn a_password_without_a_user_is_refused() {
    let said = refused(&UPSTREAM, &[("ARCGIS_PASSWORD", "hunter2")]).await;
    assert!(said.contains("no user"), "{said}");
}

#[tokio::test]
async fn several_credentials_are_refused_by_name() {
    let user = [
        ("ARCGIS_USERNAME", "ada"),
        ("ARCGIS_PASSWORD", "hunter2-password"),
    ];
    let app = [
        ("ARCGIS_CLIENT_ID", "mapApp"),
        ("ARCGIS_CLIENT_SECRET", "hunter2-secret"),
    ];
    let key = [("ARCGIS_API_KEY", "hunter2-key")];
    let token = [("ARCGIS_TOKEN", "hunter2-token")];
    for (variables, named, not_named) in [
        (
            [&user[..], &app[..]].concat(),
            vec![
                "--username or ARCGIS_USERNAME",
                "--client-id or ARCGIS_CLIENT_ID",
            ],
            vec!["ARCGIS_API_KEY", "ARCGIS_TOKEN"],
        ),
        (
            [&user[..], &key[..]].concat(),
            vec!["ARCGIS_USERNAME", "ARCGIS_API_KEY"],
            vec!["ARCGIS_CLIENT_ID", "ARCGIS_TOKEN"],
        ),
        (
            [&app[1..], &key[..]].concat(),
            vec!["(ARCGIS_CLIENT_SECRET)", "ARCGIS_API_KEY"],
            vec!["ARCGIS_USERNAME"],
        ),
        (
            [&key[..], &token[..]].concat(),
            vec!["ARCGIS_API_KEY", "ARCGIS_TOKEN"],
            vec!["ARCGIS_USERNAME", "ARCGIS_CLIENT_ID"],
        ),
        (
            [&user[1..], &token[..]].concat(),
            vec!["(ARCGIS_PASSWORD)", "ARCGIS_TOKEN"],
            vec!["ARCGIS_USERNAME"],
        ),
    ] {
        let said = refused(&UPSTREAM, &variables).await;
        assert!(said.contains("several credentials"), "{said}");
        assert!(named.iter().all(|name| said.contains(name)), "{said}");
        assert!(!not_named.iter().any(|name| said.contains(name)), "{said}");
        assert!(!said.contains("hunter2"), "{said}");
    }
}

const KEY: (&str, &str) = (
    "ARCGIS_CACHE_KEY",
    "8f0b6d1c53a24e7f9b1d0a6c4e8f2b7d5c9a3e1f6b8d0c2a4e6f8b1d3c5a7e90",
);

#[tokio::test]
async fn a_redis_wants_a_key_and_a_key_a_redis() {
    let no_key = File::new("no.key", b"hunter2\n");
    let redis = ["--redis", "redis://:hunter2@127.0.0.1:1"];
    for (arguments, variables, words) in [
        (&redis[..], vec![], "openssl rand -hex 32"),
        (&[], vec![KEY], "no Redis"),
        (
            &redis,
            vec![("ARCGIS_CACHE_KEY", "hunter2")],
            "64 hexadecimal digits",
        ),
        (
            &["--cache-key-file", no_key.path(), "--redis", redis[1]],
            vec![],
            "64 hexadecimal digits",
        ),
        (
            &["--cache-key-file", "/nowhere/at/all"],
            vec![("ARCGIS_REDIS_URL", redis[1])],
            "the cache key file /nowhere/at/all cannot be read",
        ),
        (
            &["--redis", "http://:hunter2@127.0.0.1:1"],
            vec![KEY],
            "write it like redis://",
        ),
    ] {
        let said = refused(&[&UPSTREAM, arguments].concat(), &variables).await;
        assert!(said.contains(words), "{arguments:?}: {said}");
        assert!(!said.contains("hunter2"), "{arguments:?}: {said}");
    }
    let said = refused(&[], &[("ARCGIS_REDIS_URL", redis[1])]).await;
    assert!(said.contains("add --upstream"), "{said}");
}

#[tokio::test]
async fn a_redis_that_is_not_there_is_done_without() {
    let arcgis = StandIn::start().await.unwrap();
    let arguments = [
        "--redis",
        "redis://:hunter2@127.0.0.1:1",
        "--cache-key-file",
    ];
    let key = File::new("cache.key", format!("{}\n", KEY.1).as_bytes());
    let proxy = Proxy::before(&arcgis, &[&arguments[..], &[key.path()]].concat()).await;
    assert!(proxy.get(PARCELS).await.is_the_service());
    let log = proxy.terminate().await.log;
    assert!(log.contains("no Redis listens at 127.0.0.1:1"), "{log}");
    assert!(!log.contains("hunter2") && !log.contains(KEY.1), "{log}");
}

#[tokio::test]
async fn a_redis_that_is_not_there_is_told_of_at_the_start() {
    let arcgis = StandIn::start().await.unwrap();
    let arguments = ["--redis", "redis://127.0.0.1:1", "--cache-key-file"];
    let key = File::new("start.key", format!("{}\n", KEY.1).as_bytes());
    let arguments = [&arguments[..], &[key.path()]].concat();
    let mut proxy = Proxy::before(&arcgis, &arguments).await;
    proxy.wait_for_log("Redis cannot be asked").await;
    assert_eq!(arcgis.counters().login_attempts, 0);
}

#[tokio::test]
async fn a_redis_has_nothing_to_share_of_a_token_that_is_given() {
    let arcgis = StandIn::start().await.unwrap();
    let root = arcgis.root();
    let arguments = ["--upstream", &root, "--redis", "redis://127.0.0.1:1"];
    let variables = [("ARCGIS_TOKEN", "a-token-made-elsewhere"), KEY];
    let mut proxy = Proxy::start(&arguments, &variables).await;
    proxy.wait_for_log("nothing to share").await;
}

#[tokio::test]
async fn an_empty_variable_is_no_credential() {
    let arcgis = StandIn::start().await.unwrap();
    let variables = [
        ("ARCGIS_CLIENT_ID", ""),
        ("ARCGIS_CLIENT_SECRET", ""),
        ("ARCGIS_API_KEY", ""),
        ("ARCGIS_TOKEN", "\n"),
        ("ARCGIS_REDIS_URL", ""),
        ("ARCGIS_CACHE_KEY", ""),
        ("ARCGIS_USERNAME", USERNAME),
        ("ARCGIS_PASSWORD", PASSWORD),
    ];
    let proxy = Proxy::start(&["--upstream", &arcgis.root()], &variables).await;
    assert!(proxy.get(PARCELS).await.is_the_service());
}

#[tokio::test]
async fn an_api_key_that_is_none_is_refused_and_not_repeated() {
    let said = refused(&UPSTREAM, &[("ARCGIS_API_KEY", "hunter2 hunter2")]).await;
    assert!(said.contains("ARCGIS_API_KEY"), "{said}");
    assert!(!said.contains("hunter2"), "{said}");
    let said = refused(&[], &[("ARCGIS_API_KEY", "hunter2")]).await;
    assert!(said.contains("add --upstream"), "{said}");
}

#[tokio::test]
async fn a_filter_that_is_none_is_refused() {
    let said = refused(&[], &[("RUST_LOG", "arcgis_proxy=loud")]).await;
    assert!(said.contains("RUST_LOG"), "{said}");
}

#[tokio::test]
async fn a_password_in_the_wrong_place_is_not_repeated() {
    for arguments in [
        vec!["--upstream", "https://ada:hunter2@gis.example.com/arcgis"],
        vec!["--upstream", "https://gis.example.com/arcgis?token=hunter2"],
        [
            &UPSTREAM[..],
            &["--token-url", "https://ada:hunter2@gis.example.com/tokens"],
        ]
        .concat(),
        [
            &UPSTREAM[..],
            &["--trust-token-service", "https://ada:hunter2@a.example"],
        ]
        .concat(),
        [
            &UPSTREAM[..],
            &["--portal", "https://ada:hunter2@a.example"],
        ]
        .concat(),
        [
            &UPSTREAM[..],
            &["--portal", "https://a.example/portal?token=hunter2"],
        ]
        .concat(),
        [&UPSTREAM[..], &["--password=hunter2"]].concat(),
    ] {
        let said = refused(&arguments, &[]).await;
        assert!(!said.contains("hunter2"), "{arguments:?}: {said}");
    }
}

#[tokio::test]
async fn an_address_that_is_taken_is_said_so() {
    let arcgis = StandIn::start().await.unwrap();
    let taken = arcgis.addr().to_string();
    let output = program(&["--listen", &taken], &[]).output().await.unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains(&format!("cannot listen on {taken}")),
        "{said}"
    );
    assert!(said.contains("--listen"), "{said}");
}

#[tokio::test]
async fn a_password_file_may_end_in_a_line_break() {
    let arcgis = StandIn::start().await.unwrap();
    for (name, end) in [("unix", "\n"), ("windows", "\r\n"), ("none", "")] {
        let file = File::new(
            &format!("password-{name}"),
            format!("{PASSWORD}{end}").as_bytes(),
        );
        let arguments = [
            "--upstream",
            &arcgis.root(),
            "--username",
            USERNAME,
            "--password-file",
            file.path(),
        ];
        // The file is what was named on purpose; it counts before the variable.
        let proxy = Proxy::start(&arguments, &[("ARCGIS_PASSWORD", "wrong")]).await;
        assert!(proxy.get(PARCELS).await.is_the_service(), "{name}");
    }
}

#[tokio::test]
async fn the_user_may_be_named_in_the_environment() {
    let arcgis = StandIn::start().await.unwrap();
    let variables = [("ARCGIS_USERNAME", USERNAME), ("ARCGIS_PASSWORD", PASSWORD)];
    let proxy = Proxy::start(&["--upstream", &arcgis.root()], &variables).await;
    assert!(proxy.get(PARCELS).await.is_the_service());
}

#[tokio::test]
async fn the_log_holds_no_secret() {
    let arcgis = StandIn::start().await.unwrap();
    let proxy = Proxy::before(&arcgis, &[]).await;
    assert!(proxy.get(PARCELS).await.is_the_service());
    arcgis.revoke_all_tokens();
    assert!(proxy.get(PARCELS).await.is_the_service());
    proxy.get(&format!("{ECHO}?token=hunter2&f=json")).await;
    proxy
        .get_with(
            ECHO,
            &[
                ("authorization", "Bearer hunter2"),
                ("cookie", "agstoken=hunter2"),
            ],
        )
        .await;
    arcgis.revoke_all_tokens();
    arcgis.set_user(USERNAME, "changed");
    proxy.get(PARCELS).await;

    let mut secrets = tokens(&arcgis);
    assert!(secrets.len() >= 3);
    secrets.push(PASSWORD.to_owned());
    let log = proxy.terminate().await.log;
    assert!(log.contains("DEBUG"), "{log}");
    assert!(
        log.contains("path=\"/arcgis/rest/services/Parcels/MapServer\""),
        "{log}"
    );
    assert!(log.contains("login failed"), "{log}");
    for secret in secrets {
        assert!(!log.contains(&secret), "{secret} in {log}");
    }
}

#[tokio::test]
async fn without_an_upstream_there_is_one_to_try() {
    let proxy = Proxy::start(&[], &[]).await;
    assert!(proxy.get(PARCELS).await.is_the_service());
    let counters = proxy.get("/stand-in/counters").await.json();
    assert_eq!(counters["logins"], 1);
    let url = proxy.url(PARCELS);
    let ended = proxy.terminate().await;
    assert_eq!(ended.status.code(), Some(0));
    assert!(ended.log.contains(&url), "{}", ended.log);
    assert!(!ended.log.contains(PASSWORD), "{}", ended.log);
}

#[tokio::test]
async fn the_readme_names_every_option_and_no_other() {
    let help = program(&["--help"], &[]).output().await.unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let readme = include_str!("../README.md");
    let mut options: Vec<&str> = help
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix("--"))
        .map(|line| line.split([' ', ',']).next().unwrap())
        .collect();
    options.sort_unstable();
    let mut table: Vec<&str> = readme
        .lines()
        .filter_map(|line| line.strip_prefix("| `--"))
        .map(|line| line.split([' ', '`']).next().unwrap())
        .collect();
    table.sort_unstable();
    assert!(options.len() > 10, "{help}");
    assert_eq!(table, options);
}
