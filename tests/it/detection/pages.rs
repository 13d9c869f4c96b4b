//! Redirects, pages and faults that ask for a login.

use http::header;
use tower_arcgis_auth::Verdict;

use super::ok;
use crate::support::received::{INVALID, LOGIN_PAGE, LOGIN_REDIRECT, REQUIRED, received};

#[test]
fn a_redirect_to_a_login_is_recognised_by_its_path_alone() {
    let to = |location| {
        received(302, "")
            .header(header::LOCATION, location)
            .verdict()
    };
    for login in [
        "/arcgis/rest/login?redirect=%2Farcgis%2Frest%2Fservices",
        "https://gis.example.com/ARCGIS/rest/Login/",
        "//gis.example.com:6443/arcgis/admin/login",
        "https://www.example.com/sharing/rest/oauth2/authorize?client_id=x",
        "/portal/home/signin.html",
        "https://idp.example.com/adfs/ls/?SAMLRequest=x",
        "https://idp.example.com/start?wa=wsignin1.0",
    ] {
        assert_eq!(to(login), LOGIN_REDIRECT, "{login}");
    }
    for other in [
        "/arcgis/rest/services/login/MapServer/tile/1/0/0",
        "/arcgis/rest/services?next=/arcgis/rest/login",
        "/arcgis/rest/services#/arcgis/rest/login",
        "/arcgis/rest/login/help",
        "/forrest/login",
        "/x?y=SAMLRequest=1",
        "",
    ] {
        assert_eq!(to(other), Verdict::Clean, "{other}");
    }
    let status = |status| {
        received(status, "")
            .header(header::LOCATION, "/rest/login")
            .verdict()
    };
    for redirect in [301, 302, 303, 307, 308] {
        assert_eq!(status(redirect), LOGIN_REDIRECT);
    }
    for other in [200, 201, 300, 304, 404] {
        assert_eq!(status(other), Verdict::Clean);
    }
}

#[test]
fn a_login_form_is_recognised_by_its_action_and_its_password_field() {
    let page = |form: &str| {
        let page = format!(
            "<!DOCTYPE html><html><head><title>Login</title></head><body>{form}</body></html>"
        );
        page.into_bytes()
    };
    for form in [
        r#"<form action="/arcgis/rest/login" method="post"><input type="password"></form>"#,
        "<FORM METHOD=post ACTION='/arcgis/rest/login'><INPUT NAME=p TYPE=Password></FORM>",
        "<form\n action = /arcgis/rest/login\n><table><tr><input\ttype =\n'password'/>",
        r#"<form action="/arcgis&#x2F;rest&sol;login?a&amp;b"><input type="password">"#,
        r#"<script>"<form>"</script><form action="/sharing/oauth2/signin"><input type="password">"#,
    ] {
        assert_eq!(ok(page(form)).verdict(), LOGIN_PAGE, "{form}");
        ok(page(form)).assert_steady();
    }
    for form in [
        r#"<a href="/arcgis/rest/login">Login</a> | <a href="/arcgis/tokens/">Get Token</a>"#,
        r#"<form action="/arcgis/rest/login"><input type="submit"></form><input type="password">"#,
        r#"<form action="generateToken"><input type="password"></form>"#,
        r#"<form action="/login?next=/arcgis/rest/login"><input type="password"></form>"#,
        r#"<!-- <form action="/arcgis/rest/login"><input type="password"></form> -->"#,
        r#"<script><form action="/arcgis/rest/login"><input type="password"></form></script>"#,
        r#"<form data-action="/arcgis/rest/login"><input type="password"></form>"#,
    ] {
        assert_eq!(ok(page(form)).verdict(), Verdict::Clean, "{form}");
    }
}

#[test]
fn an_error_page_is_recognised_by_its_title_and_its_code() {
    let page = |title: &str, body: &str| {
        ok(format!(
            "<html><head><title>\n{title}</title></head><body>{body}</body></html>"
        ))
        .verdict()
    };
    assert_eq!(page("Error: Token Required", ""), REQUIRED);
    assert_eq!(page("error: INVALID TOKEN ", ""), INVALID);
    assert_eq!(
        page("Error: oh", "<b>Error: </b>oh<br/>\n<b>Code: </b>499<br/>"),
        REQUIRED
    );
    assert_eq!(page("Error: oh", "<p>Code:<i> 498</i>"), INVALID);

    assert_eq!(page("Error: oh", "<b>Code: </b>500<br/>"), Verdict::Clean);
    assert_eq!(
        page("Error: oh", "<b>Error: </b>Code: 499<br/><b>Code: </b>400"),
        Verdict::Clean
    );
    assert_eq!(page("Error", "<b>Code: </b>499<br/>"), Verdict::Clean);
    assert_eq!(
        page("Token Required", "Error: Token Required"),
        Verdict::Clean
    );
    assert_eq!(
        page("Error: Token Required soon", "Token Required"),
        Verdict::Clean
    );
}

#[test]
fn a_soap_fault_is_a_challenge_only_if_its_text_says_nothing_else() {
    let soap = |text: &str| {
        received(500, format!("<e:Envelope><e:Body><e:Fault><faultstring>{text}</faultstring></e:Fault></e:Body></e:Envelope>"))
            .verdict()
    };
    assert_eq!(soap(" token required. "), REQUIRED);
    assert_eq!(soap("<![CDATA[Invalid Token]]>"), INVALID);
    assert_eq!(
        soap("Authentication token required. (status code 499)"),
        REQUIRED
    );
    assert_eq!(soap("Token Required for zone 7"), Verdict::Clean);

    let elsewhere =
        "<?xml version='1.0'?><metadata><faultstring>Token Required</faultstring></metadata>";
    assert_eq!(ok(elsewhere).verdict(), Verdict::Clean);
}
