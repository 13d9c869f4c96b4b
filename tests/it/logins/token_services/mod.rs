//! Token services of all ages and places: where the credential goes, what is asked for, and what the error says where
//! there is no token.

mod legacy;
mod lifetimes;
mod places;
mod portals;
mod redirects;

use std::sync::Arc;

use http::{HeaderValue, StatusCode, header::LOCATION};
use tower_arcgis_auth::{Site, SiteHandle, TokenError};

use crate::support::{
    Answer, Asked, Got, REQUIRED, Reply, TokenService, answer, client, get, layer, reader, send,
};

const ROOT: &str = "https://gis.test/arcgis";
const ROADS: &str = "https://gis.test/arcgis/rest/services/Roads/MapServer?f=json";
/// A token of `getToken`: 64 characters, nothing around them.
const LEGACY_TOKEN: &str = "fQ3v_lXy9Zt1-8dKc2bVn6mRw4sJp7hGgEoUiTaYqLkDzCxBfNjHrMvSwPeQuIt.";
const TOKEN: &str = r#"{"token":"abcdef","expires":4102444800000}"#;
/// `rest/info` of a portal that is the site itself.
const PORTAL_INFO: &str =
    r#"{"owningSystemUrl":"https://gis.test/arcgis","authInfo":{"shortLivedTokenValidity":3}}"#;
/// And of a server federated with another.
const FEDERATED_INFO: &str =
    r#"{"owningSystemUrl":"https://gis.test/portal","authInfo":{"shortLivedTokenValidity":3}}"#;

fn site() -> Site {
    Site::new(ROOT).credential(reader())
}

fn handle(site: Site, service: &TokenService) -> SiteHandle {
    layer(site, service).handle().sites().remove(0)
}

/// One request to a server that wants a token.
async fn ask(site: Site, service: &TokenService) -> Got {
    let client = client(site, service);
    send(&client, get(ROADS)).await
}

/// Why a login at this service gives no token.
async fn error_of(site: Site, service: &TokenService) -> TokenError {
    let got = ask(site, service).await;
    let reason = got.outcome.skip_reason().expect("there is no token");
    assert_eq!(got.body, REQUIRED, "the challenge itself is returned");
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
    TokenService::new()
        .info(info)
        .logins(move |asked| Reply::Says(rule(asked)))
}

/// A server all of whose end points do as `rule` says.
fn answering_by(rule: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> TokenService {
    let rule = Arc::new(rule);
    let same = rule.clone();
    TokenService::new()
        .info_by(move |asked| Reply::Says(rule(asked)))
        .logins(move |asked| Reply::Says(same(asked)))
}

fn is_legacy(asked: &Asked) -> bool {
    asked.path() == "/arcgis/tokens"
}

fn has_password(asked: &Asked) -> bool {
    asked.field("password").is_some() || asked.uri.to_string().contains("secret")
}

/// Where passwords went, in order.
fn password_places(service: &TokenService) -> Vec<String> {
    let asked = service.requests();
    let with_password = asked.iter().filter(|asked| has_password(asked));
    with_password.map(|asked| asked.uri.to_string()).collect()
}
