//! Tokens bound to an address are good only from there.

mod support;

use std::net::IpAddr;

use arcgis_stand_in::{PASSWORD, StandIn, USERNAME};
use support::{get, login, parcels, post_form};

const ELSEWHERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));

async fn code(arcgis: &StandIn, token: &str) -> u64 {
    get(&parcels(arcgis, &format!("?f=json&token={token}")))
        .await
        .code()
}

#[tokio::test]
async fn a_token_for_the_requests_address_is_invalid_from_another() {
    let arcgis = StandIn::start().await.unwrap();
    let token = login(&arcgis).await;
    assert_eq!(code(&arcgis, &token).await, 0);

    arcgis.set_seen_address(Some(ELSEWHERE));
    assert_eq!(code(&arcgis, &token).await, 498);
    let there = login(&arcgis).await;
    assert_eq!(code(&arcgis, &there).await, 0);

    arcgis.set_seen_address(None);
    assert_eq!(code(&arcgis, &token).await, 0);
    assert_eq!(code(&arcgis, &there).await, 498);
    assert_eq!(arcgis.counters().address_mismatches, 2);
}

#[tokio::test]
async fn a_token_for_a_given_address_is_good_only_from_it() {
    let arcgis = StandIn::start().await.unwrap();
    let url = arcgis.url("tokens/generateToken");
    let credential = [("username", USERNAME), ("password", PASSWORD)];
    let fields = |ip| [credential[0], credential[1], ("client", "ip"), ("ip", ip)];
    let answer = post_form(&url, &fields("10.0.0.1")).await.json();
    let token = answer["token"].as_str().unwrap();
    assert_eq!(code(&arcgis, token).await, 498);
    arcgis.set_seen_address(Some(ELSEWHERE));
    assert_eq!(code(&arcgis, token).await, 0);

    assert_eq!(post_form(&url, &fields("here")).await.code(), 201);
}

#[tokio::test]
async fn tokens_bound_to_nothing_are_good_from_everywhere() {
    let arcgis = StandIn::start().await.unwrap();
    let token = arcgis.issue_token(USERNAME, None);
    arcgis.set_seen_address(Some(ELSEWHERE));
    assert_eq!(code(&arcgis, &token).await, 0);
}
