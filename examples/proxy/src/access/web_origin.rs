//! Origins of web pages: scheme, host and port, as browsers send them.

use std::str::FromStr;

use http::Uri;

use crate::access::HostName;

/// Where a page came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WebOrigin {
    scheme: String,
    host: HostName,
    /// 0 where the scheme has no default and none is given.
    port: u16,
}

impl WebOrigin {
    /// The origin of a URL; `None` for `null`, and what is no URL with a host.
    pub(crate) fn of(url: &str) -> Option<Self> {
        let uri: Uri = url.parse().ok()?;
        let scheme = uri.scheme_str()?.to_ascii_lowercase();
        let authority = uri.authority()?;
        if authority.as_str().contains('@') || authority.host().is_empty() {
            return None;
        }
        let default = default_port(&scheme);
        Some(Self {
            port: authority.port_u16().unwrap_or(default),
            host: HostName::of_authority(authority.as_str()),
            scheme,
        })
    }

    pub(crate) fn host(&self) -> &HostName {
        &self.host
    }

    /// Whether the page came over the web, and is no browser extension's or app's.
    pub(crate) fn is_web(&self) -> bool {
        matches!(self.scheme.as_str(), "http" | "https")
    }
}

/// The port that URLs of this scheme leave out.
pub(super) fn default_port(scheme: &str) -> u16 {
    match scheme {
        "http" => 80,
        "https" => 443,
        _ => 0,
    }
}

/// What `--allow-origin` takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum AllowedOrigin {
    /// Any, pages without an origin of their own included.
    Any,
    One(WebOrigin),
}

impl FromStr for AllowedOrigin {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "*" {
            return Ok(Self::Any);
        }
        let has_path = text
            .split_once("://")
            .is_none_or(|(_, rest)| rest.trim_end_matches('/').contains(['/', '?', '#', '*']));
        WebOrigin::of(text)
            .filter(|_| !has_path)
            .map(Self::One)
            .ok_or("write the origin as browsers send it, like https://maps.example.com, or `*` for all")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_an_origin_are_one() {
        let origin = WebOrigin::of("https://maps.example.com");
        for url in [
            "https://maps.example.com:443",
            "HTTPS://MAPS.example.com/",
            "https://maps.example.com/viewer?a=b",
        ] {
            assert_eq!(WebOrigin::of(url), origin, "{url}");
        }
        for url in [
            "http://maps.example.com",
            "https://maps.example.com:8443",
            "https://example.com",
        ] {
            assert_ne!(WebOrigin::of(url), origin, "{url}");
        }
        for url in ["null", "", "maps.example.com", "https://", "https://a@b"] {
            assert_eq!(WebOrigin::of(url), None, "{url}");
        }
    }

    #[test]
    fn an_option_is_an_origin_without_a_path() {
        for text in [
            "https://maps.example.com",
            "http://localhost:3000/",
            "capacitor://localhost",
            "*",
        ] {
            assert!(text.parse::<AllowedOrigin>().is_ok(), "{text}");
        }
        for text in [
            "maps.example.com",
            "https://maps.example.com/viewer",
            "https://*.example.com",
            "null",
            "",
        ] {
            assert!(text.parse::<AllowedOrigin>().is_err(), "{text}");
        }
    }
}
