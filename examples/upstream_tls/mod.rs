//! How a program reaches an ArcGIS over https: whom it trusts (`--ca-file`), by which name it knows the server (`--tls-name`),
//! and through which proxy of the environment's it goes. The proxy and the probe have it in common.

mod connector;
mod refusal;
mod trust;
mod way_out;

use std::{error::Error, net::IpAddr};

use rustls::pki_types::{CertificateDer, ServerName};

pub(crate) use self::{connector::Connector, trust::read_certificates, way_out::Environment};

/// What a program's user gives for https.
#[derive(Clone, Debug, Default)]
pub(crate) struct Given {
    /// Those of `--ca-file`.
    pub(crate) certificates: Vec<CertificateDer<'static>>,
    /// Those of `--tls-name`, each with the host that it is for.
    pub(crate) names: Vec<(String, ServerName<'static>)>,
    pub(crate) environment: Environment,
}

/// The value of `--tls-name`.
pub(crate) fn tls_name(text: &str) -> Result<ServerName<'static>, &'static str> {
    ServerName::try_from(text.to_owned())
        .map_err(|_| "write a host name or an address without a port, like gis.example.com")
}

/// Whether a URL's host is this machine, for whoever asks from here.
pub(crate) fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || address
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

/// An error with all that led to it, on one line.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}
