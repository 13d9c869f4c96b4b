//! Token services as old, odd and hidden servers have them.

use http::{HeaderValue, Method, StatusCode, header::LOCATION};
use tower::Layer;
use tower_arcgis_auth::{Credential, Site};

use crate::support::{Got, ROADS, ROOT, Reply, TokenService, Upstream, answer, get, layer, send};

const PLAIN_TOKEN: &str = "aGVsbG8td29ybGQtaGVsbG8td29ybGQtaGVsbG8td29ybGQ.";
const ABSENT: [StatusCode; 2] = [StatusCode::NOT_FOUND, StatusCode::METHOD_NOT_ALLOWED];

fn reader(site: Site) -> Site {
    site.allow_insecure_http()
        .credential(Credential::user("reader", "p&ss word"))
}

async fn log_in(site: Site, service: &TokenService) -> Got {
    let client = layer(site, service).layer(Upstream::open_to_any_token());
    send(&client, get(ROADS)).await
}

fn info(rest: &str) -> String {
    format!(r#"{{"currentVersion":10.01,"authInfo":{{{rest}}}}}"#)
}

/// ArcGIS 10.0: `rest/info` names `/tokens`, below which nothing is.
fn ten_zero(status: StatusCode, reads_url_only: bool) -> TokenService {
    let info = info(r#""tokenServicesUrl":"http://gis.test/arcgis/tokens""#);
    TokenService::new()
        .info(info)
        .logins(move |asked| match asked.path() {
            "/arcgis/tokens" if !reads_url_only || asked.method == Method::GET => {
                Reply::says(PLAIN_TOKEN)
            }
            _ => Reply::page(status, "<html>not here</html>"),
        })
}

#[tokio::test(start_paused = true)]
async fn a_legacy_token_is_asked_for_where_nothing_is_at_generate_token() {
    for status in ABSENT {
        let service = ten_zero(status, false);
        assert!(log_in(reader(Site::new(ROOT)), &service).await.is_clean());
        let last = service.asked_for_tokens().pop().unwrap();
        assert_eq!(last.method, Method::POST);
        assert_eq!(last.field("request").as_deref(), Some("getToken"));
        assert_eq!(last.field("password").as_deref(), Some("p&ss word"));
        assert_eq!(last.uri.query(), None);
    }
}

#[tokio::test(start_paused = true)]
async fn no_other_answer_leads_to_a_legacy_token() {
    for status in [
        StatusCode::INTERNAL_SERVER_ERROR,
        StatusCode::FORBIDDEN,
        StatusCode::OK,
    ] {
        let service = ten_zero(status, false);
        assert!(!log_in(reader(Site::new(ROOT)), &service).await.is_clean());
        assert_eq!(service.asked_for_tokens().len(), 1, "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_password_stands_in_a_url_only_where_the_user_said_so() {
    let service = ten_zero(StatusCode::NOT_FOUND, true);
    assert!(!log_in(reader(Site::new(ROOT)), &service).await.is_clean());
    assert!(
        service
            .requests()
            .iter()
            .all(|asked| { !asked.uri.query().unwrap_or_default().contains("password") })
    );
    let said = reader(Site::new(ROOT)).credentials_in_url();
    assert!(log_in(said, &service).await.is_clean());
}

#[tokio::test(start_paused = true)]
async fn a_token_url_is_read_as_servers_write_theirs() {
    for url in ["tokens", "tokens/", "tokens/generateToken"] {
        let service = TokenService::new();
        let site = reader(Site::new(ROOT)).token_url(format!("{ROOT}/{url}"));
        assert!(log_in(site, &service).await.is_clean());
        assert_eq!(service.requests()[0].path(), "/arcgis/tokens/generateToken");
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_service_on_a_host_that_is_not_trusted_is_asked_below_the_sites_own_root() {
    for (named, asked) in [
        (
            "https://gis01.internal:6443/arcgis/tokens",
            "/arcgis/tokens/generateToken",
        ),
        (
            "https://10.0.0.7/server/tokens/generateToken",
            "/arcgis/tokens/generateToken",
        ),
        (
            "https://gis01.internal/arcgis/admin/generateToken",
            "/arcgis/admin/generateToken",
        ),
        // Relative to the server.
        ("/arcgis/tokens/", "/arcgis/tokens/generateToken"),
        ("tokens/", "/arcgis/tokens/generateToken"),
        ("//gis.test/arcgis/tokens/", "/arcgis/tokens/generateToken"),
    ] {
        let info = info(&format!(r#""tokenServicesUrl":"{named}""#));
        let service = TokenService::new().info(info);
        assert!(
            log_in(reader(Site::new(ROOT)), &service).await.is_clean(),
            "{named}"
        );
        let login = service.requests().pop().unwrap();
        assert_eq!(login.uri.host(), Some("gis.test"), "{named}");
        assert_eq!(login.path(), asked, "{named}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_federated_servers_portal_is_never_looked_for_below_the_sites_root() {
    let info = r#"{"currentVersion":11,"owningSystemUrl":"https://portal.internal/portal",
        "authInfo":{"tokenServicesUrl":"https://portal.internal/portal/sharing/rest/generateToken"}}"#;
    let service = TokenService::new().info(info);
    let got = log_in(reader(Site::new(ROOT)), &service).await;
    assert!(!got.is_clean());
    assert!(
        service
            .requests()
            .iter()
            .all(|asked| asked.field("password").is_none())
    );
    let reason = got.outcome.skip_reason().unwrap().to_string();
    assert!(reason.contains("trust_token_service"), "{reason}");
}

#[tokio::test(start_paused = true)]
async fn no_longer_lifetime_is_asked_for_than_the_server_says() {
    for (says, minutes) in [
        (r#","shortLivedTokenValidity":3"#, "3"),
        (r#","shortLivedTokenValidity":"120""#, "60"),
        ("", "60"),
    ] {
        let info = info(&format!(
            r#""tokenServicesUrl":"http://gis.test/arcgis/tokens/"{says}"#
        ));
        let service = TokenService::new().info(info);
        assert!(log_in(reader(Site::new(ROOT)), &service).await.is_clean());
        let login = service.requests().pop().unwrap();
        assert_eq!(login.field("expiration").as_deref(), Some(minutes));
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_lifetime_is_no_refused_password_and_is_left_out() {
    let service = TokenService::new().logins(|asked| match asked.field("expiration") {
        Some(_) => Reply::says(
            r#"{"error":{"code":400,"message":"Unable to generate token.","details":["The value of the 'expiration' parameter exceeds the maximum."]}}"#,
        ),
        None => Reply::Token,
    });
    let site = || reader(Site::new(ROOT)).token_url(format!("{ROOT}/tokens/generateToken"));
    for _ in 0..6 {
        assert!(log_in(site(), &service).await.is_clean());
    }
}

#[tokio::test(start_paused = true)]
async fn a_redirected_login_is_not_followed_and_the_error_says_where_it_leads() {
    for (status, is_info) in [(301, true), (307, false), (302, false)] {
        let mut redirect = answer("");
        *redirect.status_mut() = StatusCode::from_u16(status).unwrap();
        let location = "https://user:hunter2@gis.test/arcgis/tokens/generateToken?password=hunter2";
        let location = HeaderValue::from_static(location);
        redirect.headers_mut().insert(LOCATION, location);
        let redirect = Reply::Says(redirect);
        let service = TokenService::new().answering(redirect.clone());
        let service = match is_info {
            true => service.info_by(move |_| redirect.clone()),
            false => service,
        };
        let got = log_in(reader(Site::new(ROOT)), &service).await;
        let reason = got.outcome.skip_reason().unwrap().to_string();
        for part in ["gis.test/arcgis/tokens/generateToken", "token_url", "https"] {
            assert!(reason.contains(part), "{part} in {reason}");
        }
        assert!(!reason.contains("hunter2"), "{reason}");
        assert!(
            service
                .requests()
                .iter()
                .all(|asked| asked.uri.scheme_str() == Some("http"))
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_long_query_of_a_server_before_10_6_keeps_the_token_in_the_query() {
    for (version, in_query) in [("10.51", true), ("11.2", false)] {
        let info = format!(
            r#"{{"currentVersion":{version},"authInfo":{{"tokenServicesUrl":"http://gis.test/arcgis/tokens/"}}}}"#
        );
        let service = TokenService::new().info(info);
        let upstream = Upstream::open_to_any_token();
        let client = layer(reader(Site::new(ROOT)), &service).layer(upstream.clone());
        assert!(send(&client, get(ROADS)).await.is_clean());
        let long = format!("{ROADS}&where={}", "x".repeat(2_030));
        assert!(send(&client, get(&long)).await.is_clean());
        let sent = upstream.last_request();
        assert_eq!(
            sent.uri.query().unwrap().contains("token="),
            in_query,
            "{version}"
        );
        assert_eq!(
            sent.headers.contains_key("x-esri-authorization"),
            !in_query,
            "{version}"
        );
    }
}
