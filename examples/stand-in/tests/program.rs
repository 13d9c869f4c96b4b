//! The program says where it listens and serves there.
#![cfg(feature = "cli")]

mod support;

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use support::{get, get_with, post_form};

/// Ends the program with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts the program on free ports and returns what it says until it says where its counters are.
fn start(arguments: &[&str]) -> (Running, Vec<String>) {
    let program = Command::new(env!("CARGO_BIN_EXE_arcgis-stand-in"))
        .args(["--listen", "127.0.0.1:0", "--portal-listen", "127.0.0.1:0"])
        .args(["--username", "ada", "--password", "p&w"])
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let mut running = Running(program.unwrap());
    let mut lines = BufReader::new(running.0.stdout.take().unwrap()).lines();
    let mut printed = Vec::new();
    while !printed
        .last()
        .is_some_and(|line: &String| line.starts_with("counters"))
    {
        printed.push(lines.next().unwrap().unwrap());
    }
    (running, printed)
}

/// What the program says under a name.
fn printed<'a>(lines: &'a [String], name: &str) -> &'a str {
    let mut found = lines.iter().filter_map(|line| line.strip_prefix(name));
    found.next().unwrap().trim()
}

/// A file of its own for each test, removed with it.
struct Scratch(PathBuf);

impl Scratch {
    fn file(name: &str) -> Self {
        let name = format!("arcgis-stand-in-{}-{name}", std::process::id());
        Self(std::env::temp_dir().join(name))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

const CREDENTIAL: [(&str, &str); 2] = [("username", "ada"), ("password", "p&w")];

#[tokio::test]
async fn the_program_serves_where_it_says() {
    let (_running, lines) = start(&["--token-minutes", "5"]);
    let origin = lines[0].strip_prefix("listening on ").unwrap();

    let info = get(&format!("{origin}/arcgis/rest/info?f=json"))
        .await
        .json();
    assert_eq!(info["authInfo"]["shortLivedTokenValidity"], 5);
    let login = format!("{origin}/arcgis/tokens/generateToken");
    assert_eq!(printed(&lines, "tokens"), login);
    assert_eq!(post_form(&login, &CREDENTIAL).await.code(), 0);
    let counters = get(printed(&lines, "counters")).await.json();
    assert_eq!(counters["logins"], 1);
}

#[tokio::test]
async fn a_legacy_program_gives_out_plain_tokens() {
    let (_running, lines) = start(&["--personality", "legacy"]);
    let got = post_form(printed(&lines, "tokens"), &CREDENTIAL).await;
    assert!(got.header("content-type").starts_with("text/plain"));
}

#[tokio::test]
async fn a_program_with_only_the_administrators_door_says_where_it_is() {
    let (_running, lines) = start(&["--personality", "admin"]);
    let answer = post_form(printed(&lines, "tokens"), &CREDENTIAL)
        .await
        .json();
    assert!(answer["expires"].is_string());
}

#[tokio::test]
async fn a_federated_programs_portal_has_an_application_and_an_api_key() {
    let (_running, lines) = start(&[
        "--personality",
        "federated",
        "--client-id",
        "planner",
        "--client-secret",
        "s&cret",
        "--api-key",
        "AAPKmade-up",
    ]);
    let oauth = format!("{}/sharing/rest/oauth2/token", printed(&lines, "portal"));
    let app = [
        ("grant_type", "client_credentials"),
        ("client_id", "planner"),
        ("client_secret", "s&cret"),
    ];
    assert!(post_form(&oauth, &app).await.json()["access_token"].is_string());
    let origin = lines[0].strip_prefix("listening on ").unwrap();
    let parcels = format!("{origin}/arcgis/rest/services/Parcels/MapServer?f=json");
    assert_eq!(get(&parcels).await.code(), 499);
    assert_eq!(get(&format!("{parcels}&token=AAPKmade-up")).await.code(), 0);
}

#[test]
fn an_address_that_is_taken_or_none_is_said_to_be_that() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    for (arguments, advice) in [
        (["--listen", &taken], "choose another address with --listen"),
        (["--listen", "localhost:6080"], "like 127.0.0.1:6080"),
    ] {
        let mut program = Command::new(env!("CARGO_BIN_EXE_arcgis-stand-in"));
        let ended = program.args(arguments).output().unwrap();
        let said = String::from_utf8(ended.stderr).unwrap();
        assert!(!ended.status.success());
        assert!(said.contains(advice), "{said}");
    }
}

#[tokio::test]
async fn a_federated_program_brings_its_portal() {
    let (_running, lines) = start(&["--personality", "federated"]);
    let origin = lines[0].strip_prefix("listening on ").unwrap();
    let info = get(&format!("{origin}/arcgis/rest/info?f=json"))
        .await
        .json();
    assert_eq!(info["owningSystemUrl"], printed(&lines, "portal"));

    let url = printed(&lines, "tokens");
    let answer = post_form(url, &CREDENTIAL).await.json();
    let root = format!("{origin}/arcgis");
    let fields = [
        ("request", "getToken"),
        ("serverUrl", root.as_str()),
        ("token", answer["token"].as_str().unwrap()),
    ];
    assert!(post_form(url, &fields).await.json()["token"].is_string());
}

#[tokio::test]
async fn a_program_starts_with_the_challenge_and_the_origins_it_was_told() {
    let (_running, lines) = start(&[
        "--challenge",
        "http-status",
        "--cors",
        "https://app.example,https://other.example",
    ]);
    let origin = lines[0].strip_prefix("listening on ").unwrap();
    let url = format!("{origin}/arcgis/rest/services/Parcels/MapServer?f=json");
    for (asking, granted) in [
        ("https://app.example", "https://app.example"),
        ("https://third.example", ""),
    ] {
        let got = get_with(&url, &[("origin", asking)]).await;
        assert_eq!(got.status.as_u16(), 499);
        assert_eq!(got.header("access-control-allow-origin"), granted);
    }
    let control = printed(&lines, "control");
    assert!(get(control).await.text().contains("POST challenge"));
}

#[test]
fn a_program_writes_the_certificate_it_speaks_https_with() {
    let file = Scratch::file("certificate.pem");
    let path = file.0.to_str().unwrap();
    let names = ["--https-name", "gis.test", "--personality", "federated"];
    let (_running, lines) = start(&[&["--https", path][..], &names].concat());
    assert!(lines[0].starts_with("listening on https://127.0.0.1:"));
    assert!(printed(&lines, "portal").starts_with("https://127.0.0.1:"));
    let pem = std::fs::read_to_string(&file.0).unwrap();
    assert!(pem.starts_with("-----BEGIN CERTIFICATE-----"), "{pem}");
    assert!(!pem.contains("PRIVATE"));
}

#[test]
fn options_that_make_no_sense_are_refused_with_what_makes_some() {
    for (arguments, advice) in [
        (["--challenge", "logon"], "there are json, json-pretty"),
        (
            ["--cors", "app.example"],
            "origins like https://app.example",
        ),
        (
            ["--cors", "https://app.example/"],
            "origins like https://app.example",
        ),
        (["--https-name", "gis.test"], "--https <FILE>"),
        (["--https", "/"], "choose another file with --https"),
    ] {
        let mut program = Command::new(env!("CARGO_BIN_EXE_arcgis-stand-in"));
        let ended = program.args(arguments).output().unwrap();
        let said = String::from_utf8(ended.stderr).unwrap();
        assert!(!ended.status.success(), "{arguments:?}");
        assert!(said.contains(advice), "{said}");
    }
}
