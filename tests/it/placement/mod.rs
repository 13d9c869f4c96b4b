//! Where the token stands on the wire, and that nothing else is changed by it.

mod callers_token;
mod forms;
mod long_queries;
mod query;
mod referer;
mod wire;

use bytes::Bytes;
use http::{Request, request::Parts};
use http_body_util::Full;
use tower::Layer;
use tower_arcgis_auth::{ArcgisAuthLayer, Site, TokenPlacement};

use crate::support::{CLEAN, REQUIRED, ROOT, TokenService, Upstream, answer, send, token_of};

const TOKEN: &str = "a.b_c-d~e+f/g=";
const ENCODED: &str = "a.b_c-d~e%2Bf%2Fg%3D";

fn site(placement: TokenPlacement) -> Site {
    Site::new(ROOT)
        .token_source(TokenService::new().issuing(TOKEN))
        .placement(placement)
}

/// A token that is the same in a query and in a header.
const PLAIN: &str = "Zm9v_YmFy-abc..";

fn plain_site() -> Site {
    Site::new(ROOT).token_source(TokenService::new().issuing(PLAIN))
}

/// Challenges everything that is not signed; the second sending is what is looked at.
fn picky() -> Upstream {
    Upstream::new(|request| {
        let signed = request.uri.to_string().contains(ENCODED)
            || token_of(request).as_deref() == Some(PLAIN)
            || request.headers.values().any(|value| {
                let value = String::from_utf8_lossy(value.as_bytes());
                value.contains(TOKEN) || value.contains(ENCODED)
            });
        answer(if signed { CLEAN } else { REQUIRED })
    })
}

/// The last request as it arrived.
async fn arrived(site: Site, request: Request<Full<Bytes>>) -> Parts {
    let upstream = picky();
    let service = ArcgisAuthLayer::try_new(site)
        .unwrap()
        .layer(upstream.clone());
    send(&service, request).await;
    upstream.last_request()
}

fn get(path_and_query: &str) -> Request<Full<Bytes>> {
    crate::support::get(&format!("http://gis.test/arcgis{path_and_query}"))
}
