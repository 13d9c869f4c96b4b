//! Certificates, and https in front of a stand-in, which knows nothing of it: for the tests of the proxy and of the probe.
#![allow(dead_code, reason = "each test file uses its part of it")]

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use arcgis_stand_in::StandIn;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, pem::PemObject},
    sign::{CertifiedKey, SingleCertAndKey},
};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;

/// What a server shows and proves.
pub(crate) struct Identity {
    pub(crate) pem: String,
    certificate: CertificateDer<'static>,
    key: Vec<u8>,
}

impl Identity {
    /// As `openssl req -x509 -subj /CN=gis.internal` makes it: marked as a CA's, and without a name where names are looked for.
    pub(crate) fn of_openssl() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
            .distinguished_name
            .push(DnType::CommonName, "gis.internal");
        Self::self_signed(&params)
    }

    /// Valid for 127.0.0.1, a while ago.
    pub(crate) fn expired() -> Self {
        let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        params.not_before = date_time_ymd(2010, 1, 1);
        params.not_after = date_time_ymd(2011, 1, 1);
        Self::self_signed(&params)
    }

    /// As `openssl x509 -req -signkey` makes it: of X.509's version 1.
    pub(crate) fn of_version_1() -> Self {
        let pem = include_str!("version_1.pem");
        let key = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes()).unwrap();
        Self {
            pem: pem.to_owned(),
            certificate: CertificateDer::from_pem_slice(pem.as_bytes()).unwrap(),
            key: key.secret_pkcs8_der().to_vec(),
        }
    }

    fn self_signed(params: &CertificateParams) -> Self {
        let key = KeyPair::generate().unwrap();
        Self::new(&params.self_signed(&key).unwrap(), &key)
    }

    fn new(certificate: &rcgen::Certificate, key: &KeyPair) -> Self {
        Self {
            pem: certificate.pem(),
            certificate: certificate.der().clone(),
            key: key.serialize_der(),
        }
    }

    /// The certificate of one, the key of the other.
    pub(crate) fn with_key_of(mut self, other: &Self) -> Self {
        self.key = other.key.clone();
        self
    }
}

/// A CA of the test's own.
pub(crate) struct Ca {
    pub(crate) pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Ca {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self {
            pem,
            issuer: Issuer::new(params, key),
        }
    }

    pub(crate) fn signs(&self, name: &str) -> Identity {
        self.signs_params(CertificateParams::new(vec![name.to_owned()]).unwrap())
    }

    pub(crate) fn signs_expired(&self, name: &str) -> Identity {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_before = date_time_ymd(2010, 1, 1);
        params.not_after = date_time_ymd(2011, 1, 1);
        self.signs_params(params)
    }

    fn signs_params(&self, params: CertificateParams) -> Identity {
        let key = KeyPair::generate().unwrap();
        Identity::new(&params.signed_by(&key, &self.issuer).unwrap(), &key)
    }
}

/// https in front of a stand-in, on loopback.
pub(crate) struct Front {
    pub(crate) address: SocketAddr,
    names: Arc<Mutex<Vec<Option<String>>>>,
}

impl Front {
    pub(crate) async fn start(arcgis: &StandIn, identity: &Identity, protocol: &str) -> Self {
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(identity.key.clone()));
        let key = ring::sign::any_supported_type(&key).unwrap();
        let shown = CertifiedKey::new(vec![identity.certificate.clone()], key);
        let mut tls = ServerConfig::builder_with_provider(ring::default_provider().into())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(shown)));
        tls.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(tls));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let behind = arcgis.addr();
        let names = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&names);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, heard) = (acceptor.clone(), Arc::clone(&heard));
                tokio::spawn(async move {
                    // One that does not trust us hangs up.
                    let Ok(mut outside) = acceptor.accept(stream).await else {
                        return;
                    };
                    let name = outside.get_ref().1.server_name().map(str::to_owned);
                    heard.lock().unwrap().push(name);
                    let mut inside = TcpStream::connect(behind).await.unwrap();
                    let _ = copy_bidirectional(&mut outside, &mut inside).await;
                });
            }
        });
        Self { address, names }
    }

    /// As callers are to know it, whose token service is there too.
    pub(crate) async fn of(arcgis: &StandIn, identity: &Identity, protocol: &str) -> Self {
        let front = Self::start(arcgis, identity, protocol).await;
        arcgis.set_token_services_url(Some(format!("{}/arcgis/tokens/", front.origin())));
        front
    }

    pub(crate) fn origin(&self) -> String {
        format!("https://{}", self.address)
    }

    /// The names it was asked by (SNI), one for each connection that trusted it.
    pub(crate) fn names(&self) -> Vec<Option<String>> {
        self.names.lock().unwrap().clone()
    }
}
