//! The request and the roots.

use http::HeaderValue;
use tower::Layer;
use tower_arcgis_auth::{ArcgisAuthLayer, Site, SkipReason};

use super::is_signed;
use crate::support::{REQUIRED, ROADS, ROOT, TokenService, Upstream, get, over, send, site};

#[tokio::test]
async fn requests_under_the_root_are_signed() {
    for (root, uri) in [
        (
            "https://gis.city.gov",
            "https://gis.city.gov/arcgis/rest/services",
        ),
        (
            "https://gis.city.gov/",
            "https://gis.city.gov/arcgis/rest/services",
        ),
        ("https://gis.city.gov/arcgis", "https://gis.city.gov/arcgis"),
        (
            "https://gis.city.gov/arcgis/",
            "https://gis.city.gov/arcgis/rest",
        ),
        (
            "https://gis.city.gov/arcgis",
            "https://GIS.City.GOV/arcgis/rest",
        ),
        (
            "https://GIS.City.GOV/arcgis",
            "https://gis.city.gov/arcgis/rest",
        ),
        (
            "https://gis.city.gov/arcgis",
            "https://gis.city.gov:443/arcgis/rest",
        ),
        (
            "https://gis.city.gov:443/arcgis",
            "https://gis.city.gov/arcgis/rest",
        ),
        (
            "http://gis.city.gov:80/arcgis",
            "http://gis.city.gov/arcgis/rest",
        ),
        (
            "http://gis.city.gov:6080/arcgis",
            "http://gis.city.gov:6080/arcgis/rest",
        ),
        (
            "https://gis.city.gov/arcgis",
            "https://gis.city.gov./arcgis/rest",
        ),
        (
            "https://gis.city.gov/arcgis",
            "https://gis.city.gov/ArcGIS/rest",
        ),
        ("http://[::1]:6080/arcgis", "http://[::1]:6080/arcgis/rest"),
        (
            "https://gis.city.gov/arcgis",
            "https://gis.city.gov/arcgis/rest/services/a%2Fb/MapServer",
        ),
        (
            "https://gis.city.gov/arcgis",
            "https://gis.city.gov/arcgis/rest/services/.hidden/..data/MapServer",
        ),
    ] {
        assert!(is_signed(root, uri).await, "{root} should hold {uri}");
    }
}

#[tokio::test]
async fn requests_that_only_look_like_the_root_are_not_signed() {
    for (root, uri) in [
        // A prefix is no origin.
        ("http://host:80", "http://host:8099/arcgis/rest"),
        ("http://host", "http://host:8080/arcgis/rest"),
        (
            "https://gis.city.gov",
            "https://gis.city.gov.evil/arcgis/rest",
        ),
        (
            "https://gis.city.gov",
            "https://evilgis.city.gov/arcgis/rest",
        ),
        (
            "https://gis.city.gov",
            "https://evil.example/https://gis.city.gov/arcgis",
        ),
        (
            "https://gis.city.gov",
            "https://evil.example/?u=https://gis.city.gov/arcgis",
        ),
        (
            "https://gis.city.gov",
            "https://gis.city.gov@evil.example/arcgis/rest",
        ),
        (
            "https://gis.city.gov",
            "https://gis.city.gov:443@evil.example/arcgis/rest",
        ),
        (
            "https://gis.city.gov",
            "https://evil.example@gis.city.gov/arcgis/rest",
        ),
        // Another scheme is another origin.
        ("https://gis.city.gov", "http://gis.city.gov/arcgis/rest"),
        ("http://gis.city.gov", "https://gis.city.gov/arcgis/rest"),
        (
            "https://gis.city.gov:443",
            "http://gis.city.gov:443/arcgis/rest",
        ),
        // A prefix is no path segment.
        (
            "https://gis.city.gov/arcgis",
            "https://gis.city.gov/arcgis2/rest",
        ),
        (
            "https://gis.city.gov/arcgis",
            "https://gis.city.gov/arcgis-test/rest",
        ),
        ("https://gis.city.gov/arcgis", "https://gis.city.gov/"),
        (
            "https://gis.city.gov/arcgis",
            "https://gis.city.gov/other/arcgis/rest",
        ),
        // What a server may take for another path.
        (
            "https://gis.city.gov/arcgis",
            "https://gis.city.gov/arcgis/../admin",
        ),
        (
            "https://gis.city.gov/arcgis",
            "https://gis.city.gov/arcgis/%2e%2e/admin",
        ),
        (
            "https://gis.city.gov/arcgis",
            "https://gis.city.gov/arcgis/.%2E/admin",
        ),
        (
            "https://gis.city.gov/arcgis",
            "https://gis.city.gov/arcgis/x%2F..%2F..%2Fadmin",
        ),
        (
            "https://gis.city.gov/arcgis",
            "https://gis.city.gov/arcgis/x%5C..%5Cadmin",
        ),
        (
            "https://gis.city.gov/arcgis",
            "https://gis.city.gov/arcgis/..;/admin",
        ),
        (
            "https://gis.city.gov/arcgis",
            "https://gis.city.gov/other/..%2Farcgis/rest",
        ),
        // No scheme, no origin.
        ("https://gis.city.gov/arcgis", "/arcgis/rest"),
    ] {
        assert!(!is_signed(root, uri).await, "{root} should not hold {uri}");
    }
}

#[tokio::test]
async fn the_host_header_makes_no_site() {
    let source = TokenService::new();
    let upstream = Upstream::secured_by(&source);
    let service = over(upstream.clone(), &source);
    for uri in [
        "/arcgis/rest/services",
        "http://other.test/arcgis/rest/services",
    ] {
        let mut request = get(uri);
        request
            .headers_mut()
            .insert("host", HeaderValue::from_static("gis.test"));
        send(&service, request).await;
    }
    assert!(upstream.tokens().iter().all(Option::is_none));
    assert_eq!(upstream.count(), 2);
}

#[tokio::test]
async fn requests_in_origin_form_go_to_the_default_site() {
    let source = TokenService::new();
    let upstream = Upstream::secured_by(&source);
    let layer = ArcgisAuthLayer::builder()
        .default_site(site(&source))
        .build()
        .unwrap();
    let service = layer.layer(upstream.clone());
    assert!(
        send(&service, get("/arcgis/rest/services/Roads/MapServer"))
            .await
            .is_clean()
    );
    assert!(send(&service, get(ROADS)).await.is_clean());
    send(&service, get("/elsewhere")).await;
    assert_eq!(upstream.tokens().last(), Some(&None));
}

fn fixed(root: &str, token: &'static str) -> Site {
    Site::new(root).token_source(TokenService::new().issuing(token))
}

#[tokio::test]
async fn the_longest_of_several_roots_wins() {
    let upstream = Upstream::open_to_any_token();
    let layer = ArcgisAuthLayer::builder()
        .add_site(fixed("https://gis.test", "whole-host"))
        .add_site(fixed(
            "https://gis.test/arcgis/rest/services/Water",
            "water",
        ))
        .add_site(fixed("https://gis.test/arcgis", "server").add_root("https://other.test/arcgis"))
        .build()
        .unwrap();
    let service = layer.layer(upstream.clone());
    for (uri, token) in [
        ("https://gis.test/portal/x", "whole-host"),
        ("https://gis.test/arcgis/rest/services/Roads", "server"),
        ("https://other.test/arcgis/rest/services/Roads", "server"),
        (
            "https://gis.test/arcgis/rest/services/Water/MapServer",
            "water",
        ),
        ("https://gis.test/arcgis/rest/services/Waterways", "server"),
    ] {
        send(&service, get(uri)).await;
        assert_eq!(
            upstream.tokens().pop().flatten().as_deref(),
            Some(token),
            "{uri}"
        );
    }
}

#[tokio::test]
async fn requests_to_a_site_without_a_credential_pass_untouched() {
    let upstream = Upstream::saying(REQUIRED);
    let layer = ArcgisAuthLayer::try_new(Site::new(ROOT)).unwrap();
    let answer = send(&layer.layer(upstream.clone()), get(ROADS)).await;
    assert_eq!(answer.body, REQUIRED);
    assert_eq!(upstream.count(), 1);
    assert!(matches!(
        answer.outcome.skip_reason(),
        Some(SkipReason::NoCredential)
    ));
}

#[tokio::test]
async fn among_a_thousand_sites_each_request_gets_its_own_sites_token() {
    let sites = (0..1000).map(|number| {
        let (host, folder) = (number % 100, number / 100);
        let root = format!("https://host{host}.test/folder{folder}");
        let service = TokenService::new().issuing(format!("token-{host}-{folder}"));
        Site::new(root).token_source(service)
    });
    let builder = sites.fold(ArcgisAuthLayer::builder(), |builder, site| {
        builder.add_site(site)
    });
    let upstream = Upstream::open_to_any_token();
    let service = builder.build().unwrap().layer(upstream.clone());
    for (uri, token) in [
        ("https://host0.test/folder0/rest", Some("token-0-0")),
        ("https://HOST99.test:443/Folder9/rest", Some("token-99-9")),
        ("https://host42.test/folder7", Some("token-42-7")),
        ("https://host42.test/folder10/rest", None),
        ("https://host100.test/folder0/rest", None),
        ("http://host42.test/folder7/rest", None),
    ] {
        send(&service, get(uri)).await;
        assert_eq!(upstream.tokens().pop().flatten().as_deref(), token, "{uri}");
    }
}
