//! A token service that does as a test says, and a server that any token opens: what tests of logins have in common.

use std::{convert::Infallible, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Request, request::Parts};
use http_body_util::{BodyExt, Full};
use tokio::runtime::{Builder, Runtime};
use tower::service_fn;
use tower_arcgis_auth::{ArcgisAuthLayer, Credential, Identity, Site, TokenClient};

use super::{Answer, CLEAN, Fake, REQUIRED, ROADS, ROOT, answer, get, token_of};

pub const INFO: &str =
    r#"{"currentVersion":11,"authInfo":{"tokenServicesUrl":"http://gis.test/arcgis/tokens/"}}"#;
pub const TOKEN: &str = r#"{"token":"abcdef","expires":4102444800000}"#;
pub const WRONG: &str = r#"{"error":{"code":400,"message":"Unable to generate token.","details":["Invalid username or password."]}}"#;
pub const SECOND: Duration = Duration::from_secs(1);

/// A token client that answers as `rule` does, given path and form.
pub fn client<F, Fut>(rule: F) -> TokenClient
where
    F: Fn(String, String) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Answer> + Send + 'static,
{
    TokenClient::new(service_fn(move |request: Request<Full<Bytes>>| {
        let rule = rule.clone();
        async move {
            let (head, body) = request.into_parts();
            let form = body.collect().await.unwrap().to_bytes();
            let form = String::from_utf8(form.to_vec()).unwrap();
            Ok::<_, Infallible>(rule(head.uri.path().to_owned(), form).await)
        }
    }))
}

/// Any token opens it.
pub fn open_to_any_token() -> Fake {
    Fake::new(|request| match token_of(request) {
        Some(_) => answer(CLEAN),
        None => answer(REQUIRED),
    })
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
