//! Requests to a site that are not signed.

use http::Method;

use super::is_signed;
use crate::support::{ROADS, TokenService, Upstream, get, over, send};

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
        assert!(is_signed(root, uri).await, "{root}: {uri}");
    }
}

#[tokio::test]
async fn trace_is_not_signed() {
    let source = TokenService::new();
    let upstream = Upstream::secured_by(&source);
    let service = over(upstream.clone(), &source);
    send(&service, get(ROADS)).await;
    let mut request = get(ROADS);
    *request.method_mut() = Method::TRACE;
    send(&service, request).await;
    assert_eq!(upstream.tokens().last().unwrap(), &None);
}
