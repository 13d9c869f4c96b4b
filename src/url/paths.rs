//! What a path behind a site's root names: an end point that is never signed, or a service.

use std::{
    hash::{BuildHasher, RandomState},
    sync::LazyLock,
};

use http::Uri;

/// Whether `path` (behind the site's root) is a token, OAuth, information or sign-in end point: asked for by whoever
/// is getting a token, so never signed and never taken for a challenge.
pub(crate) fn is_exempt(path: &str) -> bool {
    // Nearly all requests are to services, and no service is exempt, whatever its folder is called.
    if path.starts_with("/rest/services/") || behind_services(path).is_some() {
        return false;
    }
    let path = path.trim_end_matches('/');
    EXACT.iter().any(|exempt| ends_with_segments(path, exempt))
        || BELOW.iter().any(|exempt| contains_segments(path, exempt))
}

/// Where the names of folders and services begin: behind `/services/`, be it REST's or SOAP's.
fn behind_services(path: &str) -> Option<usize> {
    const SERVICES: &[u8] = b"/services/";
    path.as_bytes()
        .windows(SERVICES.len())
        .position(|window| window.eq_ignore_ascii_case(SERVICES))
        .map(|at| at + SERVICES.len())
}

/// Exempt themselves.
const EXACT: &[&str] = &[
    "/rest/info",
    "/rest/login",
    "/rest/generateToken",
    "/admin/login",
    "/admin/generateToken",
    "/sharing/info",
    "/sharing/generateToken",
    "/sharing/rest/generateToken",
    "/sharing/rest/info",
    "/sharing/login",
    "/sharing/signin",
    "/portaladmin/login",
    "/portaladmin/generateToken",
    "/home/signin.html",
];

/// Exempt with everything below them.
const BELOW: &[&str] = &["/tokens", "/oauth2", "/security/tokens"];

fn ends_with_segments(path: &str, suffix: &str) -> bool {
    path.len()
        .checked_sub(suffix.len())
        .and_then(|start| path.get(start..))
        .is_some_and(|end| end.eq_ignore_ascii_case(suffix))
}

fn contains_segments(path: &str, part: &str) -> bool {
    let mut rest = path;
    loop {
        if rest
            .get(..part.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(part))
            && matches!(rest.as_bytes().get(part.len()), None | Some(b'/'))
        {
            return true;
        }
        match rest.get(1..).and_then(|behind| behind.find('/')) {
            Some(next) => rest = &rest[next + 1..],
            None => return false,
        }
    }
}

/// What ArcGIS calls a service's type, in URLs of REST and SOAP. A closed list, because folders and web adaptors may be
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
    "WorkflowServer",
];

/// The service `path` (behind the site's root) belongs to: the path through its `…Server` segment, or the whole path
/// where it has none. An account is allowed or refused a whole service.
pub(crate) fn service_of(path: &str) -> &str {
    let Some(mut end) = behind_services(path) else {
        return path;
    };
    for segment in path[end..].split('/') {
        end += segment.len();
        if TYPES.iter().any(|kind| kind.eq_ignore_ascii_case(segment)) {
            return &path[..end];
        }
        end += 1;
    }
    path
}

/// Whether `uri` names a service: its path behind a root of this length has a `…Server` segment.
pub(crate) fn names_server(uri: &Uri, root: usize) -> bool {
    let path = uri.path().get(root..).unwrap_or_default();
    service_of(path)
        .rsplit('/')
        .next()
        .is_some_and(|last| TYPES.iter().any(|kind| kind.eq_ignore_ascii_case(last)))
}

/// What a service that refuses the account is remembered by: host, and path through its `…Server` segment. Given the
/// URI and how long the site's root is in its path.
pub(crate) fn service_key(uri: &Uri, root: usize) -> ServiceKey {
    static HASHER: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    let path = uri.path();
    let service = path.get(root..).map_or(path, service_of);
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    let spelling = (authority.to_ascii_lowercase(), service.to_ascii_lowercase());
    ServiceKey(HASHER.hash_one(spelling))
}

/// A service's name, hashed: callers choose how long it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ServiceKey(pub(crate) u64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_and_sign_in_end_points_are_exempt() {
        for path in [
            "/rest/info",
            "/rest/info/",
            "/tokens",
            "/tokens/",
            "/tokens/generateToken",
            "/Tokens/GenerateToken",
            "/rest/login",
            "/rest/generateToken",
            "/admin/generateToken",
            "/admin/login",
            "/sharing/rest/generateToken",
            "/sharing/rest/oauth2/token",
            "/sharing/oauth2/signin",
            "/portal/sharing/rest/oauth2/authorize",
            "/home/signin.html",
        ] {
            assert!(is_exempt(path), "{path}");
        }
    }

    #[test]
    fn services_and_everything_else_are_not() {
        for path in [
            "",
            "/",
            "/rest/services/login/MapServer",
            "/rest/services/tokens/MapServer/0/query",
            "/rest/services/oauth2/FeatureServer/0",
            "/rest/information",
            "/rest/services",
            "/mytokens/x",
            "/services/tokens/MapServer",
            "/arcgis/rest/services/oauth2/Parks/MapServer",
            "/admin/services",
            "/sharing/rest/portals/self",
            "/sharing/rest/community/users/tokens2",
        ] {
            assert!(!is_exempt(path), "{path}");
        }
    }

    #[test]
    fn a_service_ends_at_its_server_segment() {
        for (path, service) in [
            (
                "/rest/services/Roads/MapServer/0/query",
                "/rest/services/Roads/MapServer",
            ),
            (
                "/rest/services/MyServer/Roads/FeatureServer/1",
                "/rest/services/MyServer/Roads/FeatureServer",
            ),
            (
                "/services/Roads/MapServer/WMSServer",
                "/services/Roads/MapServer",
            ),
            (
                "/sharing/rest/content/items/abc",
                "/sharing/rest/content/items/abc",
            ),
            ("", ""),
        ] {
            assert_eq!(service_of(path), service, "{path}");
        }
    }
}
