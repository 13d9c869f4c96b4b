//! Errors repeat no secret, whatever a server says.

use serde_json::json;
use tower_arcgis_auth::{Credential, GenerateToken, RenewError, Site, TokenError};

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
