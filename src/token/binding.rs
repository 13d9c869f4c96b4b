//! What a token is bound to.

use std::{fmt, net::IpAddr};

use http::HeaderValue;

use crate::{error::ConfigError, url::redact};

/// What a token is bound to (`client=` of `generateToken`, ArcGIS REST API, "Generate Token").
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TokenBinding {
    /// `client=referer`: the token works on requests with this `Referer`, and only on these.
    Referer(String),
    /// `client=ip`: the token works from this address, as the services see it.
    Ip(IpAddr),
    /// `client=requestip`: the token works from the address that the token service saw. It fails on machines whose public
    /// address changes between requests.
    RequestIp,
}

impl TokenBinding {
    /// The `Referer` that requests must carry, if the token is bound to one.
    ///
    /// # Errors
    ///
    /// Where it cannot stand in a header.
    pub(crate) fn referer(&self) -> Result<Option<HeaderValue>, ConfigError> {
        let Self::Referer(text) = self else {
            return Ok(None);
        };
        HeaderValue::from_str(text)
            .ok()
            .filter(|value| !value.is_empty())
            .map(Some)
            .ok_or_else(|| {
                ConfigError::new(format!(
                    "the referer `{}` cannot stand in a header; use a plain URL",
                    redact(text)
                ))
            })
    }

    /// A text that differs for different bindings. The redacted one does not: a `Referer` may differ only in its query.
    pub(crate) fn key(&self) -> String {
        match self {
            Self::Referer(text) => format!("referer {text}"),
            Self::Ip(address) => format!("ip {address}"),
            Self::RequestIp => "requestip".to_owned(),
        }
    }

    /// Whether such a token works on other machines.
    pub(crate) fn is_portable(&self) -> bool {
        matches!(self, Self::Referer(_))
    }
}

impl fmt::Debug for TokenBinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Referer(text) => write!(f, "Referer({})", redact(text)),
            Self::Ip(address) => write!(f, "Ip({address})"),
            Self::RequestIp => f.write_str("RequestIp"),
        }
    }
}
