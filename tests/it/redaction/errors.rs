//! Errors repeat no secret, whatever a server says.

use serde_json::json;
use tower_arcgis_auth::{ArcgisAuthLayer, Credential, GenerateToken, RenewError, Site, TokenError};

use crate::support::{Reply, TokenService, answer, layer, reader};

const TOKEN_URL: &str = "https://gis.test/arcgis/tokens/generateToken";

/// Why there is no token, where `service` is given this password.
async fn error_of(service: &TokenService, password: &str) -> TokenError {
    let site = Site::new("https://gis.test/arcgis")
        .credential(Credential::user("u", password))
        .token_url(TOKEN_URL);
    let renewed = layer(site, service).handle().sites()[0].renew().await;
    match renewed {
        Err(RenewError::Failed(error) | RenewError::Refused(error)) => error,
        other => panic!("{other:?}"),
    }
}

/// Why there is no token, where the token service's message is what `says` makes of form and password.
async fn error_saying(
    password: &'static str,
    says: impl Fn(&str, &str) -> String + Send + Sync + 'static,
) -> String {
    let service = TokenService::new().logins(move |asked| {
        let message = says(&asked.body, password);
        Reply::says(json!({"error": {"code": 400, "message": message}}).to_string())
    });
    let error = error_of(&service, password).await;
    format!("{error} {error:?}")
}

#[tokio::test]
async fn a_password_that_a_server_repeats_is_in_no_error() {
    let password = "p&ss+wörd%20?#=/";
    let error = error_saying(password, |_, password| format!("bad: {password}")).await;
    assert!(!error.contains(password), "{error}");
    assert!(error.contains("400"));
}

#[tokio::test]
async fn a_password_that_is_cut_off_in_a_servers_words_is_in_no_error() {
    let error = error_saying("correct-horse-battery-staple", |_, password| {
        format!("{}{password}", "x".repeat(180))
    })
    .await;
    assert!(error.contains("they repeat a secret"), "{error}");
    assert!(!error.contains("correct-horse-batter"), "{error}");
}

#[tokio::test]
async fn a_password_in_escapes_of_json_is_in_no_error() {
    // `serde_json` writes the line break as an escape; a server may write any character as one.
    let error = error_saying("two\nlines of p/w", |_, password| {
        format!("bad: {password}")
    })
    .await;
    assert!(error.contains("they repeat a secret"), "{error}");
    assert!(!error.contains("lines of p/w"), "{error}");
}

#[tokio::test]
async fn a_form_that_a_server_repeats_is_in_no_error() {
    let error = error_saying("p&ss word", |form, _| format!("bad request: {form}")).await;
    assert!(error.contains("they repeat a secret"), "{error}");
    assert!(!error.contains("p%26ss+word"), "{error}");
}

#[tokio::test]
async fn a_password_in_a_content_type_is_in_no_error() {
    const PASSWORD: &str = "correct-horse-battery-staple";
    let mut page = answer("<html>");
    let kind = format!("text/html; of={}{PASSWORD}", "x".repeat(30));
    page.headers_mut()
        .insert("content-type", kind.parse().unwrap());
    let service = TokenService::new().answering(Reply::Says(page));
    let error = error_of(&service, PASSWORD).await.to_string();
    assert!(error.contains("which is no JSON"), "{error}");
    assert!(!error.contains("correct-horse"), "{error}");
}

#[test]
fn an_error_of_a_setting_repeats_no_credential_of_a_url() {
    let client = TokenService::new().client();
    let credential = reader();
    for url in [
        "https://h/generateToken?username=u&password=hunter2",
        "https://u:hunter2@h/generateToken",
        "u:hunter2@h",
    ] {
        let error = GenerateToken::try_new(url, credential.clone(), client.clone()).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
    }
}

#[test]
fn no_setting_shows_a_part_of_a_password_or_a_query() {
    let urls = [
        "https://reader:hunter2@gis.test/arcgis",
        "https://reader:hunter2#x@gis.test/arcgis",
        "https://reader:x?hunter2@gis.test/arcgis",
        "https://reader:x/hunter2@gis.test/arcgis",
        "https://reader:x@hunter2@gis.test/arcgis",
        "https://reader:hunter2\u{0}\n@gis.test/arcgis",
        "https://ada:hunter2@gis.test/arcgis",
        "https://gis.test/arcgis?token=hunter2",
        "https://gis.test/tokens?password=hunter2",
        "https://gis.test/arcgis#hunter2",
        "reader:hunter2@gis.test",
        "https://reader:hunter2",
    ];
    for url in urls {
        let good = || Site::new("https://gis.test/arcgis").credential(Credential::user("u", "p"));
        let sites = [
            Site::new(url),
            good().add_root(url),
            good().token_url(url),
            good().portal(url),
            good().trust_token_service(url),
            good().referer(url),
            good().referer(format!("{url}\n")),
        ];
        for site in sites {
            let shown = format!("{site:?} {site:#?}");
            assert!(!shown.contains("hunter2"), "{shown}");
            let client = TokenService::new().client();
            let layer = ArcgisAuthLayer::builder()
                .add_site(site)
                .token_client(client)
                .build();
            if let Err(error) = layer {
                let shown = format!("{error} {error:?}");
                assert!(!shown.contains("hunter2"), "{shown}");
            }
        }
        if let Err(error) = Site::of_service(url) {
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }
}
