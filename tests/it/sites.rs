//! Which requests belong to a site: whole origins, whole path segments, nothing that merely looks alike.

use crate::support;
use crate::support::{Source, Upstream, get, send};
use http::Request;
use http_body_util::Full;
use tower::Layer;
use tower_arcgis_auth::{ArcgisAuthLayer, IssuedToken, Site, token_source_fn};

/// What goes out for a request to `uri` where `root` is the site: signed or not. The token is there already.
async fn is_signed(root: &str, uri: &str) -> bool {
    let source = Source::new();
    let fake = Upstream::secured(&source.valid);
    let layer = ArcgisAuthLayer::try_new(Site::new(root).token_source(source.clone())).unwrap();
    let service = layer.layer(fake.clone());
    let Ok(request) = Request::get(uri).body(Full::default()) else {
        return false;
    };
    send(&service, request).await;
    fake.tokens().into_iter().any(|token| token.is_some())
}

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
async fn requests_that_only_look_like_the_root_are_not() {
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
    let source = Source::new();
    let fake = Upstream::secured(&source.valid);
    let service = support::over(fake.clone(), &source);
    for uri in [
        "/arcgis/rest/services",
        "http://other.test/arcgis/rest/services",
    ] {
        let mut request = get(uri);
        request
            .headers_mut()
            .insert("host", http::HeaderValue::from_static("gis.test"));
        send(&service, request).await;
    }
    assert!(fake.tokens().iter().all(Option::is_none));
    assert_eq!(fake.count(), 2);
}

#[tokio::test]
async fn requests_in_origin_form_go_to_the_default_site() {
    let source = Source::new();
    let fake = Upstream::secured(&source.valid);
    let layer = ArcgisAuthLayer::builder()
        .default_site(support::site(&source))
        .build()
        .unwrap();
    let service = layer.layer(fake.clone());
    assert!(
        send(&service, get("/arcgis/rest/services/Roads/MapServer"))
            .await
            .is_clean()
    );
    assert!(send(&service, get(support::ROADS)).await.is_clean());
    send(&service, get("/elsewhere")).await;
    assert_eq!(fake.tokens().last(), Some(&None));
}

fn fixed(root: &str, token: &'static str) -> Site {
    Site::new(root).token_source(token_source_fn(move |_| async move {
        IssuedToken::try_new(token)
    }))
}

#[tokio::test]
async fn the_longest_of_several_roots_wins() {
    let fake = Upstream::new(|request| {
        support::answer(match support::token_of(request) {
            Some(_) => support::CLEAN,
            None => support::REQUIRED,
        })
    });
    let layer = ArcgisAuthLayer::builder()
        .add_site(fixed("https://gis.test", "whole-host"))
        .add_site(fixed(
            "https://gis.test/arcgis/rest/services/Water",
            "water",
        ))
        .add_site(fixed("https://gis.test/arcgis", "server").add_root("https://other.test/arcgis"))
        .build()
        .unwrap();
    let service = layer.layer(fake.clone());
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
            fake.tokens().pop().flatten().as_deref(),
            Some(token),
            "{uri}"
        );
    }
}

#[test]
fn two_spellings_of_one_root_are_one_site() {
    for other in [
        "https://gis.test/arcgis/",
        "https://GIS.test/arcgis",
        "https://gis.test:443/arcgis",
        "https://gis.test/ArcGIS",
        "https://gis.test./arcgis",
    ] {
        let error = ArcgisAuthLayer::builder()
            .add_site(Site::new("https://gis.test/arcgis"))
            .add_site(Site::new(other))
            .build()
            .unwrap_err();
        assert!(error.to_string().contains("twice"), "{error}");
    }
}

#[test]
fn roots_that_are_none_are_named_in_the_error() {
    for root in [
        "gis.city.gov/arcgis",
        "//gis.city.gov/arcgis",
        "ftp://gis.city.gov/arcgis",
        "https://user:pw@gis.city.gov/arcgis",
        "https://gis.city.gov/arcgis?f=json",
        "https://gis.city.gov/arcgis/../other",
        "/arcgis",
        "",
        "*",
    ] {
        let error = ArcgisAuthLayer::try_new(Site::new(root))
            .unwrap_err()
            .to_string();
        assert!(error.contains("https://gis.example.com/arcgis"), "{error}");
        assert!(
            !error.contains("pw"),
            "a password goes into no error: {error}"
        );
    }
}

#[tokio::test]
async fn sign_in_and_token_end_points_are_never_signed() {
    for path in [
        "/tokens/generateToken",
        "/rest/info?f=json",
        "/rest/login",
        "/admin/login",
        "/admin/generateToken",
        "/sharing/rest/generateToken",
        "/sharing/rest/oauth2/token",
        "/sharing/rest/oauth2/authorize?client_id=x",
        "/home/signin.html",
    ] {
        assert!(
            !is_signed(
                "https://gis.test/arcgis",
                &format!("https://gis.test/arcgis{path}")
            )
            .await,
            "{path}"
        );
    }
    assert!(
        is_signed(
            "https://gis.test/arcgis",
            "https://gis.test/arcgis/rest/services/login/MapServer"
        )
        .await
    );
}

#[tokio::test]
async fn a_site_without_a_credential_passes_untouched() {
    let fake = Upstream::new(|_| support::answer(support::REQUIRED));
    let layer = ArcgisAuthLayer::try_new(Site::new(support::ROOT)).unwrap();
    let answer = send(&layer.layer(fake.clone()), get(support::ROADS)).await;
    assert_eq!(answer.body, support::REQUIRED);
    assert_eq!(fake.count(), 1);
    assert!(matches!(
        answer.outcome.skip_reason(),
        Some(tower_arcgis_auth::SkipReason::NoCredential)
    ));
}

#[tokio::test]
async fn a_folder_called_tokens_holds_services() {
    for (root, uri) in [
        (
            "http://gis.test/arcgis",
            "http://gis.test/arcgis/services/tokens/MapServer",
        ),
        (
            "http://gis.test",
            "http://gis.test/arcgis/rest/services/tokens/Parks/MapServer",
        ),
    ] {
        assert!(is_signed(root, uri).await, "{uri}");
    }
}

#[tokio::test]
async fn a_trace_is_not_signed() {
    let source = Source::new();
    let fake = Upstream::secured(&source.valid);
    let service = support::over(fake.clone(), &source);
    send(&service, get(support::ROADS)).await;
    let mut trace = get(support::ROADS);
    *trace.method_mut() = http::Method::TRACE;
    send(&service, trace).await;
    assert_eq!(fake.tokens().last(), Some(&None));
}
