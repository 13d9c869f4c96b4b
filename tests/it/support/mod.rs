//! What the tests have in common: a scripted token service, a scripted upstream, and the layer between the two.

pub(crate) mod bodies;
pub(crate) mod loopback;
mod mounted;
pub(crate) mod received;
pub(crate) mod secrets;
#[cfg(feature = "shared-cache")]
pub(crate) mod shared_cache;
mod token_service;
mod upstream;

use std::{fmt::Debug, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, request::Parts};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use tokio::runtime::{Builder, Runtime};
use tower::{Layer, Service, ServiceExt};
use tower_arcgis_auth::{
    ArcgisAuth, ArcgisAuthLayer, AuthOutcome, Credential, CredentialRequest, Identity, ReplayBody,
    Site, SkipReason,
};

pub(crate) use self::{
    mounted::Mounted,
    token_service::{Asked, INFO, Reply, TokenService, info_naming},
    upstream::{Answer, Upstream, token_of},
};

pub(crate) const ROOT: &str = "http://gis.test/arcgis";
pub(crate) const ROADS: &str = "http://gis.test/arcgis/rest/services/Roads/MapServer?f=json";
pub(crate) const CLEAN: &str = r#"{"currentVersion":11.3,"layers":[]}"#;
pub(crate) const REQUIRED: &str =
    r#"{"error":{"code":499,"message":"Token Required","details":[]}}"#;
pub(crate) const INVALID: &str = r#"{"error":{"code":498,"message":"Invalid Token","details":[]}}"#;

pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const MINUTE: Duration = Duration::from_secs(60);

pub(crate) fn answer(body: impl Into<Bytes>) -> Answer {
    Response::new(Full::new(body.into()))
}

pub(crate) fn get(uri: &str) -> Request<Full<Bytes>> {
    Request::get(uri).body(Full::default()).unwrap()
}

/// The URL of a service of the server at [`ROOT`].
pub(crate) fn map_server(name: &str) -> String {
    format!("{ROOT}/rest/services/{name}/MapServer")
}

/// A request for roads that says in a header for whom it is made.
pub(crate) fn get_as(name: impl Into<String>) -> Request<Full<Bytes>> {
    let mut request = get(ROADS);
    let name = HeaderValue::try_from(name.into()).unwrap();
    request.headers_mut().insert("x-identity", name);
    request
}

/// The identity that a request's header names.
pub(crate) fn identity_in_header(head: &Parts) -> Option<Identity> {
    let name = head.headers.get("x-identity")?.to_str().ok()?;
    Some(Identity::from(name))
}

/// The user of most tests.
pub(crate) fn reader() -> Credential {
    Credential::user("reader", "secret")
}

/// The site, each of whose identities is the user of the same name.
pub(crate) fn named_like_identities(site: Site) -> Site {
    let user = |request: CredentialRequest| async move {
        let name = request.identity().expect("an identity").as_str();
        Ok(Credential::user(name, "secret"))
    };
    site.identity_fn(identity_in_header).credential_fn(user)
}

/// A site that gets its tokens from `service` without HTTP.
pub(crate) fn site(service: &TokenService) -> Site {
    Site::new(ROOT).token_source(service.clone())
}

/// A site whose token service is named, so that its server is not asked where that is.
pub(crate) fn named_site() -> Site {
    Site::new(ROOT)
        .allow_insecure_http()
        .token_url(format!("{ROOT}/tokens/generateToken"))
}

/// The layer with default settings over `inner`, with tokens from `service`.
pub(crate) fn over<S>(inner: S, service: &TokenService) -> ArcgisAuth<S> {
    ArcgisAuthLayer::try_new(site(service))
        .unwrap()
        .layer(inner)
}

/// The layer for `site`, whose logins go to `service` over HTTP.
pub(crate) fn layer(site: Site, service: &TokenService) -> ArcgisAuthLayer {
    let builder = ArcgisAuthLayer::builder().add_site(site);
    builder.token_client(service.client()).build().unwrap()
}

/// A client of a server at `site` that takes any token; its logins go to `service` over HTTP.
pub(crate) fn client(site: Site, service: &TokenService) -> ArcgisAuth<Upstream> {
    layer(site, service).layer(Upstream::open_to_any_token())
}

/// What the layer returned, read to its end.
#[derive(Debug)]
pub(crate) struct Got {
    pub(crate) body: Bytes,
    pub(crate) outcome: AuthOutcome,
    pub(crate) parts: http::response::Parts,
}

impl Got {
    pub(crate) fn is_clean(&self) -> bool {
        self.body == CLEAN
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// The token service refused the login, and that is the reason.
#[track_caller]
pub(crate) fn assert_login_refused(reason: Option<&SkipReason>) {
    assert!(
        matches!(reason, Some(SkipReason::LoginRefused(_))),
        "{reason:?}"
    );
}

pub(crate) async fn send<S, R>(service: &ArcgisAuth<S>, request: Request<Full<Bytes>>) -> Got
where
    S: Service<Request<ReplayBody<Full<Bytes>>>, Response = Response<R>> + Clone,
    S::Error: Debug,
    R: Body<Data = Bytes> + Unpin,
    R::Error: Debug,
{
    let response = service.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let outcome = body.outcome().clone();
    let body = body.collect().await.unwrap().to_bytes();
    Got {
        body,
        outcome,
        parts,
    }
}

/// A runtime with a clock of its own, which jumps to the next timer.
pub(crate) fn paused_runtime() -> Runtime {
    let mut builder = Builder::new_current_thread();
    builder.enable_all().start_paused(true).build().unwrap()
}
