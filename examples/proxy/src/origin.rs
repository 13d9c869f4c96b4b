//! The one server requests go to: its origin, its site's root, and its redirects turned back to the proxy.

use http::{
    HeaderValue, Uri,
    uri::{Authority, Parts, PathAndQuery, Scheme},
};

use crate::upstream::is_loopback;

/// Where ArcGIS is installed unless someone chose otherwise.
const DEFAULT_ROOT: &str = "/arcgis";

/// The configured upstream. Whatever a request says, it goes there and nowhere else.
#[derive(Clone, Debug)]
pub(crate) struct Upstream {
    scheme: Scheme,
    authority: Authority,
    host: Option<HeaderValue>,
    /// Without a trailing slash.
    root: String,
    /// The origin that callers know the server by, where that is another.
    public_origin: Option<String>,
}

impl Upstream {
    /// Reads `https://host[:port][/root]`. What is wrong is said without repeating a password that may be in it.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let wrong =
            |why: &str| format!("--upstream {why}; write it like https://gis.example.com/arcgis");
        let uri: Uri = text.parse().map_err(|_| wrong("is not a URL"))?;
        let (Some(scheme), Some(authority)) = (uri.scheme(), uri.authority()) else {
            return Err(wrong("lacks https:// or a host"));
        };
        if *scheme != Scheme::HTTPS && *scheme != Scheme::HTTP {
            return Err(wrong("is neither https nor http"));
        }
        if authority.as_str().contains('@') {
            return Err(wrong(
                "has a user name in it, which goes into --username, the password into ARCGIS_PASSWORD or --password-file",
            ));
        }
        if authority.host().is_empty() || has_unusable_port(authority) {
            return Err(wrong("has no usable host and port"));
        }
        if uri.query().is_some() || text.contains('#') {
            return Err(wrong("has a query or a fragment"));
        }
        let path = uri.path().trim_end_matches('/');
        if path
            .split('/')
            .any(|segment| segment.eq_ignore_ascii_case("rest"))
        {
            return Err(wrong(
                "reaches into /rest; what counts is the part before it",
            ));
        }
        Ok(Self {
            scheme: scheme.clone(),
            authority: authority.clone(),
            host: (*scheme == Scheme::HTTP)
                .then(|| host_of(authority))
                .flatten(),
            root: if path.is_empty() { DEFAULT_ROOT } else { path }.to_owned(),
            public_origin: None,
        })
    }

    /// The server at an origin, of which one site is served, and that callers know by `public_origin`.
    pub(crate) fn of_site(origin: &str, path: &str, public_origin: String) -> Option<Self> {
        let parts = origin.parse::<Uri>().ok()?.into_parts();
        let (scheme, authority) = (parts.scheme?, parts.authority?);
        Some(Self {
            host: (scheme == Scheme::HTTP)
                .then(|| host_of(&authority))
                .flatten(),
            scheme,
            authority,
            root: path.to_owned(),
            public_origin: Some(public_origin),
        })
    }

    /// The origin that callers know the server by.
    pub(crate) fn public_origin(&self) -> String {
        match &self.public_origin {
            Some(origin) => origin.clone(),
            None => self.url_of_root(""),
        }
    }

    /// The site's root as a URL, without a trailing slash.
    pub(crate) fn root_url(&self) -> String {
        self.url_of_root(&self.root)
    }

    /// Another root of this server as a URL.
    pub(crate) fn url_of_root(&self, root: &str) -> String {
        format!("{}://{}{root}", self.scheme, self.authority)
    }

    /// The site's root, without a trailing slash.
    pub(crate) fn root(&self) -> &str {
        &self.root
    }

    pub(crate) fn is_https(&self) -> bool {
        self.scheme == Scheme::HTTPS
    }

    /// Whether the way there ends on this machine.
    pub(crate) fn is_loopback(&self) -> bool {
        is_loopback(self.authority.host())
    }

    /// The upstream's URL for what was asked of the proxy: the path and query as they came, the rest fixed.
    pub(crate) fn uri(&self, path_and_query: PathAndQuery) -> Option<Uri> {
        let mut parts = Parts::default();
        parts.scheme = Some(self.scheme.clone());
        parts.authority = Some(self.authority.clone());
        parts.path_and_query = Some(path_and_query);
        Uri::from_parts(parts).ok()
    }

    /// `Host`, as the client would work it out for each request. `None` where that is up to the client: HTTP/2, which is
    /// agreed on over https, has no `Host`.
    pub(crate) fn host(&self) -> Option<&HeaderValue> {
        self.host.as_ref()
    }

    /// Whether a path lies below the site's root, to the letter.
    pub(crate) fn is_below_root(&self, path: &str) -> bool {
        path.strip_prefix(&*self.root)
            .is_some_and(|rest| rest.starts_with('/'))
    }

    /// A `Location` of the upstream's that points at the upstream, as one that leads through the proxy: a path. `None`
    /// where it is a path already, or points elsewhere.
    pub(crate) fn through_proxy(&self, location: &str) -> Option<String> {
        let (scheme, rest) = location.split_once("//")?;
        let same_scheme = scheme.is_empty()
            || scheme
                .strip_suffix(':')
                .is_some_and(|scheme| scheme.eq_ignore_ascii_case(self.scheme.as_str()));
        if !same_scheme {
            return None;
        }
        let end = rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len());
        let (authority, tail) = rest.split_at(end);
        let authority: Authority = authority.parse().ok()?;
        if authority.as_str().contains('@')
            || !authority.host().eq_ignore_ascii_case(self.authority.host())
            || self.port(&authority) != self.port(&self.authority)
        {
            return None;
        }
        Some(match tail.as_bytes() {
            // `//elsewhere/…` would be another host, and browsers read `\` as `/`.
            [b'/', b'/' | b'\\', ..] => format!("/.{tail}"),
            [b'\\', rest @ ..] if matches!(rest.first(), Some(b'/' | b'\\')) => {
                format!("/.{tail}")
            }
            [b'/' | b'\\', ..] => tail.to_owned(),
            _ => format!("/{tail}"),
        })
    }

    /// The path of a URL on this host.
    pub(crate) fn path_of(&self, url: &str) -> Option<String> {
        let uri: Uri = url.parse().ok()?;
        let is_here = uri.host()?.eq_ignore_ascii_case(self.authority.host());
        is_here.then(|| uri.path().to_owned())
    }

    /// Whether a `Location` points at this host by https, though the upstream is asked by http.
    pub(crate) fn is_at_https(&self, location: &str) -> bool {
        let uri = location.parse::<Uri>().unwrap_or_default();
        !self.is_https()
            && uri.scheme() == Some(&Scheme::HTTPS)
            && uri
                .host()
                .is_some_and(|host| host.eq_ignore_ascii_case(self.authority.host()))
    }

    fn port(&self, authority: &Authority) -> u16 {
        let default = if self.is_https() { 443 } else { 80 };
        authority.port_u16().unwrap_or(default)
    }
}

/// `Host` for an authority of http, whose own port is left out.
fn host_of(authority: &Authority) -> Option<HeaderValue> {
    let is_usual = authority.port_u16() == Some(80);
    let host = if is_usual {
        authority.host()
    } else {
        authority.as_str()
    };
    HeaderValue::from_str(host).ok()
}

/// `host:` and `host:99999` pass as authorities.
fn has_unusable_port(authority: &Authority) -> bool {
    let behind_host = authority
        .as_str()
        .get(authority.host().len()..)
        .unwrap_or_default();
    !behind_host.is_empty() && authority.port_u16().is_none_or(|port| port == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upstream() -> Upstream {
        Upstream::parse("https://gis.example.com/server/").unwrap()
    }

    #[test]
    fn the_root_is_the_urls_path_or_arcgis() {
        for (url, root) in [
            ("https://gis.example.com", "https://gis.example.com/arcgis"),
            ("https://gis.example.com/", "https://gis.example.com/arcgis"),
            (
                "http://gis.example.com:6080/server/",
                "http://gis.example.com:6080/server",
            ),
            ("https://[::1]:6443/a/b", "https://[::1]:6443/a/b"),
        ] {
            assert_eq!(Upstream::parse(url).unwrap().root_url(), root);
        }
    }

    #[test]
    fn a_url_that_cannot_work_is_refused_without_repeating_it() {
        for url in [
            "gis.example.com",
            "gis.example.com/arcgis",
            "/arcgis",
            "ftp://gis.example.com/arcgis",
            "https://gis.example.com:0/arcgis",
            "https://gis.example.com:99999/arcgis",
            "https://gis.example.com:/arcgis",
            "https://ada:hunter2@gis.example.com/arcgis",
            "https://gis.example.com/arcgis?token=hunter2",
            "https://gis.example.com/arcgis#hunter2",
            "https://gis.example.com/arcgis/rest/services",
            "https://gis example.com",
            "",
        ] {
            let error = Upstream::parse(url).unwrap_err();
            assert!(error.contains("--upstream"), "{url}: {error}");
            assert!(!error.contains("hunter2"), "{url}: {error}");
        }
    }

    #[test]
    fn the_host_is_what_the_client_would_make_of_the_url() {
        for (url, host) in [
            ("http://gis.example.com/arcgis", Some("gis.example.com")),
            ("http://gis.example.com:80", Some("gis.example.com")),
            ("http://gis.example.com:6080", Some("gis.example.com:6080")),
            ("http://[::1]:80", Some("[::1]")),
            ("https://gis.example.com:6443", None),
        ] {
            let upstream = Upstream::parse(url).unwrap();
            let known = upstream.host().map(|host| host.to_str().unwrap());
            assert_eq!(known, host, "{url}");
        }
    }

    #[test]
    fn redirects_to_the_upstream_lead_through_the_proxy() {
        for (location, path) in [
            ("https://gis.example.com/a/b?c=d#e", "/a/b?c=d#e"),
            ("HTTPS://GIS.example.com:443/a", "/a"),
            ("//gis.example.com/a", "/a"),
            ("https://gis.example.com", "/"),
            ("https://gis.example.com?a=//b", "/?a=//b"),
            ("https://gis.example.com#a", "/#a"),
        ] {
            assert_eq!(
                upstream().through_proxy(location).as_deref(),
                Some(path),
                "{location}"
            );
        }
    }

    #[test]
    fn other_redirects_are_left_alone() {
        for location in [
            "/a/b",
            "a//b",
            "?a=https://gis.example.com/",
            "http://gis.example.com/a",
            "https://gis.example.com:6443/a",
            "https://gis.example.com.evil/a",
            "https://gis.example.com@evil.example/a",
            "https://elsewhere.example/https://gis.example.com/",
            "",
        ] {
            assert_eq!(upstream().through_proxy(location), None, "{location}");
        }
    }

    #[test]
    fn a_redirect_never_turns_into_one_to_another_host() {
        for (location, path) in [
            (
                "https://gis.example.com//evil.example/",
                "/.//evil.example/",
            ),
            (
                "https://gis.example.com/\\evil.example/",
                "/./\\evil.example/",
            ),
            (
                "https://gis.example.com\\\\evil.example/",
                "/.\\\\evil.example/",
            ),
        ] {
            assert_eq!(
                upstream().through_proxy(location).as_deref(),
                Some(path),
                "{location}"
            );
        }
    }
}
