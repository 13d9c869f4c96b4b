//! Users of the service's own, in front of one ArcGIS account.

use http::StatusCode;

use crate::{
    support::{ACCOUNT, ADA, BOB, Running},
    visitor::Visitor,
};

const PARCELS: &str = "/maps/0/export?bbox=0,0,1,1&size=64,64";
const ROADS: &str = "/maps/2/export?bbox=0,0,1,1&size=64,64";

#[tokio::test]
async fn own_users_see_maps_by_one_account_that_nobody_is_shown() {
    let running = Running::start_with_own_users().await;
    for who in [ADA, BOB] {
        let mut visitor = Visitor::signed_in(&running, who).await;
        assert!(visitor.get(PARCELS).await.is_png());
        assert!(visitor.get(ROADS).await.is_png());
        let page = visitor.get_page("/").await;
        assert!(page.text().contains(who.0));
        assert!(!page.text().contains(ACCOUNT.0) && !page.text().contains(ACCOUNT.1));
    }
    for server in [&running.city, &running.county] {
        assert_eq!(server.counters().login_attempts, 1);
        assert_eq!(server.user_counters(ACCOUNT.0).logins, 1);
    }
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_user_are_answered_alike_and_arcgis_is_not_asked() {
    let running = Running::start_with_own_users().await;
    let mut visitor = Visitor::of(&running);
    // The account itself is no user either.
    for who in [(ADA.0, BOB.1), ("nobody", ADA.1), ACCOUNT] {
        let answer = visitor.sign_in(who).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN);
        assert!(
            answer
                .text()
                .contains("The user name or the password is not right.")
        );
    }
    assert!(running.city.received().is_empty());
}

#[tokio::test]
async fn too_many_wrong_passwords_for_a_name_stop_the_next_and_no_other_name() {
    let running = Running::start_with_own_users().await;
    let mut visitor = Visitor::of(&running);
    for name in [ADA.0, "nobody"] {
        for _ in 0..10 {
            let answer = visitor.sign_in((name, "wrong")).await;
            assert!(answer.text().contains("is not right"));
        }
        let answer = visitor.sign_in((name, ADA.1)).await;
        assert!(answer.text().contains("too many wrong passwords"), "{name}");
    }
    Visitor::signed_in(&running, BOB).await;
}

#[tokio::test]
async fn signing_out_ends_one_session_and_leaves_the_account_to_others() {
    let running = Running::start_with_own_users().await;
    let mut ada = Visitor::signed_in(&running, ADA).await;
    let mut bob = Visitor::signed_in(&running, BOB).await;
    assert!(ada.get(PARCELS).await.is_png());
    ada.sign_out().await;
    assert_eq!(ada.get(PARCELS).await.status, StatusCode::FORBIDDEN);
    assert!(bob.get(PARCELS).await.is_png());
    running.city.revoke_all_tokens();
    assert!(bob.get(PARCELS).await.is_png());
    assert_eq!(running.city.counters().login_attempts, 2);
}
