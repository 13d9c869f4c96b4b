//! Origins and roots: what of a URL decides which site a request is for, in the one spelling that can be compared.

use std::net::Ipv6Addr;

use http::Uri;

use crate::{
    error::ConfigError,
    url::{has_dot_segments, redact},
};

/// Scheme, host and port of an absolute URL, in the one spelling that can be compared.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Origin {
    https: bool,
    host: String,
    port: u16,
}

impl Origin {
    /// `None` for anything but an absolute http or https URL without user information.
    pub(crate) fn of(uri: &Uri) -> Option<Self> {
        let https = is_https(uri)?;
        let authority = uri.authority()?;
        // URL parsers disagree about what stands before the host in `https://gis.city.gov@evil.example`.
        if authority.as_str().contains('@') {
            return None;
        }
        let host = authority.host();
        let port = match authority.as_str().strip_prefix(host)? {
            "" => default_port(https),
            port => strict_port(port.strip_prefix(':')?)?,
        };
        let host = canonical_host(host);
        (!host.is_empty()).then_some(Self { https, host, port })
    }

    pub(crate) fn is_https(&self) -> bool {
        self.https
    }

    /// The origin as people write it, `https://host:port`.
    pub(crate) fn to_url(&self) -> String {
        let scheme = if self.https { "https" } else { "http" };
        format!("{scheme}://{}", self.authority())
    }

    /// The origin's authority in its one spelling: `host`, or `host:port` where the port is not the scheme's own.
    pub(crate) fn authority(&self) -> String {
        if self.port == default_port(self.https) {
            self.host.clone()
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

fn default_port(https: bool) -> u16 {
    if https { 443 } else { 80 }
}

/// A port is digits. `http` takes what is none for no port at all, so that `443443` would be the scheme's own.
fn strict_port(text: &str) -> Option<u16> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok())?
}

/// A host may be written in capitals, and with the dot that ends a full domain name; an IPv6 address in several ways.
fn canonical_host(host: &str) -> String {
    let address = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .and_then(|address| address.parse::<Ipv6Addr>().ok());
    match address {
        Some(address) => format!("[{address}]"),
        None => host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase(),
    }
}

/// One root: an origin, and a path prefix without a trailing slash.
#[derive(Clone, Debug)]
pub(crate) struct Root {
    pub(crate) origin: Origin,
    pub(crate) path: String,
    /// The origin's authority, for comparing without taking a request's apart.
    pub(crate) authority: String,
}

impl Root {
    pub(crate) fn parse(text: &str) -> Result<Self, ConfigError> {
        let unusable = |why: &str| {
            ConfigError::new(format!(
                "the site root `{}` {why}; write it like https://gis.example.com/arcgis",
                redact(text)
            ))
        };
        let uri: Uri = text.parse().map_err(|_| unusable("is not a URL"))?;
        let origin = Origin::of(&uri).ok_or_else(|| {
            unusable("is not an absolute http or https URL, or has a user name in it")
        })?;
        if uri.query().is_some() || text.contains('#') {
            return Err(unusable("has a query or a fragment"));
        }
        let path = uri.path().trim_end_matches('/').to_owned();
        if has_dot_segments(&path) {
            return Err(unusable("has `.` or `..` in its path"));
        }
        Ok(Self {
            authority: origin.authority(),
            origin,
            path,
        })
    }

    /// Whether `other` is the same root in another spelling.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.origin == other.origin && self.path.eq_ignore_ascii_case(&other.path)
    }

    /// The root as a URL, without a trailing slash.
    pub(crate) fn to_url(&self) -> String {
        format!("{}{}", self.origin.to_url(), self.path)
    }
}

#[inline]
pub(crate) fn is_https(uri: &Uri) -> Option<bool> {
    match uri.scheme_str()?.as_bytes() {
        b"https" => Some(true),
        b"http" => Some(false),
        _ => None,
    }
}

/// Whether two texts are the same but for the case of letters. Nearly always they are the same altogether.
#[inline]
pub(crate) fn is_same_text(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && (one == other || is_same_but_for_case(one, other))
}

#[cold]
fn is_same_but_for_case(one: &[u8], other: &[u8]) -> bool {
    one.eq_ignore_ascii_case(other)
}

/// Whether `host`, as an authority spells it, is this machine.
pub(crate) fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || address
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(url: &str) -> Option<String> {
        Origin::of(&url.parse().ok()?).map(|origin| origin.to_url())
    }

    #[test]
    fn spellings_of_one_origin_are_one() {
        for (url, canonical) in [
            ("https://gis.test", "https://gis.test"),
            ("https://GIS.test:443/x", "https://gis.test"),
            ("https://gis.test.:0443", "https://gis.test"),
            ("http://gis.test:443", "http://gis.test:443"),
            ("http://gis.test:80", "http://gis.test"),
            ("http://[::1]:6080/x", "http://[::1]:6080"),
            ("http://[0:0:0:0:0:0:0:1]", "http://[::1]"),
            ("http://[2001:DB8::0:1]", "http://[2001:db8::1]"),
        ] {
            assert_eq!(origin(url).as_deref(), Some(canonical), "{url}");
        }
    }

    #[test]
    fn what_is_no_origin_is_none() {
        for url in [
            "/x",
            "ftp://gis.test",
            "https://user@gis.test",
            "https://gis.test:443@evil.test",
            "https://gis.test:443443",
            "https://gis.test:65536",
            "https://gis.test:",
            "https://gis.test:+443",
        ] {
            assert_eq!(origin(url), None, "{url}");
        }
    }
}
