//! The form that is posted, and the token that comes back.

use arcgis_stand_in::{StandIn, USERNAME};
use http::Method;
use tower_arcgis_auth::{GenerateToken, Site, TokenBinding, TokenClient};

use super::{PASSWORD, SECURE, SECURE_ROADS, USER, advertising, log_in, site};
use crate::support::{
    Reply,
    loopback::{ECHO, assert_open, client_for, fetch},
};

#[tokio::test]
async fn the_login_is_a_form_posted_where_rest_info_says() {
    for (advertised, login) in [
        (
            "https://gis.city.gov/arcgis/tokens/",
            "https://gis.city.gov/arcgis/tokens/generateToken",
        ),
        (
            "https://gis.city.gov/arcgis/tokens",
            "https://gis.city.gov/arcgis/tokens/generateToken",
        ),
        (
            "https://gis.city.gov/arcgis/tokens/generateToken",
            "https://gis.city.gov/arcgis/tokens/generateToken",
        ),
        (
            "https://gis.city.gov/portal/sharing/rest/generateToken/",
            "https://gis.city.gov/portal/sharing/rest/generateToken",
        ),
        (
            "https://GIS.city.gov:443/arcgis/tokens/?x=1",
            "https://GIS.city.gov:443/arcgis/tokens/generateToken",
        ),
        // Advertised as http on the same host, upgraded.
        (
            "http://gis.city.gov/arcgis/tokens/",
            "https://gis.city.gov/arcgis/tokens/generateToken",
        ),
    ] {
        let service = advertising(advertised).answering(Reply::token("abc_DEF-123.."));
        let (got, upstream) = log_in(site(SECURE), &service, SECURE_ROADS).await;
        assert!(got.is_clean(), "{advertised}: {}", got.outcome);
        let asked = service.requests();
        assert_eq!(asked[0].method, Method::GET);
        assert_eq!(asked[0].uri, "https://gis.city.gov/arcgis/rest/info?f=json");
        assert!(!asked[0].uri.to_string().contains("word"));
        assert_eq!(asked[1].method, Method::POST);
        assert_eq!(asked[1].uri, login);
        assert_eq!(
            asked[1].headers["content-type"],
            "application/x-www-form-urlencoded"
        );
        assert_eq!(
            upstream.tokens().pop().flatten().as_deref(),
            Some("abc_DEF-123..")
        );
    }
}

#[tokio::test]
async fn user_name_and_password_survive_the_form_and_stay_out_of_urls() {
    let service = advertising("https://gis.city.gov/arcgis/tokens/");
    log_in(site(SECURE), &service, SECURE_ROADS).await;
    let login = &service.asked_for_tokens()[0];
    assert_eq!(login.field("username").as_deref(), Some(USER));
    assert_eq!(login.field("password").as_deref(), Some(PASSWORD));
    assert_eq!(login.field("expiration").as_deref(), Some("60"));
    assert_eq!(login.field("f").as_deref(), Some("json"));
    assert_eq!(login.uri.query(), None);
}

#[tokio::test]
async fn referer_and_its_form_field_agree_with_the_signed_requests() {
    let service = advertising("https://gis.city.gov/arcgis/tokens/");
    let site = site(SECURE).referer("https://maps.city.gov/app");
    let (_, upstream) = log_in(site, &service, SECURE_ROADS).await;
    let login = &service.asked_for_tokens()[0];
    assert_eq!(login.field("client").as_deref(), Some("referer"));
    assert_eq!(
        login.field("referer").as_deref(),
        Some("https://maps.city.gov/app")
    );
    assert_eq!(login.headers["referer"], "https://maps.city.gov/app");
    let signed = upstream.last_request();
    assert_eq!(signed.headers["referer"], "https://maps.city.gov/app");
}

#[tokio::test]
async fn a_token_bound_to_the_address_needs_no_referer() {
    let service = advertising("https://gis.city.gov/arcgis/tokens/");
    let (_, upstream) = log_in(site(SECURE).bind_to_address(), &service, SECURE_ROADS).await;
    let login = &service.asked_for_tokens()[0];
    assert_eq!(login.field("client").as_deref(), Some("requestip"));
    assert_eq!(login.field("referer"), None);
    assert!(!login.headers.contains_key("referer"));
    assert!(!upstream.last_request().headers.contains_key("referer"));
}

#[tokio::test]
async fn a_token_bound_to_an_address_is_asked_for_with_that_address() {
    let server = StandIn::start().await.unwrap();
    let source = GenerateToken::try_new(
        &server.url("tokens/generateToken"),
        crate::support::loopback::user(),
        TokenClient::platform().unwrap(),
    )
    .unwrap()
    .binding(TokenBinding::Ip([127, 0, 0, 1].into()));
    let service = client_for(Site::new(server.root()).token_source(source));
    let got = fetch(&service, server.url(ECHO)).await;
    assert_open(&got);
    assert!(
        got.text().contains(&format!("\"user\":\"{USERNAME}\"")),
        "{}",
        got.text()
    );
}
