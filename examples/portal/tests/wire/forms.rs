//! Forms that other sites cannot send, and a way back that leads to no other site.

use http::{Method, StatusCode};

use crate::{
    support::{ADA, Running},
    visitor::Visitor,
};

const PARCELS: &str = "/maps/0/export?bbox=0,0,1,1&size=64,64";

#[tokio::test]
async fn a_login_form_of_another_session_is_refused_and_no_password_sent() {
    let running = Running::start().await;
    let others = Visitor::of(&running).get("/sign-in").await;
    let mut visitor = Visitor::of(&running);
    for is_session_known in [false, true] {
        if is_session_known {
            visitor.get("/sign-in").await;
        }
        for token in [others.form_token(), "", "x"] {
            let fields = [("form_token", token), ("name", ADA.0), ("password", ADA.1)];
            let answer = visitor.post("/sign-in", &fields).await;
            assert_eq!(answer.status, StatusCode::FORBIDDEN);
            assert!(answer.text().contains("Please try again"));
        }
        let answer = visitor
            .post("/sign-in", &[("name", ADA.0), ("password", ADA.1)])
            .await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN);
    }
    assert_eq!(running.city.counters().login_attempts, 0);
}

#[tokio::test]
async fn other_sites_cannot_sign_a_person_out() {
    let running = Running::start().await;
    let mut ada = Visitor::signed_in(&running, ADA).await;
    let others = Visitor::of(&running).get("/sign-in").await;
    for fields in [&[][..], &[("form_token", others.form_token())]] {
        let answer = ada.post("/sign-out", fields).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN);
    }
    assert_eq!(
        ada.get("/sign-out").await.status,
        StatusCode::METHOD_NOT_ALLOWED
    );
    assert!(ada.get(PARCELS).await.is_png());
}

#[tokio::test]
async fn signing_in_leads_back_to_the_page_and_to_no_other_site() {
    let running = Running::start().await;
    for (next, location) in [
        (PARCELS, PARCELS),
        ("https://evil.test/", "/"),
        ("//evil.test/", "/"),
        ("/\\evil.test/", "/"),
        ("/\t/evil.test/", "/"),
        ("/\r\nSet-Cookie: a=b", "/"),
    ] {
        let mut ada = Visitor::of(&running);
        let encoded: String = form_urlencoded::byte_serialize(next.as_bytes()).collect();
        let page = ada.get(&format!("/sign-in?next={encoded}")).await;
        assert!(!page.text().contains("evil"));
        let fields = [
            ("form_token", page.form_token()),
            ("name", ADA.0),
            ("password", ADA.1),
            ("next", next),
        ];
        let answer = ada.post("/sign-in", &fields).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER);
        assert_eq!(answer.location(), location, "{next}");
        // Who is signed in is led there at once.
        let answer = ada.get(&format!("/sign-in?next={encoded}")).await;
        assert_eq!(answer.location(), location, "{next}");
    }
}

#[tokio::test]
async fn what_a_person_typed_is_text_on_the_page() {
    let running = Running::start().await;
    let mut visitor = Visitor::of(&running);
    let answer = visitor
        .sign_in((r#""><script>alert(1)</script>"#, "x"))
        .await;
    assert!(!answer.text().contains("<script"), "{}", answer.text());
    assert!(answer.text().contains("alert(1)"));
}

#[tokio::test]
async fn forms_that_are_no_login_cost_no_login() {
    let running = Running::start().await;
    let mut visitor = Visitor::of(&running);
    let answer = visitor.sign_in(("", "")).await;
    assert!(answer.text().contains("Type your user name"));
    let long = "x".repeat(9_000);
    let answer = visitor.sign_in((ADA.0, &long)).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
    let answer = visitor.sign_in((&long[..300], "x")).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    let json = ("content-type", "application/json");
    let answer = visitor.send(Method::POST, "/sign-in", &[json], "{}").await;
    assert_eq!(answer.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert_eq!(running.city.counters().login_attempts, 0);
}
