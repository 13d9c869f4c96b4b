//! One client, one layer, three secured services, credentials given once. Says what happens at each step.
//!
//! `cargo run --example quickstart` starts a stand-in for ArcGIS Server. To ask a real one:
//!
//! ```text
//! ARCGIS_USERNAME=reader ARCGIS_PASSWORD=secret cargo run --example quickstart -- \
//!     https://gis.example.com/arcgis Roads/MapServer Water/FeatureServer
//! ```

use std::{env, error::Error};

use arcgis_stand_in::{PASSWORD, StandIn, USERNAME};
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_rustls::{ConfigBuilderExt, HttpsConnectorBuilder};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use tower::{Layer, ServiceExt};
use tower_arcgis_auth::{ArcgisAuthLayer, Credential, Site};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let mut stand_in = None;
    let (root, services, credential) = match arguments.next() {
        Some(root) => {
            let name = env::var("ARCGIS_USERNAME").map_err(|_| "set ARCGIS_USERNAME")?;
            let password = env::var("ARCGIS_PASSWORD").map_err(|_| "set ARCGIS_PASSWORD")?;
            (root, arguments.collect(), Credential::user(name, password))
        }
        None => {
            let server = stand_in.insert(StandIn::start().await?);
            println!("A stand-in for ArcGIS Server runs at {}.", server.root());
            let services = [
                "Parcels/MapServer",
                "Water/FeatureServer",
                "Zoning/MapServer",
            ];
            (
                server.root(),
                services.map(String::from).to_vec(),
                Credential::user(USERNAME, PASSWORD),
            )
        }
    };

    // The credentials, given once. This is all there is to set up.
    let layer = ArcgisAuthLayer::try_new(Site::new(&root).credential(credential))?;
    let client = layer.layer(Client::builder(TokioExecutor::new()).build(https()?));

    let ask = async |service: &str| -> Result<(), Box<dyn Error>> {
        let url = format!("{root}/rest/services/{service}?f=json");
        let request = Request::get(url).body(Full::<Bytes>::default())?;
        let response = client.clone().oneshot(request).await?;
        let outcome = response.body().outcome().clone();
        let answer = response.into_body().collect().await?.to_bytes();
        let answer: String = String::from_utf8_lossy(&answer).chars().take(70).collect();
        println!("  {service}: {outcome}\n    {answer} …");
        Ok(())
    };

    println!("\nThree secured services, nobody logged in:");
    for service in &services {
        ask(service).await?;
    }
    if let Some(server) = stand_in {
        println!("  logins so far: {}", server.counters().logins);

        println!("\nThe server forgets all its tokens, as after a restart:");
        server.revoke_all_tokens();
        for service in &services {
            ask(service).await?;
        }
        println!("  logins so far: {}", server.counters().logins);
    }
    Ok(())
}

fn https() -> Result<
    hyper_rustls::HttpsConnector<hyper_util::client::legacy::connect::HttpConnector>,
    Box<dyn Error>,
> {
    let tls = || {
        let provider = rustls::crypto::ring::default_provider().into();
        rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()
    };
    // A machine without root certificates can still ask the stand-in.
    let tls = match tls()?.try_with_platform_verifier() {
        Ok(tls) => tls,
        Err(_) => tls()?.with_root_certificates(rustls::RootCertStore::empty()),
    }
    .with_no_client_auth();
    Ok(HttpsConnectorBuilder::new()
        .with_tls_config(tls)
        .https_or_http()
        .enable_http1()
        .build())
}
