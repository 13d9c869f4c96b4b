//! A self-signed certificate, made for one run.

use std::fmt;
use std::io;
use std::sync::Arc;

use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair};
use time::{Duration, OffsetDateTime};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

/// How long a certificate is valid, in days from now. Apple's verifier takes none longer than 825 days.
const DAYS: i64 = 365;

/// A self-signed certificate and its key, for `https`. Clients have to be told to trust it: [`Certificate::pem`].
///
/// ```
/// use arcgis_stand_in::{Certificate, StandIn};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// let certificate = Certificate::for_loopback()?;
/// let arcgis = StandIn::builder().https(&certificate).start().await?;
/// assert!(arcgis.root().starts_with("https://127.0.0.1:"));
///
/// // Where the client under test reads what it trusts from:
/// let file = std::env::temp_dir().join(format!("stand-in-{}.pem", std::process::id()));
/// std::fs::write(&file, certificate.pem())?;
/// # std::fs::remove_file(&file)?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Certificate {
    pem: String,
    acceptor: TlsAcceptor,
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate")
            .field("pem", &self.pem)
            .finish_non_exhaustive()
    }
}

impl Certificate {
    /// For `localhost`, `127.0.0.1` and `::1`.
    ///
    /// # Errors
    ///
    /// If the system has no random numbers for the key.
    pub fn for_loopback() -> io::Result<Self> {
        Self::for_names(["localhost", "127.0.0.1", "::1"])
    }

    /// For these host names and IP addresses.
    ///
    /// ```
    /// use arcgis_stand_in::Certificate;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let certificate = Certificate::for_names(["gis.test", "10.0.0.7"])?;
    /// assert!(certificate.pem().starts_with("-----BEGIN CERTIFICATE-----"));
    /// assert!(Certificate::for_names(["not\u{e4}ascii"]).is_err());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// If a name is not ASCII, or the system has no random numbers for the key.
    pub fn for_names<N: Into<String>>(names: impl IntoIterator<Item = N>) -> io::Result<Self> {
        let names: Vec<String> = names.into_iter().map(Into::into).collect();
        let mut params = CertificateParams::new(names).map_err(io::Error::other)?;
        let now = OffsetDateTime::now_utc();
        // Clocks of other machines may be behind.
        params.not_before = now - Duration::days(1);
        params.not_after = now + Duration::days(DAYS);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params
            .distinguished_name
            .push(DnType::CommonName, "arcgis-stand-in");
        let key = KeyPair::generate().map_err(io::Error::other)?;
        let certificate = params.self_signed(&key).map_err(io::Error::other)?;

        let private = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(|builder| {
                builder
                    .with_no_client_auth()
                    .with_single_cert(vec![certificate.der().clone()], private)
            })
            .map_err(io::Error::other)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self {
            pem: certificate.pem(),
            acceptor: TlsAcceptor::from(Arc::new(config)),
        })
    }

    /// The certificate as a PEM file has it, for clients to trust. The key is not in it.
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.pem
    }

    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        self.acceptor.clone()
    }
}
