//! Requests to a site that are not signed.

use http::Method;
use tower_arcgis_auth::EndPoint;

use super::is_signed;
use crate::support::{ROADS, TokenService, Upstream, get, over, send};

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

#[tokio::test]
async fn end_points_for_tokens_and_logins_are_never_signed_in_any_spelling() {
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
        "/tokens/generate%54oken?request=getToken",
        "/tokens//generateToken",
        "/tokens;x=1/generateToken",
        "/tokens%2FgenerateToken",
        "/tokens%252FgenerateToken",
        "/%74okens/generateToken",
        "/rest/generateToken",
        "/REST/Info",
        "/rest//info",
        "/rest/inf%6F",
        "/rest;%2Fservices%2F/generateToken",
        "/sharing/rest/oauth2;x/token",
        "/admin/log%69n",
    ] {
        let uri = format!("https://gis.test/arcgis{path}");
        assert!(!is_signed("https://gis.test/arcgis", &uri).await, "{path}");
    }
}

#[tokio::test]
async fn services_and_folders_called_like_end_points_are_signed() {
    for path in [
        "/rest/services/login/MapServer",
        "/rest/services/tokens/MapServer",
        "/rest/services/tokens",
        "/services/tokens/MapServer",
        "/rest//services/oauth2/generateToken/FeatureServer/0",
        "/rest/services/generate%54oken/MapServer;x=1",
        "/services/tokens/MapServer/WMSServer",
        "/admin/services",
    ] {
        let uri = format!("https://gis.test/arcgis{path}");
        assert!(is_signed("https://gis.test/arcgis", &uri).await, "{path}");
    }
    let below_another = "https://gis.test/arcgis/rest/services/tokens/Parks/MapServer";
    assert!(is_signed("https://gis.test", below_another).await);
}

#[test]
fn a_proxy_can_tell_which_paths_are_end_points() {
    for (path, found) in [
        ("/tokens", Some(EndPoint::Token)),
        ("/admin%2Fservices", Some(EndPoint::Administration)),
        ("/manager/", Some(EndPoint::Administration)),
        ("/portaladmin;x/security", Some(EndPoint::Administration)),
        ("/rest/login", Some(EndPoint::Login)),
        ("/sharing/rest/oauth2/authorize", Some(EndPoint::OAuth)),
        ("/rest/info", Some(EndPoint::Information)),
        ("/rest/services/admin/MapServer", None),
        ("/rest/services", None),
    ] {
        assert_eq!(EndPoint::of(path), found, "{path}");
    }
}
