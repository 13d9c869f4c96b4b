//! The services whose maps are shown: nothing else of a server can be asked for.

use std::net::IpAddr;

use http::Uri;
use percent_encoding::percent_decode_str;

use crate::error::SetUpError;

/// What every service's URL has between the site's root and the service's name.
const SERVICES: &str = "/rest/services/";

/// How a service's maps are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drawn {
    /// By its `export` operation, or an image service's `exportImage`: an image made for the request.
    Exported,
    /// From the tiles of its cache.
    Tiled,
}

/// One map or image service.
///
/// ```
/// use arcgis_portal::{Drawn, MapService};
///
/// let roads = MapService::try_new("https://gis.example.com/arcgis/rest/services/Roads/MapServer", Drawn::Exported)?;
/// assert_eq!(roads.root(), "https://gis.example.com/arcgis");
/// assert!(MapService::try_new("https://gis.example.com/arcgis", Drawn::Tiled).is_err());
/// # Ok::<(), arcgis_portal::SetUpError>(())
/// ```
#[derive(Clone, Debug)]
pub struct MapService {
    url: String,
    /// Where `/rest` begins.
    root_end: usize,
    is_image_service: bool,
    pub(crate) drawn: Drawn,
}

impl MapService {
    /// The service at `url`, as the server's Services Directory shows it.
    ///
    /// # Errors
    ///
    /// Where `url` is not the URL of a map or image service.
    pub fn try_new(url: &str, drawn: Drawn) -> Result<Self, SetUpError> {
        let wrong = |why: &str| {
            Err(SetUpError::new(format!(
                "the service's URL `{}` {why}; write it like https://gis.example.com/arcgis/rest/services/Roads/MapServer",
                // What stands before an `@` may be a password.
                url.rsplit_once('@').map_or(url, |(_, behind)| behind)
            )))
        };
        if url.contains(['@', '?', '#']) {
            return wrong("has a user name, a query or a fragment in it");
        }
        let url = url.trim_end_matches('/');
        let uri: Uri = match url.parse() {
            Ok(uri) => uri,
            Err(_) => return wrong("is no URL"),
        };
        if !matches!(uri.scheme_str(), Some("http" | "https")) || uri.host().is_none() {
            return wrong("does not begin with https:// or http:// and a host");
        }
        if uri.scheme_str() == Some("http") && !uri.host().is_some_and(is_loopback) {
            return wrong("is plain http, where passwords and tokens can be read on the way");
        }
        let Some(root_end) = url.find(SERVICES) else {
            return wrong("has no /rest/services/ in it");
        };
        let is_image_service = url.ends_with("/ImageServer");
        if !is_image_service && !url.ends_with("/MapServer") {
            return wrong("does not end with /MapServer or /ImageServer");
        }
        Ok(Self {
            url: url.to_owned(),
            root_end,
            is_image_service,
            drawn,
        })
    }

    /// The root of the site that the service belongs to: services with the same root share a login.
    #[must_use]
    pub fn root(&self) -> &str {
        self.url.get(..self.root_end).unwrap_or_default()
    }

    /// The service's URL, without a slash at its end.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// The operation that makes an image.
    pub(crate) fn export_operation(&self) -> &'static str {
        if self.is_image_service {
            "exportImage"
        } else {
            "export"
        }
    }

    /// For people: the service's folder and name.
    pub(crate) fn title(&self) -> String {
        let path = self.url.get(self.root_end + SERVICES.len()..);
        let name = path.and_then(|path| path.rsplit_once('/'));
        let name = name.map_or("", |(name, _)| name);
        percent_decode_str(name).decode_utf8_lossy().into_owned()
    }

    /// For people: the server's name.
    pub(crate) fn host(&self) -> String {
        let uri: Result<Uri, _> = self.url.parse();
        uri.ok()
            .and_then(|uri| uri.authority().map(ToString::to_string))
            .unwrap_or_default()
    }
}

/// Whether a URL's host is this machine.
fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    let address: Result<IpAddr, _> = address.parse();
    host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_has_a_root_and_a_title() {
        let url = "https://gis.test/city/arcgis/rest/services/Town%20Hall/Roads/MapServer/";
        let service = MapService::try_new(url, Drawn::Exported).unwrap();
        assert_eq!(service.root(), "https://gis.test/city/arcgis");
        assert_eq!(service.title(), "Town Hall/Roads");
        assert_eq!(service.export_operation(), "export");
        assert_eq!(service.host(), "gis.test");
    }

    #[test]
    fn plain_http_is_for_this_machine_only() {
        for host in ["127.0.0.1:6080", "localhost", "[::1]:6080"] {
            let url = format!("http://{host}/arcgis/rest/services/A/MapServer");
            MapService::try_new(&url, Drawn::Exported).unwrap();
        }
    }

    #[test]
    fn what_is_no_map_service_is_refused_and_its_password_not_repeated() {
        for url in [
            "",
            "gis.test/arcgis/rest/services/A/MapServer",
            "ftp://gis.test/arcgis/rest/services/A/MapServer",
            "http://gis.test/arcgis/rest/services/A/MapServer",
            "https://gis.test/arcgis",
            "https://gis.test/arcgis/rest/services/A/FeatureServer",
            "https://gis.test/arcgis/rest/services/A/MapServer?f=json",
            "https://ada:hunter2@gis.test/arcgis/rest/services/A/MapServer",
        ] {
            let error = MapService::try_new(url, Drawn::Exported).unwrap_err();
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }
}
