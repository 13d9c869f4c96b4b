//! From the URL of a service to the root of its site.

use http::Uri;

/// The root of the site that the service at this URL belongs to; `None` where it is no absolute http or https URL, or has
/// a user name in it.
pub(crate) fn root_of_service(url: &str) -> Option<String> {
    let url = url.split(['?', '#']).next()?.trim();
    let uri: Uri = url.parse().ok()?;
    let scheme = uri.scheme_str()?;
    let authority = uri.authority()?.as_str();
    if !matches!(scheme, "http" | "https") || authority.contains('@') {
        return None;
    }
    Some(format!(
        "{scheme}://{authority}{}",
        root_of_path(uri.path())
    ))
}

/// The part of a service's path that is its site's root.
pub(crate) fn root_of_path(path: &str) -> &str {
    let root = path.get(..end_of_root(path)).unwrap_or(path);
    root.trim_end_matches('/')
}

/// The root of the server or portal that the site with this root is part of: a site may be one folder of a server, and its
/// token service is the server's.
pub(crate) fn server_of(root: &str) -> String {
    let path = root.find("://").and_then(|scheme| {
        let after_scheme = scheme + 3;
        let path = root.get(after_scheme..)?.find('/')?;
        Some(after_scheme + path)
    });
    let Some((host, path)) = path.and_then(|path| root.split_at_checked(path)) else {
        return root.to_owned();
    };
    let segments = segments(path);
    let end = surely_arcgis_own(path, &segments).or_else(|| match segments.as_slice() {
        // A web adaptor alone may be called that.
        [_, _, .., last] if is(Some(last), &["rest"]) => Some(segments.len() - 1),
        _ => None,
    });
    let end = end.and_then(|at| segments.get(at)).map(|(start, _)| *start);
    let path = end.and_then(|end| path.get(..end)).unwrap_or(path);
    format!("{host}{}", path.trim_end_matches('/'))
}

/// Where ArcGIS's own part of `path` begins. A web adaptor may be called `rest` or `services`, a folder `rest` or
/// `sharing`, so what only ArcGIS has comes first.
fn end_of_root(path: &str) -> usize {
    let segments = segments(path);
    let likely = |at: &usize| is(segments.get(*at), &["rest", "services", "admin", "tokens"]);
    surely_arcgis_own(path, &segments)
        .or_else(|| (0..segments.len()).find(likely))
        .and_then(|at| segments.get(at))
        .map_or(path.len(), |(start, _)| *start)
}

/// A segment of a path, and where it starts.
type Segment<'a> = (usize, &'a str);

fn segments(path: &str) -> Vec<Segment<'_>> {
    let mut segments = Vec::new();
    let mut start = 0;
    for segment in path.split('/') {
        segments.push((start, segment));
        start += segment.len() + 1;
    }
    segments
}

fn is(segment: Option<&Segment<'_>>, names: &[&str]) -> bool {
    segment.is_some_and(|(_, segment)| names.iter().any(|name| name.eq_ignore_ascii_case(segment)))
}

/// The first segment that is ArcGIS's own whatever web adaptors and folders are called.
fn surely_arcgis_own(path: &str, segments: &[Segment<'_>]) -> Option<usize> {
    let services = (0..segments.len()).find(|at| is(segments.get(*at), &["services"]));
    (0..segments.len()).find(|at| {
        let (this, next) = (segments.get(*at), segments.get(at + 1));
        let is_behind_services = services.is_some_and(|services| services < *at);
        // Behind `services` it names a folder, unless what follows makes it a portal's: then `services` is the web
        // adaptor's name.
        let may_be_portals = !is_behind_services || is(next, &["rest", "generateToken"]);
        (is(this, &["sharing"]) && may_be_portals)
            || (is(this, &["rest"]) && is(next, &["services", "info", "login", "generateToken"]))
            || (is(this, &["home"]) && path.to_ascii_lowercase().ends_with(".html"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_site_that_is_a_part_of_a_server_asks_the_server() {
        for (root, server) in [
            ("https://h/arcgis", "https://h/arcgis"),
            ("https://h", "https://h"),
            ("https://h/rest", "https://h/rest"),
            ("https://h/services", "https://h/services"),
            ("https://h/arcgis/rest", "https://h/arcgis"),
            ("https://h/arcgis/rest/services", "https://h/arcgis"),
            (
                "https://h:6443/arcgis/REST/services/Water",
                "https://h:6443/arcgis",
            ),
            ("https://h/rest/services/Water", "https://h"),
            ("https://h/portal/sharing/rest", "https://h/portal"),
        ] {
            assert_eq!(server_of(root), server, "{root}");
        }
    }

    #[test]
    fn the_root_of_a_service_is_what_stands_before_arcgis_own_part() {
        for (url, root) in [
            (
                "https://h/arcgis/rest/services/X/MapServer?f=json",
                "https://h/arcgis",
            ),
            (
                "https://h/arcgis/rest/services/Folder/X/FeatureServer/0/query?token=secret#x",
                "https://h/arcgis",
            ),
            (
                "https://h:6443/arcgis/rest/services",
                "https://h:6443/arcgis",
            ),
            ("https://h/arcgis/rest", "https://h/arcgis"),
            ("https://h/arcgis/rest/", "https://h/arcgis"),
            ("https://h/arcgis/rest/info", "https://h/arcgis"),
            (
                "https://h/arcgis/services/X/MapServer/WMSServer",
                "https://h/arcgis",
            ),
            ("https://h/arcgis/services", "https://h/arcgis"),
            (
                "https://h/ArcGIS/Rest/Services/X/MapServer",
                "https://h/ArcGIS",
            ),
            (
                "https://h/webadaptor/rest/services/X/MapServer",
                "https://h/webadaptor",
            ),
            // Web adaptors and folders called like ArcGIS's own parts.
            ("https://h/rest/rest/services/X/MapServer", "https://h/rest"),
            (
                "https://h/services/rest/services/X/MapServer",
                "https://h/services",
            ),
            (
                "https://h/arcgis/rest/services/rest/X/MapServer",
                "https://h/arcgis",
            ),
            (
                "https://h/arcgis/rest/services/sharing/X/MapServer",
                "https://h/arcgis",
            ),
            (
                "https://h/arcgis/services/admin/X/MapServer",
                "https://h/arcgis",
            ),
            (
                "https://h/arcgis/services/sharing/X/MapServer/WMSServer",
                "https://h/arcgis",
            ),
            (
                "https://h/arcgis/Services/Sharing/X/MapServer/WMSServer",
                "https://h/arcgis",
            ),
            (
                "https://h/arcgis/services/Folder/sharing/MapServer/WFSServer",
                "https://h/arcgis",
            ),
            ("https://h/arcgis/services/sharing", "https://h/arcgis"),
            (
                "https://h/services/sharing/rest/content/items/abc",
                "https://h/services",
            ),
            (
                "https://h/services/sharing/generateToken",
                "https://h/services",
            ),
            (
                "https://services.arcgis.com/abcDEF/arcgis/rest/services/X/FeatureServer/0",
                "https://services.arcgis.com/abcDEF/arcgis",
            ),
            (
                "https://h/portal/sharing/rest/content/items/abc?f=json",
                "https://h/portal",
            ),
            ("https://h/portal/sharing/generateToken", "https://h/portal"),
            (
                "https://www.arcgis.com/sharing/rest",
                "https://www.arcgis.com",
            ),
            (
                "https://org.example.com/home/item.html?id=1",
                "https://org.example.com",
            ),
            (
                "https://h/portal/home/webmap/viewer.html",
                "https://h/portal",
            ),
            ("https://h/arcgis/admin/services", "https://h/arcgis"),
            ("https://h/arcgis/tokens/generateToken", "https://h/arcgis"),
            ("https://h/arcgis", "https://h/arcgis"),
            ("https://h/arcgis/", "https://h/arcgis"),
            ("https://h", "https://h"),
            (
                "http://127.0.0.1:6080/arcgis/rest/services",
                "http://127.0.0.1:6080/arcgis",
            ),
            (
                "https://h/arcgisrest/services2/x",
                "https://h/arcgisrest/services2/x",
            ),
        ] {
            assert_eq!(root_of_service(url).as_deref(), Some(root), "{url}");
        }
    }

    #[test]
    fn what_is_no_url_of_a_server_has_no_root() {
        for url in [
            "",
            "gis.example.com/arcgis",
            "/arcgis/rest/services",
            "ftp://h/arcgis",
            "https://user:hunter2@h/arcgis/rest/services",
            "https://",
            "not a url?token=hunter2",
        ] {
            assert_eq!(root_of_service(url), None, "{url}");
        }
    }
}
