//! The layer in an axum service: one route that shows a secured map service to people who have no login.
//!
//! `cargo run --example axum_service` starts a stand-in for ArcGIS Server and serves on port 3000, or at the address in `LISTEN`;
//! then `curl http://127.0.0.1:3000/water`.
//!
//! ```text
//! ARCGIS_USERNAME=reader ARCGIS_PASSWORD=secret cargo run --example axum_service -- http://localhost:6080/arcgis
//! ```

use std::{env, error::Error};

use arcgis_stand_in::{PASSWORD, StandIn, USERNAME};
use axum::{
    Router,
    body::Body,
    extract::{RawQuery, State},
    http::{HeaderValue, Request, StatusCode, header::CACHE_CONTROL},
    response::Response,
    routing::get,
};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use tower::{Layer, ServiceExt};
use tower_arcgis_auth::{ArcgisAuth, ArcgisAuthLayer, Credential, ReplayBody, Site};

/// The client every handler shares: hyper's, with the layer around it.
#[derive(Clone)]
struct Gis {
    root: String,
    client: ArcgisAuth<Client<HttpConnector, ReplayBody<Body>>>,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let server = StandIn::start().await?;
    let root = env::args().nth(1).unwrap_or_else(|| server.root());
    let credential = Credential::user(
        env::var("ARCGIS_USERNAME").unwrap_or_else(|_| USERNAME.to_owned()),
        env::var("ARCGIS_PASSWORD").unwrap_or_else(|_| PASSWORD.to_owned()),
    );

    let layer = ArcgisAuthLayer::try_new(Site::new(&root).credential(credential))?;
    let client = layer.layer(Client::builder(TokioExecutor::new()).build_http());
    let app = Router::new()
        .route("/water", get(water))
        .with_state(Gis { root, client });

    let address = env::var("LISTEN").unwrap_or_else(|_| "127.0.0.1:3000".to_owned());
    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, app).await?;
    Ok(())
}

async fn water(State(gis): State<Gis>, RawQuery(query): RawQuery) -> Result<Response, StatusCode> {
    let query = query.unwrap_or_else(|| "where=1%3D1&f=json".to_owned());
    let url = format!(
        "{}/rest/services/Water/FeatureServer/0/query?{query}",
        gis.root
    );
    let request = Request::get(url)
        .body(Body::empty())
        .map_err(|_| StatusCode::BAD_REQUEST)?;
    let response = gis
        .client
        .oneshot(request)
        .await
        .map_err(|_| StatusCode::BAD_GATEWAY)?;
    if response.body().outcome().returned_challenge().is_some() {
        // Still a login page: ours to fix, not the visitor's to answer.
        return Err(StatusCode::BAD_GATEWAY);
    }
    let mut response = response.map(Body::new);
    // Fetched with our account: no shared cache may keep it.
    response
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static("private"));
    Ok(response)
}
