//! The requests that are sent.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Uri, header};
use http_body_util::Full;

use super::Request;

pub(super) const ROOT: &str = "http://gis.test/arcgis";

macro_rules! url {
    ($path:literal) => {
        concat!("http://gis.test/arcgis/rest/services", $path)
    };
    ($path:literal ? query) => {
        concat!(
            url!($path),
            "?where=STATE_NAME%20%3D%20%27California%27&outFields=*&returnGeometry=true&geometryType=esriGeometryEnvelope&inSR=4326\
             &spatialRel=esriSpatialRelIntersects&geometry=%7B%22xmin%22%3A-124.4%2C%22ymin%22%3A32.5%2C%22xmax%22%3A-114.1\
             %2C%22ymax%22%3A42.0%7D&outSR=3857&resultOffset=0&resultRecordCount=2000&f=json"
        )
    };
}

/// Four headers, which leave room for two in their map.
fn request(uri: &'static str) -> Request {
    let mut request = Request::new(Full::default());
    // One allocation of its very size, so that the counts do not go by what the allocator makes of a text that grows.
    *request.uri_mut() =
        Uri::from_maybe_shared(Bytes::copy_from_slice(uri.as_bytes())).expect("a URI");
    let headers = request.headers_mut();
    let four: [(HeaderName, &str); 4] = [
        (header::ACCEPT, "*/*"),
        (header::ACCEPT_ENCODING, "gzip, deflate"),
        (header::USER_AGENT, "overhead/1.0"),
        (header::ACCEPT_LANGUAGE, "en"),
    ];
    for (name, value) in four {
        headers.insert(name, HeaderValue::from_static(value));
    }
    request
}

/// A URL of some 400 bytes, and no body.
pub(crate) fn get() -> Request {
    request(url!("/Census/MapServer/3/query" ? query))
}

/// The same with a body that a limit of no bytes leaves no copy of.
pub(super) fn one_byte() -> Request {
    with_one_byte(get())
}

fn with_one_byte(request: Request) -> Request {
    request.map(|_| Full::new(Bytes::from_static(b"x")))
}

/// A tile's, and no body.
pub(super) fn tile() -> Request {
    request(url!("/Census/VectorTileServer/tile/12/1547/653.pbf"))
}

/// A map image's, whose parameters begin with some of the letters of `token`.
pub(super) fn export() -> Request {
    with_one_byte(request(concat!(
        url!("/Census/MapServer/export"),
        "?bbox=-13884991.404%2C2870341.213%2C-7455066.117%2C6338219.331&bboxSR=102100&imageSR=102100&size=1024%2C768&dpi=96\
         &format=png32&transparent=true&layers=show%3A0%2C1%2C4&time=1262304000000%2C1577836800000&timeRelation=esriTimeRelationOverlaps\
         &f=image"
    )))
}

/// A path with a dot in it.
pub(super) fn dot() -> Request {
    with_one_byte(request(
        url!("/Census/VectorTileServer/tile/12/1547/653.pbf" ? query),
    ))
}

/// A path with an escape in it.
pub(super) fn space() -> Request {
    with_one_byte(request(url!("/The%20Census/MapServer/3/query" ? query)))
}

/// With a token of the caller's own.
pub(super) fn replaced() -> Request {
    let mut request = one_byte();
    let name = HeaderName::from_static("x-esri-authorization");
    let token = HeaderValue::from_static("Bearer mine");
    request.headers_mut().insert(name, token);
    request
}

pub(super) fn elsewhere() -> Request {
    let mut request = one_byte();
    *request.uri_mut() = Uri::from_static("http://elsewhere.test/x");
    request
}

/// A form of 1 KiB.
pub(super) fn form() -> Request {
    const FORM: &[u8] = &{
        let mut form = [b'x'; 1024];
        let start = b"f=json&where=1%3D1&outFields=*&geometry=";
        let mut at = 0;
        while at < start.len() {
            form[at] = start[at];
            at += 1;
        }
        form
    };
    let mut request = request(url!("/Census/MapServer/3/query"));
    *request.method_mut() = Method::POST;
    let form_type = HeaderValue::from_static("application/x-www-form-urlencoded");
    request
        .headers_mut()
        .insert(header::CONTENT_TYPE, form_type);
    request.map(|_| Full::new(Bytes::from_static(FORM)))
}
