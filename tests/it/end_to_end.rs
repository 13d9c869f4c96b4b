//! The whole way over loopback: hyper's client, the layer, and a stand-in for ArcGIS Server.

use std::time::Duration;

use arcgis_stand_in::{ChallengeShape, PASSWORD, StandIn, TokenFault, USERNAME};
use bytes::Bytes;
use futures_util::future::join_all;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use tower::{Layer, ServiceExt};
use tower_arcgis_auth::{
    ArcgisAuth, ArcgisAuthLayer, AuthOutcome, Challenge, Credential, ReplayBody, Site, SkipReason,
    TokenPlacement,
};

type Http = Client<HttpConnector, ReplayBody<Full<Bytes>>>;

fn http(version: http::Version) -> Http {
    Client::builder(TokioExecutor::new())
        .http2_only(version == http::Version::HTTP_2)
        .build_http()
}

fn site(server: &StandIn) -> Site {
    Site::new(server.root()).credential(Credential::user(USERNAME, PASSWORD))
}

fn over(site: Site) -> ArcgisAuth<Http> {
    ArcgisAuthLayer::try_new(site)
        .unwrap()
        .layer(http(http::Version::HTTP_11))
}

struct Answered {
    body: Bytes,
    outcome: AuthOutcome,
    parts: http::response::Parts,
}

impl Answered {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

async fn send(service: &ArcgisAuth<Http>, request: Request<Full<Bytes>>) -> Answered {
    let response: Response<_> = service.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let outcome = body.outcome().clone();
    let body = body.collect().await.unwrap().to_bytes();
    Answered {
        body,
        outcome,
        parts,
    }
}

async fn get(service: &ArcgisAuth<Http>, uri: String) -> Answered {
    send(service, Request::get(uri).body(Full::default()).unwrap()).await
}

const PARCELS: &str = "rest/services/Parcels/MapServer?f=json";
const WATER: &str = "rest/services/Water/FeatureServer/0/query?f=json&where=1%3D1";
const ZONING: &str = "rest/services/Zoning/MapServer?f=json";

#[tokio::test]
async fn credentials_given_once_open_every_service() {
    let server = StandIn::start().await.unwrap();
    let service = over(site(&server));
    for path in [PARCELS, WATER, ZONING, PARCELS] {
        let answered = get(&service, server.url(path)).await;
        assert!(answered.outcome.signed(), "{}", answered.outcome);
        assert!(answered.outcome.returned_challenge().is_none());
        assert!(
            !answered.text().contains("\"code\":499"),
            "{}",
            answered.text()
        );
    }
    let counters = server.counters();
    assert_eq!(counters.logins, 1);
    assert_eq!(
        counters.challenges, 1,
        "only the first request met a challenge"
    );
    assert_eq!(counters.conflicting_tokens, 0);
    assert_eq!(counters.referer_mismatches, 0);
}

#[tokio::test]
async fn a_public_service_costs_no_login() {
    let server = StandIn::start().await.unwrap();
    let service = over(site(&server));
    let answered = get(
        &service,
        server.url("rest/services/Basemap/MapServer?f=json"),
    )
    .await;
    assert!(!answered.outcome.signed());
    assert_eq!(server.counters().login_attempts, 0);
}

#[tokio::test]
async fn a_revoked_token_heals_itself() {
    let server = StandIn::start().await.unwrap();
    let service = over(site(&server));
    get(&service, server.url(PARCELS)).await;
    for turn in 1..5 {
        server.revoke_all_tokens();
        let answered = get(&service, server.url(WATER)).await;
        assert_eq!(answered.outcome.challenge(), Some(Challenge::TokenInvalid));
        assert!(answered.outcome.returned_challenge().is_none());
        assert_eq!(server.counters().logins, 1 + turn);
    }
}

#[tokio::test]
async fn every_placement_opens_the_door() {
    for placement in [
        TokenPlacement::Query,
        TokenPlacement::Cookie,
        TokenPlacement::EsriHeader,
        TokenPlacement::Bearer,
    ] {
        let server = StandIn::start().await.unwrap();
        let service = over(site(&server).placement(placement));
        for _ in 0..2 {
            let answered = get(&service, server.url(WATER)).await;
            assert!(
                answered.outcome.returned_challenge().is_none(),
                "{placement:?}: {}",
                answered.outcome
            );
        }
        assert_eq!(server.counters().conflicting_tokens, 0);
    }
}

#[tokio::test]
async fn every_shape_of_challenge_is_answered() {
    for shape in ChallengeShape::ALL.iter().copied() {
        let server = StandIn::start().await.unwrap();
        server.set_challenge("", shape);
        let service = over(site(&server));
        let cold = get(&service, server.url(PARCELS)).await;
        assert!(
            cold.outcome.resent(),
            "{shape:?} required: {}",
            cold.outcome
        );
        assert!(
            cold.outcome.returned_challenge().is_none(),
            "{shape:?} required: {}",
            cold.outcome
        );
        // A 403 to a signed request is final, and that shape has no other form for a dead token.
        if matches!(shape, ChallengeShape::JsonForbidden) {
            continue;
        }
        server.revoke_all_tokens();
        let dead = get(&service, server.url(PARCELS)).await;
        assert!(
            dead.outcome.returned_challenge().is_none(),
            "{shape:?} invalid: {}",
            dead.outcome
        );
        assert_eq!(server.counters().logins, 2, "{shape:?}");
    }
}

#[tokio::test]
async fn a_thousand_requests_at_once_cost_one_login_over_either_protocol() {
    for version in [http::Version::HTTP_11, http::Version::HTTP_2] {
        let server = StandIn::start().await.unwrap();
        let service = ArcgisAuthLayer::try_new(site(&server))
            .unwrap()
            .layer(http(version));
        for logins in [1, 2] {
            // A limit as any client under load has one: a thousand sockets at once are not the point.
            let answers = join_all((0..1000).map(|_| get(&service, server.url(PARCELS)))).await;
            assert!(
                answers
                    .iter()
                    .all(|answered| answered.outcome.returned_challenge().is_none())
            );
            assert_eq!(server.counters().logins, logins, "{version:?}");
            server.revoke_all_tokens();
        }
    }
}

#[tokio::test]
async fn a_wrong_password_makes_one_attempt() {
    let server = StandIn::start().await.unwrap();
    let service = over(Site::new(server.root()).credential(Credential::user(USERNAME, "wrong")));
    for _ in 0..20 {
        let answered = get(&service, server.url(PARCELS)).await;
        assert_eq!(
            answered.outcome.returned_challenge(),
            Some(Challenge::TokenRequired)
        );
        assert!(
            answered.text().contains("499"),
            "the challenge itself: {}",
            answered.text()
        );
    }
    assert_eq!(server.counters().login_attempts, 1);
    assert!(!server.is_locked(USERNAME));
    assert_eq!(server.counters().service_requests, 20);
}

#[tokio::test]
async fn every_fault_of_the_token_service_leaves_the_challenge_and_a_reason() {
    for fault in [
        TokenFault::Status(500),
        TokenFault::Status(503),
        TokenFault::Html,
        TokenFault::Garbage,
        TokenFault::Empty,
        TokenFault::Truncated,
        TokenFault::Reset,
        TokenFault::NoToken,
        TokenFault::OddToken,
        TokenFault::Huge,
        TokenFault::Redirect("http://127.0.0.1:1/stolen".to_owned()),
    ] {
        let server = StandIn::start().await.unwrap();
        server.set_token_fault(Some(fault.clone()));
        let service = over(site(&server));
        let answered = get(&service, server.url(PARCELS)).await;
        assert_eq!(
            answered.outcome.returned_challenge(),
            Some(Challenge::TokenRequired),
            "{fault:?}"
        );
        assert!(
            matches!(
                answered.outcome.skip_reason(),
                Some(SkipReason::LoginFailed(_))
            ),
            "{fault:?}: {}",
            answered.outcome
        );
    }
}

#[tokio::test]
async fn a_token_service_that_hangs_is_given_up_and_heals() {
    let server = StandIn::start().await.unwrap();
    server.set_token_fault(Some(TokenFault::Hang));
    let service = ArcgisAuthLayer::builder()
        .add_site(site(&server))
        .login_timeout(Duration::from_millis(50))
        .build()
        .unwrap()
        .layer(http(http::Version::HTTP_11));
    let answered = get(&service, server.url(PARCELS)).await;
    assert!(matches!(
        answered.outcome.skip_reason(),
        Some(SkipReason::LoginFailed(_))
    ));

    server.set_token_fault(None);
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(2)).await;
    tokio::time::resume();
    let answered = get(&service, server.url(PARCELS)).await;
    assert!(
        answered.outcome.returned_challenge().is_none(),
        "{}",
        answered.outcome
    );
}

#[tokio::test]
async fn an_upload_is_sent_again_byte_for_byte() {
    let server = StandIn::start().await.unwrap();
    let service = over(site(&server));
    let upload: Vec<u8> = (0..200_000u32).flat_map(u32::to_le_bytes).collect();
    let request = Request::post(server.url("rest/services/Water/FeatureServer/0/echo?f=json"))
        .header("content-type", "application/octet-stream")
        .body(Full::new(Bytes::from(upload.clone())))
        .unwrap();
    let answered = send(&service, request).await;
    assert!(answered.outcome.resent());
    let digest = arcgis_stand_in::digest(&upload);
    assert!(answered.text().contains(&digest), "{}", answered.text());
}

#[tokio::test]
async fn an_edit_is_made_once() {
    let server = StandIn::start().await.unwrap();
    let service = over(site(&server));
    for (turn, path) in ["applyEdits", "addFeatures"].iter().enumerate() {
        let uri = server.url(&format!(
            "rest/services/Water/FeatureServer/0/{path}?f=json"
        ));
        let request = Request::post(uri)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Full::new(Bytes::from_static(b"adds=[{\"attributes\":{}}]")))
            .unwrap();
        let answered = send(&service, request).await;
        assert!(answered.outcome.returned_challenge().is_none());
        assert_eq!(server.counters().edits, turn as u64 + 1);
    }
}

#[tokio::test]
async fn sessions_and_tokens_in_headers_stay_below() {
    let server = StandIn::start().await.unwrap();
    server.set_cookies(true);
    let service = over(site(&server));
    for path in ["rest/services/Parcels/MapServer/redirect", PARCELS] {
        let answered = get(&service, server.url(path)).await;
        let headers = format!("{:?}", answered.parts.headers);
        let token = server
            .received()
            .iter()
            .rev()
            .find_map(|received| Some(received.path_and_query.split_once("token=")?.1.to_owned()))
            .unwrap();
        let token = token.split('&').next().unwrap();
        assert!(!headers.contains(token), "{headers}");
        for cookie in ["agstoken", "esri_auth", "esri_aopc"] {
            assert!(!headers.contains(cookie), "{headers}");
        }
        assert!(headers.contains("AGS_ROLES"), "{headers}");
    }
}

#[tokio::test]
async fn the_accounts_missing_rights_cost_two_requests_then_one() {
    let server = StandIn::start().await.unwrap();
    server.refuse_user_on(USERNAME, "Zoning");
    let service = over(site(&server));
    get(&service, server.url(PARCELS)).await;
    server.reset_counters();
    for sendings in [2, 3, 4] {
        let answered = get(&service, server.url(ZONING)).await;
        assert!(answered.outcome.returned_challenge().is_some());
        assert_eq!(server.counters().service_requests, sendings);
    }
    assert_eq!(server.counters().logins, 1);
    assert!(
        get(&service, server.url(WATER))
            .await
            .outcome
            .returned_challenge()
            .is_none()
    );
}

#[tokio::test]
async fn a_foreign_token_service_gets_no_password() {
    let server = StandIn::start().await.unwrap();
    let elsewhere = StandIn::start().await.unwrap();
    server.set_token_services_url(Some(elsewhere.token_services_url()));
    let service = over(site(&server));
    // The token service below the site's own root is asked in its place.
    let answered = get(&service, server.url(PARCELS)).await;
    assert!(answered.outcome.returned_challenge().is_none());
    assert_eq!(elsewhere.counters().requests, 0);
    assert_eq!(server.counters().logins, 1);

    let trusting = over(site(&server).trust_token_service(elsewhere.origin()));
    get(&trusting, server.url(PARCELS)).await;
    assert_eq!(elsewhere.counters().login_attempts, 1);
}

#[tokio::test]
async fn the_admin_api_and_a_named_token_url_work_together() {
    let server = StandIn::start().await.unwrap();
    let service = over(site(&server).token_url(server.url("admin/generateToken")));
    let answered = get(&service, server.url("admin/services?f=json")).await;
    assert!(
        answered.outcome.returned_challenge().is_none(),
        "{} {}",
        answered.outcome,
        answered.text()
    );
    assert_eq!(server.counters().info_requests, 0);
}

#[tokio::test]
async fn an_event_stream_goes_up_before_it_ends() {
    let server = StandIn::start().await.unwrap();
    let service = over(site(&server));
    get(&service, server.url(PARCELS)).await;
    let uri = server.url("rest/services/Parcels/MapServer/events");
    let request = Request::get(uri).body(Full::default()).unwrap();
    let response = service.clone().oneshot(request).await.unwrap();
    let mut body = response.into_body();
    assert!(
        body.frame().await.unwrap().unwrap().is_data(),
        "it never ends"
    );
}
