//! An upstream over https, with a certificate that the platform does not trust.
#![allow(clippy::unwrap_used, reason = "test code outside of test functions")]

mod support;

use std::{fs, path::PathBuf, sync::Arc};

use arcgis_stand_in::{PASSWORD, StandIn, USERNAME};
use http::StatusCode;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivatePkcs8KeyDer},
};
use support::{ECHO, PARCELS, Proxy};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;

/// https in front of a stand-in, which knows nothing of it.
struct Front {
    origin: String,
    ca: CaFile,
}

/// Removed when dropped.
struct CaFile(PathBuf);

impl Drop for CaFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

impl CaFile {
    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

fn certificates() -> (String, CertificateDer<'static>, PrivatePkcs8KeyDer<'static>) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca_key = KeyPair::generate().unwrap();
    let ca = params.self_signed(&ca_key).unwrap();
    let issuer = Issuer::new(params, ca_key);
    let key = KeyPair::generate().unwrap();
    let server = CertificateParams::new(vec!["127.0.0.1".to_owned()])
        .unwrap()
        .signed_by(&key, &issuer)
        .unwrap();
    let key = PrivatePkcs8KeyDer::from(key.serialize_der());
    (ca.pem(), server.der().clone(), key)
}

async fn front(arcgis: &StandIn, protocol: &str) -> Front {
    let (ca, certificate, key) = certificates();
    let mut tls = ServerConfig::builder_with_provider(ring::default_provider().into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key.into())
        .unwrap();
    tls.alpn_protocols = vec![protocol.as_bytes().to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(tls));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let behind = arcgis.addr();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                // One that does not trust us hangs up.
                let Ok(mut outside) = acceptor.accept(stream).await else {
                    return;
                };
                let mut inside = TcpStream::connect(behind).await.unwrap();
                let _ = copy_bidirectional(&mut outside, &mut inside).await;
            });
        }
    });
    let origin = format!("https://{address}");
    arcgis.set_token_services_url(Some(format!("{origin}/arcgis/tokens/")));
    let file =
        PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("ca-{}.pem", address.port()));
    fs::write(&file, ca).unwrap();
    Front {
        origin,
        ca: CaFile(file),
    }
}

#[tokio::test]
async fn a_ca_file_is_trusted_for_requests_and_logins() {
    let arcgis = StandIn::start().await.unwrap();
    for (protocol, version) in [("http/1.1", "HTTP/1.1"), ("h2", "HTTP/2.0")] {
        let front = front(&arcgis, protocol).await;
        arcgis.reset_counters();
        let proxy = Proxy::at(&front.origin, &["--ca-file", front.ca.path()]).await;
        assert!(proxy.get(PARCELS).await.is_the_service());
        let echo = proxy
            .get_with(
                ECHO,
                &[
                    ("connection", "x-mine"),
                    ("x-mine", "1"),
                    ("te", "trailers"),
                ],
            )
            .await;
        assert_eq!(echo.json()["version"], version);
        assert_eq!(echo.echoed("x-mine"), None);
        assert_eq!(echo.echoed("te").as_deref(), Some("trailers"));
        assert_eq!(arcgis.counters().logins, 1);
    }
}

#[tokio::test]
async fn a_certificate_nobody_vouches_for_is_refused() {
    let arcgis = StandIn::start().await.unwrap();
    let front = front(&arcgis, "http/1.1").await;
    let (other, ..) = certificates();
    // Trusting someone else, so that the test needs no certificates of the platform's.
    let file = CaFile(front.ca.0.with_extension("other.pem"));
    fs::write(&file.0, other).unwrap();
    let proxy = Proxy::at(&front.origin, &["--ca-file", file.path()]).await;
    assert_eq!(proxy.get(PARCELS).await.status, StatusCode::BAD_GATEWAY);
    assert_eq!(arcgis.counters().requests, 0);
    let log = proxy.terminate().await.log;
    assert!(log.contains("invalid peer certificate"), "{log}");
}

#[tokio::test]
async fn a_login_at_a_server_nobody_vouches_for_gets_no_password() {
    let arcgis = StandIn::start().await.unwrap();
    let front = front(&arcgis, "http/1.1").await;
    let (other, ..) = certificates();
    let file = CaFile(front.ca.0.with_extension("other.pem"));
    fs::write(&file.0, other).unwrap();
    let token_url = format!("{}/arcgis/tokens/generateToken", front.origin);
    let arguments = [
        "--upstream",
        &arcgis.root(),
        "--username",
        USERNAME,
        "--token-url",
        &token_url,
        "--ca-file",
        file.path(),
    ];
    let proxy = Proxy::start(&arguments, &[("ARCGIS_PASSWORD", PASSWORD)]).await;
    assert_eq!(proxy.get(PARCELS).await.json()["error"]["code"], 499);
    assert_eq!(arcgis.counters().login_attempts, 0);
}
