//! Where a credential goes: to origins that the user named, over TLS.

use super::{SECURE, SECURE_ROADS, advertising, error_of, log_in, site};
use crate::support::{REQUIRED, ROADS, TokenService};

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
        let service = advertising(advertised);
        let (got, _) = log_in(site(SECURE), &service, SECURE_ROADS).await;
        // The token service below the site's own root may be asked in its place.
        let logins = service.asked_for_tokens();
        for asked in service.requests() {
            assert_eq!(asked.uri.host(), Some("gis.city.gov"), "{advertised}");
        }
        if let Some(login) = logins.first() {
            assert!(got.is_clean(), "{advertised}");
            assert_eq!(login.uri.host(), Some("gis.city.gov"), "{advertised}");
            assert_eq!(login.uri.port(), None, "{advertised}");
            assert_eq!(
                login.uri.path(),
                "/arcgis/tokens/generateToken",
                "{advertised}"
            );
            continue;
        }
        assert_eq!(got.body, REQUIRED, "{advertised}");
        let error = error_of(&got);
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
async fn an_owning_system_on_another_origin_gets_no_credential_unless_it_is_trusted() {
    let federated =
        r#"{"currentVersion":10.61,"owningSystemUrl":"https://portal.city.gov/portal"}"#;
    let service = TokenService::new().info(federated);
    let (got, _) = log_in(site(SECURE), &service, SECURE_ROADS).await;
    assert_eq!(service.attempts(), 0);
    let error = error_of(&got).to_string();
    assert!(error.contains("trust_token_service"), "{error}");
    let trusting = site(SECURE).trust_token_service("https://portal.city.gov");
    log_in(trusting, &service, SECURE_ROADS).await;
    assert_eq!(
        service.asked_for_tokens()[0].uri,
        "https://portal.city.gov/portal/sharing/rest/generateToken"
    );
}

#[tokio::test]
async fn a_trusted_origin_and_a_named_token_url_get_the_credential() {
    let service = advertising("https://portal.city.gov/sharing/rest/generateToken");
    let listed = site(SECURE).trust_token_service("https://Portal.City.gov:443/");
    assert!(log_in(listed, &service, SECURE_ROADS).await.0.is_clean());
    let asked = service.asked_for_tokens();
    assert_eq!(
        asked[0].uri,
        "https://portal.city.gov/sharing/rest/generateToken"
    );

    let service = advertising("https://gis.city.gov/arcgis/tokens/");
    let named = site(SECURE).token_url("https://portal.city.gov/sharing/rest/generateToken");
    assert!(log_in(named, &service, SECURE_ROADS).await.0.is_clean());
    let asked = service.requests();
    assert_eq!(asked.len(), 1, "a named token URL is used, not discovered");
    assert_eq!(
        asked[0].uri,
        "https://portal.city.gov/sharing/rest/generateToken"
    );
}

#[tokio::test]
async fn a_password_is_not_sent_over_plain_http_to_another_machine() {
    let plain = "http://gis.test/arcgis";
    let service = advertising("http://gis.test/arcgis/tokens/");
    let (got, _) = log_in(site(plain), &service, ROADS).await;
    assert_eq!(service.attempts(), 0);
    assert!(error_of(&got).to_string().contains("allow_insecure_http"));

    let named = site(plain).token_url("http://gis.test/arcgis/tokens/generateToken");
    log_in(named, &service, ROADS).await;
    assert_eq!(service.attempts(), 0);

    let allowed = site(plain).allow_insecure_http();
    assert!(log_in(allowed, &service, ROADS).await.0.is_clean());

    for loopback in [
        "http://127.0.0.1:6080",
        "http://localhost:6080",
        "http://[::1]:6080",
    ] {
        let service = advertising(&format!("{loopback}/arcgis/tokens/"));
        let root = format!("{loopback}/arcgis");
        let (got, _) = log_in(
            site(&root),
            &service,
            &format!("{root}/rest/services/A/MapServer"),
        )
        .await;
        assert!(got.is_clean(), "{loopback}");
    }
}
