//! Secrets that must be shown nowhere.

use super::{Reply, TokenService, info_naming};

pub(crate) const PASSWORD: &str = "hunter2-hunter2";
pub(crate) const TOKEN: &str = "S3CR3T-S3CR3T";

pub(crate) fn assert_silent(what: &str, text: &str) {
    for secret in [PASSWORD, TOKEN] {
        assert!(!text.contains(secret), "{what} shows a secret: {text}");
    }
}

/// A token service that issues [`TOKEN`].
pub(crate) fn token_service() -> TokenService {
    TokenService::new()
        .info(info_naming("https://gis.test/arcgis/tokens/"))
        .logins(|_| Reply::says(format!(r#"{{"token":"{TOKEN}","expires":4102444800000}}"#)))
}
