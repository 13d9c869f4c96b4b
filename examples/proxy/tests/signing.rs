//! Callers without a token get answers, and never a login.

mod support;

use arcgis_stand_in::{ChallengeShape, StandIn, USERNAME};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use support::{ECHO, PARCELS, PUBLIC_ECHO, Proxy, http2, tokens};

#[tokio::test]
async fn a_secured_service_answers_callers_without_a_token() {
    let arcgis = StandIn::start().await.unwrap();
    let proxy = Proxy::before(&arcgis, &[]).await;
    for _ in 0..3 {
        assert!(proxy.get(PARCELS).await.is_the_service());
    }
    assert_eq!(arcgis.counters().logins, 1);
    assert_eq!(arcgis.counters().referer_mismatches, 0);
}

#[tokio::test]
async fn a_form_without_a_token_arrives_whole() {
    let arcgis = StandIn::start().await.unwrap();
    let proxy = Proxy::before(&arcgis, &[]).await;
    let form = "where=1%3D1&f=json&text=".to_owned() + &"x".repeat(100_000);
    let request = Request::post(proxy.url(ECHO))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Full::from(form.clone()))
        .unwrap();
    let got = proxy.send(request).await.json();
    assert_eq!(got["method"], "POST");
    assert_eq!(got["bodyDigest"], arcgis_stand_in::digest(form.as_bytes()));
}

#[tokio::test]
async fn a_body_too_long_to_be_remembered_arrives_whole() {
    let arcgis = StandIn::start().await.unwrap();
    let proxy = Proxy::before(&arcgis, &[]).await;
    let body = "0123456789".repeat(300_000);
    for _ in 0..2 {
        let request = Request::post(proxy.url(ECHO))
            .body(Full::from(body.clone()))
            .unwrap();
        let got = proxy.send(request).await.json();
        assert_eq!(got["bodyDigest"], arcgis_stand_in::digest(body.as_bytes()));
        arcgis.expire_all_tokens();
        assert!(proxy.get(PARCELS).await.is_the_service());
    }
}

#[tokio::test]
async fn http_2_without_tls_is_answered_too() {
    let arcgis = StandIn::start().await.unwrap();
    let proxy = Proxy::before(&arcgis, &[]).await;
    let request = Request::get(proxy.url(PARCELS))
        .body(Full::<Bytes>::default())
        .unwrap();
    let got = support::Got::from(http2().request(request).await.unwrap()).await;
    assert_eq!(got.version, http::Version::HTTP_2);
    assert!(got.is_the_service());
}

#[tokio::test]
async fn a_revoked_token_is_never_noticed() {
    let arcgis = StandIn::start().await.unwrap();
    let proxy = Proxy::before(&arcgis, &[]).await;
    assert!(proxy.get(PARCELS).await.is_the_service());
    for shape in [
        ChallengeShape::Json,
        ChallengeShape::HttpStatus,
        ChallengeShape::LoginRedirect,
        ChallengeShape::LoginPage,
    ] {
        arcgis.set_challenge("Parcels/MapServer", shape);
        arcgis.revoke_all_tokens();
        assert!(proxy.get(PARCELS).await.is_the_service(), "{shape:?}");
    }
}

#[tokio::test]
async fn the_token_goes_where_it_is_told_to() {
    let arcgis = StandIn::start().await.unwrap();
    for (placement, header) in [
        ("query", None),
        ("cookie", Some("cookie")),
        ("header", Some("x-esri-authorization")),
        ("bearer", Some("authorization")),
    ] {
        let proxy = Proxy::before(&arcgis, &["--token-placement", placement]).await;
        let echo = proxy.get(ECHO).await;
        assert_eq!(
            echo.echoed_target().contains("token="),
            placement == "query",
            "{placement}"
        );
        for name in ["cookie", "x-esri-authorization", "authorization"] {
            assert_eq!(
                echo.echoed(name).is_some(),
                header == Some(name),
                "{placement}: {name}"
            );
        }
    }
}

#[tokio::test]
async fn a_callers_token_is_kept() {
    let arcgis = StandIn::start().await.unwrap();
    let proxy = Proxy::before(&arcgis, &[]).await;
    let callers = arcgis.issue_token(USERNAME, None);
    let echo = proxy.get(&format!("{ECHO}?token={callers}")).await;
    assert_eq!(echo.echoed_target(), format!("{ECHO}?token={callers}"));
    assert_eq!(arcgis.counters().login_attempts, 0);
    assert_eq!(echo.header("cache-control"), "", "it was not the proxy's");
}

#[tokio::test]
async fn a_callers_token_is_replaced_where_that_is_asked_for() {
    let arcgis = StandIn::start().await.unwrap();
    let proxy = Proxy::before(&arcgis, &["--caller-token", "replace"]).await;
    let callers = arcgis.issue_token(USERNAME, None);
    let headers = [("x-esri-authorization", "Bearer theirs")];
    let echo = proxy
        .get_with(&format!("{ECHO}?token={callers}&a=b"), &headers)
        .await;
    let target = echo.echoed_target();
    assert!(
        target.contains("token=") && !target.contains(&callers),
        "{target}"
    );
    assert!(target.contains("a=b"), "{target}");
    assert_eq!(echo.echoed("x-esri-authorization"), None);
    assert_eq!(arcgis.counters().conflicting_tokens, 0);
}

#[tokio::test]
async fn a_head_request_that_is_challenged_by_its_status_or_redirected_to_a_login_is_answered() {
    let arcgis = StandIn::start().await.unwrap();
    let proxy = Proxy::before(&arcgis, &[]).await;
    for shape in [ChallengeShape::HttpStatus, ChallengeShape::LoginRedirect] {
        arcgis.set_challenge("Parcels/MapServer", shape);
        for _ in 0..2 {
            let request = Request::head(proxy.url(PARCELS));
            let got = proxy.send(request.body(Full::default()).unwrap()).await;
            assert_eq!(got.status, StatusCode::OK, "{shape:?}");
            arcgis.revoke_all_tokens();
        }
    }
}

fn form(proxy: &Proxy, body: &str) -> Request<Full<Bytes>> {
    Request::post(proxy.url(ECHO))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Full::from(body.to_owned()))
        .unwrap()
}

#[tokio::test]
async fn a_callers_token_in_a_form_is_kept() {
    let arcgis = StandIn::start().await.unwrap();
    let proxy = Proxy::before(&arcgis, &["--login-first"]).await;
    assert!(proxy.get(PARCELS).await.is_the_service());
    let sent = tokens(&arcgis).len();
    let callers = arcgis.issue_token(USERNAME, None);
    let body = format!("f=json&token={callers}&where=1%3D1");
    let echo = proxy.send(form(&proxy, &body)).await;
    assert_eq!(echo.json()["body"], body);
    assert_eq!(echo.echoed_target(), ECHO);
    assert_eq!(tokens(&arcgis).len(), sent, "none of the proxy's own");
    assert_eq!(arcgis.counters().conflicting_tokens, 0);

    let got = proxy.send(form(&proxy, "f=json&token=dead")).await;
    assert_eq!(got.json()["error"]["code"], 498, "the caller's affair");
    assert_eq!(arcgis.counters().login_attempts, 1);
}

#[tokio::test]
async fn a_callers_token_in_a_form_is_replaced_where_that_is_asked_for() {
    let arcgis = StandIn::start().await.unwrap();
    let proxy = Proxy::before(&arcgis, &["--caller-token", "replace"]).await;
    let echo = proxy.send(form(&proxy, "f=json&token=theirs&a=b")).await;
    assert_eq!(echo.json()["body"], "f=json&a=b");
    assert!(echo.echoed_target().contains("?token="));
}

#[tokio::test]
async fn a_callers_token_counts_in_any_spelling_of_its_name() {
    let arcgis = StandIn::start().await.unwrap();
    let proxy = Proxy::before(&arcgis, &["--login-first"]).await;
    for name in ["Token", "TOKEN", "%74oken"] {
        let target = format!("{PUBLIC_ECHO}?{name}=theirs");
        proxy.get(&target).await;
        let received = arcgis.received();
        assert_eq!(received.last().unwrap().path_and_query, target);
    }
    assert_eq!(arcgis.counters().login_attempts, 0);
}

#[tokio::test]
async fn a_browsers_stale_token_cookie_is_replaced() {
    let arcgis = StandIn::start().await.unwrap();
    let proxy = Proxy::before(&arcgis, &[]).await;
    for _ in 0..2 {
        let headers = [("cookie", "theme=dark; agstoken=stale")];
        let echo = proxy.get_with(ECHO, &headers).await;
        assert_eq!(echo.json()["user"], USERNAME);
        assert_eq!(echo.echoed("cookie").as_deref(), Some("theme=dark"));
    }
    assert_eq!(arcgis.counters().logins, 1);
}

#[tokio::test]
async fn tokens_are_bound_to_the_referer_that_is_named() {
    let arcgis = StandIn::start().await.unwrap();
    let proxy = Proxy::before(&arcgis, &["--referer", "https://maps.example.com/"]).await;
    let echo = proxy
        .get_with(ECHO, &[("referer", "https://elsewhere.example/")])
        .await;
    assert_eq!(
        echo.echoed("referer").as_deref(),
        Some("https://maps.example.com/")
    );
}

#[tokio::test]
async fn what_is_outside_the_site_passes_unsigned() {
    let arcgis = StandIn::start().await.unwrap();
    let proxy = Proxy::before(&arcgis, &[]).await;
    assert!(proxy.get(PARCELS).await.is_the_service());
    let got = proxy.get("/portal/home/?a=b").await;
    assert_eq!(got.status, StatusCode::NOT_FOUND);
    let received = arcgis.received();
    assert_eq!(received.last().unwrap().path_and_query, "/portal/home/?a=b");
    assert_eq!(got.header("cache-control"), "");
}

#[tokio::test]
async fn a_challenge_outside_the_site_is_warned_of_once_with_the_root_that_is_expected() {
    let arcgis = StandIn::start().await.unwrap();
    let proxy = Proxy::at(&format!("{}/elsewhere", arcgis.origin()), &[]).await;
    for _ in 0..2 {
        assert!(proxy.get(PUBLIC_ECHO).await.status.is_success());
    }
    assert_eq!(proxy.get(PARCELS).await.json()["error"]["code"], 499);
    assert_eq!(proxy.get(PARCELS).await.json()["error"]["code"], 499);
    assert_eq!(arcgis.counters().login_attempts, 0);
    let root = arcgis.root();
    let ended = proxy.terminate().await;
    let warnings = ended.log.matches("asks for a login below a root").count();
    assert_eq!(warnings, 1, "{}", ended.log);
    assert!(
        ended.log.contains(&format!("expected=\"{root}\"")),
        "{}",
        ended.log
    );
}

#[tokio::test]
async fn an_upstream_that_redirects_to_https_is_warned_of_once() {
    let arcgis = StandIn::start().await.unwrap();
    let proxy = Proxy::before(&arcgis, &[]).await;
    let moved = "https://127.0.0.1/arcgis/rest/services/Parcels/MapServer";
    let answer = Response::builder()
        .status(StatusCode::MOVED_PERMANENTLY)
        .header("location", format!("{moved}?token=secret"));
    arcgis.set_answer("/arcgis/rest", Some(answer.body(Bytes::new()).unwrap()));
    for _ in 0..2 {
        let got = proxy.get(PARCELS).await;
        assert_eq!(got.status, StatusCode::MOVED_PERMANENTLY);
        assert!(got.header("location").starts_with(moved));
    }
    let log = proxy.terminate().await.log;
    assert_eq!(log.matches("redirects to https").count(), 1, "{log}");
    assert!(log.contains(moved) && !log.contains("secret"), "{log}");
}

#[tokio::test]
async fn an_upstream_without_a_path_has_its_site_at_arcgis() {
    let arcgis = StandIn::start().await.unwrap();
    let proxy = Proxy::at(&arcgis.origin(), &[]).await;
    assert!(proxy.get(PARCELS).await.is_the_service());
}

#[tokio::test]
async fn without_a_credential_requests_pass_untouched() {
    let arcgis = StandIn::start().await.unwrap();
    let proxy = Proxy::start(&["--upstream", &arcgis.root()], &[]).await;
    let got = proxy.get(PARCELS).await;
    assert_eq!(got.json()["error"]["code"], 499);
    assert!(
        proxy
            .get(&format!("{PUBLIC_ECHO}?a=b"))
            .await
            .echoed_target()
            .ends_with("?a=b")
    );
    assert_eq!(arcgis.counters().login_attempts, 0);
    assert!(tokens(&arcgis).is_empty());
    let ended = proxy.terminate().await;
    assert!(ended.log.contains("no credential"), "{}", ended.log);
}

#[tokio::test]
async fn a_wrong_password_is_tried_once_and_the_challenge_goes_up() {
    let arcgis = StandIn::start().await.unwrap();
    let arguments = ["--upstream", &arcgis.root(), "--username", USERNAME];
    let proxy = Proxy::start(&arguments, &[("ARCGIS_PASSWORD", "wrong")]).await;
    for _ in 0..8 {
        let got = proxy.get(PARCELS).await;
        assert_eq!(got.json()["error"]["code"], 499);
        assert_eq!(got.header("cache-control"), "no-store");
    }
    assert_eq!(arcgis.counters().login_attempts, 1);
    let ended = proxy.terminate().await;
    assert!(ended.log.contains("login failed"), "{}", ended.log);
}

#[tokio::test]
async fn one_login_serves_all_who_wait() {
    let arcgis = StandIn::start().await.unwrap();
    let proxy = Proxy::before(&arcgis, &[]).await;
    let gate = arcgis.hold_logins();
    let callers = async {
        let mut asked: tokio::task::JoinSet<_> = (0..20)
            .map(|_| {
                Request::get(proxy.url(PARCELS))
                    .body(Full::default())
                    .unwrap()
            })
            .map(|request| async move {
                let response = support::http1().request(request).await.unwrap();
                support::Got::from(response).await.is_the_service()
            })
            .collect();
        let mut all_answered = true;
        while let Some(answered) = asked.join_next().await {
            all_answered &= answered.unwrap();
        }
        all_answered
    };
    let opened = async {
        arcgis.wait_for_service_requests(20).await;
        arcgis.wait_for_logins(1).await;
        gate.release();
    };
    let (all_answered, ()) = tokio::join!(callers, opened);
    assert!(all_answered);
    assert_eq!(arcgis.counters().logins, 1);
}

#[tokio::test]
async fn the_token_service_can_be_named() {
    let arcgis = StandIn::start().await.unwrap();
    arcgis.set_info_present(false);
    let url = format!("{}/admin/generateToken", arcgis.root());
    let proxy = Proxy::before(&arcgis, &["--token-url", &url]).await;
    assert!(proxy.get(PARCELS).await.is_the_service());
    let received = arcgis.received();
    assert!(
        received
            .iter()
            .any(|request| request.path_and_query == "/arcgis/admin/generateToken")
    );
    assert_eq!(arcgis.counters().info_requests, 0);
}

#[tokio::test]
async fn a_token_service_elsewhere_gets_the_password_only_if_it_is_trusted() {
    let arcgis = StandIn::start().await.unwrap();
    let portal = StandIn::start().await.unwrap();
    arcgis.set_token_services_url(Some(portal.token_services_url()));

    let proxy = Proxy::before(&arcgis, &[]).await;
    // The server's own token service is asked in its place.
    assert!(proxy.get(PARCELS).await.is_the_service());
    assert_eq!(portal.counters().requests, 0);
    let log = proxy.terminate().await.log;
    assert!(log.contains("--trust-token-service ORIGIN"), "{log}");

    let proxy = Proxy::before(&arcgis, &["--trust-token-service", &portal.origin()]).await;
    let got = proxy.get(PARCELS).await;
    assert_eq!(portal.counters().logins, 1);
    // This portal's tokens are no good there; that is not the proxy's to mend.
    assert_eq!(got.json()["error"]["code"], 498);
}
