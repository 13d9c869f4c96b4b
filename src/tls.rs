//! Which cryptography TLS is done with.

use std::sync::Arc;

use rustls::crypto::CryptoProvider;

use crate::error::ConfigError;

/// The process's own provider, or else the one that a feature of this crate brings.
///
/// rustls is not asked to choose: it panics where a program's crates have turned two of its providers on, or none.
pub(crate) fn provider() -> Result<Arc<CryptoProvider>, ConfigError> {
    CryptoProvider::get_default()
        .cloned()
        .or_else(of_feature)
        .ok_or_else(|| {
            ConfigError::new(
                "nothing here does the cryptography of TLS; turn on the feature `ring` or `aws-lc-rs` of \
                 tower-arcgis-auth, the one that other crates of the program use, or install a provider of rustls for \
                 the process before (`CryptoProvider::install_default`)",
            )
        })
}

#[cfg(feature = "ring")]
fn of_feature() -> Option<Arc<CryptoProvider>> {
    Some(Arc::new(rustls::crypto::ring::default_provider()))
}

#[cfg(all(feature = "aws-lc-rs", not(feature = "ring")))]
fn of_feature() -> Option<Arc<CryptoProvider>> {
    Some(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
}

#[cfg(not(any(feature = "aws-lc-rs", feature = "ring")))]
fn of_feature() -> Option<Arc<CryptoProvider>> {
    None
}
