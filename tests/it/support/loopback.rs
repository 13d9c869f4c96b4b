//! Tests over sockets: hyper's client below the layer, and the stand-in for ArcGIS as the server.

use arcgis_stand_in::{PASSWORD, Personality, Portal, StandIn, USERNAME};
use bytes::Bytes;
use http_body_util::Full;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use tower::Layer;
use tower_arcgis_auth::{ArcgisAuth, ArcgisAuthLayer, Credential, ReplayBody, Site};

use super::{Got, send};

pub(crate) type Http = Client<HttpConnector, ReplayBody<Full<Bytes>>>;

pub(crate) const PARCELS: &str = "rest/services/Parcels/MapServer?f=json";
pub(crate) const WATER: &str = "rest/services/Water/FeatureServer/0/query?f=json&where=1%3D1";
pub(crate) const ZONING: &str = "rest/services/Zoning/MapServer?f=json";
pub(crate) const ECHO: &str = "rest/services/Water/FeatureServer/0/echo?f=json";

/// The user that the stand-in knows.
pub(crate) fn user() -> Credential {
    Credential::user(USERNAME, PASSWORD)
}

/// The user that the stand-in knows, with a wrong password.
pub(crate) fn wrong_user() -> Credential {
    Credential::user(USERNAME, "wrong")
}

pub(crate) fn site_at(server: &StandIn) -> Site {
    Site::new(server.root()).credential(user())
}

pub(crate) async fn server_like(personality: Personality) -> StandIn {
    let server = StandIn::builder().personality(personality).start();
    server.await.unwrap()
}

pub(crate) async fn federated_with(portal: &Portal) -> StandIn {
    let server = StandIn::builder().federated_with(portal).start();
    server.await.unwrap()
}

/// A site that is federated with `portal`, which may have the credential.
pub(crate) fn member(server: &StandIn, portal: &Portal) -> Site {
    site_at(server).trust_token_service(portal.origin())
}

pub(crate) fn http_client(version: http::Version) -> Http {
    Client::builder(TokioExecutor::new())
        .http2_only(version == http::Version::HTTP_2)
        .build_http()
}

pub(crate) fn client_of(layer: &ArcgisAuthLayer) -> ArcgisAuth<Http> {
    layer.layer(http_client(http::Version::HTTP_11))
}

pub(crate) fn client_for(site: Site) -> ArcgisAuth<Http> {
    client_of(&ArcgisAuthLayer::try_new(site).unwrap())
}

pub(crate) async fn fetch(service: &ArcgisAuth<Http>, uri: String) -> Got {
    send(service, super::get(&uri)).await
}

/// The request was signed, and its answer is no challenge.
#[track_caller]
pub(crate) fn assert_open(got: &Got) {
    let (outcome, text) = (&got.outcome, got.text());
    assert!(outcome.returned_challenge().is_none(), "{outcome}: {text}");
    assert!(outcome.signed(), "{outcome}: {text}");
}
