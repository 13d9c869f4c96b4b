//! The session's cookie: its flags, and an id that nobody can know before.

use arcgis_portal::Login;
use http::{StatusCode, header::SET_COOKIE};

use crate::{
    support::{ADA, Running},
    visitor::Visitor,
};

const PARCELS: &str = "/maps/0/export?bbox=0,0,1,1&size=64,64";

#[tokio::test]
async fn the_cookie_is_for_this_host_for_https_and_for_no_script() {
    let running = Running::start().await;
    let mut visitor = Visitor::of(&running);
    for answer in [visitor.get("/sign-in").await, visitor.sign_in(ADA).await] {
        let cookie = answer.header(SET_COOKIE);
        assert!(cookie.starts_with("__Host-portal="), "{cookie}");
        for flag in ["HttpOnly", "Secure", "SameSite=Lax", "Path=/"] {
            assert!(
                cookie.split("; ").any(|found| found == flag),
                "{flag}: {cookie}"
            );
        }
        assert!(!cookie.contains("Domain"), "{cookie}");
    }
}

#[tokio::test]
async fn cookies_for_plain_http_are_no_others() {
    let insecure = |settings: &mut arcgis_portal::Settings| settings.secure_cookies = false;
    let running = Running::start_with(Login::Arcgis, insecure, |router| router).await;
    let mut visitor = Visitor::of(&running);
    let answer = visitor.sign_in(ADA).await;
    let cookie = answer.header(SET_COOKIE);
    assert!(cookie.starts_with("portal="), "{cookie}");
    assert!(
        cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"),
        "{cookie}"
    );
    assert!(!cookie.contains("Secure"), "{cookie}");
    assert!(visitor.get(PARCELS).await.is_png());
}

#[tokio::test]
async fn signing_in_gives_the_session_a_new_id_and_new_forms() {
    let running = Running::start().await;
    let mut ada = Visitor::of(&running);
    let form_token = ada.get("/sign-in").await.form_token().to_owned();
    let before = ada.cookie.clone();
    ada.sign_in(ADA).await;
    assert_ne!(ada.cookie, before);

    // Who planted the cookie in the browser is not signed in by it.
    let mut other = Visitor::of(&running);
    other.cookie = before;
    assert_eq!(other.get(PARCELS).await.status, StatusCode::FORBIDDEN);

    // And cannot send the person's forms.
    let fields = [("form_token", &*form_token)];
    assert_eq!(
        ada.post("/sign-out", &fields).await.status,
        StatusCode::FORBIDDEN
    );
    assert!(ada.get(PARCELS).await.is_png());
}

#[tokio::test]
async fn an_id_that_the_service_did_not_give_is_not_taken() {
    let running = Running::start().await;
    let mut visitor = Visitor::of(&running);
    let planted = Some("__Host-portal=AAAAAAAAAAAAAAAAAAAAAA".to_owned());
    for cookie in [planted.clone(), Some("__Host-portal=nonsense".to_owned())] {
        visitor.cookie.clone_from(&cookie);
        visitor.get("/sign-in").await;
        assert_ne!(visitor.cookie, cookie);
    }
}
