//! Origins and roots: what of a URL decides which site a request is for, in the one spelling that can be compared.

use http::Uri;

use crate::error::{ConfigError, repeatable};

/// Scheme, host and port of an absolute URL, in the one spelling that can be compared.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Origin {
    pub(crate) https: bool,
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
        let default_port = if https { 443 } else { 80 };
        let port = match authority.port() {
            Some(port) => port.as_str().parse().ok()?,
            None => default_port,
        };
        // A host may be written with the dot that ends a full domain name.
        let host = authority.host();
        let host = host.strip_suffix('.').unwrap_or(host);
        (!host.is_empty()).then(|| Self {
            https,
            host: host.to_ascii_lowercase(),
            port,
        })
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
    fn authority(&self) -> String {
        let default_port = if self.https { 443 } else { 80 };
        if self.port == default_port {
            self.host.clone()
        } else {
            format!("{}:{}", self.host, self.port)
        }
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
                repeatable(text)
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
        if has_tricky_segments(&path) {
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
        let scheme = if self.origin.https { "https" } else { "http" };
        format!("{scheme}://{}{}", self.authority, self.path)
    }

    /// Whether `path` lies under this root on whole segments. ArcGIS Server runs behind IIS as often as not, where
    /// `/ArcGIS` and `/arcgis` are the same.
    pub(crate) fn holds_path(&self, path: &str) -> bool {
        let Some(prefix) = path.as_bytes().get(..self.path.len()) else {
            return false;
        };
        is_same_text(prefix, self.path.as_bytes())
            && matches!(path.as_bytes().get(self.path.len()), None | Some(b'/'))
    }
}

/// Whether some server on the way might take the path for another than it reads: dot segments, plain, encoded, or
/// split by an encoded or backward slash.
pub(crate) fn has_tricky_segments(path: &str) -> bool {
    let bytes = path.as_bytes();
    if memchr::memchr3(b'.', b'%', b'\\', bytes).is_none() {
        return false;
    }
    // Web servers in a row decode one after the other.
    let mut decoded = bytes.to_vec();
    for _ in 0..3 {
        decoded = percent_encoding::percent_decode(&decoded).collect();
    }
    decoded
        .split(|byte| matches!(byte, b'/' | b'\\'))
        .any(|segment| {
            // `;` starts path parameters that servlet containers cut off before they resolve the dots.
            let name = segment
                .split(|byte| *byte == b';')
                .next()
                .unwrap_or_default();
            matches!(name, b"." | b"..")
        })
}

pub(crate) fn is_https(uri: &Uri) -> Option<bool> {
    match uri.scheme_str()? {
        "https" => Some(true),
        "http" => Some(false),
        _ => None,
    }
}

/// Whether two texts are the same but for the case of letters. Nearly always they are the same altogether.
pub(crate) fn is_same_text(one: &[u8], other: &[u8]) -> bool {
    one == other || one.eq_ignore_ascii_case(other)
}
