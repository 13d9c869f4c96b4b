//! The layer over hyper's own client: an upload and a query, as to an open server.
//!
//! `cargo run --example hyper_client` starts a stand-in for ArcGIS Server. To ask a real one over http; for https give the
//! client a connector that speaks TLS, hyper-rustls's for one:
//!
//! ```text
//! ARCGIS_USERNAME=reader ARCGIS_PASSWORD=secret cargo run --example hyper_client -- http://localhost:6080/arcgis
//! ```

use std::{env, error::Error};

use arcgis_stand_in::{PASSWORD, StandIn, USERNAME};
use bytes::Bytes;
use http::{Request, header::CONTENT_TYPE};
use http_body_util::{BodyExt, Full};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use tower::{Service, ServiceBuilder, ServiceExt};
use tower_arcgis_auth::{ArcgisAuthLayer, Credential, Site, TokenPlacement};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let server = StandIn::start().await?;
    let root = env::args().nth(1).unwrap_or_else(|| server.root());
    let credential = Credential::user(
        env::var("ARCGIS_USERNAME").unwrap_or_else(|_| USERNAME.to_owned()),
        env::var("ARCGIS_PASSWORD").unwrap_or_else(|_| PASSWORD.to_owned()),
    );

    let site = Site::new(&root)
        .credential(credential)
        // Servers from 10.6 on take the token in a header, where no log shows it.
        .placement(TokenPlacement::EsriHeader);
    let mut client = ServiceBuilder::new()
        .layer(ArcgisAuthLayer::try_new(site)?)
        .service(Client::builder(TokioExecutor::new()).build_http());

    let query = "where=1%3D1&outFields=*&f=json";
    let request = Request::post(format!("{root}/rest/services/Water/FeatureServer/0/query"))
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Full::new(Bytes::from(query)))?;

    let response = client.ready().await?.call(request).await?;
    println!("{} — {}", response.status(), response.body().outcome());
    let body = response.into_body().collect().await?.to_bytes();
    println!("{}", String::from_utf8_lossy(&body));
    Ok(())
}
