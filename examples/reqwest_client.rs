//! The layer over reqwest: requests and responses are reqwest's own.
//!
//! `cargo run --example reqwest_client --features reqwest` starts a stand-in for ArcGIS Server. To ask a real one over http;
//! https wants one of reqwest's TLS features in Cargo.toml:
//!
//! ```text
//! ARCGIS_USERNAME=reader ARCGIS_PASSWORD=secret \
//!     cargo run --example reqwest_client --features reqwest -- http://localhost:6080/arcgis
//! ```

use std::{env, error::Error};

use arcgis_stand_in::{PASSWORD, StandIn, USERNAME};
use tower_arcgis_auth::{ArcgisAuthLayer, AuthOutcome, Credential, ReqwestClient, Site};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let server = StandIn::start().await?;
    let root = env::args().nth(1).unwrap_or_else(|| server.root());
    let credential = Credential::user(
        env::var("ARCGIS_USERNAME").unwrap_or_else(|_| USERNAME.to_owned()),
        env::var("ARCGIS_PASSWORD").unwrap_or_else(|_| PASSWORD.to_owned()),
    );

    let layer = ArcgisAuthLayer::try_new(Site::new(&root).credential(credential))?;
    let client = ReqwestClient::try_new(&layer, reqwest::Client::builder())?.failures_as_status();

    let url = format!("{root}/rest/services/Parcels/MapServer");
    let response = client
        .send(|http| http.get(url).query(&[("f", "json")]))
        .await?
        .error_for_status()?;
    if let Some(outcome) = response.extensions().get::<AuthOutcome>() {
        println!("{} — {outcome}", response.status());
    }
    let service: serde_json::Value = response.json().await?;
    println!("{service}");
    Ok(())
}
