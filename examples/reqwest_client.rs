//! The layer over reqwest: requests are built with `http`, sent by a `reqwest::Client`.
//!
//! `cargo run --example reqwest_client` starts a stand-in for ArcGIS Server. To ask a real one over http; https wants one of
//! reqwest's TLS features in Cargo.toml:
//!
//! ```text
//! ARCGIS_USERNAME=reader ARCGIS_PASSWORD=secret cargo run --example reqwest_client -- http://localhost:6080/arcgis
//! ```

use std::{env, error::Error};

use arcgis_stand_in::{PASSWORD, StandIn, USERNAME};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use tower::{Layer, ServiceExt, service_fn};
use tower_arcgis_auth::{ArcgisAuthLayer, Credential, ReplayBody, Site};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let server = StandIn::start().await?;
    let root = env::args().nth(1).unwrap_or_else(|| server.root());
    let credential = Credential::user(
        env::var("ARCGIS_USERNAME").unwrap_or_else(|_| USERNAME.to_owned()),
        env::var("ARCGIS_PASSWORD").unwrap_or_else(|_| PASSWORD.to_owned()),
    );

    let reqwest = reqwest::Client::builder()
        // By default reqwest follows redirects by itself, to any host, and sends the URL it comes from as `Referer`: the
        // token in that URL's query would reach the other host, and so would `X-Esri-Authorization`. The layer above cannot
        // prevent it; these two settings do. To follow redirects, do it above the layer.
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .build()?;
    let reqwest = service_fn(move |request: Request<ReplayBody<Full<Bytes>>>| {
        let reqwest = reqwest.clone();
        async move {
            let request = request.map(reqwest::Body::wrap).try_into()?;
            // reqwest's errors print the URL, and with it a token in the query.
            let response = reqwest.execute(request).await;
            response
                .map(Response::<reqwest::Body>::from)
                .map_err(reqwest::Error::without_url)
        }
    });
    let client = ArcgisAuthLayer::try_new(Site::new(&root).credential(credential))?.layer(reqwest);

    let url = format!("{root}/rest/services/Parcels/MapServer?f=json");
    let request = Request::get(url).body(Full::default())?;
    let response = client.oneshot(request).await?;
    println!("{} — {}", response.status(), response.body().outcome());
    let body = response.into_body().collect().await?.to_bytes();
    println!("{}", String::from_utf8_lossy(&body));
    Ok(())
}
