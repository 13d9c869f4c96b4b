//! Maps on their way: what of a browser's request reaches ArcGIS, and what of ArcGIS's answer reaches a browser.

use bytes::Bytes;
use http::{Method, Response, StatusCode};

use crate::{
    support::{ADA, Running},
    visitor::Visitor,
};

const PARCELS: &str = "/maps/0/export?bbox=0,0,1,1&size=64,64";

#[tokio::test]
async fn nothing_of_a_browser_reaches_arcgis_but_the_known_parameters() {
    let running = Running::start().await;
    let mut ada = Visitor::signed_in(&running, ADA).await;
    running.city.clear_received();
    let headers = [
        ("cookie", "agstoken=evil; other=1"),
        ("authorization", "Bearer evil"),
        ("x-esri-authorization", "Bearer evil"),
        ("x-forwarded-for", "192.0.2.1"),
        ("referer", "https://evil.test/"),
    ];
    for query in [
        "&token=evil",
        "&Token=evil",
        "&to%6ben=evil",
        "&f=html&callback=evil",
        "%26token=evil",
    ] {
        let path = format!("{PARCELS}{query}");
        ada.send(Method::GET, &path, &headers, "").await;
    }
    let received = running.city.received();
    assert_eq!(received.len(), 5);
    for request in &received {
        let mut names: Vec<_> = request.headers.keys().map(|name| name.as_str()).collect();
        names.sort_unstable();
        assert_eq!(names, ["accept", "host", "referer"]);
        assert_eq!(
            request.headers["referer"],
            format!("{}/", running.city.root())
        );
        assert!(request.path_and_query.contains("f=image"));
    }
    // Behind `%26` it is part of a value.
    for request in &received[..4] {
        assert!(
            !request.path_and_query.contains("evil"),
            "{}",
            request.path_and_query
        );
    }
    let tokens = Running::tokens_at(&running.city);
    assert_eq!(tokens.len(), 5);
    assert!(
        tokens
            .iter()
            .all(|token| *token == tokens[0] && token != "evil")
    );
    assert_eq!(running.city.counters().conflicting_tokens, 0);
}

#[tokio::test]
async fn of_an_answer_only_the_image_and_its_type_come_back() {
    let running = Running::start().await;
    running.city.set_cookies(true);
    let image = Response::builder()
        .header("content-type", "image/png")
        .header("access-control-allow-origin", "*")
        .header("access-control-allow-credentials", "true")
        .header("set-cookie", "agstoken=secret; Path=/")
        .header("cache-control", "public, max-age=600")
        .header("etag", "\"1\"")
        .header("server", "upstream")
        .header("x-powered-by", "upstream")
        .body(Bytes::from_static(b"\x89PNG"))
        .unwrap();
    running.city.set_answer("Parcels/MapServer", Some(image));
    let mut ada = Visitor::signed_in(&running, ADA).await;
    let answer = ada.get(PARCELS).await;
    assert!(answer.is_png());
    for name in answer.headers.keys() {
        let name = name.as_str();
        assert!(!name.starts_with("access-control-"), "{name}");
        assert!(
            !["set-cookie", "etag", "server", "x-powered-by"].contains(&name),
            "{name}"
        );
    }
    assert_eq!(answer.header("cache-control"), "no-store");
}

#[tokio::test]
async fn answers_that_are_no_image_do_not_come_back() {
    let running = Running::start().await;
    let mut ada = Visitor::signed_in(&running, ADA).await;
    for (status, content_type) in [
        (200, "text/html"),
        (200, "image/svg+xml"),
        (200, "application/json"),
        (302, "image/png"),
        (500, "image/png"),
    ] {
        let page = Response::builder()
            .status(status)
            .header("content-type", content_type)
            .header("location", "https://evil.test/")
            .body(Bytes::from_static(b"<script>evil</script>"))
            .unwrap();
        running.city.set_answer("Parcels/MapServer", Some(page));
        let answer = ada.get(PARCELS).await;
        assert_eq!(answer.status, StatusCode::BAD_GATEWAY);
        assert!(!answer.text().contains("evil") && answer.location().is_empty());
    }
}

#[tokio::test]
async fn only_the_listed_services_can_be_asked() {
    let running = Running::start().await;
    let mut ada = Visitor::signed_in(&running, ADA).await;
    running.city.clear_received();
    for path in [
        // No such map, or not drawn like that.
        "/maps/4/export",
        "/maps/-1/export",
        "/maps/99999999999999999999/export",
        "/maps/0/tile/0/0/0",
        "/maps/1/export",
        // Other operations, other services, the token service.
        "/maps/0",
        "/maps/0/",
        "/maps/0/0/query?where=1=1",
        "/maps/0/generateToken",
        "/maps/0/../../Basemap/MapServer/export",
        "/maps/0/..%2f..%2fBasemap%2fMapServer/export",
        "/maps/0/%2e%2e/%2e%2e/tokens/generateToken",
        "/maps/0%2f..%2f..%2f..%2f..%2ftokens%2fgenerateToken/export",
        "/maps/0;x=1/export",
        "/maps/1/tile/0/0/..%2f..%2f..%2f..%2f..%2finfo",
        "/maps/1/tile/0/0/-1",
        "/arcgis/tokens/generateToken?username=ada",
        "/arcgis/rest/services?f=json",
        "/proxy?https://evil.test/",
    ] {
        let answer = ada.get(path).await;
        assert!(
            [StatusCode::NOT_FOUND, StatusCode::BAD_REQUEST].contains(&answer.status),
            "{path}: {}",
            answer.status
        );
    }
    for method in [
        Method::POST,
        Method::PUT,
        Method::DELETE,
        Method::TRACE,
        Method::OPTIONS,
    ] {
        let answer = ada.send(method, PARCELS, &[], "").await;
        assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
    }
    assert!(running.city.received().is_empty());
}

#[tokio::test]
async fn who_is_not_signed_in_asks_arcgis_nothing() {
    let running = Running::start().await;
    let mut visitor = Visitor::of(&running);
    assert_eq!(visitor.get(PARCELS).await.status, StatusCode::FORBIDDEN);
    assert_eq!(
        visitor.get_page(PARCELS).await.location(),
        "/sign-in?next=%2Fmaps%2F0%2Fexport%3Fbbox%3D0%2C0%2C1%2C1%26size%3D64%2C64"
    );
    assert_eq!(visitor.get_page("/").await.location(), "/sign-in?next=%2F");
    assert!(running.city.received().is_empty());
}
