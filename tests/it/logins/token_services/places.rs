//! Where the token service is: named, relative, hidden behind the site's own root, or at a portal.

use std::{error::Error, io::ErrorKind};

use super::{ROADS, ROOT, TOKEN, ask, error_of, info, password_places, server, site};
use crate::support::{
    Got, Reply, TokenService, Upstream, answer, client, get, layer, reader, send,
};
use tower::Layer;
use tower_arcgis_auth::{Site, TokenPlacement};

const ROOTS: [&str; 2] = [ROOT, "http://gis.test/arcgis"];

/// One request to a server at `root` that wants a token.
async fn ask_at(root: &str, service: &TokenService) -> Got {
    let site = Site::new(root).allow_insecure_http().credential(reader());
    let client = client(site, service);
    let roads = format!("{root}/rest/services/Roads/MapServer?f=json");
    send(&client, get(&roads)).await
}

#[tokio::test]
async fn a_token_url_is_read_as_rest_infos_value_is() {
    for url in [
        "tokens",
        "tokens/",
        "tokens/generateToken",
        "tokens/generateToken/",
    ] {
        let service = TokenService::new().info("{}");
        let named = site().token_url(format!("{ROOT}/{url}"));
        assert!(ask(named, &service).await.is_clean(), "{url}");
        let places = password_places(&service);
        assert_eq!(places, ["https://gis.test/arcgis/tokens/generateToken"]);
        assert_eq!(service.requests().len(), 1, "and nothing is looked up");
    }
}

#[tokio::test]
async fn a_token_service_that_is_named_relative_to_its_server_is_found() {
    for relative in [
        "/arcgis/tokens",
        "/arcgis/tokens/",
        "//gis.test/arcgis/tokens",
        "//gis.test/arcgis/tokens/",
        "tokens/",
        "./tokens",
        // `rest/info` is where it stands.
        "../tokens/generateToken",
    ] {
        for root in ROOTS {
            let service = server(info(relative), |_| answer(TOKEN));
            let got = ask_at(root, &service).await;
            assert!(got.is_clean(), "{root}: {relative}");
            let places = password_places(&service);
            assert_eq!(places, [format!("{root}/tokens/generateToken")]);
        }
    }
}

#[tokio::test]
async fn a_standalone_server_that_names_a_hidden_host_is_asked_below_its_own_root() {
    for (named, asked) in [
        (
            "https://gis01.internal:6443/arcgis/tokens",
            "tokens/generateToken",
        ),
        (
            "https://gis01.internal:6443/arcgis/tokens/",
            "tokens/generateToken",
        ),
        (
            "https://gis01.internal/arcgis/admin/generateToken",
            "admin/generateToken",
        ),
        (
            "https://10.0.0.7/server/tokens/generateToken",
            "tokens/generateToken",
        ),
        (
            "http://GIS01/server/tokens/generateToken",
            "tokens/generateToken",
        ),
        (
            "https://localhost:6443/arcgis/security/tokens",
            "security/tokens/generateToken",
        ),
        (
            "https://10.1.2.3:6443/arcgis/admin/generateToken",
            "admin/generateToken",
        ),
        (
            "https://gis.test:6443/arcgis/tokens/",
            "tokens/generateToken",
        ),
    ] {
        for root in ROOTS {
            let service = server(info(named), |_| answer(TOKEN));
            let got = ask_at(root, &service).await;
            assert!(got.is_clean(), "{root}: {named}");
            let places = password_places(&service);
            assert_eq!(places, [format!("{root}/{asked}")], "{named}");
        }
    }
}

#[tokio::test]
async fn a_federated_server_is_never_asked_below_its_own_root() {
    for info in [
        r#"{"owningSystemUrl":"https://portal.internal/portal","authInfo":{"tokenServicesUrl":"https://portal.internal/portal/sharing/rest/generateToken"}}"#,
        r#"{"owningSystemUrl":"https://portal.internal/portal","authInfo":{"tokenServicesUrl":"https://gis01.internal:6443/arcgis/tokens"}}"#,
        r#"{"authInfo":{"tokenServicesUrl":"https://portal.internal/portal/sharing/rest/generateToken"}}"#,
    ] {
        let service = server(info.to_owned(), |_| answer(TOKEN));
        let error = error_of(site(), &service).await.to_string();
        assert!(error.contains("`trust_token_service`"), "{error}");
        assert!(error.contains("portal.internal"), "{error}");
        assert!(password_places(&service).is_empty(), "{info}");
    }
}

#[tokio::test]
async fn a_login_that_fails_below_the_root_names_what_the_server_named_and_its_own_cause() {
    let service = TokenService::new()
        .info(info("https://gis01.internal:6443/arcgis/tokens"))
        .answering(Reply::Fails(ErrorKind::ConnectionRefused));
    let error = error_of(site(), &service).await;
    let words = error.to_string();
    assert!(
        words.contains("gis01.internal:6443/arcgis/tokens"),
        "{words}"
    );
    assert!(words.contains("`trust_token_service`"), "{words}");
    let cause = error.source().unwrap().to_string();
    assert!(cause.contains("connection refused"), "{cause}");

    let listed = site().trust_token_service("https://gis01.internal:6443");
    let service = server(info("https://gis01.internal:6443/arcgis/tokens"), |_| {
        answer(TOKEN)
    });
    assert!(ask(listed, &service).await.is_clean());
    let places = password_places(&service);
    assert_eq!(
        places,
        ["https://gis01.internal:6443/arcgis/tokens/generateToken"]
    );
}

#[tokio::test]
async fn a_server_before_10_6_gets_long_queries_without_the_header_it_does_not_know() {
    let long = format!("{ROADS}&where={}", "x".repeat(2030));
    for (version, in_header) in [
        ("10.51", false),
        ("10.01", false),
        ("10.6", true),
        ("11.3", true),
    ] {
        let service = server(
            format!(
                r#"{{"currentVersion":{version},"authInfo":{{"tokenServicesUrl":"{ROOT}/tokens"}}}}"#
            ),
            |_| answer(TOKEN),
        );
        let upstream = Upstream::open_to_any_token();
        let site = site().placement(TokenPlacement::Query);
        let client = layer(site, &service).layer(upstream.clone());
        assert!(send(&client, get(ROADS)).await.is_clean());
        assert!(send(&client, get(&long)).await.is_clean());
        let signed = upstream.last_request();
        let has_header = signed.headers.contains_key("x-esri-authorization");
        assert_eq!(has_header, in_header, "{version}");
        let query = signed.uri.query().unwrap();
        assert_eq!(query.contains("token="), !in_header, "{version}");
    }
}
