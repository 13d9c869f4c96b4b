//! Where a token service listens, and whether a secret may travel there.

use http::Uri;

use crate::{
    error::{ConfigError, TokenError},
    url::{Origin, is_loopback, redact},
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

    /// The `generateToken` of a token service, in the spellings that servers use: `…/tokens`, `…/tokens/`.
    pub(crate) fn of_token_service(url: &str) -> Result<Self, ConfigError> {
        if url.contains(['?', '#']) {
            return Self::parse(url);
        }
        Self::parse(&generate_token_url(url))
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

    /// The URL, redacted.
    pub(crate) fn shown(&self) -> String {
        redact(&self.uri)
    }

    /// The canonical origin, by which the guard recognises the token service.
    pub(super) fn origin(&self) -> String {
        self.origin.to_url()
    }

    /// The token service that this `…/tokens/generateToken` is below.
    pub(super) fn token_service(&self) -> Option<Self> {
        let url = self.uri.to_string();
        let (service, last) = url.trim_end_matches('/').rsplit_once('/')?;
        let is_below = last.eq_ignore_ascii_case("generateToken")
            && service.rsplit('/').next()?.eq_ignore_ascii_case("tokens");
        let uri = service.parse().ok().filter(|_| is_below)?;
        Some(Self {
            uri,
            ..self.clone()
        })
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

/// A credential goes over https, to this machine, or where the user allowed plain http.
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

/// The login URL behind what servers advertise: `…/tokens/` and `…/tokens` lack `generateToken`.
pub(super) fn generate_token_url(advertised: &str) -> String {
    let url = advertised.split(['?', '#']).next().unwrap_or_default();
    let url = url.trim_end_matches('/');
    let last = url.rsplit('/').next().unwrap_or_default();
    if last.eq_ignore_ascii_case("tokens") {
        format!("{url}/generateToken")
    } else {
        url.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_token_service_leads_to_its_login() {
        for (advertised, login) in [
            (
                "https://h/arcgis/tokens/",
                "https://h/arcgis/tokens/generateToken",
            ),
            (
                "https://h/arcgis/tokens",
                "https://h/arcgis/tokens/generateToken",
            ),
            (
                "https://h/arcgis/tokens/generateToken",
                "https://h/arcgis/tokens/generateToken",
            ),
            (
                "https://h/portal/sharing/rest/generateToken/",
                "https://h/portal/sharing/rest/generateToken",
            ),
            (
                "https://www.example.com/sharing/generateToken",
                "https://www.example.com/sharing/generateToken",
            ),
            (
                "https://h/arcgis/security/tokens",
                "https://h/arcgis/security/tokens/generateToken",
            ),
        ] {
            assert_eq!(generate_token_url(advertised), login);
        }
    }
}
