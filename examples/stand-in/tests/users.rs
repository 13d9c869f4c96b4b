//! Many users, each with a password, counters and tokens of their own.

mod support;

use arcgis_stand_in::{StandIn, TokenFault, UserCounters};
use serde_json::Value;
use support::{get, get_with, parcels, post_form};

async fn log_in(arcgis: &StandIn, user: &str, password: &str) -> Value {
    let fields = [("username", user), ("password", password)];
    let url = arcgis.url("tokens/generateToken");
    post_form(&url, &fields).await.json()["token"].clone()
}

#[tokio::test]
async fn a_thousand_users_log_in_with_their_own_passwords() {
    let name = |n| format!("user-{n}");
    let password = |n| format!("password {n}");
    let arcgis = StandIn::builder()
        .users((0..500).map(|n| (name(n), password(n))))
        .start()
        .await
        .unwrap();
    arcgis.set_users((500..1_000).map(|n| (name(n), password(n))));

    for n in [0, 499, 500, 999] {
        assert!(log_in(&arcgis, &name(n), &password(n)).await.is_string());
        assert!(log_in(&arcgis, &name(n), &password(n + 1)).await.is_null());
    }
    assert_eq!(arcgis.counters().logins, 4);
}

#[tokio::test]
async fn each_user_is_counted_apart() {
    let users = [("ada", "a"), ("bob", "b")];
    let arcgis = StandIn::builder().users(users).start().await.unwrap();
    log_in(&arcgis, "ada", "a").await;
    log_in(&arcgis, "ada", "wrong").await;
    log_in(&arcgis, "bob", "b").await;
    log_in(&arcgis, "nobody", "n").await;
    let counted = |user| {
        let counters = arcgis.user_counters(user);
        (counters.login_attempts, counters.logins)
    };
    assert_eq!(counted("ada"), (2, 1));
    assert_eq!(counted("bob"), (1, 1));
    assert_eq!(counted("nobody"), (1, 0));

    arcgis.set_token_fault(Some(TokenFault::DeadToken));
    log_in(&arcgis, "bob", "b").await;
    assert_eq!(counted("bob"), (2, 2));
    arcgis.reset_counters();
    assert_eq!(arcgis.user_counters("ada"), UserCounters::default());
}

#[tokio::test]
async fn a_held_login_is_already_counted_for_its_user() {
    let arcgis = StandIn::builder().user("ada", "a").start().await.unwrap();
    let gate = arcgis.hold_logins();
    let waiting = tokio::spawn({
        let arcgis = arcgis.clone();
        async move { log_in(&arcgis, "ada", "a").await }
    });
    arcgis.wait_for_logins(1).await;
    let counters = arcgis.user_counters("ada");
    assert_eq!((counters.login_attempts, counters.logins), (1, 0));
    gate.release();
    waiting.await.unwrap();
}

#[tokio::test]
async fn an_echo_tells_whose_token_came_with_the_request() {
    let arcgis = StandIn::start().await.unwrap();
    for user in ["ada", "bob"] {
        let token = arcgis.issue_token(user, None);
        let header = ("x-esri-authorization", &*format!("Bearer {token}"));
        let echo = get_with(&parcels(&arcgis, "/echo"), &[header]).await.json();
        assert_eq!(echo["user"], user);
        let public = arcgis.url("rest/services/Basemap/MapServer/echo");
        let echo = get(&format!("{public}?token={token}")).await.json();
        assert_eq!(echo["user"], user);
    }
    let public = arcgis.url("rest/services/Basemap/MapServer/echo?token=stale");
    assert!(get(&public).await.json()["user"].is_null());
}
