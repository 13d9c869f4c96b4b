//! How a credential becomes a token: where it goes, how it travels, and what is made of the answers.

mod answers;
mod credential_fn;
mod credentials;
mod discovery;
mod form;
mod legacy;
mod oauth;
mod origins;
mod portal;
mod portal_sign_out;
mod site_report;
mod token_services;

use tower::Layer;
use tower_arcgis_auth::{Credential, Site, TokenError};

use crate::support::{Got, TokenService, Upstream, get, info_naming, layer, send};

const USER: &str = "gis reader";
const PASSWORD: &str = "p&ss+wörd%20?#=/";
const SECURE: &str = "https://gis.city.gov/arcgis";
const SECURE_ROADS: &str = "https://gis.city.gov/arcgis/rest/services/Roads/MapServer?f=json";

fn site(root: &str) -> Site {
    Site::new(root).credential(Credential::user(USER, PASSWORD))
}

/// A secure site whose token service is named.
fn named_secure_site() -> Site {
    site(SECURE).token_url("https://gis.city.gov/arcgis/tokens/generateToken")
}

/// A server that says that its token service is at `url`.
fn advertising(url: &str) -> TokenService {
    TokenService::new().info(info_naming(url))
}

/// Sends one request to `site`, whose server wants a token; returns what came of it, and the server.
async fn log_in(site: Site, service: &TokenService, uri: &str) -> (Got, Upstream) {
    let upstream = Upstream::open_to_any_token();
    let got = send(&layer(site, service).layer(upstream.clone()), get(uri)).await;
    (got, upstream)
}

fn error_of(got: &Got) -> TokenError {
    let skip_reason = got.outcome.skip_reason().expect("a reason");
    skip_reason.token_error().expect("a token error").clone()
}
