//! Token services as old, odd and hidden servers have them: where the credential goes, what is asked for, and what the
//! error and the log say where there is no token.
#![cfg(all(feature = "identities", feature = "tracing"))]

#[path = "it/support/mod.rs"]
mod support;

use std::{
    error::Error,
    io::{self, Write},
    sync::{
        Arc, Mutex, Once,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use http::{HeaderValue, Method, StatusCode, header::LOCATION};
use support::{
    Answer, Answered, Asked, Mounted, REQUIRED, TokenService, Upstream, answer, get,
    logins::{SECOND, TOKEN, WRONG, caller, get_as, reader},
    send,
    token_service::IntoReply,
};
use tokio::time::sleep;
use tower::Layer;
use tower_arcgis_auth::{
    ArcgisAuthLayer, Credential, GenerateToken, Site, SiteHandle, TokenError, TokenPlacement,
};

const ROOT: &str = "https://gis.test/arcgis";
const ROADS: &str = "https://gis.test/arcgis/rest/services/Roads/MapServer?f=json";
/// A token of `getToken`: 64 characters, nothing around them.
const LEGACY_TOKEN: &str = "fQ3v_lXy9Zt1-8dKc2bVn6mRw4sJp7hGgEoUiTaYqLkDzCxBfNjHrMvSwPeQuIt.";

fn site() -> Site {
    Site::new(ROOT).credential(reader())
}

fn layer(site: Site, service: &TokenService) -> ArcgisAuthLayer {
    let layer = ArcgisAuthLayer::builder().add_site(site);
    layer.token_client(service.client()).build().unwrap()
}

fn handle(site: Site, service: &TokenService) -> SiteHandle {
    layer(site, service).handle().sites().remove(0)
}

/// One request to a server that wants a token.
async fn ask(site: Site, service: &TokenService) -> Answered {
    let service = layer(site, service).layer(Upstream::taking_any_token());
    send(&service, get(ROADS)).await
}

/// Why a login at this service gives no token.
async fn error_of(site: Site, service: &TokenService) -> TokenError {
    let answer = ask(site, service).await;
    let reason = answer.outcome.skip_reason().expect("there is no token");
    assert_eq!(answer.body, REQUIRED, "the challenge itself is returned");
    reason.token_error().expect("a token error").clone()
}

fn status(status: StatusCode, body: &'static str) -> Answer {
    let mut answer = answer(body);
    *answer.status_mut() = status;
    answer
}

fn redirect(code: u16, to: &str) -> Answer {
    let mut answer = status(StatusCode::from_u16(code).unwrap(), "");
    let to = HeaderValue::from_str(to).unwrap();
    answer.headers_mut().insert(LOCATION, to);
    answer
}

/// `rest/info` of a server on its own.
fn info(token_services_url: &str) -> String {
    format!(
        r#"{{"currentVersion":10.01,"authInfo":{{"isTokenBasedSecurity":true,"tokenServicesUrl":"{token_services_url}","shortLivedTokenValidity":3}}}}"#
    )
}

/// A server with this `rest/info`, whose other end points do as `rule` says.
fn server(info: String, rule: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> TokenService {
    TokenService::at_once(move |asked| {
        if asked.path().ends_with("/rest/info") {
            answer(info.clone())
        } else {
            rule(asked)
        }
    })
}

fn is_legacy(asked: &Asked) -> bool {
    asked.path() == "/arcgis/tokens"
}

fn has_password(asked: &Asked) -> bool {
    asked.field("password").is_some() || asked.uri.to_string().contains("secret")
}

/// Where passwords went, in order.
fn password_places(service: &TokenService) -> Vec<String> {
    let asked = service.asked();
    let with_password = asked.iter().filter(|asked| has_password(asked));
    with_password.map(|asked| asked.uri.to_string()).collect()
}

// --- ArcGIS 10.0 and 10.1

/// The newer method is not there, and answers so.
fn old_server(absent: fn() -> Answer) -> TokenService {
    server(info("https://gis.test/arcgis/tokens"), move |asked| {
        if is_legacy(asked) && asked.field("request").as_deref() == Some("getToken") {
            answer(LEGACY_TOKEN)
        } else {
            absent()
        }
    })
}

#[tokio::test]
async fn the_legacy_method_is_asked_where_the_newer_one_answers_404_or_405() {
    let absent: [fn() -> Answer; 4] = [
        || status(StatusCode::NOT_FOUND, "<html>404</html>"),
        || status(StatusCode::METHOD_NOT_ALLOWED, "<html>405</html>"),
        || answer(r#"{"error":{"code":404,"message":"Not Found"}}"#),
        || answer(r#"{"error":{"code":405,"message":"Method not supported"}}"#),
    ];
    for absent in absent {
        let service = old_server(absent);
        let answer = ask(site(), &service).await;
        assert!(answer.is_clean(), "{}", answer.outcome);
        let logins = service.logins();
        let legacy = logins.last().unwrap();
        assert_eq!(legacy.uri, "https://gis.test/arcgis/tokens");
        assert_eq!(legacy.field("username").as_deref(), Some("reader"));
        assert_eq!(
            legacy.field("clientid").as_deref(),
            Some("ref.https://gis.test/arcgis/")
        );
        assert_eq!(legacy.field("expiration").as_deref(), Some("3"));
        assert_eq!(logins.len(), 2);
    }
}

#[tokio::test]
async fn nothing_else_makes_the_legacy_method_be_asked() {
    for code in [200, 302, 400, 401, 403, 429, 500, 503] {
        let service = server(info("https://gis.test/arcgis/tokens"), move |_| {
            status(
                StatusCode::from_u16(code).unwrap(),
                "<html>something</html>",
            )
        });
        error_of(site(), &service).await;
        assert!(!service.asked().iter().any(is_legacy), "{code}");
    }
    let wrong = server(info("https://gis.test/arcgis/tokens"), |_| answer(WRONG));
    assert!(error_of(site(), &wrong).await.is_refused());
    assert!(!wrong.asked().iter().any(is_legacy));
}

#[tokio::test]
async fn where_neither_method_is_there_the_error_is_the_newer_ones() {
    let service = server(info("https://gis.test/arcgis/tokens"), |_| {
        status(StatusCode::NOT_FOUND, "<html>404</html>")
    });
    let error = error_of(site(), &service).await;
    assert!(!error.is_refused());
    assert!(
        error
            .to_string()
            .contains("/tokens/generateToken answered 404"),
        "{error}"
    );
}

#[tokio::test]
async fn a_server_that_was_upgraded_is_asked_the_newer_way_again() {
    let is_new = Arc::new(AtomicBool::new(false));
    let upgraded = is_new.clone();
    let service = TokenService::at_once(move |asked| {
        match (is_legacy(asked), upgraded.load(Ordering::SeqCst)) {
            (true, false) => answer(LEGACY_TOKEN),
            (false, true) => answer(TOKEN),
            _ => status(StatusCode::NOT_FOUND, "<html>404</html>"),
        }
    });
    let url = format!("{ROOT}/tokens/generateToken");
    let source = GenerateToken::try_new(&url, reader(), service.client()).unwrap();
    let handle = handle(Site::new(ROOT).token_source(source), &service);
    handle.renew().await.unwrap();
    handle.renew().await.unwrap();
    let newer = service
        .asked()
        .iter()
        .filter(|asked| !is_legacy(asked))
        .count();
    assert_eq!(newer, 1, "what is known to be there is asked at once");
    is_new.store(true, Ordering::SeqCst);
    assert!(handle.renew().await.is_err());
    handle.renew().await.unwrap();
}

#[tokio::test]
async fn credentials_are_in_a_url_only_where_that_is_asked_for() {
    for refuses_posts in [StatusCode::METHOD_NOT_ALLOWED, StatusCode::FORBIDDEN] {
        let service = server(info("https://gis.test/arcgis/tokens"), move |asked| {
            let query = asked.uri.query().unwrap_or_default();
            match is_legacy(asked) {
                true if asked.method == Method::POST => status(refuses_posts, "<html>no</html>"),
                true if query.contains("request=getToken") => answer(LEGACY_TOKEN),
                _ => status(StatusCode::NOT_FOUND, "<html>404</html>"),
            }
        });
        let error = error_of(site(), &service).await.to_string();
        assert!(error.contains("`credentials_in_url`"), "{error}");
        let places = password_places(&service);
        assert!(places.iter().all(|url| !url.contains('?')), "{places:?}");

        let answer = ask(site().credentials_in_url(), &service).await;
        assert!(answer.is_clean(), "{}", answer.outcome);
        let in_url = password_places(&service).pop().unwrap();
        assert!(in_url.contains("password=secret"), "{in_url}");
    }
}

#[tokio::test]
async fn a_token_url_is_read_as_rest_infos_value_is() {
    for url in [
        "tokens",
        "tokens/",
        "tokens/generateToken",
        "tokens/generateToken/",
    ] {
        let service = TokenService::advertising("{}", TOKEN);
        let named = site().token_url(format!("{ROOT}/{url}"));
        assert!(ask(named, &service).await.is_clean(), "{url}");
        let places = password_places(&service);
        assert_eq!(places, ["https://gis.test/arcgis/tokens/generateToken"]);
        assert_eq!(service.asked().len(), 1, "and nothing is looked up");
    }
}

// --- where the token service is

#[tokio::test]
async fn a_token_service_that_is_named_relative_to_its_server_is_found() {
    for relative in [
        "/arcgis/tokens",
        "/arcgis/tokens/",
        "//gis.test/arcgis/tokens",
        "tokens/",
        "./tokens",
        // `rest/info` is where it stands.
        "../tokens/generateToken",
    ] {
        let service = server(info(relative), |_| answer(TOKEN));
        assert!(ask(site(), &service).await.is_clean(), "{relative}");
        let places = password_places(&service);
        assert_eq!(places, ["https://gis.test/arcgis/tokens/generateToken"]);
    }
}

#[tokio::test]
async fn a_standalone_server_that_names_a_hidden_host_is_asked_below_its_own_root() {
    for (named, asked) in [
        (
            "https://gis01.internal:6443/arcgis/tokens",
            "tokens/generateToken",
        ),
        (
            "https://gis01.internal:6443/arcgis/tokens/",
            "tokens/generateToken",
        ),
        (
            "http://GIS01/server/tokens/generateToken",
            "tokens/generateToken",
        ),
        (
            "https://localhost:6443/arcgis/security/tokens",
            "security/tokens/generateToken",
        ),
        (
            "https://10.1.2.3:6443/arcgis/admin/generateToken",
            "admin/generateToken",
        ),
        (
            "https://gis.test:6443/arcgis/tokens/",
            "tokens/generateToken",
        ),
    ] {
        let service = server(info(named), |_| answer(TOKEN));
        assert!(ask(site(), &service).await.is_clean(), "{named}");
        let places = password_places(&service);
        assert_eq!(places, [format!("{ROOT}/{asked}")], "{named}");
    }
}

#[tokio::test]
async fn a_federated_server_is_never_asked_below_its_own_root() {
    for info in [
        r#"{"owningSystemUrl":"https://portal.internal/portal","authInfo":{"tokenServicesUrl":"https://portal.internal/portal/sharing/rest/generateToken"}}"#,
        r#"{"owningSystemUrl":"https://portal.internal/portal","authInfo":{"tokenServicesUrl":"https://gis01.internal:6443/arcgis/tokens"}}"#,
        r#"{"authInfo":{"tokenServicesUrl":"https://portal.internal/portal/sharing/rest/generateToken"}}"#,
    ] {
        let service = server(info.to_owned(), |_| answer(TOKEN));
        let error = error_of(site(), &service).await.to_string();
        assert!(error.contains("`trust_token_service`"), "{error}");
        assert!(error.contains("portal.internal"), "{error}");
        assert!(password_places(&service).is_empty(), "{info}");
    }
}

#[tokio::test]
async fn a_login_that_fails_below_the_root_names_what_the_server_named_and_its_own_cause() {
    let service = TokenService::new(|asked: Asked| async move {
        if asked.path().ends_with("/rest/info") {
            return answer(info("https://gis01.internal:6443/arcgis/tokens")).into_reply();
        }
        Err(io::Error::new(
            io::ErrorKind::ConnectionRefused,
            "nothing listens",
        ))
    });
    let error = error_of(site(), &service).await;
    let words = error.to_string();
    assert!(
        words.contains("gis01.internal:6443/arcgis/tokens"),
        "{words}"
    );
    assert!(words.contains("`trust_token_service`"), "{words}");
    let cause = error.source().unwrap().to_string();
    assert!(cause.contains("nothing listens"), "{cause}");

    let listed = site().trust_token_service("https://gis01.internal:6443");
    let service = server(info("https://gis01.internal:6443/arcgis/tokens"), |_| {
        answer(TOKEN)
    });
    assert!(ask(listed, &service).await.is_clean());
    let places = password_places(&service);
    assert_eq!(
        places,
        ["https://gis01.internal:6443/arcgis/tokens/generateToken"]
    );
}

// --- lifetimes

/// `rest/info` of a portal that is the site itself.
const PORTAL_INFO: &str =
    r#"{"owningSystemUrl":"https://gis.test/arcgis","authInfo":{"shortLivedTokenValidity":3}}"#;
/// And of a server federated with another.
const FEDERATED_INFO: &str =
    r#"{"owningSystemUrl":"https://gis.test/portal","authInfo":{"shortLivedTokenValidity":3}}"#;

#[tokio::test]
async fn no_lifetime_above_the_servers_own_is_asked_for() {
    let validity = |minutes: &str| {
        format!(
            r#"{{"authInfo":{{"tokenServicesUrl":"{ROOT}/tokens","shortLivedTokenValidity":{minutes}}}}}"#
        )
    };
    for (info, lifetimes) in [
        (validity("3"), &["3"][..]),
        (validity("\"3\""), &["3"]),
        (validity("120"), &["60"]),
        (validity("0"), &["60"]),
        (validity("-1"), &["60"]),
        (validity("9223372036854775807"), &["60"]),
        (PORTAL_INFO.to_owned(), &["3"]),
        // The portal's own, and the server's token in exchange.
        (FEDERATED_INFO.to_owned(), &["60", "3"]),
    ] {
        let service = server(info.clone(), |_| answer(TOKEN));
        assert!(ask(site(), &service).await.is_clean(), "{info}");
        let logins = service.logins();
        let asked: Vec<_> = logins
            .iter()
            .filter_map(|asked| asked.field("expiration"))
            .collect();
        assert_eq!(asked, lifetimes, "{info}");
    }
}

/// Refusals of a lifetime, as the newer methods and the legacy one may word them.
const LIFETIME_REFUSED: [&str; 5] = [
    r#"{"error":{"code":400,"message":"Unable to generate token.","details":["Invalid expiration"]}}"#,
    r#"{"error":{"code":400,"message":"'expiration' must not be greater than 3.","details":[]}}"#,
    r#"{"error":{"code":401,"message":"The requested lifetime exceeds the maximum","details":"3 minutes"}}"#,
    r#"{"error":{"code":201,"message":"Exception in generating token","details":["Token validity is too long"]}}"#,
    r#"{"status":"error","messages":["Expiration time is above the maximum."],"code":400}"#,
];

#[tokio::test]
async fn a_lifetime_that_is_refused_is_asked_again_without_one_and_counts_for_nothing() {
    for refused in LIFETIME_REFUSED {
        let service = TokenService::at_once(move |asked| {
            answer(match asked.field("expiration") {
                Some(_) => refused,
                None => TOKEN,
            })
        });
        let handle = handle(site().token_url(format!("{ROOT}/tokens")), &service);
        for logins in 1..=6 {
            handle.renew().await.unwrap();
            assert_eq!(service.logins().len(), 2 * logins, "{refused}");
        }
    }
}

#[tokio::test]
async fn an_exchange_whose_lifetime_is_refused_is_asked_again_without_one() {
    for refused in LIFETIME_REFUSED {
        let service = server(FEDERATED_INFO.to_owned(), move |asked| {
            let is_refused =
                asked.field("serverUrl").is_some() && asked.field("expiration").is_some();
            answer(if is_refused { refused } else { TOKEN })
        });
        let answer = ask(site(), &service).await;
        assert!(answer.is_clean(), "{}", answer.outcome);
        assert_eq!(service.logins().len(), 3, "a login, and an exchange twice");
    }
}

#[tokio::test]
async fn the_legacy_method_is_asked_again_without_a_lifetime_where_its_page_refuses_that() {
    for (page, is_asked_again) in [
        (
            "<html>Unable to generate token. Invalid expiration.</html>",
            true,
        ),
        ("Error: the requested lifetime is above the maximum", true),
        // A form for people, as it comes after a wrong password too.
        (
            "<html><form>Username <input> Expiration <select></select></form></html>",
            false,
        ),
        ("<html>Invalid username or password.</html>", false),
    ] {
        let service = server("{}".to_owned(), move |asked| {
            match asked.field("expiration") {
                Some(_) if is_legacy(asked) => answer(page),
                None if is_legacy(asked) => answer(LEGACY_TOKEN),
                _ => status(StatusCode::NOT_FOUND, "<html>404</html>"),
            }
        });
        let answer = ask(site(), &service).await;
        assert_eq!(
            answer.is_clean(),
            is_asked_again,
            "{page}: {}",
            answer.outcome
        );
        let logins = password_places(&service).len();
        assert_eq!(logins, if is_asked_again { 2 } else { 1 }, "{page}");
    }
}

#[tokio::test]
async fn a_refusal_in_the_words_of_a_lifetime_counts_where_none_was_asked_for() {
    for refused in LIFETIME_REFUSED {
        let service = TokenService::at_once(move |_| answer(refused));
        let site = site()
            .token_url(format!("{ROOT}/tokens"))
            .identity_fn(caller);
        let service_above = layer(site, &service).layer(Upstream::taking_any_token());
        for number in 0..10 {
            let mut request = get_as(format!("caller{number}"));
            *request.uri_mut() = ROADS.parse().unwrap();
            assert!(!send(&service_above, request).await.is_clean());
        }
        assert_eq!(
            service.logins().len(),
            2,
            "with a lifetime and without: {refused}"
        );
    }
}

// --- redirects

#[tokio::test]
async fn a_login_that_is_redirected_is_not_followed_and_names_the_place() {
    const PLACE: &str = "https://secure.test/arcgis/tokens/generateToken";
    for code in [301, 302, 303, 307, 308] {
        for legacy in [false, true] {
            let service = server(info("https://gis.test/arcgis/tokens"), move |asked| {
                if legacy && !is_legacy(asked) {
                    return status(StatusCode::NOT_FOUND, "<html>404</html>");
                }
                redirect(code, &format!("{PLACE}?token=hunter2"))
            });
            let handle = handle(site(), &service);
            for _ in 0..6 {
                // A redirect says nothing of the credential: none of them counts.
                let error = handle.renew().await.unwrap_err().to_string();
                assert!(error.contains(PLACE), "{error}");
                assert!(error.contains("`token_url`"), "{error}");
                assert!(!error.contains("hunter2"), "{error}");
            }
            let places = password_places(&service);
            assert!(places.iter().all(|url| url.starts_with(ROOT)), "{places:?}");
        }
    }
}

#[tokio::test]
async fn a_server_that_redirects_all_of_http_is_not_followed_and_names_the_place() {
    let service =
        TokenService::at_once(|asked| redirect(301, &format!("https://gis.test{}", asked.path())));
    let site = Site::new("http://gis.test/arcgis")
        .allow_insecure_http()
        .credential(reader());
    let error = handle(site, &service)
        .renew()
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("https://gis.test/arcgis/rest/info"),
        "{error}"
    );
    assert!(error.contains("root as it is there"), "{error}");
    assert!(password_places(&service).is_empty());
}

#[tokio::test]
async fn a_portal_that_redirects_what_it_does_not_know_is_found() {
    let service = TokenService::at_once(|asked| match asked.path() {
        "/arcgis/rest/info" => redirect(302, "https://gis.test/arcgis/home/"),
        "/arcgis/sharing/rest/info" => answer(PORTAL_INFO),
        _ => answer(TOKEN),
    });
    assert!(ask(site(), &service).await.is_clean());
    let places = password_places(&service);
    assert_eq!(
        places,
        ["https://gis.test/arcgis/sharing/rest/generateToken"]
    );
}

// --- services that a portal hosts itself

/// A portal that logs in, and refuses to make a token for the server.
fn hosting(refusal: &'static str) -> TokenService {
    server(FEDERATED_INFO.to_owned(), move |asked| {
        answer(if asked.field("serverUrl").is_some() {
            refusal
        } else {
            TOKEN
        })
    })
}

#[tokio::test]
async fn a_portal_that_makes_no_token_for_a_server_is_no_matter_of_the_password() {
    for refusal in [
        r#"{"error":{"code":400,"message":"Unable to generate token for this server","details":[]}}"#,
        r#"{"error":{"code":400,"message":"Unable to generate token","details":[]}}"#,
    ] {
        let service = hosting(refusal);
        let error = error_of(site(), &service).await.to_string();
        assert!(error.contains("hosts the service itself"), "{error}");
        assert!(error.contains("`send_portal_token`"), "{error}");
        assert!(!error.contains("password"), "{error}");

        let answer = ask(site().send_portal_token(), &service).await;
        assert!(answer.is_clean(), "{}", answer.outcome);
    }
}

#[tokio::test]
async fn any_other_refusal_of_an_exchange_is_no_matter_of_the_password_either() {
    let forbidden = hosting(r#"{"error":{"code":403,"message":"You do not have permissions"}}"#);
    let error = error_of(site(), &forbidden).await.to_string();
    assert!(error.contains("403 You do not have permissions"), "{error}");
    assert!(!error.contains("password"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn nobody_is_asked_for_another_password_because_a_portal_makes_no_token() {
    for refusal in [
        r#"{"error":{"code":400,"message":"Unable to generate token for this server"}}"#,
        r#"{"error":{"code":403,"message":"You do not have permissions"}}"#,
    ] {
        let service = hosting(refusal);
        let asked = Arc::new(AtomicUsize::new(0));
        let count = asked.clone();
        let site = Site::new(ROOT).credential_fn(move |_| {
            count.fetch_add(1, Ordering::SeqCst);
            async { Ok(reader()) }
        });
        let service_above = layer(site, &service).layer(Upstream::taking_any_token());
        for _ in 0..10 {
            assert!(!send(&service_above, get(ROADS)).await.is_clean());
        }
        assert_eq!(asked.load(Ordering::SeqCst), 1);
        assert_eq!(password_places(&service).len(), 1);
    }
}

// --- versions

#[tokio::test]
async fn a_server_before_10_6_gets_long_queries_without_the_header_it_does_not_know() {
    let long = format!("{ROADS}&where={}", "x".repeat(2030));
    for (version, in_header) in [
        ("10.51", false),
        ("10.01", false),
        ("10.6", true),
        ("11.3", true),
    ] {
        let service = server(
            format!(
                r#"{{"currentVersion":{version},"authInfo":{{"tokenServicesUrl":"{ROOT}/tokens"}}}}"#
            ),
            |_| answer(TOKEN),
        );
        let upstream = Upstream::taking_any_token();
        let site = site().placement(TokenPlacement::Query);
        let service_above = layer(site, &service).layer(upstream.clone());
        assert!(send(&service_above, get(&long)).await.is_clean());
        let signed = upstream.seen().pop().unwrap();
        let has_header = signed.headers.contains_key("x-esri-authorization");
        assert_eq!(has_header, in_header, "{version}");
    }
}

// --- applications

#[tokio::test(start_paused = true)]
async fn what_is_refused_is_the_applications_secret_that_was_sent() {
    let file = Mounted::holding("application", "right");
    let wrong = Arc::new(AtomicUsize::new(0));
    let count = wrong.clone();
    let service = TokenService::new(move |asked: Asked| {
        let count = count.clone();
        async move {
            if asked.field("serverUrl").is_some() {
                return answer(TOKEN);
            }
            sleep(SECOND).await;
            if asked.field("client_secret").as_deref() == Some("right") {
                return answer(r#"{"access_token":"abcdef","expires_in":1800}"#);
            }
            count.fetch_add(1, Ordering::SeqCst);
            answer(
                r#"{"error":{"code":400,"error":"invalid_request","message":"Invalid client_secret"}}"#,
            )
        }
    });
    // Sites with a portal each share no login, and have one application at one origin.
    let mut builder = ArcgisAuthLayer::builder().token_client(service.client());
    for number in 0..3 {
        let site = Site::new(format!("https://gis{number}.test/arcgis"))
            .portal(format!("https://portal.test/portal{number}"))
            .credential(Credential::app("anApp", file.secret()));
        builder = builder.add_site(site);
    }
    let sites = builder.build().unwrap().handle().sites();
    let changes = async {
        sleep(SECOND / 2).await;
        file.hold("wrong");
    };
    let (first, second, ()) = tokio::join!(sites[0].renew(), sites[1].renew(), changes);
    assert!(first.is_ok() && second.is_err());
    assert_eq!(wrong.load(Ordering::SeqCst), 1);
    file.hold("right");
    sites[2].renew().await.unwrap();
    assert_eq!(wrong.load(Ordering::SeqCst), 1);
}

// --- the log

/// What the log says, of all tests in this program.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// The one log of this program: `tracing` remembers for the whole process what was of interest at first.
    fn start() -> Self {
        static STARTED: Once = Once::new();
        static LOG: Mutex<Option<Log>> = Mutex::new(None);
        STARTED.call_once(|| {
            let log = Self::default();
            let sink = log.clone();
            *LOG.lock().unwrap() = Some(log);
            tracing_subscriber::fmt()
                .with_writer(move || sink.clone())
                .with_ansi(false)
                .init();
        });
        LOG.lock().unwrap().clone().unwrap()
    }

    /// The lines with all of these words.
    fn lines(&self, words: &[&str]) -> usize {
        let log = self.0.lock().unwrap();
        let log = String::from_utf8_lossy(&log);
        let has_all = |line: &&str| words.iter().all(|word| line.contains(word));
        log.lines().filter(has_all).count()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn the_log_says_once_that_a_hidden_token_service_is_asked_elsewhere() {
    let log = Log::start();
    let service = server(info("https://hidden.internal:6443/arcgis/tokens"), |_| {
        status(StatusCode::SERVICE_UNAVAILABLE, "<html>down</html>")
    });
    let site = Site::new("https://elsewhere.test/arcgis").credential(reader());
    let handle = handle(site, &service);
    for _ in 0..3 {
        assert!(handle.renew().await.is_err());
    }
    let named = ["another host", "hidden.internal:6443/arcgis/tokens"];
    let asked = "https://elsewhere.test/arcgis/tokens/generateToken";
    assert_eq!(log.lines(&[&named[..], &[asked]].concat()), 1);
}

#[tokio::test(start_paused = true)]
async fn the_log_names_where_a_login_is_redirected() {
    let log = Log::start();
    let place = "https://secure.redirected.test/arcgis/tokens/generateToken";
    let service = server(info("https://redirected.test/arcgis/tokens"), move |_| {
        redirect(302, place)
    });
    let site = Site::new("https://redirected.test/arcgis").credential(reader());
    assert!(handle(site, &service).renew().await.is_err());
    assert_eq!(log.lines(&["login failed", place]), 1);
}

#[tokio::test(start_paused = true)]
async fn a_challenge_outside_the_signed_root_is_warned_of_once() {
    let log = Log::start();
    let service = TokenService::at_once(|_| status(StatusCode::NOT_FOUND, "<html>404</html>"));
    let site = Site::new("https://outside.test").credential(reader());
    let service_above = layer(site, &service).layer(Upstream::taking_any_token());
    for _ in 0..3 {
        let url = "https://outside.test/server/rest/services/Roads/MapServer?f=json";
        assert!(!send(&service_above, get(url)).await.is_clean());
    }
    let warned = ["WARN", "another root", "https://outside.test", "/server"];
    assert_eq!(log.lines(&warned), 1);
}
