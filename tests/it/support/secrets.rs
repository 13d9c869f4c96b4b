//! Secrets that must show nowhere, and a token service that gives one of them.
use tower_arcgis_auth::TokenClient;

use super::{TokenService, answer};

pub const PASSWORD: &str = "hunter2-hunter2";
pub const TOKEN: &str = "S3CR3T-S3CR3T";

pub fn assert_silent(what: &str, text: &str) {
    for secret in [PASSWORD, TOKEN] {
        assert!(!text.contains(secret), "{what} shows a secret: {text}");
    }
}

pub fn token_client() -> TokenClient {
    TokenService::at_once(|asked| {
        answer(if asked.path().ends_with("/rest/info") {
            r#"{"authInfo":{"tokenServicesUrl":"https://gis.test/arcgis/tokens/"}}"#.to_owned()
        } else {
            format!(r#"{{"token":"{TOKEN}","expires":4102444800000}}"#)
        })
    })
    .client()
}
