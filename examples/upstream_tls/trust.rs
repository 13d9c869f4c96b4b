//! Whom a program trusts: the platform's certificates, those of `--ca-file` as roots, and each of these as it is.

use std::{path::Path, sync::Arc};

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, Error, RootCertStore,
    SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{
        CryptoProvider, WebPkiSupportedAlgorithms, ring, verify_tls12_signature,
        verify_tls13_signature, verify_tls13_signature_with_raw_key,
    },
    pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime, pem::PemObject},
    server::ParsedCertificate,
};
use rustls_platform_verifier::Verifier;

/// The certificates in a file of `--ca-file`, or why there are none.
pub(crate) fn read_certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let shown = file.display();
    let certificates = CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| format!("the certificates in {shown} cannot be read: {error}"))?;
    if certificates.is_empty() {
        return Err(format!(
            "there is no certificate in {shown}; it must be PEM, with lines `-----BEGIN CERTIFICATE-----`"
        ));
    }
    Ok(certificates)
}

/// Trusts the platform's certificates and those that are `named`. A platform without any is an error only where nothing
/// else is trusted and https is `needed`.
pub(super) fn config(
    named: &[CertificateDer<'static>],
    needed: bool,
) -> Result<ClientConfig, String> {
    let provider: Arc<CryptoProvider> = ring::default_provider().into();
    let trust = Trust::new(named, needed, &provider)?;
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS cannot be set up: {error}"))?;
    Ok(builder
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(trust))
        .with_no_client_auth())
}

/// Judges a server's certificate.
#[derive(Debug)]
struct Trust {
    /// Accepted as they are, whatever is in them: who names a certificate means the one who has its key. Servers on
    /// internal networks mostly have such, self-signed, and no rule for those that public CAs issue is kept in them: they
    /// are marked as a CA's, lack names, are for another name, have expired.
    named: Vec<CertificateDer<'static>>,
    /// Judges all others. None where the machine trusts nobody.
    platform: Option<Verifier>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Trust {
    fn new(
        named: &[CertificateDer<'static>],
        needed: bool,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Self, String> {
        let mut roots = Vec::new();
        for certificate in named {
            let as_root = RootCertStore::empty().add(certificate.clone());
            // What cannot be a root may still be the server's own.
            match (as_root, ParsedCertificate::try_from(certificate)) {
                (Ok(()), _) => roots.push(certificate.clone()),
                (Err(_), Ok(_)) => {}
                (Err(error), Err(_)) => {
                    return Err(format!(
                        "a certificate of --ca-file cannot be trusted: {error}"
                    ));
                }
            }
        }
        let platform = Verifier::new_with_extra_roots(roots, Arc::clone(provider));
        if let (Err(error), true, true) = (&platform, named.is_empty(), needed) {
            return Err(format!(
                "the platform has no certificates to trust ({error}); install them (Debian: the package \
                 ca-certificates) or name some with --ca-file"
            ));
        }
        Ok(Self {
            named: named.to_vec(),
            platform: platform.ok(),
            algorithms: provider.signature_verification_algorithms,
        })
    }
}

impl ServerCertVerifier for Trust {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        // The handshake's signature, verified below, shows that the server has this certificate's key.
        if self.named.iter().any(|named| named == certificate) {
            return Ok(ServerCertVerified::assertion());
        }
        match &self.platform {
            Some(platform) => {
                platform.verify_server_cert(certificate, intermediates, name, ocsp, now)
            }
            None => Err(CertificateError::UnknownIssuer.into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        match key_of_version_1(certificate) {
            Some(key) => {
                verify_tls13_signature_with_raw_key(message, &key, signature, &self.algorithms)
            }
            None => verify_tls12_signature(message, certificate, signature, &self.algorithms),
        }
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        match key_of_version_1(certificate) {
            Some(key) => {
                verify_tls13_signature_with_raw_key(message, &key, signature, &self.algorithms)
            }
            None => verify_tls13_signature(message, certificate, signature, &self.algorithms),
        }
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// The key in a certificate of X.509's version 1, which `openssl x509 -req -signkey` makes: as a server's own, rustls reads
/// version 3 only. With the bare key it verifies what TLS 1.3 signs with, and most servers choose that for TLS 1.2 too.
fn key_of_version_1(certificate: &CertificateDer<'_>) -> Option<SubjectPublicKeyInfoDer<'static>> {
    if ParsedCertificate::try_from(certificate).is_ok() {
        return None;
    }
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone().into_owned()).ok()?;
    // A root has its key without the header of the sequence that it is, and rustls lends that only to names.
    let key = DistinguishedName::in_sequence(&roots.roots.pop()?.subject_public_key_info);
    Some(key.as_ref().to_vec().into())
}
