//! Tokens open services from every place they are put, until they die.

mod support;

use std::time::Duration;

use arcgis_stand_in::{PASSWORD, Refusal, StandIn, USERNAME};
use http::Method;
use support::{FORM, get, get_with, http1, login, parcels, post_form, send};

#[tokio::test]
async fn a_token_is_taken_from_query_form_headers_and_cookie() {
    let arcgis = StandIn::start().await.unwrap();
    let token = login(&arcgis).await;
    let plain = parcels(&arcgis, "?f=json");
    assert_eq!(get(&plain).await.code(), 499);
    assert_eq!(get(&format!("{plain}&token=")).await.code(), 499);

    assert_eq!(get(&format!("{plain}&token={token}")).await.code(), 0);
    let form = support::form(&[("f", "json"), ("token", &token)]);
    assert_eq!(
        send(&http1(), Method::POST, &plain, &[FORM], &form)
            .await
            .code(),
        0
    );
    for (name, value) in [
        ("x-esri-authorization", format!("Bearer {token}")),
        ("x-esri-authorization", format!("Bearer {token} ")),
        ("authorization", format!("bearer {token}")),
        ("cookie", format!("a=b; agstoken={token}")),
        ("cookie", format!("agstoken=\"token\": \"{token}\"")),
    ] {
        assert_eq!(
            get_with(&plain, &[(name, &value)]).await.code(),
            0,
            "{name}: {value}"
        );
    }
    let counters = arcgis.counters();
    assert_eq!(
        (
            counters.signed_requests,
            counters.challenges,
            counters.conflicting_tokens
        ),
        (7, 2, 0)
    );
}

#[tokio::test]
async fn of_several_tokens_the_first_counts_and_the_conflict_is_noticed() {
    let arcgis = StandIn::start().await.unwrap();
    let token = login(&arcgis).await;
    let url = |query: &str| parcels(&arcgis, &format!("?f=json&{query}"));
    let header = format!("Bearer {token}");

    assert_eq!(
        get(&url(&format!("token=stale&token={token}")))
            .await
            .code(),
        498
    );
    assert_eq!(
        get_with(&url("token=stale"), &[("authorization", &header)])
            .await
            .code(),
        498
    );
    assert_eq!(
        get_with(
            &url(&format!("token={token}")),
            &[("authorization", "Bearer stale")]
        )
        .await
        .code(),
        0
    );
    assert_eq!(arcgis.counters().conflicting_tokens, 3);
    get_with(
        &url(&format!("token={token}")),
        &[("authorization", &header)],
    )
    .await;
    assert_eq!(arcgis.counters().conflicting_tokens, 3);
}

#[tokio::test]
async fn revoked_and_expired_tokens_are_invalid() {
    let arcgis = StandIn::builder()
        .token_lifetime(Duration::from_secs(60))
        .start()
        .await
        .unwrap();
    let tokens = [
        login(&arcgis).await,
        login(&arcgis).await,
        login(&arcgis).await,
    ];
    let code = async |token: &str| {
        get(&parcels(&arcgis, &format!("?f=json&token={token}")))
            .await
            .code()
    };

    assert!(arcgis.revoke(&tokens[0]));
    assert_eq!((code(&tokens[0]).await, code(&tokens[1]).await), (498, 0));
    assert_eq!(arcgis.revoke_all_tokens(), 2);
    assert_eq!(code(&tokens[1]).await, 498);

    let token = login(&arcgis).await;
    arcgis.expire_all_tokens();
    assert_eq!((code(&token).await, arcgis.live_tokens()), (498, 0));

    let token = login(&arcgis).await;
    assert_eq!(code(&token).await, 0);
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(60)).await;
    tokio::time::resume();
    assert_eq!(code(&token).await, 498);
}

#[tokio::test]
async fn a_token_bound_to_a_referer_is_invalid_without_it() {
    let arcgis = StandIn::start().await.unwrap();
    let fields = [
        ("username", USERNAME),
        ("password", PASSWORD),
        ("client", "referer"),
        ("referer", "https://app.example/"),
    ];
    let answer = post_form(&arcgis.url("tokens/generateToken"), &fields)
        .await
        .json();
    let url = parcels(
        &arcgis,
        &format!("?f=json&token={}", answer["token"].as_str().unwrap()),
    );

    assert_eq!(get(&url).await.code(), 498);
    assert_eq!(
        get_with(&url, &[("referer", "https://app.example")])
            .await
            .code(),
        498
    );
    assert_eq!(
        get_with(&url, &[("referer", "https://app.example/")])
            .await
            .code(),
        0
    );
    assert_eq!(arcgis.counters().referer_mismatches, 2);
}

#[tokio::test]
async fn a_refused_user_is_refused_with_a_good_token() {
    let arcgis = StandIn::start().await.unwrap();
    let token = arcgis.issue_token(USERNAME, None);
    let parcels = parcels(&arcgis, &format!("/0?f=json&token={token}"));
    let water = arcgis.url(&format!(
        "rest/services/Water/FeatureServer?f=json&token={token}"
    ));

    arcgis.refuse_user_on(USERNAME, "Parcels/MapServer");
    assert_eq!(
        (get(&parcels).await.code(), get(&water).await.code()),
        (499, 0)
    );
    arcgis.refuse_user_with(USERNAME, "Parcels/MapServer", Refusal::Forbidden);
    let error = get(&parcels).await.json()["error"].clone();
    assert_eq!(
        (error["code"].as_u64(), error["messageCode"].as_str()),
        (Some(403), Some("GWM_0003"))
    );
    arcgis.allow_user_on(USERNAME, "Parcels/MapServer");
    assert_eq!(get(&parcels).await.code(), 0);
}

#[tokio::test]
async fn public_services_mind_a_bad_token_only_when_told_to() {
    let arcgis = StandIn::start().await.unwrap();
    let url = arcgis.url("rest/services/Basemap/MapServer?f=json");
    let foreign = format!("{url}&token=foreign");
    assert_eq!((get(&url).await.code(), get(&foreign).await.code()), (0, 0));
    arcgis.set_public_checks_tokens(true);
    assert_eq!(
        (get(&url).await.code(), get(&foreign).await.code()),
        (0, 498)
    );
}

#[tokio::test]
async fn the_administrator_api_is_deaf_to_tokens_in_forms() {
    let arcgis = StandIn::start().await.unwrap();
    let token = login(&arcgis).await;
    let url = arcgis.url("admin/services?f=json");
    let refused = post_form(&url, &[("token", &token)]).await.json();
    assert_eq!(
        (refused["status"].as_str(), refused["code"].as_u64()),
        (Some("error"), Some(499))
    );
    assert_eq!(
        get(&format!("{url}&token={token}")).await.json()["status"],
        "success"
    );
}
