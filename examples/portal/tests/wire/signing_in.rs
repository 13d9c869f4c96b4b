//! People with ArcGIS accounts of their own: one sign-in, everyone's own tokens, signing out.

use std::time::Duration;

use arcgis_portal::{Login, Settings};
use arcgis_stand_in::TokenFault;
use http::StatusCode;
use tokio::time::timeout;

use crate::{
    support::{ADA, BOB, Running},
    visitor::Visitor,
};

const PARCELS: &str = "/maps/0/export?bbox=0,0,1,1&size=64,64";
const ZONING: &str = "/maps/1/tile/1/0/0";
const ROADS: &str = "/maps/2/export?bbox=0,0,1,1&size=64,64";
const AERIAL: &str = "/maps/3/export?bbox=0,0,1,1&size=64,64";

#[tokio::test]
async fn one_sign_in_opens_the_services_of_two_sites_with_one_login_at_each() {
    let running = Running::start().await;
    let mut ada = Visitor::signed_in(&running, ADA).await;
    assert_eq!(running.city.counters().login_attempts, 1);
    assert_eq!(running.county.counters().login_attempts, 0);
    for map in [PARCELS, ZONING, ROADS, AERIAL] {
        assert!(ada.get(map).await.is_png(), "{map}");
    }
    for server in [&running.city, &running.county] {
        let counters = server.counters();
        assert_eq!((counters.login_attempts, counters.logins), (1, 1));
    }
}

#[tokio::test]
async fn a_wrong_password_is_answered_on_the_form_after_one_attempt() {
    let running = Running::start().await;
    let mut ada = Visitor::of(&running);
    // The second time it is not even sent.
    for _ in 0..2 {
        let answer = ada.sign_in((ADA.0, "wrong password")).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN);
        assert!(
            answer
                .text()
                .contains("The user name or the password is not right.")
        );
        assert!(answer.text().contains(r#"name="name" value="ada""#));
        assert!(!answer.text().contains("wrong password"));
        assert_eq!(running.city.counters().login_attempts, 1);
        assert_eq!(running.county.counters().login_attempts, 0);
    }
    assert_eq!(ada.get(PARCELS).await.status, StatusCode::FORBIDDEN);
    assert_eq!(ada.sign_in(ADA).await.status, StatusCode::SEE_OTHER);
    assert!(ada.get(PARCELS).await.is_png());
}

#[tokio::test]
async fn a_token_service_that_is_down_is_no_wrong_password() {
    let running = Running::start().await;
    running.city.set_token_fault(Some(TokenFault::Status(503)));
    let mut ada = Visitor::of(&running);
    let answer = ada.sign_in(ADA).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer.text().contains("cannot be checked at this moment"));
    running.city.set_token_fault(None);
    assert_eq!(ada.sign_in(ADA).await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn each_person_sees_maps_under_tokens_of_their_own() {
    let running = Running::start().await;
    running.city.refuse_user_on(BOB.0, "Parcels/MapServer");
    let mut ada = Visitor::signed_in(&running, ADA).await;
    let mut bob = Visitor::signed_in(&running, BOB).await;
    assert!(ada.get(PARCELS).await.is_png());
    assert_eq!(bob.get(PARCELS).await.status, StatusCode::BAD_GATEWAY);
    assert!(ada.get(ROADS).await.is_png());
    assert!(bob.get(ROADS).await.is_png());
    let tokens = Running::tokens_at(&running.county);
    assert_eq!(tokens.len(), 2);
    assert_ne!(tokens[0], tokens[1]);
    for who in [ADA, BOB] {
        assert_eq!(running.county.user_counters(who.0).logins, 1);
    }
}

#[tokio::test]
async fn dead_tokens_are_replaced_without_a_prompt() {
    let running = Running::start().await;
    let mut ada = Visitor::signed_in(&running, ADA).await;
    assert!(ada.get(PARCELS).await.is_png());
    assert!(ada.get(ROADS).await.is_png());
    running.city.revoke_all_tokens();
    running.county.revoke_all_tokens();
    for map in [PARCELS, ROADS, AERIAL] {
        assert!(ada.get(map).await.is_png(), "{map}");
    }
    assert_eq!(running.city.counters().logins, 2);
    assert_eq!(running.county.counters().logins, 2);
}

#[tokio::test]
async fn a_password_that_was_changed_at_arcgis_asks_for_the_new_one() {
    let running = Running::start().await;
    let mut ada = Visitor::signed_in(&running, ADA).await;
    running.city.set_user(ADA.0, "another password");
    running.city.revoke_all_tokens();
    let page = ada.get_page("/").await;
    assert_eq!(page.location(), "/sign-in");
    assert_eq!(running.city.counters().login_refusals, 1);
    assert_eq!(ada.get_page("/").await.location(), "/sign-in?next=%2F");
    let answer = ada.sign_in((ADA.0, "another password")).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER);
    assert_eq!(running.city.counters().login_refusals, 1);
}

#[tokio::test]
async fn an_account_that_only_the_first_site_has_sees_that_sites_maps() {
    let running = Running::start().await;
    running.county.set_user(ADA.0, "another password");
    let mut ada = Visitor::signed_in(&running, ADA).await;
    let page = ada.get_page("/").await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(
        page.text()
            .contains("does not let this account see the map")
    );
    assert!(ada.get(PARCELS).await.is_png());
    assert_eq!(ada.get(ROADS).await.status, StatusCode::BAD_GATEWAY);
    assert_eq!(running.county.counters().login_attempts, 1);
}

#[tokio::test]
async fn signing_out_forgets_the_tokens_and_the_session() {
    let running = Running::start().await;
    let mut ada = Visitor::signed_in(&running, ADA).await;
    let mut bob = Visitor::signed_in(&running, BOB).await;
    assert!(ada.get(ROADS).await.is_png());
    assert_eq!(running.tokens_held(), 3);
    let cookie = ada.cookie.clone();

    let answer = ada.sign_out().await;
    assert_eq!(answer.location(), "/sign-in");
    assert_eq!(running.tokens_held(), 1);

    // Who kept the cookie has nothing.
    ada.cookie = cookie;
    assert_eq!(ada.get(ROADS).await.status, StatusCode::FORBIDDEN);
    assert_eq!(ada.get_page("/").await.location(), "/sign-in?next=%2F");
    assert!(bob.get(PARCELS).await.is_png());
    assert_eq!(running.county.counters().logins, 1);
}

#[tokio::test]
async fn one_person_in_two_browsers_signs_out_of_one() {
    let running = Running::start().await;
    let mut first = Visitor::signed_in(&running, ADA).await;
    let mut second = Visitor::signed_in(&running, ADA).await;
    first.sign_out().await;
    assert_eq!(first.get(PARCELS).await.status, StatusCode::FORBIDDEN);
    assert!(second.get(PARCELS).await.is_png());
}

#[tokio::test]
async fn who_signs_in_as_another_person_is_the_first_no_longer() {
    let running = Running::start().await;
    running.city.refuse_user_on(BOB.0, "Parcels/MapServer");
    let mut visitor = Visitor::signed_in(&running, ADA).await;
    let token = visitor.get_page("/").await.form_token().to_owned();
    let fields = [
        ("form_token", &*token),
        ("name", BOB.0),
        ("password", BOB.1),
    ];
    assert_eq!(
        visitor.post("/sign-in", &fields).await.status,
        StatusCode::SEE_OTHER
    );
    assert_eq!(running.tokens_held(), 1);
    assert_eq!(visitor.get(PARCELS).await.status, StatusCode::BAD_GATEWAY);
}

#[tokio::test]
async fn a_browser_that_hangs_up_meanwhile_leaves_nothing_behind() {
    let running = Running::start().await;
    let gate = running.city.hold_logins();
    let mut ada = Visitor::of(&running);
    let signing_in = tokio::spawn(async move { ada.sign_in(ADA).await.status });
    running.city.wait_for_logins(1).await;
    signing_in.abort();
    // The password goes with the session that the layer had begun.
    until(|| running.portal.handle().counters().sign_outs() > 0).await;
    gate.release();
    assert_eq!(running.tokens_held(), 0);
}

#[tokio::test]
async fn a_session_ends_with_its_life_and_so_do_its_tokens() {
    let at_once = |settings: &mut Settings| settings.session_life = Duration::from_millis(1);
    let running = Running::start_with(Login::Arcgis, at_once, |router| router).await;
    let mut ada = Visitor::signed_in(&running, ADA).await;
    until(|| running.tokens_held() == 0).await;
    assert_eq!(ada.get_page("/").await.location(), "/sign-in?next=%2F");
}

/// Waits for a condition. It fails where the condition would never hold.
async fn until(condition: impl Fn() -> bool) {
    let waiting = async {
        while !condition() {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(60), waiting)
        .await
        .expect("the condition holds at some time");
}
