//! The service in a real Chromium: what a person sees, and how often a person is asked for a password.
//!
//! `cargo test -p arcgis-portal --test browser -- --ignored`; screenshots come to `target/tmp/screenshots`.

#[path = "support/chromium.rs"]
mod chromium;
#[path = "support/mod.rs"]
mod support;

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use arcgis_portal::Login;
use axum::{
    Router,
    extract::Request,
    http::StatusCode,
    middleware::{Next, from_fn},
};

use crate::{
    chromium::{Browser, Drawn, with_driver},
    support::{ADA, BOB, Running, own_users},
};

/// How often the login page was shown.
#[derive(Clone, Default)]
struct Prompts(Arc<AtomicUsize>);

impl Prompts {
    fn shown(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }

    fn around(&self, router: Router) -> Router {
        let shown = Arc::clone(&self.0);
        router.layer(from_fn(move |request: Request, next: Next| {
            let shown = Arc::clone(&shown);
            async move {
                let is_sign_in = request.uri().path() == "/sign-in";
                let response = next.run(request).await;
                if is_sign_in && response.status() != StatusCode::SEE_OTHER {
                    shown.fetch_add(1, Ordering::SeqCst);
                }
                response
            }
        }))
    }
}

async fn start(login: Login) -> (Running, Prompts) {
    let prompts = Prompts::default();
    let running = Running::start_with(login, |_| {}, |router| prompts.around(router)).await;
    (running, prompts)
}

async fn sign_in(browser: &Browser, running: &Running, who: (&str, &str)) {
    browser.open(&running.url("/")).await;
    browser.send_login(who).await;
    assert_eq!(browser.wait_for("header strong").await, who.0);
}

/// All maps of both sites are there, and no two services look alike.
fn all_are_drawn(images: &[Drawn]) {
    assert_eq!(images.len(), 7);
    for image in images {
        let width = if image.path.contains("tile") {
            256
        } else {
            512
        };
        assert_eq!(image.natural_width, width, "{image:?}");
        assert!(image.colours > 1, "{image:?}");
    }
    let exported = images
        .iter()
        .filter(|image| image.path.ends_with("/export"));
    let colours: BTreeSet<_> = exported.map(|image| &image.colour).collect();
    assert_eq!(colours.len(), 3, "{images:?}");
}

#[tokio::test]
#[ignore = "needs chromedriver; .ci/run --all runs it"]
async fn one_prompt_shows_all_maps_and_dead_tokens_cause_no_other() {
    let (running, prompts) = start(Login::Arcgis).await;
    with_driver(async |driver| {
        let ada = driver.browser().await;
        ada.open(&running.url("/")).await;
        assert!(ada.asks_for_password().await);
        ada.keep_screenshot("sign-in.png").await;
        ada.send_login(ADA).await;
        assert_eq!(ada.wait_for("header strong").await, ADA.0);
        let images = ada.images().await;
        all_are_drawn(&images);
        ada.keep_screenshot("maps.png").await;

        running.city.revoke_all_tokens();
        running.county.revoke_all_tokens();
        ada.reload().await;
        assert_eq!(ada.wait_for("header strong").await, ADA.0);
        assert_eq!(ada.images().await, images);

        assert_eq!(prompts.shown(), 1);
        for server in [&running.city, &running.county] {
            let counters = server.counters();
            assert_eq!((counters.login_attempts, counters.logins), (2, 2));
        }
    })
    .await;
}

#[tokio::test]
#[ignore = "needs chromedriver; .ci/run --all runs it"]
async fn chromium_takes_the_secure_cookie_from_this_machine_over_plain_http() {
    let (running, _) = start(Login::Arcgis).await;
    with_driver(async |driver| {
        for host in ["127.0.0.1", "localhost"] {
            let ada = driver.browser().await;
            let url = format!("http://{host}:{}/", running.address.port());
            ada.open(&url).await;
            ada.send_login(ADA).await;
            assert_eq!(ada.wait_for("header strong").await, ADA.0);
            let cookies = ada.client.get_all_cookies().await.unwrap();
            assert_eq!(cookies.len(), 1);
            assert_eq!(cookies[0].name(), "__Host-portal");
            assert_eq!(cookies[0].secure(), Some(true));
            assert_eq!(cookies[0].http_only(), Some(true));
            let seen = ada
                .client
                .execute("return document.cookie", Vec::new())
                .await;
            assert_eq!(seen.unwrap(), "");
        }
    })
    .await;
}

#[tokio::test]
#[ignore = "needs chromedriver; .ci/run --all runs it"]
async fn a_wrong_password_is_said_on_the_form_after_one_attempt() {
    let (running, _) = start(Login::Arcgis).await;
    with_driver(async |driver| {
        let ada = driver.browser().await;
        ada.open(&running.url("/")).await;
        ada.send_login((ADA.0, "wrong password")).await;
        assert_eq!(
            ada.wait_for(".message").await,
            "The user name or the password is not right."
        );
        ada.keep_screenshot("wrong-password.png").await;
        assert_eq!(running.city.counters().login_attempts, 1);
        assert_eq!(running.county.counters().login_attempts, 0);

        ada.send_login(ADA).await;
        assert_eq!(ada.wait_for("header strong").await, ADA.0);
        all_are_drawn(&ada.images().await);
        assert_eq!(running.city.counters().login_attempts, 2);
    })
    .await;
}

#[tokio::test]
#[ignore = "needs chromedriver; .ci/run --all runs it"]
async fn two_people_side_by_side_see_what_each_may_see() {
    let (running, prompts) = start(Login::Arcgis).await;
    running.city.refuse_user_on(BOB.0, "Parcels/MapServer");
    with_driver(async |driver| {
        let (ada, bob) = (driver.browser().await, driver.browser().await);
        sign_in(&ada, &running, ADA).await;
        sign_in(&bob, &running, BOB).await;
        all_are_drawn(&ada.images().await);
        let images = bob.images().await;
        assert_eq!(images.len(), 6);
        assert!(images.iter().all(|image| image.natural_width > 0));
        assert!(
            bob.text()
                .await
                .contains("does not let this account see the map")
        );
        bob.keep_screenshot("bob.png").await;

        // Each under tokens of their own: two images of this server for each of two people.
        running.county.clear_received();
        ada.reload().await;
        ada.images().await;
        let of_ada: BTreeSet<_> = Running::tokens_at(&running.county).into_iter().collect();
        running.county.clear_received();
        bob.reload().await;
        bob.images().await;
        let of_bob: BTreeSet<_> = Running::tokens_at(&running.county).into_iter().collect();
        assert_eq!((of_ada.len(), of_bob.len()), (1, 1));
        assert_ne!(of_ada, of_bob);
        for who in [ADA, BOB] {
            assert_eq!(running.county.user_counters(who.0).logins, 1);
        }
        assert_eq!(prompts.shown(), 2);
    })
    .await;
}

#[tokio::test]
#[ignore = "needs chromedriver; .ci/run --all runs it"]
async fn after_signing_out_nothing_private_is_left_to_go_back_to() {
    let (running, _) = start(Login::Arcgis).await;
    with_driver(async |driver| {
        let ada = driver.browser().await;
        sign_in(&ada, &running, ADA).await;
        all_are_drawn(&ada.images().await);
        assert_eq!(running.tokens_held(), 2);

        ada.click("header button").await;
        ada.wait_for("input[type=password]").await;
        assert_eq!(running.tokens_held(), 0);

        ada.client.back().await.unwrap();
        ada.wait_for("input[type=password]").await;
        assert!(!ada.text().await.contains("Signed in as"));
        assert!(ada.images().await.is_empty());
        ada.keep_screenshot("back.png").await;

        ada.open(&running.url("/maps/0/export?bbox=0,0,1,1&size=64,64"))
            .await;
        assert!(ada.asks_for_password().await);
        for server in [&running.city, &running.county] {
            assert_eq!(server.counters().logins, 1);
        }
    })
    .await;
}

#[tokio::test]
#[ignore = "needs chromedriver; .ci/run --all runs it"]
async fn the_services_own_users_see_all_maps_with_one_prompt_too() {
    let (running, prompts) = start(own_users(&[ADA, BOB])).await;
    with_driver(async |driver| {
        let ada = driver.browser().await;
        ada.open(&running.url("/")).await;
        ada.send_login((ADA.0, BOB.1)).await;
        ada.wait_for(".message").await;
        assert!(running.city.received().is_empty());
        ada.send_login(ADA).await;
        assert_eq!(ada.wait_for("header strong").await, ADA.0);
        let images = ada.images().await;
        all_are_drawn(&images);

        running.city.revoke_all_tokens();
        running.county.revoke_all_tokens();
        ada.reload().await;
        assert_eq!(ada.images().await, images);
        // One at first, one after the wrong password.
        assert_eq!(prompts.shown(), 2);

        ada.click("header button").await;
        ada.wait_for("input[type=password]").await;
        ada.client.back().await.unwrap();
        ada.wait_for("input[type=password]").await;
        assert!(ada.images().await.is_empty());
    })
    .await;
}
