//! From a request's URI to its site: longest root first, on whole path segments.

use std::collections::BTreeMap;

use http::Uri;

use crate::url::{Origin, Root, has_dot_segments, is_https, is_same_text};

/// All roots of a layer, and what to do under each.
#[derive(Debug)]
pub(crate) struct SiteTable<T> {
    /// Sorted, so that a look-up takes as long among a thousand hosts as among ten.
    keys: Vec<u64>,
    /// In the order of their keys.
    hosts: Vec<Host<T>>,
    /// For requests in origin form: the roots of one site, whatever their origins.
    default: Roots<T>,
}

/// The roots of one origin.
#[derive(Debug)]
struct Host<T> {
    key: u64,
    https: bool,
    authority: String,
    roots: Roots<T>,
}

/// Where a request belongs.
pub(crate) struct Place<'table, 'uri, T> {
    pub(crate) site: &'table T,
    /// How long the site's root is in the URI's path.
    pub(crate) root: usize,
    /// The rest of the path.
    pub(crate) below_root: &'uri str,
}

/// As many are compared faster than hashed.
const FEW: usize = 4;

impl<T> SiteTable<T> {
    pub(crate) fn new(roots: Vec<(Root, T)>, default: Vec<(Root, T)>) -> Self {
        let mut origins: BTreeMap<(bool, String), Vec<(String, T)>> = BTreeMap::new();
        for (root, site) in roots {
            let origin = (root.origin.is_https(), root.authority.to_ascii_lowercase());
            origins.entry(origin).or_default().push((root.path, site));
        }
        let hosts = origins.into_iter();
        let mut hosts: Vec<Host<T>> = hosts
            .map(|((https, authority), roots)| Host {
                key: key_of_origin(https, authority.as_bytes()),
                https,
                authority,
                roots: Roots::new(roots),
            })
            .collect();
        hosts.sort_by_key(|host| host.key);
        let default = default.into_iter();
        Self {
            keys: hosts.iter().map(|host| host.key).collect(),
            hosts,
            default: Roots::new(default.map(|(root, site)| (root.path, site)).collect()),
        }
    }

    /// The site `uri` belongs to. Only the URI's own authority counts.
    #[inline]
    pub(crate) fn find<'uri>(&self, uri: &'uri Uri) -> Option<Place<'_, 'uri, T>> {
        let path = uri.path();
        let (root, site) = match uri.authority() {
            Some(authority) => {
                let https = is_https(uri)?;
                let authority = authority.as_str();
                let host = match self.host(https, authority.as_bytes()) {
                    Some(host) => host,
                    None => self.host_in_other_spelling(uri, authority)?,
                };
                host.roots.closest(path)?
            }
            None if uri.scheme().is_none() => self.default.closest(path)?,
            None => return None,
        };
        // The root itself has no dots, and neither has what nearly all paths go on with.
        let below_root = path.get(root..)?;
        let unknown = match below_root.strip_prefix("/rest/services") {
            Some(rest) if rest.starts_with('/') => rest,
            _ => below_root,
        };
        (!has_dot_segments(unknown)).then_some(Place {
            site,
            root,
            below_root,
        })
    }

    #[inline]
    fn host(&self, https: bool, authority: &[u8]) -> Option<&Host<T>> {
        let is_it = |host: &&Host<T>| {
            host.https == https && is_same_text(authority, host.authority.as_bytes())
        };
        if self.hosts.len() <= FEW {
            return self.hosts.iter().find(is_it);
        }
        let key = key_of_origin(https, authority);
        let from = self.keys.partition_point(|other| *other < key);
        let same = self.hosts[from..].iter().take_while(|host| host.key == key);
        same.into_iter().find(is_it)
    }

    /// A root may have its authority in another spelling: with the scheme's own port, or a dot behind the host.
    #[inline]
    fn host_in_other_spelling(&self, uri: &Uri, authority: &str) -> Option<&Host<T>> {
        let has_others = authority.ends_with('.') || authority.as_bytes().contains(&b':');
        let origin = has_others.then(|| Origin::of(uri))??;
        self.host(origin.is_https(), origin.authority().as_bytes())
    }
}

/// Tells origins apart, eight bytes at a time, whatever the case of their letters; what it takes for the same is compared.
/// Only origins the user configured are in the table, so it need not withstand made-up ones.
#[inline]
fn key_of_origin(https: bool, authority: &[u8]) -> u64 {
    const LOWER_CASE: u64 = 0x2020_2020_2020_2020;
    let start = (authority.len() as u64) << 1 | u64::from(https);
    let mix = |key: u64, bytes: [u8; 8]| {
        let bytes = u64::from_le_bytes(bytes) | LOWER_CASE;
        (key.rotate_left(5) ^ bytes).wrapping_mul(0x517c_c1b7_2722_0a95)
    };
    let mut rest = authority;
    let mut key = start;
    while let Some((bytes, behind)) = rest.split_first_chunk() {
        key = mix(key, *bytes);
        rest = behind;
    }
    match authority.last_chunk() {
        Some(bytes) => mix(key, *bytes),
        None => {
            let mut bytes = [0; 8];
            bytes[..rest.len()].copy_from_slice(rest);
            mix(key, bytes)
        }
    }
}

/// The roots of one host, by their paths.
#[derive(Debug)]
struct Roots<T> {
    /// A few, the longest path first; many, sorted by their keys.
    entries: Vec<Entry<T>>,
    longest_path: usize,
}

#[derive(Debug)]
struct Entry<T> {
    key: u64,
    path: String,
    site: T,
}

impl<T> Roots<T> {
    fn new(roots: Vec<(String, T)>) -> Self {
        let roots = roots.into_iter();
        let mut entries: Vec<Entry<T>> = roots
            .map(|(path, site)| {
                let key = path.bytes().fold(PathKey::default(), PathKey::with).0;
                Entry { key, path, site }
            })
            .collect();
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

    /// How long the longest root that holds the path is, and its site.
    #[inline]
    fn closest(&self, path: &str) -> Option<(usize, &T)> {
        let path = path.as_bytes();
        let entry = if self.entries.len() > FEW {
            self.closest_of_many(path)
        } else {
            self.entries.iter().find(|entry| entry.holds(path))
        };
        entry.map(|entry| (entry.path.len(), &entry.site))
    }

    fn closest_of_many(&self, path: &[u8]) -> Option<&Entry<T>> {
        let mut key = PathKey::default();
        let mut closest = None;
        for at in 0..=path.len().min(self.longest_path) {
            let byte = path.get(at);
            // A root ends where a segment does.
            if matches!(byte, None | Some(b'/')) {
                closest = self.with_key(key.0, &path[..at]).or(closest);
            }
            if let Some(byte) = byte {
                key = key.with(*byte);
            }
        }
        closest
    }

    fn with_key(&self, key: u64, path: &[u8]) -> Option<&Entry<T>> {
        let from = self.entries.partition_point(|entry| entry.key < key);
        self.entries[from..]
            .iter()
            .take_while(|entry| entry.key == key)
            .find(|entry| is_same_text(path, entry.path.as_bytes()))
    }
}

impl<T> Entry<T> {
    /// ArcGIS Server runs behind IIS as often as not, where `/ArcGIS` and `/arcgis` are the same.
    #[inline]
    fn holds(&self, path: &[u8]) -> bool {
        path.split_at_checked(self.path.len())
            .is_some_and(|(start, rest)| {
                matches!(rest.first(), None | Some(b'/'))
                    && is_same_text(start, self.path.as_bytes())
            })
    }
}

/// The hash of a path, whatever the case of its letters, taken byte by byte, so that one walk along a request's path has the
/// keys of all roots it may lie under.
#[derive(Clone, Copy)]
struct PathKey(u64);

impl Default for PathKey {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl PathKey {
    #[inline]
    fn with(self, byte: u8) -> Self {
        // FNV-1a.
        let key = self.0 ^ u64::from(byte.to_ascii_lowercase());
        Self(key.wrapping_mul(0x100_0000_01b3))
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
        let place = table.find(uri)?;
        Some((*place.site, place.below_root))
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
            let with = |more: fn(usize) -> String| {
                let mut many = few.clone();
                many.extend((0..10).map(more));
                table(&many)
            };
            let uri: Uri = format!("https://gis.test{path}").parse().unwrap();
            let found = find(&table(&few), &uri);
            let among_paths = with(|number| format!("https://gis.test/{number}"));
            prop_assert_eq!(find(&among_paths, &uri), found);
            let among_hosts = with(|number| format!("https://other{number}.test/a"));
            prop_assert_eq!(find(&among_hosts, &uri), found);
        }

        #[test]
        fn a_host_is_found_in_any_case_among_few_and_many(
            hosts in prop::collection::hash_set("(http|https)://[a-z]{1,9}([.][a-z]{1,9}){0,2}[.]?(:[1-9])?", 1..20),
            asked in any::<prop::sample::Index>(),
            upper in any::<u32>(),
            changed in prop::option::of((any::<prop::sample::Index>(), "[a-z-]")),
        ) {
            let roots: Vec<String> = hosts.into_iter().filter(|host| Root::parse(host).is_ok()).collect();
            prop_assume!(!roots.is_empty());
            let (scheme, authority) = asked.get(&roots).split_once("://").unwrap();
            let mut authority = authority.to_owned();
            if let Some((at, letter)) = changed {
                let at = at.index(authority.len());
                authority.replace_range(at..=at, &letter);
            }
            let in_case = authority.bytes().enumerate().map(|(at, byte)| {
                char::from(if upper >> (at % 32) & 1 == 1 { byte.to_ascii_uppercase() } else { byte })
            });
            let Ok(uri) = format!("{scheme}://{}/x", in_case.collect::<String>()).parse::<Uri>() else {
                return Ok(());
            };
            let origin = Origin::of(&uri);
            let plain = roots.iter().position(|root| origin.is_some() && Origin::of(&root.parse().unwrap()) == origin);
            prop_assert_eq!(find(&table(&roots), &uri).map(|(site, _)| site), plain);
        }
    }
}
