//! https with a certificate that clients are told to trust.
#![cfg(feature = "https")]
#![allow(clippy::unwrap_used, reason = "test code outside of test functions")]

use std::error::Error;

use arcgis_stand_in::{Certificate, PASSWORD, Portal, StandIn, USERNAME};
use bytes::Bytes;
use http::{Request, Version};
use http_body_util::{BodyExt, Full};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

type Https = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// A client that speaks nothing but https, and trusts these certificates only.
fn trusting(pems: &[&str]) -> Https {
    let mut roots = RootCertStore::empty();
    for pem in pems {
        let certificate = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
        roots.add(certificate).unwrap();
    }
    let config = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(config)
        .https_only()
        .enable_all_versions()
        .build();
    Client::builder(TokioExecutor::new()).build(connector)
}

async fn post(client: &Https, url: &str, fields: &[(&str, &str)]) -> (Version, Value) {
    let form = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(fields)
        .finish();
    let request = Request::post(url)
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Full::from(form))
        .unwrap();
    let response = client.request(request).await.unwrap();
    let version = response.version();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (version, serde_json::from_slice(&body).unwrap())
}

#[tokio::test]
async fn a_client_that_trusts_the_certificate_logs_in_over_https() {
    let certificate = Certificate::for_loopback().unwrap();
    let arcgis = StandIn::builder()
        .https(&certificate)
        .start()
        .await
        .unwrap();
    let client = trusting(&[certificate.pem()]);

    let (version, info) = post(&client, &arcgis.url("rest/info"), &[("f", "json")]).await;
    assert_eq!(version, Version::HTTP_2);
    let url = info["authInfo"]["tokenServicesUrl"].as_str().unwrap();
    assert_eq!(url, format!("https://{}/arcgis/tokens/", arcgis.addr()));

    let credential = [("username", USERNAME), ("password", PASSWORD)];
    let (_, login) = post(&client, &format!("{url}generateToken"), &credential).await;
    let fields = [("token", login["token"].as_str().unwrap()), ("f", "json")];
    let export = arcgis.url("rest/services/Parcels/MapServer/export");
    let (_, export) = post(&client, &export, &fields).await;
    assert!(
        export["href"]
            .as_str()
            .unwrap()
            .starts_with(&arcgis.origin())
    );
}

#[tokio::test]
async fn a_client_that_does_not_trust_the_certificate_goes_away() {
    let certificate = Certificate::for_loopback().unwrap();
    let arcgis = StandIn::builder()
        .https(&certificate)
        .start()
        .await
        .unwrap();
    let other = Certificate::for_loopback().unwrap();
    let request = Request::get(arcgis.url("rest/info")).body(Full::default());
    let error = trusting(&[other.pem()])
        .request(request.unwrap())
        .await
        .unwrap_err();
    let mut text = String::new();
    let mut source: Option<&dyn Error> = Some(&error);
    while let Some(error) = source {
        text.push_str(&error.to_string());
        source = error.source();
    }
    assert!(text.contains("certificate"), "{text}");
    assert_eq!(arcgis.counters().requests, 0);
}

#[tokio::test]
async fn a_certificate_is_good_for_the_names_it_was_made_for_only() {
    let certificate = Certificate::for_names(["gis.test"]).unwrap();
    let arcgis = StandIn::builder()
        .https(&certificate)
        .start()
        .await
        .unwrap();
    let request = Request::get(arcgis.url("rest/info")).body(Full::default());
    let client = trusting(&[certificate.pem()]);
    assert!(client.request(request.unwrap()).await.is_err());
}

#[tokio::test]
async fn a_server_and_its_portal_can_share_a_certificate() {
    let certificate = Certificate::for_loopback().unwrap();
    let portal = Portal::builder().https(&certificate).start().await.unwrap();
    let arcgis = StandIn::builder()
        .https(&certificate)
        .federated_with(&portal)
        .start()
        .await
        .unwrap();
    let client = trusting(&[certificate.pem()]);

    let (_, info) = post(&client, &arcgis.url("rest/info"), &[("f", "json")]).await;
    assert_eq!(info["owningSystemUrl"], portal.root());
    let credential = [
        ("username", USERNAME),
        ("password", PASSWORD),
        ("referer", "https://app.example"),
    ];
    let (_, login) = post(&client, &portal.token_services_url(), &credential).await;
    assert!(login["token"].is_string(), "{login}");
}
