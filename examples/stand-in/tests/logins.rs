//! The token service lets the right ones in, refuses in ArcGIS's words, and locks accounts.

mod support;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arcgis_stand_in::{PASSWORD, StandIn, USERNAME};
use http::Method;
use support::{FORM, form, get, http1, login, login_with, parcels, post_form, send};

#[tokio::test]
async fn a_password_full_of_awkward_characters_logs_in() {
    let arcgis = StandIn::start().await.unwrap();
    let answer = login_with(&arcgis, PASSWORD).await.json();
    assert!(answer["expires"].is_u64());
    assert_eq!(arcgis.counters().logins, 1);
    assert_eq!(arcgis.live_tokens(), 1);
}

#[tokio::test]
async fn tokens_are_unique_and_written_in_the_real_alphabet() {
    let arcgis = StandIn::start().await.unwrap();
    let mut tokens = Vec::new();
    for _ in 0..6 {
        tokens.push(login(&arcgis).await);
    }
    for token in &tokens {
        let text = token.trim_end_matches('.');
        assert!(text.len() >= 64 && token.len() - text.len() <= 2);
        assert!(
            text.bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
        );
    }
    assert!(tokens.iter().any(|token| token.ends_with('.')));
    tokens.sort();
    tokens.dedup();
    assert_eq!(tokens.len(), 6);
}

#[tokio::test]
async fn a_wrong_password_is_refused_with_details_in_a_string() {
    let arcgis = StandIn::start().await.unwrap();
    let error = &login_with(&arcgis, "wrong").await.json()["error"];
    assert_eq!(error["code"], 401);
    assert_eq!(
        error["message"],
        "You are not authorized to access this information"
    );
    assert!(error["details"].is_string());
    assert_eq!(arcgis.counters().login_refusals, 1);
    assert_eq!(arcgis.login_failures(USERNAME), 1);
}

#[tokio::test]
async fn five_failures_lock_the_account_for_fifteen_minutes() {
    let arcgis = StandIn::start().await.unwrap();
    for _ in 0..5 {
        assert!(!arcgis.is_locked(USERNAME));
        login_with(&arcgis, "wrong").await;
    }
    assert!(arcgis.is_locked(USERNAME));
    assert_eq!(login_with(&arcgis, PASSWORD).await.code(), 401);

    advance(Duration::from_secs(15 * 60)).await;
    assert!(!arcgis.is_locked(USERNAME));
    login(&arcgis).await;
}

#[tokio::test]
async fn failures_further_apart_than_fifteen_minutes_do_not_lock() {
    let arcgis = StandIn::start().await.unwrap();
    for _ in 0..4 {
        login_with(&arcgis, "wrong").await;
    }
    advance(Duration::from_secs(15 * 60)).await;
    login_with(&arcgis, "wrong").await;
    assert_eq!(arcgis.login_failures(USERNAME), 1);
    login(&arcgis).await;
    assert_eq!(arcgis.login_failures(USERNAME), 0);
}

#[tokio::test]
async fn credentials_in_the_query_are_refused_with_405() {
    let arcgis = StandIn::start().await.unwrap();
    let query = form(&[
        ("username", USERNAME),
        ("password", PASSWORD),
        ("f", "json"),
    ]);
    let url = format!("{}?{query}", arcgis.url("tokens/generateToken"));
    for method in [Method::GET, Method::POST] {
        assert_eq!(send(&http1(), method, &url, &[FORM], "").await.code(), 405);
    }
    assert_eq!(get(&arcgis.url("tokens/generateToken")).await.code(), 405);
    assert_eq!(arcgis.counters().logins, 0);
    assert_eq!(arcgis.login_failures(USERNAME), 0);
}

#[tokio::test]
async fn the_client_must_be_one_that_can_be_determined() {
    let arcgis = StandIn::start().await.unwrap();
    let url = arcgis.url("tokens/generateToken");
    let credential = [("username", USERNAME), ("password", PASSWORD)];
    for (client, code) in [
        ("ip", 201),
        ("referer", 201),
        ("nonsense", 201),
        ("requestip", 0),
    ] {
        let fields = [credential[0], credential[1], ("client", client)];
        assert_eq!(post_form(&url, &fields).await.code(), code, "{client}");
    }
    let fields = [
        credential[0],
        credential[1],
        ("client", "ip"),
        ("ip", "127.0.0.1"),
    ];
    assert_eq!(post_form(&url, &fields).await.code(), 0);
}

#[tokio::test]
async fn an_expiration_is_honoured_up_to_the_longest() {
    let arcgis = StandIn::builder().clock_skew(-3600).start().await.unwrap();
    let url = arcgis.url("tokens/generateToken");
    let server_time = UNIX_EPOCH.elapsed().unwrap().as_secs() - 3600;
    for (asked, given) in [("10", 10), ("1440", 60)] {
        let fields = [
            ("username", USERNAME),
            ("password", PASSWORD),
            ("expiration", asked),
        ];
        let expires = post_form(&url, &fields).await.json()["expires"]
            .as_u64()
            .unwrap()
            / 1000;
        let off = expires.abs_diff(server_time + given * 60);
        assert!(off < 60, "{asked} minutes: off by {off} s");
    }
    assert_eq!(post_form(&url, &[("expiration", "soon")]).await.code(), 400);
}

#[tokio::test]
async fn the_date_header_follows_the_skewed_clock() {
    let arcgis = StandIn::builder().clock_skew(7200).start().await.unwrap();
    let got = get(&arcgis.url("rest/info?f=json")).await;
    let date = httpdate::parse_http_date(got.header("date")).unwrap();
    let ahead = date.duration_since(SystemTime::now()).unwrap().as_secs();
    assert!((7000..=7200).contains(&ahead), "{ahead}");
}

#[tokio::test]
async fn the_administrators_door_writes_expires_and_errors_its_own_way() {
    let arcgis = StandIn::start().await.unwrap();
    let url = arcgis.url("admin/generateToken");
    let good = post_form(&url, &[("username", USERNAME), ("password", PASSWORD)])
        .await
        .json();
    assert!(good["expires"].is_string());
    let bad = post_form(&url, &[("username", USERNAME), ("password", "wrong")])
        .await
        .json();
    assert_eq!(
        (bad["status"].as_str(), bad["code"].as_u64()),
        (Some("error"), Some(401))
    );

    arcgis.set_string_expires(true);
    assert!(login_with(&arcgis, PASSWORD).await.json()["expires"].is_string());
}

#[tokio::test]
async fn the_login_page_signs_in_with_a_cookie_and_leads_back() {
    let arcgis = StandIn::start().await.unwrap();
    let back = parcels(&arcgis, "?f=json");
    let fields = [
        ("username", USERNAME),
        ("password", PASSWORD),
        ("redirect", back.as_str()),
    ];
    let got = post_form(&arcgis.url("rest/login"), &fields).await;
    assert_eq!(
        (got.status.as_u16(), got.header("location")),
        (302, back.as_str())
    );
    assert!(got.header("set-cookie").starts_with("agstoken="));
}

#[tokio::test]
async fn info_says_what_it_is_told_to_say() {
    let arcgis = StandIn::start().await.unwrap();
    let url = arcgis.url("rest/info?f=json");
    let auth = get(&url).await.json()["authInfo"].clone();
    assert_eq!(auth["isTokenBasedSecurity"], true);
    assert_eq!(auth["tokenServicesUrl"], arcgis.token_services_url());
    assert_eq!(auth["shortLivedTokenValidity"], 60);

    arcgis.set_token_services_url(Some("https://elsewhere.example/tokens".into()));
    arcgis.set_owning_system_url(Some("https://portal.example/portal".into()));
    arcgis.set_token_based_security(false);
    let info = get(&url).await.json();
    assert_eq!(
        info["authInfo"]["tokenServicesUrl"],
        "https://elsewhere.example/tokens"
    );
    assert_eq!(info["authInfo"]["isTokenBasedSecurity"], false);
    assert_eq!(info["owningSystemUrl"], "https://portal.example/portal");

    arcgis.set_token_services_url(None);
    assert!(
        get(&url).await.json()["authInfo"]
            .get("tokenServicesUrl")
            .is_none()
    );
    arcgis.set_info_present(false);
    assert_eq!(get(&url).await.status, 404);
    assert_eq!(arcgis.counters().info_requests, 4);
}

/// Moves tokio's clock on without stopping the network.
async fn advance(by: Duration) {
    tokio::time::pause();
    tokio::time::advance(by).await;
    tokio::time::resume();
}
