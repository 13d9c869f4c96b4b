//! What the tests share: a scripted ArcGIS, token service and token source, and ways to ask them.
#![allow(
    dead_code,
    unused_imports,
    unreachable_pub,
    reason = "every test binary uses its own part of this module"
)]

pub mod bodies;
pub mod logins;
pub mod received;
pub mod secrets;
#[cfg(feature = "shared-cache")]
pub(crate) mod shared_cache;
pub mod token_service;
mod token_source;
mod upstream;

use std::{convert::Infallible, path::PathBuf};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use tower::{Layer, Service, ServiceExt};
use tower_arcgis_auth::{
    ArcgisAuth, ArcgisAuthLayer, AuthOutcome, ResponseBody, Secret, Site, SkipReason,
};

pub use self::{
    token_service::{Asked, Reply, TokenService},
    token_source::{Scripted, Source},
    upstream::{Answer, Upstream, ValidTokens, answer, token_of},
};

pub const ROOT: &str = "http://gis.test/arcgis";
pub const ROADS: &str = "http://gis.test/arcgis/rest/services/Roads/MapServer?f=json";
pub const CLEAN: &str = r#"{"currentVersion":11.3,"layers":[]}"#;
pub const REQUIRED: &str = r#"{"error":{"code":499,"message":"Token Required","details":[]}}"#;
pub const INVALID: &str = r#"{"error":{"code":498,"message":"Invalid Token","details":[]}}"#;

/// A file of a test's own, a mounted secret, gone with it.
pub struct Mounted(PathBuf);

impl Mounted {
    pub fn holding(name: &str, text: &str) -> Self {
        let name = format!("arcgis-auth-{}-{name}", std::process::id());
        let mounted = Self(std::env::temp_dir().join(name));
        mounted.hold(text);
        mounted
    }

    pub fn hold(&self, text: &str) {
        std::fs::write(&self.0, text).unwrap();
    }

    pub fn secret(&self) -> Secret {
        Secret::file(&self.0)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        std::fs::remove_file(&self.0).unwrap();
    }
}

pub fn site(source: &Source) -> Site {
    Site::new(ROOT).token_source(source.clone())
}

/// The layer with default settings over `inner`.
pub fn over<S>(inner: S, source: &Source) -> ArcgisAuth<S> {
    ArcgisAuthLayer::try_new(site(source)).unwrap().layer(inner)
}

pub fn get(uri: &str) -> Request<Full<Bytes>> {
    Request::get(uri).body(Full::default()).unwrap()
}

/// An answer, read to its end.
pub struct Answered {
    pub body: Bytes,
    pub outcome: AuthOutcome,
    pub parts: http::response::Parts,
}

impl Answered {
    pub fn is_clean(&self) -> bool {
        self.body == CLEAN
    }
}

/// The token service refused the login, and that is the reason.
#[track_caller]
pub fn assert_login_refused(reason: Option<&SkipReason>) {
    assert!(
        matches!(reason, Some(SkipReason::LoginRefused(_))),
        "{reason:?}"
    );
}

pub async fn send<S>(service: &ArcgisAuth<S>, request: Request<Full<Bytes>>) -> Answered
where
    ArcgisAuth<S>: Service<
            Request<Full<Bytes>>,
            Response = Response<ResponseBody<Full<Bytes>>>,
            Error = Infallible,
        > + Clone,
{
    let response = service.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let outcome = body.outcome().clone();
    let body = body.collect().await.unwrap().to_bytes();
    Answered {
        body,
        outcome,
        parts,
    }
}
