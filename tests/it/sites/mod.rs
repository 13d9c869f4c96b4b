//! Which requests belong to a site: whole origins, whole path segments, nothing that merely looks alike.

mod exempt;
mod membership;
mod settings;
mod spellings;

use http::Request;
use http_body_util::Full;
use tower::Layer;
use tower_arcgis_auth::{ArcgisAuthLayer, Site};

use crate::support::{TokenService, Upstream, send};

/// What goes out for a request to `uri` where `root` is the site: signed or not. The token is there already.
async fn is_signed(root: &str, uri: &str) -> bool {
    let source = TokenService::new();
    let upstream = Upstream::secured_by(&source);
    let layer = ArcgisAuthLayer::try_new(Site::new(root).token_source(source.clone())).unwrap();
    let service = layer.layer(upstream.clone());
    let Ok(request) = Request::get(uri).body(Full::default()) else {
        return false;
    };
    send(&service, request).await;
    upstream.tokens().into_iter().any(|token| token.is_some())
}
