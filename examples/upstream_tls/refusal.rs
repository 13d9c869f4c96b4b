//! What to do where TLS refuses a server, or the server refuses the name it is asked for: said with the reason.

use std::{error::Error, io};

use http::Uri;
use rustls::{AlertDescription, CertificateError};
use tower::BoxError;

/// What the advice depends on.
pub(super) struct Refusals {
    /// The upstreams' hosts.
    pub(super) upstreams: Vec<String>,
    /// `--ca-file` is given.
    pub(super) has_file: bool,
}

impl Refusals {
    /// The error with advice, if there is any to give.
    pub(super) fn explained(&self, error: BoxError, server: &Uri) -> BoxError {
        match tls_error(&*error).and_then(|error| self.in_words(error, server)) {
            Some(words) => words.into(),
            None => error,
        }
    }

    fn in_words(&self, error: &rustls::Error, server: &Uri) -> Option<String> {
        let host = server.host().unwrap_or_default();
        let is_upstream = self
            .upstreams
            .iter()
            .any(|upstream| host.eq_ignore_ascii_case(upstream));
        let certificate = match error {
            rustls::Error::InvalidCertificate(certificate) => certificate,
            rustls::Error::AlertReceived(AlertDescription::UnrecognisedName) if is_upstream => {
                return Some(format!(
                    "{error}: the server has no certificate for the name it is asked for; give one of its names with \
                     --tls-name NAME"
                ));
            }
            _ => return None,
        };
        let (why, advice) = self.about(certificate, is_upstream)?;
        Some(format!("invalid peer certificate: {why}; {advice}"))
    }

    /// Why the certificate is refused, and what to do.
    fn about(&self, certificate: &CertificateError, is_upstream: bool) -> Option<(String, String)> {
        const NAME_IT: &str = "name this very certificate with --ca-file PEM";
        let right_server = |advice: &str| format!("if this is the right server, {advice}");
        let why = certificate.to_string();
        Some(match certificate {
            CertificateError::UnknownIssuer if self.has_file => (
                format!("{why}: nobody who is trusted vouches for it"),
                right_server(
                    "put its certificate, or that of the CA that signed it, into the file of --ca-file, which has \
                     neither",
                ),
            ),
            CertificateError::UnknownIssuer => (
                format!("{why}: nobody who is trusted vouches for it"),
                right_server(
                    "name its certificate, or that of the CA that signed it, with --ca-file PEM",
                ),
            ),
            CertificateError::BadSignature => (
                format!(
                    "{why}: the CA that is trusted by that name has not signed it, or the server has not its key"
                ),
                right_server("put the present certificate of its CA into the file of --ca-file"),
            ),
            // Among them CaUsedAsEndEntity, which `openssl req -x509` leads to.
            CertificateError::Other(other) => (other.to_string(), right_server(NAME_IT)),
            CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
                (why, right_server(NAME_IT))
            }
            CertificateError::NotValidForNameContext { presented, .. } if presented.is_empty() => {
                (why, right_server(NAME_IT))
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                let advice = if is_upstream {
                    "say with --tls-name NAME which of the certificate's names to check for"
                } else {
                    "ask it by a name that the certificate has, or name this very certificate with --ca-file PEM"
                };
                (why, right_server(advice))
            }
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => (
                why,
                "have it renewed, check this machine's clock, or trust it all the same: name this very certificate \
                 with --ca-file PEM"
                    .to_owned(),
            ),
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                (why, "check this machine's clock".to_owned())
            }
            _ => return None,
        })
    }
}

/// What TLS says, in an error of the connector's. An I/O error does not name what it wraps as its source.
fn tls_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(tls) = error.downcast_ref() {
            return Some(tls);
        }
        let wrapped = error.downcast_ref::<io::Error>();
        next = match wrapped.and_then(io::Error::get_ref) {
            Some(wrapped) => Some(wrapped as &(dyn Error + 'static)),
            None => error.source(),
        };
    }
    None
}
