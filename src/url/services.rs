//! Services: the part of a path that names one, and what a service is remembered by.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    sync::LazyLock,
};

use http::Uri;

use crate::url::{
    Origin,
    segments::{decoded, is_plain, segments},
};

/// What ArcGIS calls a service's type, in URLs of REST and SOAP. A closed list, because folders and services may be
/// called `…server` as well.
const TYPES: &[&str] = &[
    "MapServer",
    "FeatureServer",
    "ImageServer",
    "GPServer",
    "VectorTileServer",
    "SceneServer",
    "GeocodeServer",
    "GeometryServer",
    "GeoDataServer",
    "GeoenrichmentServer",
    "GlobeServer",
    "IndexingServer",
    "KnowledgeGraphServer",
    "LRServer",
    "MobileServer",
    "NAServer",
    "NetworkDiagramServer",
    "OGCFeatureServer",
    "ParcelFabricServer",
    "RelationalCatalogServer",
    "SearchServer",
    "StreamServer",
    "TopographicProductionServer",
    "UtilityNetworkServer",
    "ValidationServer",
    "VersionManagementServer",
    "VideoServer",
    "WorkflowServer",
];

pub(super) fn is_service_type(segment: &[u8]) -> bool {
    TYPES
        .iter()
        .any(|name| segment.eq_ignore_ascii_case(name.as_bytes()))
}

/// Whether a path below a site's root is a service's, or lies below one: behind `services` it has a `…Server` segment.
/// Listings of folders and of services have none.
pub(crate) fn has_service(path_below_root: &str) -> bool {
    let path = path_below_root.as_bytes();
    let in_segments = |path: &[u8]| {
        segments(path)
            .skip_while(|segment| !segment.is("services"))
            .skip(1)
            .any(|segment| is_service_type(segment.name))
    };
    if is_plain(path) {
        in_segments(path)
    } else {
        in_segments(&decoded(path))
    }
}

/// What a service is remembered by. Hashed: callers choose how long its name is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ServiceKey(pub(crate) u64);

/// What the service that `uri` belongs to is remembered by: host, and path through its `…Server` segment, or the whole
/// path where it has none. Spellings of one service, in another case or percent-encoded, have one key. `root_length` is
/// how long the site's root is in the path.
pub(crate) fn service_key(uri: &Uri, root_length: usize) -> ServiceKey {
    static RANDOM: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    let mut hasher = RANDOM.build_hasher();
    let path = uri.path();
    let (root, below_root) = path.split_at_checked(root_length).unwrap_or(("", path));
    match Origin::of(uri) {
        Some(origin) => hasher.write(origin.authority().as_bytes()),
        None => hasher.write(uri.host().unwrap_or_default().as_bytes()),
    }
    hash_folded(&mut hasher, root.as_bytes());

    let decoded = decoded(below_root.as_bytes());
    let mut is_behind_services = false;
    for segment in segments(&decoded) {
        hash_folded(&mut hasher, segment.name);
        if is_behind_services && is_service_type(segment.name) {
            break;
        }
        is_behind_services |= segment.is("services");
    }
    ServiceKey(hasher.finish())
}

/// Hashes a name without its case, and an end of its own, so that no two lists of names run together.
fn hash_folded(hasher: &mut impl Hasher, name: &[u8]) {
    let folded = match std::str::from_utf8(name) {
        Ok(text) => text.to_lowercase().into_bytes(),
        Err(_) => name.to_ascii_lowercase(),
    };
    hasher.write(&folded);
    hasher.write_u8(0xff);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(uri: &str) -> ServiceKey {
        service_key(&uri.parse().unwrap(), "/arcgis".len())
    }

    #[test]
    fn spellings_of_one_service_have_one_key() {
        let roads = "https://gis.test/arcgis/rest/services/Roads/MapServer";
        for uri in [
            "https://gis.test/arcgis/rest/services/Roads/MapServer/0/query?f=json",
            "https://gis.test/arcgis/rest/services/Roads/MapServer/",
            "https://GIS.test:443/ArcGIS/REST/Services/ROADS/mapserver",
            "https://gis.test./arcgis/rest/services/Roads/MapServer/1",
            "https://gis.test/arcgis/rest/services/R%6Fads/MapServer",
            "https://gis.test/arcgis/rest/services/R%256Fads/%4DapServer/x",
            "https://gis.test/arcgis/rest//services/Roads;a=1/MapServer;b",
            "https://gis.test/arcgis/rest/services%2FRoads%2FMapServer",
        ] {
            assert_eq!(key(uri), key(roads), "{uri}");
        }
        assert_eq!(
            key("https://gis.test/arcgis/rest/services/Stra%C3%9Fe%C3%84/MapServer"),
            key("https://gis.test/arcgis/rest/services/stra%c3%9fe%c3%a4/MapServer")
        );
    }

    #[test]
    fn other_services_have_other_keys() {
        let uris = [
            "https://gis.test/arcgis/rest/services/Roads/MapServer",
            "https://gis.test/arcgis/rest/services/Roads/FeatureServer",
            "https://gis.test/arcgis/rest/services/Water/MapServer",
            "https://gis.test/arcgis/rest/services/Water/Roads/MapServer",
            "https://gis.test/arcgis/rest/services/MyServer/Roads/MapServer",
            "https://gis.test/arcgis/rest/services/MyServer/Water/MapServer",
            "https://gis.test/arcgis/rest/services",
            "https://gis.test/arcgis/services/Roads/MapServer",
            "https://gis.test/server/rest/services/Roads/MapServer",
            "https://gis.test:6443/arcgis/rest/services/Roads/MapServer",
            "https://other.test/arcgis/rest/services/Roads/MapServer",
            "https://gis.test/arcgis/sharing/rest/content/items/a",
            "https://gis.test/arcgis/sharing/rest/content/items/b",
        ];
        let keys: std::collections::HashSet<_> = uris.iter().map(|uri| key(uri)).collect();
        assert_eq!(keys.len(), uris.len());
    }

    #[test]
    fn a_path_has_a_service_where_it_has_a_servers_type() {
        for path in [
            "/rest/services/Roads/MapServer",
            "/rest/services/Folder/Roads/FeatureServer/0/query",
            "/services/Roads/MapServer/WMSServer",
            "/REST/services/Roads/mapserver",
            "/rest/services/Roads/Map%53erver",
        ] {
            assert!(has_service(path), "{path}");
        }
        for path in [
            "",
            "/rest/services",
            "/rest/services/Folder",
            "/rest/services/MyServer",
            "/MapServer/x",
            "/sharing/rest/search",
            "/rest/info",
        ] {
            assert!(!has_service(path), "{path}");
        }
    }
}
