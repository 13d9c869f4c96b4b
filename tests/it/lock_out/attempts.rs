//! How many passwords a token service receives: ArcGIS locks an account after five failures in 15 minutes.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use futures_util::future::join_all;
use http::request::Parts;
use tokio::time::advance;
use tower::Layer;
use tower_arcgis_auth::{ArcgisAuthLayer, Credential, LockoutGuard, Site, TokenReason};

use crate::support::{
    CLEAN, INVALID, MINUTE, Mounted, REQUIRED, ROADS, ROOT, Reply, SECOND, TokenService, Upstream,
    answer, get, get_as, identity_in_header, layer, named_site, over, send, token_of,
};

fn refusing() -> TokenService {
    TokenService::new().answering(Reply::Refused)
}

#[tokio::test(start_paused = true)]
async fn passwords_that_alternate_in_a_file_are_each_sent_once() {
    let (file, service) = (Mounted::holding("one"), refusing());
    let credential = Credential::user("reader", file.secret());
    let client =
        layer(named_site().credential(credential), &service).layer(Upstream::saying(REQUIRED));
    for request in 0..9 {
        file.hold(["one", "other"][request % 2]);
        send(&client, get(ROADS)).await;
        advance(2 * SECOND).await;
    }
    assert_eq!(service.attempts(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_new_wrong_password_each_time_is_sent_four_times() {
    let (file, service) = (Mounted::holding("0"), refusing());
    let credential = Credential::user("reader", file.secret());
    let client =
        layer(named_site().credential(credential), &service).layer(Upstream::saying(REQUIRED));
    for request in 0..9 {
        file.hold(&request.to_string());
        send(&client, get(ROADS)).await;
        advance(MINUTE).await;
    }
    assert_eq!(service.attempts(), 4);
}

#[tokio::test(start_paused = true)]
async fn one_user_at_six_token_services_has_four_attempts_and_at_six_spellings_of_one_has_one() {
    let apart: Vec<String> = (0..6)
        .map(|number| format!("https://gis{number}.test/arcgis/tokens/generateToken"))
        .collect();
    let spelled = [
        "https://gis.test/arcgis/tokens/generateToken",
        "https://GIS.test/arcgis/tokens/generateToken",
        "https://gis.test:443/arcgis/tokens/generateToken",
        "https://gis.test./arcgis/tokens/generateToken",
        "https://gis.test/ArcGIS/tokens/generateToken",
        "https://gis.test/arcgis/tokens",
    ];
    let spelled: Vec<String> = spelled.map(str::to_owned).into();
    for (token_urls, attempts) in [(apart, 4), (spelled, 1)] {
        let service = refusing();
        let mut builder = ArcgisAuthLayer::builder().token_client(service.client());
        for (number, token_url) in token_urls.into_iter().enumerate() {
            let site = Site::new(format!("{ROOT}{number}"))
                .token_url(token_url)
                .credential(Credential::user("reader", "wrong"));
            builder = builder.add_site(site);
        }
        for site in builder.build().unwrap().handle().sites() {
            assert!(site.renew().await.is_err());
        }
        assert_eq!(service.attempts(), attempts);
    }
}

#[tokio::test(start_paused = true)]
async fn layers_that_share_a_guard_share_what_was_refused() {
    let (service, guard) = (refusing(), LockoutGuard::new());
    for _ in 0..3 {
        let layer = ArcgisAuthLayer::builder()
            .add_site(named_site().credential(Credential::user("reader", "wrong")))
            .token_client(service.client())
            .lockout_guard(guard.clone())
            .build()
            .unwrap();
        assert!(layer.handle().sites()[0].renew().await.is_err());
    }
    assert_eq!(service.attempts(), 1);
}

#[tokio::test(start_paused = true)]
async fn two_hundred_identities_that_guess_for_one_user_name_at_once_have_four_attempts() {
    let service = refusing();
    let guesses = Arc::new(AtomicUsize::new(0));
    let site = named_site()
        .identity_fn(identity_in_header)
        .credential_fn(move |_| {
            let guess = guesses.fetch_add(1, Ordering::SeqCst);
            async move { Ok(Credential::user("reader", format!("guess {guess}"))) }
        });
    let client = layer(site, &service).layer(Upstream::saying(REQUIRED));
    join_all((0..200).map(|number| send(&client, get_as(format!("guest{number}"))))).await;
    assert_eq!(service.attempts(), 4);
}

#[tokio::test(start_paused = true)]
async fn made_up_identities_of_a_refused_credential_take_no_more_room_than_is_set() {
    let service = refusing();
    let site = named_site()
        .identity_fn(identity_in_header)
        .remember_identities(100, 60 * MINUTE)
        .credential(Credential::user("reader", "wrong"));
    let layer = layer(site, &service);
    let client = layer.layer(Upstream::saying(REQUIRED));
    for number in 0..5_000 {
        send(&client, get_as(format!("guest{number}"))).await;
    }
    assert_eq!(service.attempts(), 1);
    assert!(layer.handle().sites()[0].sessions().len() <= 100);
}

#[tokio::test(start_paused = true)]
async fn services_without_end_that_call_a_good_token_invalid_cost_twenty_logins_and_then_one_in_thirty_seconds()
 {
    let source = TokenService::new();
    let revoked = Arc::new(AtomicUsize::new(0));
    let seen = revoked.clone();
    let upstream = Upstream::new(move |request| {
        let is_bad = request.uri.path().contains("Bad");
        let generation = token_number(request);
        let is_revoked = generation.is_some_and(|number| number <= seen.load(Ordering::SeqCst));
        match generation {
            None => answer(REQUIRED),
            Some(_) if is_bad || is_revoked => answer(INVALID),
            Some(_) => answer(CLEAN),
        }
    });
    let client = over(upstream, &source);
    assert!(send(&client, get(ROADS)).await.is_clean());
    let before = source.attempts();
    for number in 0..200 {
        let bad = format!("{ROOT}/rest/services/Bad{number}/MapServer?f=json");
        assert!(!send(&client, get(&bad)).await.is_clean());
        assert!(send(&client, get(ROADS)).await.is_clean());
    }
    assert_eq!(source.attempts() - before, 20);
    // A real revocation meanwhile heals within half a minute.
    revoked.store(source.attempts(), Ordering::SeqCst);
    assert!(!send(&client, get(ROADS)).await.is_clean());
    advance(30 * SECOND).await;
    assert!(send(&client, get(ROADS)).await.is_clean());
    assert_eq!(source.attempts() - before, 21);
    assert_eq!(source.reasons().last(), Some(&TokenReason::Rejected));
}

/// Which login gave the token that the request is signed with.
fn token_number(request: &Parts) -> Option<usize> {
    let token = token_of(request)?;
    let digits: String = token.chars().filter(char::is_ascii_digit).collect();
    digits.parse().ok()
}
