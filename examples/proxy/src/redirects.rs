//! Redirects on their way back: those to the upstream lead through the proxy, and through the web server in front of it.

use http::{
    HeaderMap, HeaderValue,
    header::{CONTENT_LOCATION, LOCATION},
};

use crate::{
    headers::X_FORWARDED_PREFIX, origin::Upstream, routes::Listed, warnings::warn_of_https,
};

/// What a web server in front takes off the paths of requests, without a trailing slash: the upstream's redirects get it
/// back.
#[derive(Debug)]
pub(crate) struct Prefix(Box<[u8]>);

impl Prefix {
    /// Takes `X-Forwarded-Prefix` off, so that no further proxy adds it again. `None` if it is no plain path, or several.
    pub(crate) fn take(headers: &mut HeaderMap) -> Option<Self> {
        let is_one = headers.get_all(&X_FORWARDED_PREFIX).iter().count() == 1;
        let value = headers.remove(&X_FORWARDED_PREFIX)?;
        let path = value.as_bytes();
        let path = path.strip_suffix(b"/").unwrap_or(path);
        let segments = path.strip_prefix(b"/")?;
        let is_plain = is_one && segments.split(|byte| *byte == b'/').all(is_plain_segment);
        is_plain.then(|| Self(path.into()))
    }

    fn before(&self, path: &[u8]) -> Option<HeaderValue> {
        HeaderValue::from_bytes(&[&self.0, path].concat()).ok()
    }
}

/// Whether all readers take a segment for the same: no dots, no escapes, and nothing that ends a path.
fn is_plain_segment(segment: &[u8]) -> bool {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_~".contains(byte);
    !segment.is_empty() && segment.iter().all(is_plain)
}

/// The way back to a caller whose path is not the server's.
pub(crate) struct Way {
    pub(crate) listed: Box<Listed>,
    /// The path that the server was asked for.
    pub(crate) path: Box<str>,
}

impl Way {
    /// The proxy's own path for a location of the upstream's, as the proxy lists it.
    fn path_to(&self, location: &str, upstream: &Upstream) -> Option<String> {
        let origin = upstream.public_origin();
        let is_absolute = location
            .split_once("://")
            .is_some_and(|(scheme, _)| scheme.bytes().all(|byte| byte.is_ascii_alphabetic()));
        let url = if let Some(path) = upstream.through_proxy(location) {
            format!("{origin}{path}")
        } else if is_absolute {
            location.to_owned()
        } else if location.starts_with("//") {
            format!("{}:{location}", origin.split(':').next()?)
        } else if location.starts_with('/') {
            format!("{origin}{location}")
        } else {
            let folder = self.path.get(..=self.path.rfind('/')?)?;
            format!("{origin}{folder}{location}")
        };
        self.listed.path_to(&url)
    }
}

/// Leads `Location` and `Content-Location` through the proxy, where they lead to the upstream.
pub(crate) fn turn_around(
    headers: &mut HeaderMap,
    upstream: &Upstream,
    way: Option<&Way>,
    prefix: Option<&Prefix>,
) {
    let location = headers.get(LOCATION).and_then(|value| value.to_str().ok());
    if let Some(location) =
        location.filter(|location| way.is_none() && upstream.is_at_https(location))
    {
        warn_of_https(&upstream.root_url(), location);
    }
    for name in [LOCATION, CONTENT_LOCATION] {
        let turned = headers.get(&name).and_then(|location| match way {
            Some(way) => {
                let path = way.path_to(location.to_str().ok()?, upstream)?;
                match prefix {
                    Some(prefix) => prefix.before(path.as_bytes()),
                    None => HeaderValue::try_from(path).ok(),
                }
            }
            None => turned(location, upstream, prefix),
        });
        if let Some(turned) = turned {
            headers.insert(name, turned);
        }
    }
}

/// `None` where the location stays as it is.
fn turned(
    location: &HeaderValue,
    upstream: &Upstream,
    prefix: Option<&Prefix>,
) -> Option<HeaderValue> {
    let path = location
        .to_str()
        .ok()
        .and_then(|location| upstream.through_proxy(location));
    match (path, prefix) {
        (Some(path), Some(prefix)) => prefix.before(path.as_bytes()),
        (Some(path), None) => HeaderValue::try_from(path).ok(),
        (None, Some(prefix)) => {
            let path = location.as_bytes();
            // `//` begins another host, and browsers read a backslash as a slash.
            let is_path = path.starts_with(b"/") && !matches!(path.get(1), Some(b'/' | b'\\'));
            is_path.then(|| prefix.before(path)).flatten()
        }
        (None, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(values: &[&'static str]) -> Option<Prefix> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(&X_FORWARDED_PREFIX, HeaderValue::from_static(value));
        }
        let prefix = Prefix::take(&mut headers);
        assert!(headers.is_empty());
        prefix
    }

    #[test]
    fn a_prefix_is_a_plain_path() {
        for (value, path) in [
            ("/gis", "/gis"),
            ("/gis/", "/gis"),
            ("/a-1/b_2~", "/a-1/b_2~"),
        ] {
            let prefix = taken(&[value]).unwrap();
            assert_eq!(&*prefix.0, path.as_bytes(), "{value}");
        }
        for value in [
            "",
            "/",
            "//",
            "gis",
            "gis/",
            "//gis",
            "/gis//",
            "/a//b",
            "/\\gis",
            "/a\\b",
            "/.",
            "/..",
            "/../a",
            "/a/./b",
            "/a.b",
            "/%2e%2e",
            "/a?b",
            "/a#b",
            "/a b",
            "https://gis.example.com",
            "/a, /b",
        ] {
            assert!(taken(&[value]).is_none(), "{value}");
        }
        assert!(taken(&["/a", "/b"]).is_none());
        assert!(taken(&["/a", "/a"]).is_none());
    }

    #[test]
    fn what_leads_to_the_upstream_keeps_the_prefix() {
        let upstream = Upstream::parse("https://gis.example.com/arcgis").unwrap();
        let prefix = taken(&["/gis"]);
        let turned = |location| {
            let location = HeaderValue::from_bytes(location).unwrap();
            turned(&location, &upstream, prefix.as_ref())
        };
        let cases: [(&[u8], &[u8]); 6] = [
            (
                b"https://gis.example.com/arcgis/a?b#c",
                b"/gis/arcgis/a?b#c",
            ),
            (b"//gis.example.com", b"/gis/"),
            (
                b"https://gis.example.com//evil.example/",
                b"/gis/.//evil.example/",
            ),
            (b"/arcgis/a", b"/gis/arcgis/a"),
            (b"/", b"/gis/"),
            ("/stra\u{df}e".as_bytes(), "/gis/stra\u{df}e".as_bytes()),
        ];
        for (location, expected) in cases {
            let text = String::from_utf8_lossy(location);
            assert_eq!(turned(location).unwrap().as_bytes(), expected, "{text}");
        }
        for location in [
            "https://elsewhere.example/arcgis/a",
            "//elsewhere.example/a",
            "/\\elsewhere.example/a",
            "a/b",
            "?a=b",
            "",
        ] {
            assert_eq!(turned(location.as_bytes()), None, "{location}");
        }
    }
}
