//! A token service breaks in the way that was set.

mod support;

use std::time::Duration;

use arcgis_stand_in::{PASSWORD, StandIn, TokenFault, USERNAME};
use support::{form, get, login, login_with, parcels, raw, started};

async fn login_under(fault: TokenFault) -> (StandIn, support::Got) {
    let arcgis = started().await;
    arcgis.set_token_fault(Some(fault));
    let got = login_with(&arcgis, PASSWORD).await;
    (arcgis, got)
}

fn login_request() -> String {
    let body = form(&[("username", USERNAME), ("password", PASSWORD)]);
    format!(
        "POST /arcgis/tokens/generateToken HTTP/1.1\r\nHost: stand-in\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

#[tokio::test]
async fn a_status_is_answered_as_it_is() {
    let (arcgis, got) = login_under(TokenFault::Status(503)).await;
    assert_eq!(got.status, 503);
    assert_eq!(
        (arcgis.counters().login_attempts, arcgis.counters().logins),
        (1, 0)
    );
    arcgis.set_token_fault(None);
    login(&arcgis).await;
}

#[tokio::test]
async fn answers_without_a_token_hold_no_token() {
    for fault in [
        TokenFault::Html,
        TokenFault::Garbage,
        TokenFault::Empty,
        TokenFault::NoToken,
    ] {
        let (_arcgis, got) = login_under(fault.clone()).await;
        assert_eq!(got.status, 200, "{fault:?}");
        assert!(
            !String::from_utf8_lossy(&got.body).contains("\"token\""),
            "{fault:?}"
        );
    }
}

#[tokio::test]
async fn a_truncated_answer_ends_before_its_length() {
    let arcgis = StandIn::start().await.unwrap();
    arcgis.set_token_fault(Some(TokenFault::Truncated));
    let answer = raw(&arcgis, &login_request()).await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(
        head.to_lowercase().contains("content-length: 256"),
        "{head}"
    );
    assert_eq!(body, "{\"token\":\"AAAA");
}

#[tokio::test]
async fn a_reset_gives_no_answer() {
    let arcgis = StandIn::start().await.unwrap();
    arcgis.set_token_fault(Some(TokenFault::Reset));
    assert_eq!(raw(&arcgis, &login_request()).await, "");
}

#[tokio::test]
async fn a_hanging_login_goes_on_when_the_fault_is_cleared() {
    let arcgis = StandIn::start().await.unwrap();
    arcgis.set_token_fault(Some(TokenFault::Hang));
    let waiting = tokio::spawn({
        let arcgis = arcgis.clone();
        async move { login(&arcgis).await }
    });
    arcgis.wait_for_logins(1).await;
    assert_eq!(arcgis.counters().logins, 0);
    assert!(!waiting.is_finished());
    arcgis.set_token_fault(None);
    waiting.await.unwrap();
    assert_eq!(arcgis.counters().logins, 1);
}

#[tokio::test]
async fn a_slow_login_arrives_after_its_delay() {
    let arcgis = StandIn::start().await.unwrap();
    arcgis.set_token_fault(Some(TokenFault::Slow(Duration::from_secs(3600))));
    let waiting = tokio::spawn({
        let arcgis = arcgis.clone();
        async move { login(&arcgis).await }
    });
    arcgis.wait_for_logins(1).await;
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(3601)).await;
    tokio::time::resume();
    waiting.await.unwrap();
}

#[tokio::test]
async fn refusals_do_not_lock_the_account() {
    for (fault, code) in [(TokenFault::Refuse, 401), (TokenFault::PortalRefuse, 400)] {
        let arcgis = StandIn::start().await.unwrap();
        arcgis.set_token_fault(Some(fault));
        for _ in 0..6 {
            assert_eq!(login_with(&arcgis, PASSWORD).await.code(), code);
        }
        assert_eq!(arcgis.counters().login_refusals, 6);
        assert!(!arcgis.is_locked(USERNAME));
    }
}

#[tokio::test]
async fn a_huge_answer_is_many_mebibytes_long() {
    let (_arcgis, got) = login_under(TokenFault::Huge).await;
    assert!(got.body.len() >= 64 * 1024 * 1024);
}

#[tokio::test]
async fn a_mislabelled_answer_is_good_all_the_same() {
    let (arcgis, got) = login_under(TokenFault::Mislabelled).await;
    assert!(got.header("content-type").starts_with("text/html"));
    assert!(got.json()["token"].is_string());
    assert_eq!(arcgis.live_tokens(), 1);
}

#[tokio::test]
async fn a_dead_token_opens_nothing() {
    let (arcgis, got) = login_under(TokenFault::DeadToken).await;
    let token = got.json()["token"].as_str().unwrap().to_owned();
    assert_eq!(arcgis.counters().logins, 1);
    assert_eq!(
        get(&parcels(&arcgis, &format!("?f=json&token={token}")))
            .await
            .code(),
        498
    );
}

#[tokio::test]
async fn an_odd_token_and_a_redirect_come_as_told() {
    let (_arcgis, got) = login_under(TokenFault::OddToken).await;
    assert!(got.json()["token"].as_str().unwrap().contains('<'));
    let (_arcgis, got) =
        login_under(TokenFault::Redirect("http://elsewhere.example/".into())).await;
    assert_eq!(
        (got.status.as_u16(), got.header("location")),
        (307, "http://elsewhere.example/")
    );
}
