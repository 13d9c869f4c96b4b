//! Secrets that must show nowhere, and a token service that gives one of them.
#![allow(unreachable_pub, reason = "a module of the test binaries that use it")]

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use tower_arcgis_auth::TokenClient;

pub const PASSWORD: &str = "hunter2-hunter2";
pub const TOKEN: &str = "S3CR3T-S3CR3T";

pub fn assert_silent(what: &str, text: &str) {
    for secret in [PASSWORD, TOKEN] {
        assert!(!text.contains(secret), "{what} shows a secret: {text}");
    }
}

pub fn token_client() -> TokenClient {
    TokenClient::new(tower::service_fn(
        |request: Request<Full<Bytes>>| async move {
            let body = if request.uri().path().ends_with("/rest/info") {
                r#"{"authInfo":{"tokenServicesUrl":"https://gis.test/arcgis/tokens/"}}"#.to_owned()
            } else {
                format!(r#"{{"token":"{TOKEN}","expires":4102444800000}}"#)
            };
            Ok::<_, std::io::Error>(http::Response::new(Full::new(Bytes::from(body))))
        },
    ))
}
