//! Logging in: where the credential goes, how it travels, and what is made of the answers.

use crate::support;
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime},
};

use crate::support::{REQUIRED, ROADS, TokenService, Upstream, get, send, token_of};
use http::{Method, StatusCode};
use tokio::time::{Instant, advance};
use tower::Layer;
use tower_arcgis_auth::{ArcgisAuthLayer, Credential, GenerateToken, Site, SkipReason, TokenError};

const USER: &str = "gis reader";
const PASSWORD: &str = "p&ss+wörd%20?#=/";

const TOKEN: &str = r#"{"token":"abc_DEF-123..","expires":4102444800000,"ssl":false}"#;

fn site(root: &str) -> Site {
    Site::new(root).credential(Credential::user(USER, PASSWORD))
}

/// Sends one request to `site`, whose server wants a token; says what the token service was asked and what came of it.
async fn log_in(site: Site, service: &TokenService, uri: &str) -> (support::Answered, Upstream) {
    let fake = Upstream::taking_any_token();
    let layer = ArcgisAuthLayer::builder()
        .add_site(site)
        .token_client(service.client())
        .build()
        .unwrap();
    let answer = send(&layer.layer(fake.clone()), get(uri)).await;
    (answer, fake)
}

fn error_of(answer: &support::Answered) -> TokenError {
    let skip_reason = answer.outcome.skip_reason().expect("a reason");
    skip_reason.token_error().expect("a token error").clone()
}

const SECURE: &str = "https://gis.city.gov/arcgis";
const SECURE_ROADS: &str = "https://gis.city.gov/arcgis/rest/services/Roads/MapServer?f=json";

fn info(token_services_url: &str) -> String {
    format!(
        r#"{{"currentVersion":11.3,"authInfo":{{"isTokenBasedSecurity":true,"tokenServicesUrl":"{token_services_url}"}}}}"#
    )
}

#[tokio::test]
async fn the_login_is_a_form_posted_where_rest_info_says() {
    for (advertised, login) in [
        (
            "https://gis.city.gov/arcgis/tokens/",
            "https://gis.city.gov/arcgis/tokens/generateToken",
        ),
        (
            "https://gis.city.gov/arcgis/tokens",
            "https://gis.city.gov/arcgis/tokens/generateToken",
        ),
        (
            "https://gis.city.gov/arcgis/tokens/generateToken",
            "https://gis.city.gov/arcgis/tokens/generateToken",
        ),
        (
            "https://gis.city.gov/portal/sharing/rest/generateToken/",
            "https://gis.city.gov/portal/sharing/rest/generateToken",
        ),
        (
            "https://GIS.city.gov:443/arcgis/tokens/?x=1",
            "https://GIS.city.gov:443/arcgis/tokens/generateToken",
        ),
        // Advertised as http on the same host, upgraded.
        (
            "http://gis.city.gov/arcgis/tokens/",
            "https://gis.city.gov/arcgis/tokens/generateToken",
        ),
    ] {
        let service = TokenService::advertising(info(advertised), TOKEN);
        let (answer, fake) = log_in(site(SECURE), &service, SECURE_ROADS).await;
        assert!(answer.is_clean(), "{advertised}: {}", answer.outcome);
        let asked = service.asked();
        assert_eq!(asked[0].method, Method::GET);
        assert_eq!(asked[0].uri, "https://gis.city.gov/arcgis/rest/info?f=json");
        assert!(!asked[0].uri.to_string().contains("word"));
        assert_eq!(asked[1].method, Method::POST);
        assert_eq!(asked[1].uri, login);
        assert_eq!(
            asked[1].headers["content-type"],
            "application/x-www-form-urlencoded"
        );
        assert_eq!(
            fake.tokens().pop().flatten().as_deref(),
            Some("abc_DEF-123..")
        );
    }
}

#[tokio::test]
async fn user_name_and_password_survive_the_form_and_stay_out_of_urls() {
    let service = TokenService::advertising(info("https://gis.city.gov/arcgis/tokens/"), TOKEN);
    log_in(site(SECURE), &service, SECURE_ROADS).await;
    let login = &service.logins()[0];
    assert_eq!(login.field("username").as_deref(), Some(USER));
    assert_eq!(login.field("password").as_deref(), Some(PASSWORD));
    assert_eq!(login.field("expiration").as_deref(), Some("60"));
    assert_eq!(login.field("f").as_deref(), Some("json"));
    assert_eq!(login.uri.query(), None);
}

#[tokio::test]
async fn referer_and_its_form_field_agree_with_the_signed_requests() {
    let service = TokenService::advertising(info("https://gis.city.gov/arcgis/tokens/"), TOKEN);
    let site = site(SECURE).referer("https://maps.city.gov/app");
    let (_, fake) = log_in(site, &service, SECURE_ROADS).await;
    let login = &service.logins()[0];
    assert_eq!(login.field("client").as_deref(), Some("referer"));
    assert_eq!(
        login.field("referer").as_deref(),
        Some("https://maps.city.gov/app")
    );
    assert_eq!(login.headers["referer"], "https://maps.city.gov/app");
    let signed = fake.seen().pop().unwrap();
    assert_eq!(signed.headers["referer"], "https://maps.city.gov/app");
}

#[tokio::test]
async fn a_token_bound_to_the_address_needs_no_referer() {
    let service = TokenService::advertising(info("https://gis.city.gov/arcgis/tokens/"), TOKEN);
    let (_, fake) = log_in(site(SECURE).bind_to_address(), &service, SECURE_ROADS).await;
    let login = &service.logins()[0];
    assert_eq!(login.field("client").as_deref(), Some("requestip"));
    assert_eq!(login.field("referer"), None);
    assert!(!login.headers.contains_key("referer"));
    assert!(!fake.seen().pop().unwrap().headers.contains_key("referer"));
}

#[tokio::test]
async fn a_credential_never_goes_to_an_origin_only_the_server_names() {
    for advertised in [
        "https://evil.example/arcgis/tokens/",
        "https://gis.city.gov.evil.example/arcgis/tokens/",
        "https://gis.city.gov@evil.example/tokens/",
        "https://gis.city.gov:8443/arcgis/tokens/",
        "http://evil.example/tokens/",
        "//evil.example/tokens/",
        "/arcgis/tokens/",
        "javascript:alert(1)",
        "ftp://gis.city.gov/tokens/",
    ] {
        let service = TokenService::advertising(info(advertised), TOKEN);
        let (answer, _) = log_in(site(SECURE), &service, SECURE_ROADS).await;
        // The token service below the site's own root may be asked in its place.
        let logins = service.logins();
        if let Some(login) = logins.first() {
            assert_eq!(login.uri.host(), Some("gis.city.gov"), "{advertised}");
            assert_eq!(login.uri.port(), None, "{advertised}");
            assert_eq!(
                login.uri.path(),
                "/arcgis/tokens/generateToken",
                "{advertised}"
            );
            continue;
        }
        assert_eq!(answer.body, REQUIRED, "{advertised}");
        let error = error_of(&answer);
        assert!(!error.is_refused());
        let remedies = ["trust_token_service", "token_url"];
        let error = error.to_string();
        assert!(
            remedies.iter().any(|remedy| error.contains(remedy)),
            "{error}"
        );
    }
}

#[tokio::test]
async fn an_owning_system_on_another_origin_is_refused_as_well() {
    let federated =
        r#"{"currentVersion":10.61,"owningSystemUrl":"https://portal.city.gov/portal"}"#;
    let service = TokenService::advertising(federated, TOKEN);
    log_in(site(SECURE), &service, SECURE_ROADS).await;
    assert!(service.logins().is_empty());
    let trusting = site(SECURE).trust_token_service("https://portal.city.gov");
    log_in(trusting, &service, SECURE_ROADS).await;
    assert_eq!(
        service.logins()[0].uri,
        "https://portal.city.gov/portal/sharing/rest/generateToken"
    );
}

#[tokio::test]
async fn a_listed_origin_and_a_named_token_url_get_the_credential() {
    let service = TokenService::advertising(
        info("https://portal.city.gov/sharing/rest/generateToken"),
        TOKEN,
    );
    let listed = site(SECURE).trust_token_service("https://Portal.City.gov:443/");
    assert!(log_in(listed, &service, SECURE_ROADS).await.0.is_clean());

    let service = TokenService::advertising(info("https://gis.city.gov/arcgis/tokens/"), TOKEN);
    let named = site(SECURE).token_url("https://portal.city.gov/sharing/rest/generateToken");
    assert!(log_in(named, &service, SECURE_ROADS).await.0.is_clean());
    let asked = service.asked();
    assert_eq!(asked.len(), 1, "a named token URL is used, not discovered");
    assert_eq!(
        asked[0].uri,
        "https://portal.city.gov/sharing/rest/generateToken"
    );
}

#[tokio::test]
async fn a_password_does_not_travel_in_the_clear() {
    let plain = "http://gis.test/arcgis";
    let service = TokenService::advertising(info("http://gis.test/arcgis/tokens/"), TOKEN);
    let (answer, _) = log_in(site(plain), &service, ROADS).await;
    assert!(service.logins().is_empty());
    assert!(
        error_of(&answer)
            .to_string()
            .contains("allow_insecure_http")
    );

    let named = site(plain).token_url("http://gis.test/arcgis/tokens/generateToken");
    log_in(named, &service, ROADS).await;
    assert!(service.logins().is_empty());

    let allowed = site(plain).allow_insecure_http();
    assert!(log_in(allowed, &service, ROADS).await.0.is_clean());

    for loopback in [
        "http://127.0.0.1:6080",
        "http://localhost:6080",
        "http://[::1]:6080",
    ] {
        let service = TokenService::advertising(info(&format!("{loopback}/arcgis/tokens/")), TOKEN);
        let root = format!("{loopback}/arcgis");
        let (answer, _) = log_in(
            site(&root),
            &service,
            &format!("{root}/rest/services/A/MapServer"),
        )
        .await;
        assert!(answer.is_clean(), "{loopback}");
    }
}

#[tokio::test]
async fn a_server_that_says_nothing_of_tokens_is_asked_where_arcgis_server_has_them() {
    for info in ["{}", r#"{"error":{"code":404,"message":"x"}}"#, "[]"] {
        let service = TokenService::advertising(info, TOKEN);
        assert!(
            log_in(site(SECURE), &service, SECURE_ROADS)
                .await
                .0
                .is_clean()
        );
        assert_eq!(
            service.logins()[0].uri,
            "https://gis.city.gov/arcgis/tokens/generateToken"
        );
    }
}

/// Answers of token services, and whether the account was refused or the service is broken.
#[tokio::test]
async fn refusals_of_every_product_are_distinguished_from_faults() {
    let refusals = [
        (
            200,
            r#"{"error":{"code":400,"message":"Unable to generate token.","details":["Invalid username or password."]}}"#,
        ),
        (
            200,
            r#"{"error":{"code":400,"messageCode":"GWM_0003","message":"Unable to generate token.","details":["Invalid username or password."]}}"#,
        ),
        (
            200,
            r#"{"error":{"code":400,"message":"Unable to generate token.","details":["Too many invalid attempts. Please try again later."]}}"#,
        ),
        (
            200,
            r#"{"error":{"code":401,"message":"You are not authorized to access this information","details":"Invalid credentials"}}"#,
        ),
        (
            200,
            r#"{"error":{"code":201,"message":"Exception in generating token","details":[]}}"#,
        ),
        (
            200,
            r#"{"error":{"code":403,"message":"SSL required","details":[]}}"#,
        ),
        (200, r#"{"error":{"code":"401","message":"no"}}"#),
        (
            200,
            r#"{"error":{"message":"You do not have permissions","details":[]}}"#,
        ),
        (
            200,
            r#"{"status":"error","messages":["Invalid username or password"],"code":401}"#,
        ),
        (
            400,
            r#"{"error":"invalid_client","error_description":"Client authentication failed"}"#,
        ),
        (401, "<html>401</html>"),
        (403, "<html>Invalid credentials</html>"),
    ];
    let faults = [
        (500, ""),
        (502, "<html>Bad Gateway</html>"),
        (200, "<html><title>ArcGIS Token Service</title></html>"),
        (200, ""),
        (200, "not json"),
        (200, "{\"token\":"),
        (200, "[]"),
        (200, "{}"),
        (200, r#"{"token":""}"#),
        (200, r#"{"token":"<html>"}"#),
        (200, r#"{"token":"a b"}"#),
        (200, r#"{"token":12}"#),
        (404, "<html>404</html>"),
        (200, r#"{"error":{"code":500,"message":"x"}}"#),
        (200, r#"{"error":{"code":429,"message":"x"}}"#),
        (200, r#"{"error":{"code":404,"message":"x"}}"#),
        (
            200,
            r#"{"error":{"code":405,"message":"Method not supported","details":"x"}}"#,
        ),
        (
            200,
            r#"{"status":"error","messages":["The machine does not participate in any Site."],"code":500}"#,
        ),
        (503, r#"{"error":"temporarily_unavailable"}"#),
        (302, ""),
    ];
    let all = refusals
        .iter()
        .map(|answer| (answer, true))
        .chain(faults.iter().map(|answer| (answer, false)));
    for ((status, body), refused) in all {
        let (status, body) = (StatusCode::from_u16(*status).unwrap(), *body);
        let service = TokenService::at_once(move |_| {
            let mut answer = support::answer(body);
            *answer.status_mut() = status;
            answer
        });
        let named = site(SECURE).token_url("https://gis.city.gov/arcgis/tokens/generateToken");
        let (answer, _) = log_in(named, &service, SECURE_ROADS).await;
        let error = error_of(&answer);
        assert_eq!(error.is_refused(), refused, "{status} {body}: {error}");
        assert!(
            error
                .to_string()
                .contains("gis.city.gov/arcgis/tokens/generateToken")
                || error.to_string().contains("token"),
            "{error}"
        );
        assert_eq!(answer.body, REQUIRED, "the challenge itself goes up");
        assert_eq!(
            matches!(
                answer.outcome.skip_reason(),
                Some(SkipReason::LoginRefused(_))
            ),
            refused
        );
    }
}

#[tokio::test]
async fn a_password_a_server_repeats_is_in_no_error() {
    let service = TokenService::at_once(|asked| {
        let password = asked.field("password").unwrap();
        let body =
            serde_json::json!({"error": {"code": 400, "message": format!("bad: {password}")}});
        support::answer(body.to_string())
    });
    let named = site(SECURE).token_url("https://gis.city.gov/arcgis/tokens/generateToken");
    let (answer, _) = log_in(named, &service, SECURE_ROADS).await;
    let error = error_of(&answer);
    assert!(!format!("{error} {error:?}").contains(PASSWORD), "{error}");
    assert!(error.to_string().contains("400"));
}

#[tokio::test]
async fn an_endless_answer_is_a_fault() {
    let service = TokenService::at_once(|_| support::answer(vec![b' '; 1024 * 1024]));
    let named = site(SECURE).token_url("https://gis.city.gov/arcgis/tokens/generateToken");
    let (answer, _) = log_in(named, &service, SECURE_ROADS).await;
    assert!(error_of(&answer).to_string().contains("longer"));
}

/// Sends, waits `wait`, sends again: how many logins were made?
async fn logins_after(login: String, date: Option<SystemTime>, wait: Duration) -> usize {
    let service = TokenService::at_once(move |_| {
        let mut answer = support::answer(login.clone());
        if let Some(date) = date {
            let date = httpdate::fmt_http_date(date).parse().unwrap();
            answer.headers_mut().insert("date", date);
        }
        answer
    });
    let fake = Upstream::taking_any_token();
    let layer = ArcgisAuthLayer::builder()
        .add_site(site(SECURE).token_url("https://gis.city.gov/arcgis/tokens/generateToken"))
        .token_client(service.client())
        .build()
        .unwrap();
    let service_above = layer.layer(fake);
    send(&service_above, get(SECURE_ROADS)).await;
    tokio::time::advance(wait).await;
    tokio::task::yield_now().await;
    assert!(send(&service_above, get(SECURE_ROADS)).await.is_clean());
    service.logins().len()
}

#[tokio::test(start_paused = true)]
async fn expiry_is_counted_from_the_servers_own_date_and_read_as_number_or_string() {
    let minutes = |minutes: u64| Duration::from_secs(minutes * 60);
    // The server's clock is years off; an hour of its own is an hour.
    let date = SystemTime::UNIX_EPOCH + Duration::from_secs(1_255_462_750);
    for expires in ["1255466350000", "\"1255466350000\""] {
        let login = format!(r#"{{"token":"abc","expires":{expires}}}"#);
        assert_eq!(
            logins_after(login.clone(), Some(date), minutes(50)).await,
            1
        );
        assert_eq!(logins_after(login, Some(date), minutes(61)).await, 2);
    }
    // An end that has passed is a clock gone wrong, and no reason to log in for every request.
    for expires in ["0", "1255462750000", "-5", "\"soon\"", "null"] {
        let login = format!(r#"{{"token":"abc","expires":{expires}}}"#);
        assert_eq!(
            logins_after(login, Some(date), minutes(600)).await,
            1,
            "{expires}"
        );
    }
}

#[tokio::test]
async fn a_site_that_is_one_folder_logs_in_at_its_server() {
    for root in ["/rest", "/rest/services", "/rest/services/Roads"] {
        let service = TokenService::advertising("{}", TOKEN);
        let folder = site(&format!("{SECURE}{root}"));
        let (answer, _) = log_in(folder, &service, SECURE_ROADS).await;
        assert!(answer.is_clean(), "{root}: {}", answer.outcome);
        for login in service.logins() {
            assert_eq!(login.uri.path(), "/arcgis/tokens/generateToken");
        }
    }
}

#[tokio::test]
async fn a_known_token_service_is_not_looked_up_again() {
    let service = TokenService::at_once(move |asked| {
        if asked.uri.path().ends_with("/rest/info") {
            return support::answer(info("https://gis.city.gov/arcgis/tokens/"));
        }
        support::answer(TOKEN)
    });
    let valid = Arc::new(Mutex::new(false));
    let revoked = valid.clone();
    let fake = Upstream::new(move |request| {
        let mut revoked = revoked.lock().unwrap();
        support::answer(match token_of(request) {
            None => REQUIRED,
            Some(_) if std::mem::take(&mut *revoked) => support::INVALID,
            Some(_) => support::CLEAN,
        })
    });
    let layer = ArcgisAuthLayer::builder()
        .add_site(site(SECURE))
        .token_client(service.client())
        .build()
        .unwrap();
    let above = layer.layer(fake);
    assert!(send(&above, get(SECURE_ROADS)).await.is_clean());
    *valid.lock().unwrap() = true;
    assert!(send(&above, get(SECURE_ROADS)).await.is_clean());
    let infos = service.asked().len() - service.logins().len();
    assert_eq!((infos, service.logins().len()), (1, 2));
}

#[test]
fn settings_that_cannot_work_are_named_when_the_layer_is_built() {
    let client = TokenService::advertising("{}", TOKEN).client();
    for (site, words) in [
        (site(SECURE).token_url("gis.city.gov/tokens"), "token URL"),
        (
            site(SECURE).token_url("https://h/generateToken?username=u"),
            "without a query",
        ),
        (
            site(SECURE).trust_token_service("portal"),
            "trusted token service",
        ),
        (site(SECURE).referer("bad\nreferer"), "referer"),
        (
            site(SECURE).portal("https://gis.test/portal/sharing/rest"),
            "`/sharing`",
        ),
        (
            site(SECURE).portal("https://gis.test/home/index.html"),
            "`/home`",
        ),
        (
            site(SECURE).portal("https://gis.test/portal/home/"),
            "`/home`",
        ),
        (site(SECURE).referer(""), "referer"),
    ] {
        let error = ArcgisAuthLayer::builder()
            .add_site(site)
            .token_client(client.clone())
            .build()
            .unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[test]
fn an_error_of_a_setting_repeats_no_credential_of_a_url() {
    let client = TokenService::advertising("{}", TOKEN).client();
    let credential = Credential::user(USER, PASSWORD);
    for url in [
        "https://h/generateToken?username=u&password=hunter2",
        "https://u:hunter2@h/generateToken",
        "u:hunter2@h",
    ] {
        let error = GenerateToken::try_new(url, credential.clone(), client.clone()).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_guessed_token_url_is_given_up_once_the_server_names_its_own() {
    let is_up = Arc::new(AtomicBool::new(false));
    let up = Arc::clone(&is_up);
    let service = TokenService::at_once(move |asked| {
        let path = asked.uri.path();
        if path.ends_with("/rest/info") {
            return support::answer(if up.load(Ordering::SeqCst) {
                info("https://gis.test/portal/sharing/rest/generateToken")
            } else {
                "<html>Maintenance</html>".to_owned()
            });
        }
        support::answer(if path.ends_with("/sharing/rest/generateToken") {
            TOKEN
        } else {
            r#"{"error":{"code":400,"message":"Invalid URL","details":[]}}"#
        })
    });
    let site = Site::new("https://gis.test/portal").credential(Credential::user(USER, PASSWORD));
    let layer = ArcgisAuthLayer::builder()
        .add_site(site)
        .token_client(service.client());
    let secured = layer.build().unwrap().layer(Upstream::taking_any_token());
    let item = "https://gis.test/portal/sharing/rest/content/items/1?f=json";

    assert!(!send(&secured, get(item)).await.is_clean());
    is_up.store(true, Ordering::SeqCst);
    let recovered = Instant::now();
    while !send(&secured, get(item)).await.is_clean() {
        advance(Duration::from_secs(60)).await;
        assert!(recovered.elapsed() < Duration::from_secs(24 * 60 * 60));
    }
}
