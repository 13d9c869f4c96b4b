//! Challenges that could not be answered, as a status and as an error.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode,
    header::{
        ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, ETAG, LOCATION,
        RETRY_AFTER, SET_COOKIE, VARY,
    },
};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use tokio::{
    task::yield_now,
    time::{advance, timeout},
};
use tower::{Layer, ServiceExt, service_fn};
use tower_arcgis_auth::{
    ArcgisAuthLayer, AuthFailure, AuthOutcome, Cancelled, Challenge, ReplayBody, Site, SkipReason,
    TokenClient, token_source_fn,
};

use crate::support::{
    CLEAN, INVALID, MINUTE, REQUIRED, ROADS, ROOT, Reply, SECOND, TokenService, Upstream, answer,
    bodies::{fed, trailers},
    get, get_as, identity_in_header, named_site, site,
};

/// An answer of the layer whose failures are statuses.
struct Got {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
    outcome: AuthOutcome,
}

impl Got {
    fn retry_after(&self) -> Option<u64> {
        let value = self.headers.get(RETRY_AFTER)?;
        Some(value.to_str().unwrap().parse().unwrap())
    }

    /// It has this status, in the body as well, and asks to come back then.
    #[track_caller]
    fn assert_fails(&self, status: u16, retry_after: Option<u64>) {
        assert_eq!(self.status.as_u16(), status, "{}", self.outcome);
        assert_eq!(self.retry_after(), retry_after, "{}", self.outcome);
        assert_eq!(self.headers[CONTENT_TYPE], "application/json;charset=utf-8");
        assert_eq!(self.headers[CACHE_CONTROL], "no-store");
        let json: serde_json::Value = serde_json::from_slice(&self.body).unwrap();
        assert_eq!(json["error"]["code"], status);
        assert!(!json["error"]["message"].as_str().unwrap().is_empty());
        assert_eq!(json["error"]["details"], serde_json::json!([]));
        assert!(self.outcome.returned_challenge().is_some());
    }
}

async fn ask(layer: &ArcgisAuthLayer, upstream: &Upstream, request: Request<Full<Bytes>>) -> Got {
    let service = layer.clone().failures_as_status().layer(upstream.clone());
    let response = service.oneshot(request).await.unwrap();
    let outcome = response.body().outcome().clone();
    let exact = response.body().size_hint().exact();
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    assert_eq!(exact, Some(body.len() as u64));
    Got {
        status: parts.status,
        headers: parts.headers,
        body,
        outcome,
    }
}

fn layer_of(site: Site) -> ArcgisAuthLayer {
    ArcgisAuthLayer::try_new(site).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_refused_credential_is_401_for_as_long_as_it_is_refused() {
    let source = TokenService::new().answering(Reply::Refused);
    let upstream = Upstream::secured_by(&source);
    let layer = layer_of(site(&source));
    for _ in 0..3 {
        ask(&layer, &upstream, get(ROADS))
            .await
            .assert_fails(401, None);
    }
    assert_eq!(source.attempts(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_token_service_that_fails_is_502_and_the_pause_after_it_503() {
    let source = TokenService::new().answering(Reply::Fault);
    let upstream = Upstream::secured_by(&source);
    let layer = layer_of(site(&source));
    ask(&layer, &upstream, get(ROADS))
        .await
        .assert_fails(502, None);
    let paused = ask(&layer, &upstream, get(ROADS)).await;
    // The first pause is a second, lengthened by a quarter at most.
    paused.assert_fails(503, paused.retry_after());
    assert!(matches!(paused.retry_after(), Some(1 | 2)));
    assert_eq!(source.attempts(), 1);

    // Whoever comes back when it says so finds the next login made.
    source.always(None);
    advance(Duration::from_secs(paused.retry_after().unwrap())).await;
    let got = ask(&layer, &upstream, get(ROADS)).await;
    assert_eq!(
        (got.status.as_u16(), &got.body[..]),
        (200, CLEAN.as_bytes())
    );
}

#[tokio::test(start_paused = true)]
async fn later_pauses_are_longer_and_said_to_be() {
    let source = TokenService::new().answering(Reply::Fault);
    let upstream = Upstream::secured_by(&source);
    let layer = layer_of(site(&source));
    let mut longest = 0;
    for _ in 0..10 {
        ask(&layer, &upstream, get(ROADS))
            .await
            .assert_fails(502, None);
        let after = ask(&layer, &upstream, get(ROADS)).await.retry_after();
        longest = after.unwrap();
        advance(Duration::from_secs(longest)).await;
    }
    assert_eq!(longest, 120);
}

#[tokio::test(start_paused = true)]
async fn a_login_that_takes_too_long_is_503() {
    let source = TokenService::new().answering(Reply::Hangs);
    let upstream = Upstream::secured_by(&source);
    let layer = layer_of(site(&source));
    for _ in 0..2 {
        let got = ask(&layer, &upstream, get(ROADS)).await;
        got.assert_fails(503, got.retry_after());
        assert!(matches!(got.retry_after(), Some(1 | 2)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_waited_in_vain_for_its_first_sending_is_503() {
    let source = TokenService::new().takes(10 * MINUTE);
    let upstream = Upstream::secured_by(&source);
    // The source has its own, longer limit: only the request gives up.
    let layer = ArcgisAuthLayer::builder()
        .add_site(site(&source).login_first(true))
        .login_timeout(5 * SECOND)
        .build()
        .unwrap();
    let got = ask(&layer, &upstream, get(ROADS)).await;
    got.assert_fails(503, got.retry_after());
}

#[tokio::test(start_paused = true)]
async fn a_login_that_the_lockout_guard_withholds_is_503() {
    let service = TokenService::new().answering(Reply::BreaksOff);
    let upstream = Upstream::open_to_any_token();
    let layer = ArcgisAuthLayer::builder()
        .add_site(named_site().credential(crate::support::reader()))
        .token_client(service.client())
        .build()
        .unwrap();
    let mut got = ask(&layer, &upstream, get(ROADS)).await;
    for _ in 0..4 {
        got.assert_fails(502, None);
        advance(2 * MINUTE).await;
        got = ask(&layer, &upstream, get(ROADS)).await;
    }
    got.assert_fails(503, got.retry_after());
    assert!(got.retry_after().is_some());
    assert_eq!(service.attempts(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_credential_that_nobody_gives_is_401() {
    let layer = ArcgisAuthLayer::builder()
        .add_site(named_site().credential_fn(|_| async { Err(Cancelled) }))
        .token_client(TokenService::new().client())
        .build()
        .unwrap();
    let upstream = Upstream::open_to_any_token();
    let got = ask(&layer, &upstream, get(ROADS)).await;
    got.assert_fails(401, None);
}

#[tokio::test(start_paused = true)]
async fn a_service_that_refuses_the_account_is_403_at_first_and_from_memory() {
    let source = TokenService::new();
    let upstream = Upstream::saying(REQUIRED);
    let layer = layer_of(site(&source));
    for _ in 0..2 {
        ask(&layer, &upstream, get(ROADS))
            .await
            .assert_fails(403, None);
    }
    assert_eq!(source.attempts(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_takes_no_fresh_token_is_502() {
    let source = TokenService::new().answering(Reply::Useless);
    let upstream = Upstream::saying(INVALID);
    let layer = layer_of(site(&source));
    for _ in 0..2 {
        ask(&layer, &upstream, get(ROADS))
            .await
            .assert_fails(502, None);
    }
}

#[tokio::test(start_paused = true)]
async fn an_empty_login_budget_is_503_for_thirty_seconds() {
    let source = TokenService::new();
    let upstream = Upstream::secured_by(&source);
    let layer = layer_of(site(&source));
    let mut got = ask(&layer, &upstream, get(ROADS)).await;
    for _ in 0..21 {
        assert_eq!(got.status, StatusCode::OK);
        source.revoke_all();
        got = ask(&layer, &upstream, get(ROADS)).await;
    }
    got.assert_fails(503, Some(30));
    let reason = got.outcome.skip_reason();
    assert!(matches!(reason, Some(SkipReason::LoginBudgetSpent)));
}

#[tokio::test(start_paused = true)]
async fn without_a_credential_or_an_identity_a_challenge_is_401_and_an_answer_is_itself() {
    let open = Upstream::saying(CLEAN);
    let secured = Upstream::saying(REQUIRED);
    let source = TokenService::new();
    let each = site(&source).identity_fn(identity_in_header);
    for layer in [layer_of(Site::new(ROOT)), layer_of(each.clone())] {
        let got = ask(&layer, &secured, get(ROADS)).await;
        got.assert_fails(401, None);
        assert_eq!(got.outcome.challenge(), Some(Challenge::TokenRequired));
        let got = ask(&layer, &open, get(ROADS)).await;
        assert_eq!(
            (got.status.as_u16(), &got.body[..]),
            (200, CLEAN.as_bytes())
        );
    }
    // Who has an identity has a token.
    let upstream = Upstream::secured_by(&source);
    let got = ask(&layer_of(each), &upstream, get_as("alice")).await;
    assert_eq!(&got.body[..], CLEAN.as_bytes());
}

#[tokio::test(start_paused = true)]
async fn an_unsigned_answer_that_comes_in_pieces_is_looked_at_and_handed_on_whole() {
    for (pieces, status) in [
        ([&REQUIRED[..12], &REQUIRED[12..]], 401),
        ([&CLEAN[..1], &CLEAN[1..]], 200),
    ] {
        let (feeder, body) = fed();
        let body = Arc::new(Mutex::new(Some(body)));
        let server = service_fn(move |_: Request<ReplayBody<Full<Bytes>>>| {
            let body = body.lock().unwrap().take().unwrap();
            std::future::ready(Ok::<_, Infallible>(Response::new(body)))
        });
        let service = layer_of(Site::new(ROOT)).failures_as_status().layer(server);
        let asked = tokio::spawn(service.oneshot(get(ROADS)));
        // The answer is asked for, and waited for, before each piece of it is there.
        for piece in pieces {
            yield_now().await;
            feeder.data(piece);
        }
        yield_now().await;
        feeder.frame(http_body::Frame::trailers(trailers(&[("x-sum", "1")])));
        drop(feeder);
        let response = asked.await.unwrap().unwrap();
        assert_eq!(response.status().as_u16(), status);
        let collected = response.into_body().collect().await.unwrap();
        if status == 200 {
            assert_eq!(collected.trailers().unwrap()["x-sum"], "1");
            assert_eq!(collected.to_bytes(), CLEAN);
        } else {
            assert!(collected.trailers().is_none());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_callers_own_token_and_arcgis_own_end_points_are_the_callers_matter() {
    let source = TokenService::new();
    let upstream = Upstream::saying(INVALID);
    for layer in [layer_of(site(&source)), layer_of(Site::new(ROOT))] {
        for uri in [
            format!("{ROADS}&token=own"),
            format!("{ROOT}/tokens/generateToken"),
            format!("{ROOT}/rest/login"),
        ] {
            let got = ask(&layer, &upstream, get(&uri)).await;
            assert_eq!(
                (got.status.as_u16(), &got.body[..]),
                (200, INVALID.as_bytes())
            );
        }
        let mut request = get(ROADS);
        let own = HeaderValue::from_static("Bearer own");
        request.headers_mut().insert("x-esri-authorization", own);
        let got = ask(&layer, &upstream, request).await;
        assert_eq!(got.status, StatusCode::OK);
    }
}

#[tokio::test(start_paused = true)]
async fn of_the_challenges_headers_only_those_of_cors_and_vary_are_left() {
    let source = TokenService::new().answering(Reply::Refused);
    let upstream = Upstream::new(|_| {
        let mut challenge = answer(REQUIRED);
        for (name, value) in [
            (ACCESS_CONTROL_ALLOW_ORIGIN, "https://app.example.com"),
            (VARY, "Origin"),
            (CONTENT_LENGTH, "62"),
            (CONTENT_TYPE, "text/plain"),
            (ETAG, "\"1\""),
            (LOCATION, "https://gis.test/login"),
            (SET_COOKIE, "agstoken=1"),
        ] {
            let value = HeaderValue::from_static(value);
            challenge.headers_mut().insert(name, value);
        }
        challenge
    });
    let got = ask(&layer_of(site(&source)), &upstream, get(ROADS)).await;
    got.assert_fails(401, None);
    let mut names: Vec<_> = got.headers.keys().map(|name| name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "access-control-allow-origin",
            "cache-control",
            "content-type",
            "vary"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_failure_in_answer_to_head_has_no_body() {
    let source = TokenService::new().answering(Reply::Refused);
    let upstream = Upstream::new(|_| {
        let mut challenge = answer("");
        *challenge.status_mut() = StatusCode::from_u16(499).unwrap();
        challenge
    });
    for site in [site(&source), Site::new(ROOT)] {
        let mut request = get(ROADS);
        *request.method_mut() = Method::HEAD;
        let got = ask(&layer_of(site), &upstream, request).await;
        assert_eq!(got.status, StatusCode::UNAUTHORIZED);
        assert!(got.body.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_failures_answer_names_no_server_and_its_error_does() {
    let client = TokenClient::new(service_fn(|_: Request<Full<Bytes>>| async {
        Err::<Response<Full<Bytes>>, _>(std::io::Error::other("the cable is cut"))
    }));
    let layer = ArcgisAuthLayer::builder()
        .add_site(named_site().credential(crate::support::reader()))
        .token_client(client)
        .build()
        .unwrap();
    let upstream = Upstream::open_to_any_token();
    let got = ask(&layer, &upstream, get(ROADS)).await;
    got.assert_fails(502, None);
    let body = String::from_utf8_lossy(&got.body);
    assert!(
        !body.contains("gis.test") && !body.contains("cable"),
        "{body}"
    );

    let failure = AuthFailure::of(&got.outcome).unwrap();
    assert!(
        failure
            .to_string()
            .contains("http://gis.test/arcgis/tokens"),
        "{failure}"
    );
    let source = std::error::Error::source(&failure).expect("the client's error");
    assert_eq!(source.to_string(), "the cable is cut");
}

#[tokio::test(start_paused = true)]
async fn as_an_error_a_failure_is_found_behind_the_box_and_the_inner_services_error_beside_it() {
    let source = TokenService::new().answering(Reply::Refused);
    let layer = layer_of(site(&source)).failures_as_errors();
    let upstream = Upstream::secured_by(&source);
    let error = layer.layer(upstream).oneshot(get(ROADS)).await.unwrap_err();
    let failure: &AuthFailure = error.downcast_ref().unwrap();
    assert_eq!(failure.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(failure.challenge(), Challenge::TokenRequired);
    assert!(matches!(
        failure.skip_reason(),
        Some(SkipReason::LoginRefused(_))
    ));
    assert!(failure.to_string().contains("wrong password"), "{failure}");

    let broken = service_fn(|_: Request<ReplayBody<Full<Bytes>>>| async {
        Err::<Response<Full<Bytes>>, _>(std::io::Error::other("the cable is cut"))
    });
    let error = layer.layer(broken).oneshot(get(ROADS)).await.unwrap_err();
    assert!(error.is::<std::io::Error>());

    source.always(None);
    advance(16 * MINUTE).await;
    let upstream = Upstream::secured_by(&source);
    let response = layer.layer(upstream).oneshot(get(ROADS)).await.unwrap();
    assert_eq!(
        response.into_body().collect().await.unwrap().to_bytes(),
        CLEAN
    );
}

#[tokio::test(start_paused = true)]
async fn without_either_a_challenge_goes_up_as_it_is_and_says_what_it_would_be() {
    let source =
        token_source_fn(|_| async { Err(tower_arcgis_auth::TokenError::refused("no such user")) });
    let layer = layer_of(Site::new(ROOT).token_source(source));
    let service = layer.layer(Upstream::saying(REQUIRED));
    let asked = timeout(MINUTE, service.oneshot(get(ROADS))).await;
    let response = asked.unwrap().unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let failure = AuthFailure::of(response.body().outcome()).unwrap();
    assert_eq!(failure.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(failure.retry_after(), None);
}
