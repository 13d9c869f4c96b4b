//! A token for each identity: none gets the token of another, and none is the worse for another.

mod eviction;
mod http_caches;
mod refresh_tokens;
mod settings;
mod tokens;

use std::time::Duration;

use tower::Layer;
use tower_arcgis_auth::{ArcgisAuth, ArcgisAuthLayer, Site};

use crate::support::{TokenService, Upstream, identity_in_header};

const HOUR: Duration = Duration::from_secs(60 * 60);

fn site(source: &TokenService) -> Site {
    crate::support::site(source).identity_fn(identity_in_header)
}

fn over(upstream: &Upstream, site: Site) -> ArcgisAuth<Upstream> {
    ArcgisAuthLayer::try_new(site)
        .unwrap()
        .layer(upstream.clone())
}
