//! Every token service of ArcGIS, over loopback.

use crate::support::assert_login_refused;
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use arcgis_stand_in::{PASSWORD, Personality, Portal, StandIn, USERNAME};
use bytes::Bytes;
use futures_util::future::join_all;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use tower::{Layer, ServiceExt};
use tower_arcgis_auth::{
    ArcgisAuth, ArcgisAuthLayer, AuthOutcome, Credential, LegacyToken, OAuthApp, RefreshToken,
    ReplayBody, Site, TokenBinding, TokenClient, TokenSource, revoke_token,
};

type Http = Client<HttpConnector, ReplayBody<Full<Bytes>>>;

fn over(layer: &ArcgisAuthLayer) -> ArcgisAuth<Http> {
    layer.layer(Client::builder(TokioExecutor::new()).build_http())
}

fn with(site: Site) -> ArcgisAuth<Http> {
    over(&ArcgisAuthLayer::try_new(site).unwrap())
}

async fn get(service: &ArcgisAuth<Http>, uri: String) -> (AuthOutcome, String) {
    let request = Request::get(uri).body(Full::default()).unwrap();
    let response = service.clone().oneshot(request).await.unwrap();
    let outcome = response.body().outcome().clone();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (outcome, String::from_utf8_lossy(&body).into_owned())
}

#[track_caller]
fn assert_open((outcome, body): &(AuthOutcome, String)) {
    assert!(outcome.returned_challenge().is_none(), "{outcome}: {body}");
    assert!(outcome.signed(), "{outcome}: {body}");
}

fn user() -> Credential {
    Credential::user(USERNAME, PASSWORD)
}

const PARCELS: &str = "rest/services/Parcels/MapServer?f=json";
const ECHO: &str = "rest/services/Water/FeatureServer/0/echo?f=json";

// --- ArcGIS 9.3 to 10.2

#[tokio::test]
async fn a_server_with_nothing_newer_is_asked_at_the_old_token_service() {
    let server = StandIn::builder()
        .personality(Personality::Legacy)
        .start()
        .await
        .unwrap();
    let service = with(Site::new(server.root()).credential(user()));
    assert_open(&get(&service, server.url(PARCELS)).await);
    server.revoke_all_tokens();
    assert_open(&get(&service, server.url(PARCELS)).await);
    assert_eq!(server.counters().logins, 2);
    let credentials_in_urls = server
        .received()
        .iter()
        .filter(|received| received.path_and_query.contains("password="))
        .count();
    assert_eq!(credentials_in_urls, 0);
}

#[tokio::test]
async fn a_page_is_never_taken_for_an_old_token() {
    let server = StandIn::builder()
        .personality(Personality::Legacy)
        .start()
        .await
        .unwrap();
    server.set_legacy_only_pages(true);
    let service = with(Site::new(server.root()).credential(user()));
    for _ in 0..3 {
        let (outcome, _) = get(&service, server.url(PARCELS)).await;
        assert!(outcome.skip_reason().is_some(), "{outcome}");
    }
    assert_eq!(
        server.counters().login_attempts,
        1,
        "it may have been a refusal"
    );
}

#[tokio::test]
async fn the_old_services_refusal_is_a_refusal() {
    let server = StandIn::builder()
        .personality(Personality::Legacy)
        .start()
        .await
        .unwrap();
    let service = with(Site::new(server.root()).credential(Credential::user(USERNAME, "wrong")));
    for _ in 0..3 {
        let (outcome, _) = get(&service, server.url(PARCELS)).await;
        assert_login_refused(outcome.skip_reason());
    }
    assert_eq!(server.counters().login_refusals, 1);
}

#[tokio::test]
async fn credentials_go_into_the_url_only_where_that_is_set() {
    let server = StandIn::builder()
        .personality(Personality::Legacy)
        .start()
        .await
        .unwrap();
    server.set_legacy_post_allowed(false);
    let client = || TokenClient::platform().unwrap();
    let legacy = || LegacyToken::try_new(&server.url("tokens"), user(), client()).unwrap();
    let by_post = with(Site::new(server.root()).token_source(legacy()));
    assert!(
        get(&by_post, server.url(PARCELS))
            .await
            .0
            .returned_challenge()
            .is_some()
    );
    let by_url = with(Site::new(server.root()).token_source(legacy().credentials_in_url()));
    assert_open(&get(&by_url, server.url(PARCELS)).await);
}

// --- the administrator's door

#[tokio::test]
async fn the_admin_token_service_is_found_and_its_string_expiry_read() {
    let server = StandIn::builder()
        .personality(Personality::AdminOnly)
        .start()
        .await
        .unwrap();
    let service = with(Site::new(server.root()).credential(user()));
    assert_open(&get(&service, server.url(PARCELS)).await);
    assert_eq!(server.counters().logins, 1);
}

#[tokio::test]
async fn sites_with_one_wrong_password_at_one_token_service_try_it_once() {
    let server = StandIn::start().await.unwrap();
    let mut builder = ArcgisAuthLayer::builder();
    for folder in ["Parcels", "Water", "Zoning"] {
        let root = server.url(&format!("rest/services/{folder}"));
        let site = Site::new(root).credential(Credential::user(USERNAME, "wrong"));
        builder = builder.add_site(site.token_url(server.url("tokens/generateToken")));
    }
    // By discovery as well.
    let whole = Site::new(server.root()).credential(Credential::user(USERNAME, "wrong"));
    let service = over(&builder.add_site(whole).build().unwrap());
    let paths = [
        "rest/services/Parcels/MapServer",
        "rest/services/Water/FeatureServer",
        "rest/services/Zoning/MapServer",
        "admin/services",
    ];
    let asked = paths
        .iter()
        .map(|path| get(&service, server.url(&format!("{path}?f=json"))));
    for (outcome, _) in join_all(asked).await {
        assert!(outcome.returned_challenge().is_some(), "{outcome}");
    }
    assert_eq!(server.counters().login_attempts, 1);
}

// --- federation

async fn federated(portal: &Portal) -> StandIn {
    StandIn::builder()
        .federated_with(portal)
        .start()
        .await
        .unwrap()
}

fn member(server: &StandIn, portal: &Portal) -> Site {
    Site::new(server.root())
        .credential(user())
        .trust_token_service(portal.origin())
}

#[tokio::test]
async fn one_portal_login_serves_all_its_servers() {
    let portal = Portal::start().await.unwrap();
    let servers = [
        federated(&portal).await,
        federated(&portal).await,
        federated(&portal).await,
    ];
    let mut builder = ArcgisAuthLayer::builder();
    for server in &servers {
        builder = builder.add_site(member(server, &portal));
    }
    let service = over(&builder.build().unwrap());

    let asked = servers
        .iter()
        .flat_map(|server| (0..20).map(|_| server.url(PARCELS)));
    for answer in join_all(asked.map(|url| get(&service, url))).await {
        assert_open(&answer);
    }
    assert_eq!(portal.counters().logins, 1);
    assert_eq!(portal.counters().exchanges, 3);

    // One server forgets its tokens: an exchange, and no login.
    servers[1].revoke_all_tokens();
    assert_open(&get(&service, servers[1].url(PARCELS)).await);
    assert_eq!(
        (portal.counters().logins, portal.counters().exchanges),
        (1, 4)
    );

    // The portal forgets its own as well: a login, then the exchange.
    portal.revoke_all_tokens();
    servers[2].revoke_all_tokens();
    assert_open(&get(&service, servers[2].url(PARCELS)).await);
    assert_eq!(
        (portal.counters().logins, portal.counters().exchanges),
        (2, 5)
    );
}

#[tokio::test]
async fn a_portal_that_is_not_listed_gets_no_password() {
    let portal = Portal::start().await.unwrap();
    let server = federated(&portal).await;
    let service = with(Site::new(server.root()).credential(user()));
    let (outcome, _) = get(&service, server.url(PARCELS)).await;
    assert!(
        outcome
            .skip_reason()
            .unwrap()
            .to_string()
            .contains("trust_token_service"),
        "{outcome}"
    );
    assert_eq!(portal.counters().login_attempts, 0);
}

#[tokio::test]
async fn a_named_portal_is_the_one_that_is_used() {
    let portal = Portal::start().await.unwrap();
    let server = federated(&portal).await;
    server.set_info_present(false);
    let service = with(
        Site::new(server.root())
            .credential(user())
            .portal(portal.root()),
    );
    assert_open(&get(&service, server.url(PARCELS)).await);
    assert_eq!(server.counters().info_requests, 0);
}

#[tokio::test]
async fn a_server_the_portal_makes_no_tokens_for_gets_the_portals_own_only_where_that_is_set() {
    let portal = Portal::start().await.unwrap();
    let stranger = StandIn::start().await.unwrap();
    stranger.set_owning_system_url(Some(portal.root()));
    let service = with(member(&stranger, &portal));
    let (outcome, _) = get(&service, stranger.url(PARCELS)).await;
    assert!(!outcome.resent(), "not unless that is allowed: {outcome}");
    assert_eq!(stranger.counters().signed_requests, 0);

    portal.reset_counters();
    let service = with(member(&stranger, &portal).send_portal_token());
    let (outcome, _) = get(&service, stranger.url(PARCELS)).await;
    // This one does not take it, and says so: that causes no login after login.
    assert!(outcome.resent(), "{outcome}");
    // One for all its servers, and one with this server's own Referer.
    assert_eq!(portal.counters().logins, 2);
    assert!(portal.counters().exchange_refusals <= 2);
}

#[tokio::test]
async fn a_wrong_password_at_the_portal_is_tried_once_for_all_its_servers() {
    let portal = Portal::start().await.unwrap();
    let servers = [federated(&portal).await, federated(&portal).await];
    let mut builder = ArcgisAuthLayer::builder();
    for server in &servers {
        let site = member(server, &portal).credential(Credential::user(USERNAME, "wrong"));
        builder = builder.add_site(site);
    }
    let service = over(&builder.build().unwrap());
    for _ in 0..3 {
        for server in &servers {
            let (outcome, _) = get(&service, server.url(PARCELS)).await;
            assert_login_refused(outcome.skip_reason());
        }
    }
    assert_eq!(portal.counters().login_attempts, 1);
}

#[tokio::test]
async fn the_portal_itself_is_a_site_like_any_other() {
    let portal = Portal::start().await.unwrap();
    let service = with(Site::new(portal.root()).credential(user()));
    let item = portal.url("sharing/rest/content/items/abc?f=json");
    for logins in 1..6 {
        assert_open(&get(&service, item.clone()).await);
        assert_eq!(portal.counters().logins, logins);
        portal.revoke_all_tokens();
    }
}

// --- OAuth

const APP: (&str, &str) = ("mapApp", "the app's secret & more");

async fn portal_with_app() -> Portal {
    let portal = Portal::start().await.unwrap();
    portal.set_app(APP.0, APP.1);
    portal
}

#[tokio::test]
async fn an_application_logs_in_at_the_portal_for_its_servers() {
    let portal = portal_with_app().await;
    let server = federated(&portal).await;
    let site = member(&server, &portal).credential(Credential::app(APP.0, APP.1));
    let service = with(site);
    assert_open(&get(&service, server.url(PARCELS)).await);
    assert_eq!(portal.counters().client_credentials, 1);
    assert_eq!(portal.counters().login_attempts, 0);
}

#[tokio::test]
async fn an_applications_wrong_secret_is_a_refusal_and_in_no_error() {
    let portal = portal_with_app().await;
    for credential in [
        Credential::app(APP.0, "wr0ng-secret"),
        Credential::app("unknown", "wr0ng-secret"),
    ] {
        let source =
            OAuthApp::try_new(&portal.root(), credential, TokenClient::platform().unwrap());
        let service = with(Site::new(portal.root()).token_source(source.unwrap()));
        let (outcome, _) = get(&service, portal.url("sharing/rest/portals/self?f=json")).await;
        assert_login_refused(outcome.skip_reason());
        assert!(!outcome.to_string().contains("wr0ng"));
    }
}

#[tokio::test]
async fn a_refresh_token_gives_access_tokens_until_it_is_revoked() {
    let portal = portal_with_app().await;
    let refresh = portal.issue_refresh_token(APP.0, USERNAME);
    let client = || TokenClient::platform().unwrap();
    let source = RefreshToken::try_new(&portal.root(), APP.0, refresh.as_str(), client()).unwrap();
    let service = with(Site::new(portal.root()).token_source(source));
    let item = portal.url("sharing/rest/content/items/abc?f=json");
    assert_open(&get(&service, item.clone()).await);
    portal.revoke_all_tokens();
    assert_open(&get(&service, item.clone()).await);
    assert_eq!(portal.counters().refreshes, 2);

    revoke_token(&portal.root(), APP.0, &refresh, &client())
        .await
        .unwrap();
    portal.revoke_all_tokens();
    let (outcome, _) = get(&service, item).await;
    assert!(
        outcome
            .skip_reason()
            .unwrap()
            .to_string()
            .contains("sign in again"),
        "{outcome}"
    );
}

#[tokio::test]
async fn signing_out_revokes_the_refresh_token_at_its_portal() {
    let portal = portal_with_app().await;
    let refresh = portal.issue_refresh_token(APP.0, USERNAME);
    let client = TokenClient::platform().unwrap();
    let source = RefreshToken::try_new(&portal.root(), APP.0, refresh.as_str(), client).unwrap();
    let layer = ArcgisAuthLayer::try_new(Site::new(portal.root()).token_source(source)).unwrap();
    let service = over(&layer);
    let item = portal.url("sharing/rest/content/items/abc?f=json");
    assert_open(&get(&service, item.clone()).await);

    layer.handle().sign_out().await.unwrap();

    let (outcome, _) = get(&service, item).await;
    let skip_reason = outcome.skip_reason().unwrap().to_string();
    assert!(skip_reason.contains("sign in again"), "{outcome}");
}

#[tokio::test]
async fn signing_out_of_a_server_ends_the_login_at_its_portal() {
    let portal = Portal::start().await.unwrap();
    let server = federated(&portal).await;
    let layer = ArcgisAuthLayer::try_new(member(&server, &portal)).unwrap();
    let service = over(&layer);
    assert_open(&get(&service, server.url(PARCELS)).await);

    layer.handle().sign_out().await.unwrap();

    assert_open(&get(&service, server.url(PARCELS)).await);
    assert_eq!(portal.counters().logins, 2);
}

#[tokio::test]
async fn a_refresh_token_near_its_end_is_exchanged_and_the_new_one_handed_over() {
    let portal = portal_with_app().await;
    let refresh = portal.issue_refresh_token(APP.0, USERNAME);
    let kept = Arc::new(Mutex::new(Vec::new()));
    let store = kept.clone();
    let source = RefreshToken::try_new(
        &portal.root(),
        APP.0,
        refresh.as_str(),
        TokenClient::platform().unwrap(),
    )
    .unwrap()
    .redirect_uri("https://app.example/signed-in")
    .valid_for(Duration::ZERO)
    .on_rotation(move |rotated| {
        store.lock().unwrap().push(rotated.expose().to_owned());
        async {}
    });
    let service = with(Site::new(portal.root()).token_source(source));
    let item = portal.url("sharing/rest/content/items/abc?f=json");
    assert_open(&get(&service, item.clone()).await);
    assert_eq!(portal.counters().refresh_token_exchanges, 1);
    let kept = kept.lock().unwrap().clone();
    assert_eq!(kept.len(), 1);
    assert_ne!(kept[0], refresh);
    // From then on it is the new one that refreshes.
    portal.revoke_all_tokens();
    assert_open(&get(&service, item).await);
    assert_eq!(portal.counters().refreshes, 1);
}

#[cfg(feature = "sign-in")]
#[tokio::test]
async fn a_person_signs_in_with_a_code_and_its_verifier() {
    use tower_arcgis_auth::SignIn;

    let portal = portal_with_app().await;
    let redirect = "https://app.example/signed-in";
    let sign_in = SignIn::try_new(&portal.root(), APP.0, redirect).unwrap();
    let query: Vec<(String, String)> =
        form_urlencoded::parse(sign_in.url().split_once('?').unwrap().1.as_bytes())
            .into_owned()
            .collect();
    let parameter = |name: &str| {
        let found = query.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.clone()).unwrap()
    };
    assert_eq!(parameter("state"), sign_in.state());
    let code = portal.authorize(
        APP.0,
        redirect,
        Some(&parameter("code_challenge")),
        Some(&parameter("code_challenge_method")),
        USERNAME,
    );
    let client = TokenClient::platform().unwrap();
    let state = sign_in.state();
    let forged = sign_in.redeem(&code, "forged", &client).await;
    assert!(forged.unwrap_err().to_string().contains("`state`"));
    let another = SignIn::resume(&portal.root(), APP.0, redirect, state, &"x".repeat(43)).unwrap();
    let refused = another.redeem(&code, state, &client).await;
    assert!(refused.unwrap_err().is_refused());
    let code = portal.authorize(
        APP.0,
        redirect,
        Some(&parameter("code_challenge")),
        Some("S256"),
        USERNAME,
    );
    let kept = SignIn::resume(&portal.root(), APP.0, redirect, state, sign_in.verifier()).unwrap();
    let signed_in = kept.redeem(&code, state, &client).await.unwrap();
    assert_eq!(signed_in.user.as_deref(), Some(USERNAME));
    assert!(signed_in.refresh_token.is_some());
}

// --- API keys

#[tokio::test]
async fn an_api_key_limited_to_a_referer_works_with_that_referer() {
    let portal = Portal::start().await.unwrap();
    let key = "AAPK-a-key-0123456789";
    portal.set_api_key(key, &["https://maps.city.gov/app"]);
    let site = Site::new(portal.root()).credential(Credential::token(key));
    let service = with(site.referer("https://maps.city.gov/app"));
    assert_open(
        &get(
            &service,
            portal.url("sharing/rest/content/items/abc?f=json"),
        )
        .await,
    );
}

// --- bindings

#[tokio::test]
async fn tokens_bound_to_an_address_come_with_it() {
    let server = StandIn::start().await.unwrap();
    let source = tower_arcgis_auth::GenerateToken::try_new(
        &server.url("tokens/generateToken"),
        user(),
        TokenClient::platform().unwrap(),
    )
    .unwrap()
    .binding(TokenBinding::Ip([127, 0, 0, 1].into()));
    fn is_source(_: &impl TokenSource) {}
    is_source(&source);
    let service = with(Site::new(server.root()).token_source(source));
    let answer = get(&service, server.url(ECHO)).await;
    assert_open(&answer);
    assert!(
        answer.1.contains(&format!("\"user\":\"{USERNAME}\"")),
        "{}",
        answer.1
    );
}
