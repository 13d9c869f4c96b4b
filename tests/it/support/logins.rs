//! What tests of logins have in common: sites, credentials, identities and runtimes.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, request::Parts};
use http_body_util::Full;
use tokio::runtime::{Builder, Runtime};
use tower_arcgis_auth::{ArcgisAuthLayer, Credential, Identity, Site, TokenClient};

pub use super::token_service::{INFO, TOKEN, WRONG};
use super::{ROADS, ROOT, TokenService, get, token_service::IntoReply};

pub const SECOND: Duration = Duration::from_secs(1);

/// The client of a token service that answers as `rule` does, given path and form.
pub fn client<F, Fut>(rule: F) -> TokenClient
where
    F: Fn(String, String) -> Fut + Send + Sync + 'static,
    Fut: Future<Output: IntoReply> + Send + 'static,
{
    TokenService::new(move |asked| rule(asked.path().to_owned(), asked.body)).client()
}

pub fn reader() -> Credential {
    Credential::user("reader", "secret")
}

/// A site whose token service is named, so that no server has to be asked for it.
pub fn site() -> Site {
    Site::new(ROOT)
        .allow_insecure_http()
        .token_url(format!("{ROOT}/tokens/generateToken"))
}

pub fn layer(site: Site, client: TokenClient) -> ArcgisAuthLayer {
    let layer = ArcgisAuthLayer::builder()
        .add_site(site)
        .token_client(client);
    layer.build().unwrap()
}

/// Who says so in a header.
pub fn caller(head: &Parts) -> Option<Identity> {
    let name = head.headers.get("x-caller")?.to_str().ok()?;
    Some(Identity::from(name))
}

pub fn get_as(name: impl Into<String>) -> Request<Full<Bytes>> {
    let mut request = get(ROADS);
    let name = HeaderValue::try_from(name.into()).unwrap();
    request.headers_mut().insert("x-caller", name);
    request
}

/// A runtime with a clock of its own, which jumps to whatever is next.
pub fn paused_runtime() -> Runtime {
    Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap()
}
