//! What may be asked for: a URL, and mostly what lies below it.

use http::Uri;
use tower_arcgis_auth::PathPrefix;

use crate::access::HostName;

/// How a site's URLs begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    Http,
    Https,
    /// As the request has it.
    Any,
}

/// The URLs of one site.
#[derive(Clone, Debug)]
pub(crate) struct Serves {
    pub(crate) scheme: Scheme,
    pub(crate) host: HostName,
    /// As it stands in the URL; without one, the scheme's own.
    pub(crate) port: Option<u16>,
    /// As it stands in the file, without a slash at its end.
    pub(crate) path: String,
    prefix: PathPrefix,
    match_all: bool,
}

impl Serves {
    /// Reads `https://host[:port]/path`, `http://…` or `//…`.
    pub(crate) fn read(url: &str, match_all: bool) -> Result<Self, String> {
        let wrong = |why: &str| {
            Err(format!(
                "the url {why}; write it like https://gis.example.com/arcgis"
            ))
        };
        let (scheme, rest) = match url.split_once("//") {
            Some(("https:", rest)) => (Scheme::Https, rest),
            Some(("http:", rest)) => (Scheme::Http, rest),
            Some(("", rest)) => (Scheme::Any, rest),
            _ => return wrong("does not begin with https://, http:// or //"),
        };
        if rest.contains(['?', '#', '@', ' ']) {
            return wrong("has a query, a fragment, a user name or a blank in it");
        }
        let uri: Uri = match format!("https://{rest}").parse() {
            Ok(uri) => uri,
            Err(_) => return wrong("is not a URL"),
        };
        let Some(authority) = uri.authority() else {
            return wrong("has no host");
        };
        let path = uri.path().trim_end_matches('/').to_owned();
        let prefix = PathPrefix::try_new(&format!("{path}/")).map_err(|error| error.to_string())?;
        let host = HostName::of_authority(authority.as_str());
        if host.as_str().is_empty() {
            return wrong("has no host");
        }
        Ok(Self {
            scheme,
            host,
            port: authority.port_u16(),
            path,
            prefix,
            match_all,
        })
    }

    /// How many segments its path has.
    pub(crate) fn depth(&self) -> usize {
        self.prefix.depth()
    }

    /// Whether a URL is one of these, and then its path as the file has it. The scheme is not compared: a page asks for
    /// http where the file says https, and the other way round.
    pub(crate) fn path_of(&self, url: &Uri) -> Option<String> {
        let authority = url.authority()?;
        let is_https = url.scheme_str()?.eq_ignore_ascii_case("https");
        let usual = if is_https { 443 } else { 80 };
        let port = authority.port_u16().unwrap_or(usual);
        let is_port = match self.port {
            Some(own) => own == port,
            None => port == usual,
        };
        if !is_port || HostName::of_authority(authority.as_str()) != self.host {
            return None;
        }
        let rest = self.prefix.rest_of(url.path())?;
        self.allows_rest(rest).then(|| self.path_with(rest))
    }

    /// Whether what lies behind its path may be asked for.
    pub(crate) fn allows_rest(&self, rest: &str) -> bool {
        self.match_all || matches!(rest, "" | "/")
    }

    /// Its path, and what lies behind it.
    pub(crate) fn path_with(&self, rest: &str) -> String {
        match (self.path.as_str(), rest) {
            ("", "") => "/".to_owned(),
            (path, rest) => format!("{path}{rest}"),
        }
    }

    /// What of one of the site's paths lies behind its own.
    pub(crate) fn rest_of<'a>(&self, path: &'a str) -> Option<&'a str> {
        self.prefix
            .rest_of(path)
            .filter(|rest| self.allows_rest(rest))
    }

    /// The origin of its URLs.
    pub(crate) fn origin(&self, is_https: bool) -> String {
        let scheme = if is_https { "https" } else { "http" };
        let host = self.host.as_str();
        let host = if host.contains(':') {
            format!("[{host}]")
        } else {
            host.to_owned()
        };
        match self.port {
            Some(port) => format!("{scheme}://{host}:{port}"),
            None => format!("{scheme}://{host}"),
        }
    }

    /// Whether two sites are the same URLs.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.scheme == other.scheme
            && self.host == other.host
            && self.port == other.port
            && self.prefix.is(&other.path_with(""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(serves: &str, match_all: bool, url: &str) -> Option<String> {
        let serves = Serves::read(serves, match_all).unwrap();
        serves.path_of(&url.parse().unwrap())
    }

    #[test]
    fn a_url_and_what_lies_below_it_may_be_asked_for() {
        let served = "https://gis.test/arcgis/rest/services/A";
        for (url, found) in [
            (
                "https://gis.test/arcgis/rest/services/A",
                Some("/arcgis/rest/services/A"),
            ),
            (
                "https://GIS.test:443/ArcGIS/rest/services/a/MapServer?f=json",
                Some("/arcgis/rest/services/A/MapServer"),
            ),
            (
                "http://gis.test/arcgis/rest/services/A/x",
                Some("/arcgis/rest/services/A/x"),
            ),
            (
                "https://gis.test/arcgis/rest/services/%41/x",
                Some("/arcgis/rest/services/A/x"),
            ),
            ("https://gis.test/arcgis/rest/services/AB", None),
            ("https://gis.test/arcgis/rest/services/A/../B", None),
            ("https://gis.test:6443/arcgis/rest/services/A", None),
            ("https://gis.test.evil.test/arcgis/rest/services/A", None),
        ] {
            assert_eq!(path(served, true, url).as_deref(), found, "{url}");
        }
        assert_eq!(
            path(
                served,
                false,
                "https://gis.test/arcgis/rest/services/A/?f=json"
            )
            .as_deref(),
            Some("/arcgis/rest/services/A/")
        );
        assert_eq!(
            path(served, false, "https://gis.test/arcgis/rest/services/A/B"),
            None
        );
    }

    #[test]
    fn a_whole_host_may_be_asked_for() {
        for (served, url, found) in [
            ("//gis.test", "http://gis.test/a", Some("/a")),
            ("//gis.test", "https://gis.test", Some("/")),
            ("http://gis.test:6080", "http://gis.test:6080/a", Some("/a")),
            ("http://gis.test:6080", "http://gis.test/a", None),
            ("http://gis.test", "http://gis.test:8080/a", None),
        ] {
            assert_eq!(path(served, true, url).as_deref(), found, "{served} {url}");
        }
    }

    #[test]
    fn what_is_no_url_is_refused() {
        for url in [
            "",
            "gis.test",
            "ftp://gis.test",
            "https://",
            "https://u@gis.test",
            "https://gis.test/a?b",
            "https://gis.test/a/../b",
        ] {
            assert!(Serves::read(url, true).is_err(), "{url}");
        }
    }
}
