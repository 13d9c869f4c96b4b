//! Redirects and forms that lead to an identity provider.

use http::header;
use tower_arcgis_auth::Verdict;

use crate::support::received::{LOGIN_PAGE, LOGIN_REDIRECT, page, received};

#[test]
fn a_redirect_to_an_identity_provider_is_known_by_its_protocol() {
    let to = |location: &str| {
        received(302, "")
            .header(header::LOCATION, location)
            .verdict()
    };
    for location in [
        "https://idp.example.org/sso?SAMLRequest=fZJ&RelayState=x",
        "https://idp.example.org/any/path?wtrealm=x&wa=wsignin1.0",
        "https://idp.example.org/adfs/ls/",
        "https://idp.example.org/oauth2/authorize?client_id=x",
        "https://idp.example.org/common/oauth2/v2.0/authorize?response_type=code&client_id=x",
        "https://idp.example.org/oauth2/default/v1/authorize?client_id=x",
        "https://idp.example.org/authorize/?client_id=x",
        "https://idp.example.org/connect/authorize?client_id=x",
        "https://idp.example.org/realms/gis/protocol/openid-connect/auth?client_id=gis",
        "https://idp.example.org/o/oauth2/v2/auth?client_id=x",
        "https://idp.example.org/as/authorization.oauth2?client_id=x",
    ] {
        assert_eq!(to(location), LOGIN_REDIRECT, "{location}");
    }
    for location in [
        "https://sso.example.org/login?url=https%3A%2F%2Fgis.example.com%2Farcgis",
        "https://sso.example.org/login",
        "https://sso.example.org/signin?client_id=x",
        "https://sso.example.org/authorize",
        "https://sso.example.org/authorize?client_id=",
        "https://sso.example.org/openid-connect/auth?scope=openid",
        "https://sso.example.org/authorize/help?client_id=x",
        "https://sso.example.org/auth?client_id=x",
        "https://sso.example.org/x?SAMLRequest=",
        "https://sso.example.org/x?wa=wsignout1.0",
        "https://sso.example.org/x?next=/y?SAMLRequest=1",
    ] {
        assert_eq!(to(location), Verdict::Clean, "{location}");
    }
}

#[test]
fn a_form_that_posts_itself_to_an_identity_provider_is_a_login_page() {
    let form = |form: &str| {
        page(format!(
            "<html><body onload=\"document.forms[0].submit()\">{form}</body></html>"
        ))
        .verdict()
    };
    for asking in [
        r#"<form method="post" action="https://idp.example.org/sso"><input type="hidden" name="RelayState" value="x"/><input type="hidden" name="SAMLRequest" value="PHNhbWw"/></form>"#,
        "<FORM ACTION=https://idp.example.org/sso METHOD=POST><INPUT VALUE='PHNhbWw' NAME='samlrequest'>",
        r#"<form action="https://idp.example.org/"><input name=wa value=wsignin1.0>"#,
        r#"<form action="https://idp.example.org/realms/x/protocol/openid-connect/auth"><input name="client_id" value="gis">"#,
    ] {
        assert_eq!(form(asking), LOGIN_PAGE, "{asking}");
    }
    for other in [
        r#"<form action="https://idp.example.org/sso"><input name="SAMLRequest" value=""></form>"#,
        r#"<form action="/x"></form><input name="SAMLRequest" value="x">"#,
        r#"<form action="/search"><input name="client_id" value="x"></form>"#,
        r#"<form action="/sso"><input name="SAMLResponse" value="x"></form>"#,
        "<p>SAMLRequest=x</p><form action='/x'><input name='q' value='SAMLRequest'></form>",
    ] {
        assert_eq!(form(other), Verdict::Clean, "{other}");
    }
}
