//! Where a token service listens, and whether a secret may travel there.

use http::Uri;

use crate::{
    error::{ConfigError, TokenError},
    login::client::is_loopback,
    url::{Origin, redact},
};

/// The URL of a token service, without a query: credentials and parameters go in the body.
#[derive(Clone)]
pub(crate) struct Endpoint {
    uri: Uri,
    origin: Origin,
    insecure_http: bool,
}

impl Endpoint {
    pub(crate) fn parse(url: &str) -> Result<Self, ConfigError> {
        url.parse()
            .ok()
            .filter(|uri: &Uri| uri.query().is_none())
            .and_then(Self::new)
            .ok_or_else(|| {
                ConfigError::new(format!(
                    "the token URL `{}` is not of the form https://host/arcgis/tokens/generateToken, without a query",
                    redact(url)
                ))
            })
    }

    pub(crate) fn new(uri: Uri) -> Option<Self> {
        let origin = Origin::of(&uri)?;
        Some(Self {
            uri,
            origin,
            insecure_http: false,
        })
    }

    pub(crate) fn allow_insecure_http(mut self) -> Self {
        self.insecure_http = true;
        self
    }

    pub(crate) fn insecure_http(self, allowed: bool) -> Self {
        Self {
            insecure_http: allowed,
            ..self
        }
    }

    /// The URL as people may see it.
    pub(crate) fn shown(&self) -> String {
        redact(&self.uri)
    }

    /// The canonical origin, by which the guard knows the token service.
    pub(super) fn origin(&self) -> String {
        self.origin.to_url()
    }

    /// The URL, if a secret may travel there.
    pub(crate) fn checked(&self) -> Result<Uri, TokenError> {
        require_https(&self.uri, &self.origin, self.insecure_http)?;
        Ok(self.uri.clone())
    }
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.shown())
    }
}

/// A credential goes over https, to this machine, or where the user said so out loud.
pub(super) fn require_https(
    uri: &Uri,
    origin: &Origin,
    insecure_http: bool,
) -> Result<(), TokenError> {
    if origin.is_https() || insecure_http || uri.host().is_some_and(is_loopback) {
        return Ok(());
    }
    Err(TokenError::fault(format!(
        "{} is plain http, and a password does not go there in the clear; use https, or `allow_insecure_http` if the \
         way is safe by other means",
        redact(uri)
    )))
}
