//! Paths that others lie below, compared as servers read them.

use std::fmt;

use crate::{
    error::ConfigError,
    url::{
        Decoded, EndPoint, has_dot_segments,
        paths::{first_in, in_any_reading},
        segments::{Segment, decoded, is_plain, segments},
    },
};

/// A path that others lie below, on whole segments: a root, a folder, a service.
///
/// It is for those who let requests through by their paths. Servers read one path differently: they decode it once or
/// several times, cut off path parameters before that or behind, take `\` for `/`. A path is below the prefix only if it
/// is in every reading. Names are compared in any case, as ArcGIS does: no two of its services differ by case alone.
///
/// ```
/// use tower_arcgis_auth::{EndPoint, PathPrefix};
///
/// let public = PathPrefix::try_new("/arcgis/rest/services/Public").unwrap();
/// assert!(public.covers("/arcgis/rest/services/Public/Roads/MapServer"));
/// assert!(public.covers("/ArcGIS/rest/services/Publi%63"));
/// assert!(!public.covers("/arcgis/rest/services/PublicWorks/Roads/MapServer"));
/// assert!(!public.covers("/arcgis/rest/services/Public/..%2fSecret/MapServer"));
///
/// let root = PathPrefix::try_new("/arcgis").unwrap();
/// assert_eq!(root.end_point("/arcgis//admi%6e"), Some(EndPoint::Administration));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PathPrefix {
    /// As it was written.
    text: Box<str>,
    /// Decoded.
    names: Vec<Box<[u8]>>,
}

impl fmt::Display for PathPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl PathPrefix {
    /// The prefix that `path` is, percent-encoded or plain. `/` is that of all paths.
    ///
    /// # Errors
    ///
    /// Where it does not begin with a slash, or servers read it differently: it has `..` in it, or path parameters, or a
    /// query.
    pub fn try_new(path: &str) -> Result<Self, ConfigError> {
        let error = |why: &str| Err(ConfigError::new(format!("the path `{path}` {why}")));
        if !path.starts_with('/') {
            return error("does not begin with a slash");
        }
        let decoded = decoded(path.as_bytes());
        if ends_early(&decoded) {
            return error("has a query, a fragment or a control character in it");
        }
        if segments(&decoded).any(|segment| segment.is_doubtful) {
            return error("has `..` or a semicolon in it, which servers read differently");
        }
        let names = segments(&decoded)
            .map(|segment| segment.name.into())
            .collect();
        Ok(Self {
            text: path.into(),
            names,
        })
    }

    /// Whether `path`, a request's without its query, is the prefix or lies below it, however a server reads it.
    #[must_use]
    pub fn covers(&self, path: &str) -> bool {
        self.behind(path, |_| true)
    }

    /// Whether `path` is the prefix itself, however a server reads it.
    #[must_use]
    pub fn is(&self, path: &str) -> bool {
        self.behind(path, |is_end| is_end)
    }

    /// Whether `path` leads to a service, or a folder of services, of the server with this root, to the letter: nearly all
    /// requests do, and none of them is an [end point](Self::end_point). A path in another spelling may still be one.
    ///
    /// ```
    /// use tower_arcgis_auth::PathPrefix;
    ///
    /// let root = PathPrefix::try_new("/arcgis").unwrap();
    /// assert!(root.has_service("/arcgis/rest/services/Roads/MapServer/tile/1/2/3.pbf"));
    /// assert!(!root.has_service("/arcgis/rest/services/../../admin"));
    /// ```
    #[must_use]
    pub fn has_service(&self, path: &str) -> bool {
        path.strip_prefix(self.text.trim_end_matches('/'))
            .and_then(|below| below.strip_prefix("/rest/services/"))
            .is_some_and(|names| !has_dot_segments(names))
    }

    /// What of `path` lies behind the prefix, as it stands there: nothing, or a slash and more. `None` where the path is not
    /// [covered](Self::covers).
    ///
    /// ```
    /// use tower_arcgis_auth::PathPrefix;
    ///
    /// let mount = PathPrefix::try_new("/city").unwrap();
    /// assert_eq!(mount.rest_of("/cityhall"), None);
    /// assert_eq!(mount.rest_of("/city/rest/My%20Map"), Some("/rest/My%20Map"));
    /// assert_eq!(mount.rest_of("//%63ity"), Some(""));
    /// ```
    #[must_use]
    pub fn rest_of<'a>(&self, path: &'a str) -> Option<&'a str> {
        if !self.covers(path) {
            return None;
        }
        let bytes = path.as_bytes();
        if is_plain(bytes) {
            return path.get(self.end_in(bytes)..);
        }
        let decoded = Decoded::of(bytes);
        path.get(decoded.start_of(self.end_in(decoded.as_bytes()))..)
    }

    /// Where the prefix ends in a decoded path that begins with it.
    fn end_in(&self, decoded: &[u8]) -> usize {
        let Some(last) = self.depth().checked_sub(1) else {
            return 0;
        };
        let Some(segment) = segments(decoded).nth(last) else {
            return decoded.len();
        };
        let start = segment.name.as_ptr().addr() - decoded.as_ptr().addr();
        let behind = decoded.get(start..).unwrap_or_default();
        let length = behind.iter().position(|byte| matches!(byte, b'/' | b'\\'));
        start + length.unwrap_or(behind.len())
    }

    /// How many segments it has: of two prefixes that cover a path, the one with more is the closer.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.names.len()
    }

    /// The end point that `path` names, or lies below, where this prefix is the root of a server or portal; the whole path
    /// is given. It is one if any server may read it so. Token services and sign-in pages are known anywhere on the host,
    /// and administration directly below the root.
    #[must_use]
    pub fn end_point(&self, path: &str) -> Option<EndPoint> {
        in_any_reading(path.as_bytes(), |path| match self.below(segments(path)) {
            Some(below) => first_in(below, true),
            // Elsewhere on the host administration could not be told from anything else by its name.
            None => first_in(segments(path), false),
        })
    }

    /// What of a path lies behind the prefix, if it begins with it.
    pub(super) fn below<'a, S>(&self, mut segments: S) -> Option<S>
    where
        S: Iterator<Item = Segment<'a>>,
    {
        self.names
            .iter()
            .all(|name| {
                segments
                    .next()
                    .is_some_and(|segment| segment.name.eq_ignore_ascii_case(name))
            })
            .then_some(segments)
    }

    /// Whether the path begins with the prefix, and what is behind it, which may be its end, will do.
    fn behind(&self, path: &str, will_do: impl Fn(bool) -> bool) -> bool {
        let path = path.as_bytes();
        if !path.starts_with(b"/") {
            return false;
        }
        if is_plain(path) {
            return self
                .below(segments(path))
                .is_some_and(|mut rest| will_do(rest.next().is_none()));
        }
        let decoded = decoded(path);
        if ends_early(&decoded) {
            return false;
        }
        let mut all = segments(&decoded);
        let is_sure = !all.clone().any(|segment| segment.leads_upwards)
            && !all.by_ref().take(self.depth()).any(|it| it.is_doubtful);
        // Blanks around a name are part of it for some servers.
        let mut names = decoded
            .split(|byte| matches!(byte, b'/' | b'\\'))
            .filter(|name| !name.is_empty() && *name != b".");
        is_sure
            && self.names.iter().all(|own| {
                names
                    .next()
                    .is_some_and(|name| name.eq_ignore_ascii_case(own))
            })
            && will_do(names.next().is_none())
    }
}

/// Whether some servers take the path to end before its last character.
fn ends_early(decoded: &[u8]) -> bool {
    decoded
        .iter()
        .any(|byte| matches!(byte, b'?' | b'#' | 0..=0x1f | 0x7f))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn prefix(path: &str) -> PathPrefix {
        PathPrefix::try_new(path).unwrap()
    }

    #[test]
    fn it_covers_what_lies_below_it_in_any_spelling() {
        let public = prefix("/arcgis/rest/services/Public%20Works/");
        for path in [
            "/arcgis/rest/services/Public%20Works",
            "/arcgis/rest/services/Public%20Works/",
            "/ARCGIS/rest/Services/public%20works/Roads/MapServer/0/query",
            "//arcgis/rest/./services/Publi%63%2520Works/x",
            "/arcgis/rest/services/Public%20Works/x;jsessionid=1",
            "/arcgis/rest/services/Public%20Works/tile/1/2/3.pbf",
        ] {
            assert!(public.covers(path), "{path}");
        }
    }

    #[test]
    fn it_does_not_cover_what_some_server_reads_otherwise() {
        let public = prefix("/arcgis/rest/services/Public");
        for path in [
            "",
            "/",
            "*",
            "arcgis/rest/services/Public",
            "/arcgis/rest/services",
            "/arcgis/rest/services/PublicWorks",
            "/arcgis/rest/services/Secret",
            "/arcgis/rest/services/Public/../Secret",
            "/arcgis/rest/services/Public/%2e%2e/Secret",
            "/arcgis/rest/services/Public/%252e%252e/Secret",
            "/arcgis/rest/services/Public/..;/Secret",
            "/arcgis/rest/services/Public/x%2f..%2f..%2fSecret",
            "/arcgis/rest/services/Public\\..\\Secret",
            "/arcgis/rest/services/Public%3f/../Secret",
            "/arcgis/rest/services/Public%23/%2e./Secret",
            "/arcgis/rest/services/Public%00/x",
            "/arcgis/rest/services/Public%20/MapServer",
            "/arcgis/rest/services/%20/Public",
            "/arcgis/rest/services/Public;x/MapServer",
            "/arcgis/rest/services;%2fPublic/Secret",
            "/arcgis/rest/services/Public/x;%2f..%2f..%2fSecret",
        ] {
            assert!(!public.covers(path), "{path}");
        }
    }

    #[test]
    fn the_prefix_itself_is_told_from_what_lies_below() {
        let roads = prefix("/arcgis/rest/services/Roads/MapServer");
        assert!(roads.is("/arcgis/rest/services/Roads/MapServer"));
        assert!(roads.is("/arcgis/rest/services/R%6fads/MapServer/"));
        assert!(!roads.is("/arcgis/rest/services/Roads/MapServer/0"));
        assert!(!roads.is("/arcgis/rest/services/R%6fads/MapServer/0"));
        assert!(!roads.is("/arcgis/rest/services/Roads"));
    }

    #[test]
    fn what_lies_behind_it_stays_as_it_stands() {
        let public = prefix("/arcgis/Public%20Works");
        for (path, rest) in [
            ("/arcgis/Public%20Works", Some("")),
            ("/arcgis/Public%20Works/", Some("/")),
            ("/arcgis/Public%20Works/a%20b//c", Some("/a%20b//c")),
            ("//ArcGIS/./Public%2520works%2Fa", Some("%2Fa")),
            ("/arcgis/Public%20Works2", None),
        ] {
            assert_eq!(public.rest_of(path), rest, "{path}");
        }
        assert_eq!(prefix("/").rest_of("/a"), Some("/a"));
    }

    #[test]
    fn a_prefix_that_servers_read_differently_is_refused() {
        for path in [
            "",
            "arcgis",
            "/a/../b",
            "/a/%2e%2e",
            "/a;b",
            "/a?b",
            "/a%23b",
            "/a%00",
        ] {
            let error = PathPrefix::try_new(path).unwrap_err().to_string();
            assert!(error.contains(path), "{error}");
        }
        assert_eq!(prefix("/").depth(), 0);
        assert!(prefix("/").covers("/anything"));
    }

    #[test]
    fn logins_are_known_anywhere_on_the_host_and_administration_below_the_root() {
        let root = prefix("/gis/arcgis");
        let login = |path: &str| root.end_point(path);
        for path in [
            "/gis/arcgis/tokens/generateToken",
            "/portal/sharing/rest/generateToken",
            "/gis/%61rcgis/tokens",
            "/tokens",
            "/gis/arcgis/rest/generateToken",
            "/gis/arcgis/rest/services/../../tokens/generateToken",
        ] {
            assert_eq!(login(path), Some(EndPoint::Token), "{path}");
        }
        for path in [
            "/gis/arcgis/admin",
            "/gis/arcgis/manager/",
            "/GIS/arcgis//%61dmin/services",
            "/gis/arcgis;x/portaladmin",
            "/gis%2farcgis/admin",
            "/gis/x/../arcgis/admin",
            "/gis/arcgis/rest/services/../../admin",
        ] {
            assert_eq!(login(path), Some(EndPoint::Administration), "{path}");
        }
        for path in [
            "/gis/arcgis/rest/services/admin/MapServer",
            "/gis/arcgis/rest/services/tokens/MapServer",
            "/gis/arcgis/services/manager/MapServer",
            "/gis/arcgis/rest/admin/services/Roads/FeatureServer",
            "/gis/admin",
            "/admin",
            "/other/manager",
        ] {
            assert_eq!(login(path), None, "{path}");
        }
        assert_eq!(login("/gis/arcgis/rest/info"), Some(EndPoint::Information));
    }

    /// Parts of a path, and what servers decode, cut off or take for a slash.
    fn part() -> impl Strategy<Value = &'static str> {
        prop::sample::select(vec![
            "/", "/", "/", "/a", "/A", "/b", "a", "%61", "%2561", "%2F", "\\", "/..", "/.", "..",
            ";x", "%3B", "%3F", "#", ".", "%2e", " ",
        ])
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1500))]

        #[test]
        fn what_has_a_service_is_no_end_point(parts in prop::collection::vec(part(), 0..8)) {
            let path = format!("/a/b/rest/services/{}", parts.concat().replace("/a", "/tokens"));
            let root = prefix("/a/b");
            if root.has_service(&path) {
                prop_assert_eq!(root.end_point(&path), None, "{}", path);
            }
        }

        #[test]
        fn what_is_covered_is_covered_once_decoded(parts in prop::collection::vec(part(), 0..8)) {
            let path = format!("/{}", parts.concat());
            let prefix = prefix("/a/b");
            let decoded_path = String::from_utf8_lossy(&decoded(path.as_bytes())).into_owned();
            prop_assert_eq!(prefix.covers(&path), prefix.covers(&decoded_path), "{}", path);
            // A server that only splits and resolves dots stays below it too.
            if prefix.covers(&path) {
                let mut names: Vec<&str> = Vec::new();
                for name in decoded_path.split(['/', '\\']) {
                    match name {
                        "" | "." => {}
                        ".." => { names.pop(); }
                        name => names.push(name),
                    }
                }
                prop_assert!(names.len() >= 2, "{}", path);
                let plain = |name: &str| name.trim_matches([' ', '.']).to_ascii_lowercase();
                prop_assert_eq!((plain(names[0]), plain(names[1])), ("a".to_owned(), "b".to_owned()), "{}", path);
            }
        }
    }
}
