//! From a request's URI to its site: longest root first, on whole path segments.

use http::Uri;

use crate::url::{Origin, Root, has_dot_segments, is_https, is_same_text};

/// All roots of a layer, and what to do under each.
#[derive(Debug)]
pub(crate) struct SiteTable<T> {
    roots: Roots<T>,
    /// For requests in origin form: the roots of one site, whatever their origins.
    default: Roots<T>,
}

/// Roots, found by hashing what may be one of them: a look-up takes as long among a thousand as among ten.
#[derive(Debug)]
struct Roots<T> {
    /// A few, the longest path first; many, sorted by their keys.
    entries: Vec<Entry<T>>,
    longest_path: usize,
}

#[derive(Debug)]
struct Entry<T> {
    key: u64,
    https: bool,
    /// Empty for requests in origin form.
    authority: String,
    path: String,
    site: T,
}

/// As many are compared faster than hashed.
const FEW: usize = 4;

impl<T> SiteTable<T> {
    pub(crate) fn new(roots: Vec<(Root, T)>, default: Vec<(Root, T)>) -> Self {
        let with_origin = |(root, site): (Root, T)| {
            Entry::new(root.origin.is_https(), root.authority, root.path, site)
        };
        let without_origin =
            |(root, site): (Root, T)| Entry::new(false, String::new(), root.path, site);
        Self {
            roots: Roots::new(roots.into_iter().map(with_origin).collect()),
            default: Roots::new(default.into_iter().map(without_origin).collect()),
        }
    }

    /// The site `uri` belongs to, and the part of the path below its root. Only the URI's own authority counts.
    #[inline]
    pub(crate) fn find<'a>(&self, uri: &'a Uri) -> Option<(&T, &'a str)> {
        let path = uri.path();
        let entry = match uri.authority() {
            Some(authority) => {
                let https = is_https(uri)?;
                let authority = authority.as_str();
                match self.roots.closest(https, authority, path) {
                    Some(entry) => entry,
                    None => self.closest_in_other_spelling(uri, authority)?,
                }
            }
            None if uri.scheme().is_none() => self.default.closest(false, "", path)?,
            None => return None,
        };
        // The root itself has no dots, and neither has what nearly all paths go on with.
        let below_root = path.get(entry.path.len()..)?;
        let unknown = match below_root.strip_prefix("/rest/services") {
            Some(rest) if rest.starts_with('/') => rest,
            _ => below_root,
        };
        (!has_dot_segments(unknown)).then_some((&entry.site, below_root))
    }

    /// A root may have its authority in another spelling: with the scheme's own port, or a dot behind the host.
    #[inline]
    fn closest_in_other_spelling(&self, uri: &Uri, authority: &str) -> Option<&Entry<T>> {
        let has_others = authority.ends_with('.') || authority.contains(':');
        let origin = has_others.then(|| Origin::of(uri))??;
        let authority = origin.authority();
        self.roots
            .closest(origin.is_https(), &authority, uri.path())
    }
}

impl<T> Roots<T> {
    fn new(mut entries: Vec<Entry<T>>) -> Self {
        if entries.len() <= FEW {
            entries.sort_by_key(|entry| std::cmp::Reverse(entry.path.len()));
        } else {
            entries.sort_by_key(|entry| entry.key);
        }
        let longest_path = entries.iter().map(|entry| entry.path.len()).max();
        Self {
            longest_path: longest_path.unwrap_or_default(),
            entries,
        }
    }

    /// The longest root that holds the path.
    #[inline]
    fn closest(&self, https: bool, authority: &str, path: &str) -> Option<&Entry<T>> {
        if self.entries.len() > FEW {
            return self.closest_of_many(https, authority, path);
        }
        self.entries.iter().find(|entry| {
            let Some((start, rest)) = path.as_bytes().split_at_checked(entry.path.len()) else {
                return false;
            };
            matches!(rest.first(), None | Some(b'/')) && entry.is(https, authority, start)
        })
    }

    fn closest_of_many(&self, https: bool, authority: &str, path: &str) -> Option<&Entry<T>> {
        let path = path.as_bytes();
        let mut key = Key::of(https, authority);
        let mut closest = None;
        for at in 0..=path.len().min(self.longest_path) {
            let byte = path.get(at);
            // A root ends where a segment does.
            if matches!(byte, None | Some(b'/')) {
                let start = &path[..at];
                closest = self.with_key(key.0, https, authority, start).or(closest);
            }
            if let Some(byte) = byte {
                key.add(*byte);
            }
        }
        closest
    }

    fn with_key(&self, key: u64, https: bool, authority: &str, path: &[u8]) -> Option<&Entry<T>> {
        let from = self.entries.partition_point(|entry| entry.key < key);
        self.entries[from..]
            .iter()
            .take_while(|entry| entry.key == key)
            .find(|entry| entry.is(https, authority, path))
    }
}

impl<T> Entry<T> {
    fn new(https: bool, authority: String, path: String, site: T) -> Self {
        let mut key = Key::of(https, &authority);
        for byte in path.bytes() {
            key.add(byte);
        }
        Self {
            key: key.0,
            https,
            authority,
            path,
            site,
        }
    }

    /// ArcGIS Server runs behind IIS as often as not, where `/ArcGIS` and `/arcgis` are the same.
    #[inline]
    fn is(&self, https: bool, authority: &str, path: &[u8]) -> bool {
        self.https == https
            && is_same_text(authority.as_bytes(), self.authority.as_bytes())
            && is_same_text(path, self.path.as_bytes())
    }
}

/// The hash of a root, whatever the case of its letters, taken byte by byte, so that one walk along a path has the keys
/// of all roots it may lie under. Only roots the user configured are in the table, so it need not withstand made-up ones.
struct Key(u64);

impl Key {
    fn of(https: bool, authority: &str) -> Self {
        let mut key = Self(0xcbf2_9ce4_8422_2325 ^ u64::from(https));
        for byte in authority.bytes() {
            key.add(byte);
        }
        key
    }

    #[inline]
    fn add(&mut self, byte: u8) {
        // FNV-1a.
        self.0 ^= u64::from(byte.to_ascii_lowercase());
        self.0 = self.0.wrapping_mul(0x100_0000_01b3);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn table(roots: &[String]) -> SiteTable<usize> {
        let roots = roots.iter().enumerate();
        SiteTable::new(
            roots
                .map(|(number, root)| (Root::parse(root).unwrap(), number))
                .collect(),
            Vec::new(),
        )
    }

    fn find<'a>(table: &SiteTable<usize>, uri: &'a Uri) -> Option<(usize, &'a str)> {
        table.find(uri).map(|(site, below)| (*site, below))
    }

    #[test]
    fn among_many_roots_the_longest_that_holds_the_path_is_found() {
        let mut roots = vec![
            "https://gis.test".to_owned(),
            "https://gis.test/arcgis".to_owned(),
            "https://gis.test/arcgis/rest/services/Water".to_owned(),
            "http://gis.test:6080/arcgis".to_owned(),
            "http://[::1]/arcgis".to_owned(),
        ];
        roots.extend((0..1000).map(|number| format!("https://host{number}.test/arcgis")));
        roots.extend((0..1000).map(|number| format!("https://one.test/server/{number}")));
        let table = table(&roots);
        for (uri, root, below) in [
            ("https://gis.test/portal", 0, "/portal"),
            ("https://gis.test", 0, "/"),
            ("https://gis.test/arcgis2/x", 0, "/arcgis2/x"),
            ("https://gis.test/arcgis", 1, ""),
            ("https://GIS.test:443/ArcGIS/rest", 1, "/rest"),
            ("https://gis.test./arcgis/rest", 1, "/rest"),
            (
                "https://gis.test/arcgis/rest/services/Waterways",
                1,
                "/rest/services/Waterways",
            ),
            ("https://gis.test/arcgis/rest/services/water/x", 2, "/x"),
            ("http://gis.test:6080/arcgis/x", 3, "/x"),
            ("http://[0:0:0:0:0:0:0:1]:80/arcgis/x", 4, "/x"),
            ("https://host0.test/arcgis/x", 5, "/x"),
            ("https://host999.test/arcgis/x", 1004, "/x"),
            ("https://one.test/server/999/x", 2004, "/x"),
        ] {
            let uri: Uri = uri.parse().unwrap();
            assert_eq!(find(&table, &uri), Some((root, below)), "{uri}");
        }
        for uri in [
            "http://gis.test/arcgis",
            "https://gis.test:443443/arcgis",
            "https://gis.test:6080/arcgis",
            "https://user@gis.test/arcgis",
            "https://host1000.test/arcgis",
            "https://one.test/server",
            "https://one.test/server/1000",
            "https://gis.test/arcgis/../x",
            "https://gis.test/arcgis/rest/services/..%00",
            "/arcgis",
        ] {
            let uri: Uri = uri.parse().unwrap();
            assert_eq!(find(&table, &uri), None, "{uri}");
        }
    }

    #[test]
    fn requests_in_origin_form_find_the_longest_root_of_the_default_site() {
        let roots = |range: std::ops::Range<usize>| {
            let roots = range.map(|number| format!("https://h{number}.test/{number}/arcgis"));
            roots
                .map(|root| (Root::parse(&root).unwrap(), ()))
                .collect::<Vec<_>>()
        };
        for count in [2, 20] {
            let table = SiteTable::new(Vec::new(), roots(0..count));
            let found = |uri: &str| table.find(&uri.parse().unwrap()).is_some();
            assert!(found("/1/arcgis/rest"));
            assert!(!found("/1/arcgis2"));
            assert!(!found("/30/arcgis"));
            assert!(!found("https://h1.test/1/arcgis"));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1000))]

        #[test]
        fn few_and_many_roots_are_found_alike(
            roots in prop::collection::hash_set("(/[ab]{1,2}){0,3}", 1..4),
            path in "(/[abAB]{1,2}){0,4}/?",
        ) {
            let few: Vec<String> = roots.iter().map(|path| format!("https://gis.test{path}")).collect();
            let mut many = few.clone();
            many.extend((0..10).map(|number| format!("https://other.test/{number}")));
            let uri: Uri = format!("https://gis.test{path}").parse().unwrap();
            prop_assert_eq!(find(&table(&few), &uri), find(&table(&many), &uri));
        }
    }
}
