//! What connections speak below HTTP: plain TCP, or TLS.

use std::fmt;

/// Plain TCP, or TLS with a certificate.
#[derive(Clone, Default)]
pub(crate) enum Transport {
    #[default]
    Plain,
    #[cfg(feature = "https")]
    Tls(tokio_rustls::TlsAcceptor),
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.scheme())
    }
}

impl Transport {
    /// The scheme of URLs.
    pub(crate) fn scheme(&self) -> &'static str {
        match self {
            Self::Plain => "http",
            #[cfg(feature = "https")]
            Self::Tls(_) => "https",
        }
    }
}
