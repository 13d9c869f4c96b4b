//! Which token service a server has: asked once, and again when that fails.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use futures_util::future::join_all;
use http::StatusCode;
use tokio::time::{Instant, advance, sleep};
use tower::Layer;
use tower_arcgis_auth::Site;

use super::{SECURE, SECURE_ROADS, advertising, log_in, site};
use crate::support::{
    CLEAN, Got, INFO, INVALID, MINUTE, REQUIRED, ROADS, ROOT, Reply, SECOND, TokenService,
    Upstream, answer, client, get, get_as, info_naming, layer, named_like_identities, reader, send,
    token_of,
};

#[tokio::test]
async fn a_server_that_says_nothing_of_tokens_is_asked_where_arcgis_server_has_them() {
    for info in ["{}", r#"{"error":{"code":404,"message":"x"}}"#, "[]"] {
        let service = TokenService::new().info(info);
        assert!(
            log_in(site(SECURE), &service, SECURE_ROADS)
                .await
                .0
                .is_clean()
        );
        assert_eq!(
            service.asked_for_tokens()[0].uri,
            "https://gis.city.gov/arcgis/tokens/generateToken"
        );
    }
}

#[tokio::test]
async fn a_site_that_is_one_folder_logs_in_at_its_server() {
    for root in ["/rest", "/rest/services", "/rest/services/Roads"] {
        let service = TokenService::new().info("{}");
        let folder = site(&format!("{SECURE}{root}"));
        let (got, _) = log_in(folder, &service, SECURE_ROADS).await;
        assert!(got.is_clean(), "{root}: {}", got.outcome);
        for login in service.asked_for_tokens() {
            assert_eq!(login.uri.path(), "/arcgis/tokens/generateToken");
        }
    }
}

#[tokio::test]
async fn a_known_token_service_is_not_looked_up_again() {
    let service = advertising("https://gis.city.gov/arcgis/tokens/");
    let client = layer(site(SECURE), &service).layer(Upstream::secured_by(&service));
    assert!(send(&client, get(SECURE_ROADS)).await.is_clean());
    service.revoke_all();
    assert!(send(&client, get(SECURE_ROADS)).await.is_clean());
    assert_eq!((service.infos(), service.attempts()), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn a_guessed_token_url_is_given_up_once_the_server_names_its_own() {
    let is_up = Arc::new(AtomicBool::new(false));
    let up = is_up.clone();
    let service = TokenService::new()
        .info_by(move |_| match up.load(Ordering::SeqCst) {
            true => Reply::says(info_naming(
                "https://gis.test/portal/sharing/rest/generateToken",
            )),
            false => Reply::says("<html>Maintenance</html>"),
        })
        .logins(
            |asked| match asked.path().ends_with("/sharing/rest/generateToken") {
                true => Reply::Token,
                false => {
                    Reply::says(r#"{"error":{"code":400,"message":"Invalid URL","details":[]}}"#)
                }
            },
        );
    let site = Site::new("https://gis.test/portal").credential(reader());
    let client = client(site, &service);
    let item = "https://gis.test/portal/sharing/rest/content/items/1?f=json";
    assert!(!send(&client, get(item)).await.is_clean());
    is_up.store(true, Ordering::SeqCst);
    let recovered = Instant::now();
    loop {
        let got = send(&client, get(item)).await;
        if got.is_clean() {
            break;
        }
        advance(MINUTE).await;
        let (infos, attempts) = (service.infos(), service.attempts());
        assert!(
            recovered.elapsed() < 24 * 60 * MINUTE,
            "asked {infos} times what it is, and {attempts} times for a token: {}",
            got.outcome
        );
    }
}

#[tokio::test(start_paused = true)]
async fn two_hundred_identities_all_log_in_at_a_server_that_says_nothing_of_itself() {
    let service = TokenService::new()
        .takes(SECOND / 5)
        .info_by(|_| Reply::page(StatusCode::NOT_FOUND, "no such page").after(SECOND / 5))
        .logins(|asked| match asked.field("username") {
            Some(_) => Reply::Token,
            None => Reply::Refused,
        });
    let site = named_like_identities(Site::new(ROOT).allow_insecure_http());
    let client = client(site, &service);
    let answers = (0..200).map(|number| send(&client, get_as(format!("identity{number}"))));
    assert!(join_all(answers).await.iter().all(Got::is_clean));
    assert_eq!(service.infos(), 2, "`rest/info` and `sharing/rest/info`");
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_delays_logins_no_longer_than_it_takes_to_ask_again() {
    let asked = AtomicUsize::new(0);
    let service =
        TokenService::new().info_by(move |_| match asked.fetch_add(1, Ordering::SeqCst) {
            0 => Reply::Hangs,
            _ => Reply::says(INFO).after(2 * SECOND),
        });
    let site = named_like_identities(Site::new(ROOT).allow_insecure_http());
    let client = client(site, &service);
    // A new identity every half second: there is always one that waits.
    let answers = (0..200).map(|number| {
        let client = client.clone();
        async move {
            sleep(SECOND / 2 * number).await;
            send(&client, get_as(format!("identity{number}"))).await
        }
    });
    let answers = join_all(answers).await;
    let first_clean = answers.iter().position(Got::is_clean).unwrap();
    assert!(first_clean <= 40, "within 20 seconds: {first_clean}");
    assert!(answers[first_clean..].iter().all(Got::is_clean));
    assert_eq!(service.infos(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_token_service_that_moved_is_found_again() {
    let is_moved = Arc::new(AtomicBool::new(false));
    let (moved, moved_too) = (is_moved.clone(), is_moved.clone());
    let service = TokenService::new()
        .info_by(move |_| match moved.load(Ordering::SeqCst) {
            true => Reply::says(INFO.replace("/tokens/", "/new/tokens/")),
            false => Reply::says(INFO),
        })
        .logins(move |asked| {
            let is_moved = moved_too.load(Ordering::SeqCst);
            match (is_moved, asked.path().contains("/new/")) {
                (true, true) => Reply::token("new"),
                (true, false) => Reply::Refused,
                (false, _) => Reply::token("old"),
            }
        });
    let moved = is_moved.clone();
    let upstream = Upstream::new(move |request| {
        answer(match token_of(request).as_deref() {
            None => REQUIRED,
            Some("old") if moved.load(Ordering::SeqCst) => INVALID,
            Some(_) => CLEAN,
        })
    });
    let site = || Site::new(ROOT).allow_insecure_http();
    for site in [
        site().credential(reader()),
        site().credential_fn(|_| async { Ok(reader()) }),
    ] {
        is_moved.store(false, Ordering::SeqCst);
        let client = layer(site, &service).layer(upstream.clone());
        assert!(send(&client, get(ROADS)).await.is_clean());
        is_moved.store(true, Ordering::SeqCst);
        assert!(!send(&client, get(ROADS)).await.is_clean());
        advance(15 * MINUTE).await;
        assert!(send(&client, get(ROADS)).await.is_clean());
    }
}
