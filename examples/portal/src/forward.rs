//! Maps on their way from ArcGIS to a browser. Only the listed services can be asked, and only for images.
//!
//! The URL for ArcGIS is made here, of the service's own and of numbers and parameters that are known; of the browser's
//! headers nothing goes along. So no path leads out of a service, and no token or cookie of a browser reaches ArcGIS.
//! Of ArcGIS's answer only the image and its type go back.

use axum::{
    body::Body,
    extract::{Path, RawQuery, State},
    http::{HeaderValue, StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use form_urlencoded::{Serializer, parse};

use crate::{
    maps::{Drawn, MapService},
    people::Person,
    portal::Shared,
    session::SignedIn,
};

/// The parameters of Esri's "Export Map" and "Export Image" that may be asked for.
const PARAMETERS: &[&str] = &[
    "bbox",
    "bboxSR",
    "dpi",
    "format",
    "imageSR",
    "layers",
    "size",
    "transparent",
];

/// `GET /maps/{map}/export?bbox=…&size=…`
pub(crate) async fn export(
    State(shared): State<Shared>,
    SignedIn(person): SignedIn,
    Path(map): Path<usize>,
    RawQuery(query): RawQuery,
) -> Response {
    let Some(map) = listed(&shared, map, Drawn::Exported) else {
        return not_found();
    };
    let (url, operation) = (map.url(), map.export_operation());
    let query = known_parameters(&query.unwrap_or_default());
    image(&shared, &person, &format!("{url}/{operation}?{query}")).await
}

/// What of a browser's query ArcGIS gets.
fn known_parameters(query: &str) -> String {
    let mut known = Serializer::new(String::new());
    for (name, value) in parse(query.as_bytes()) {
        if PARAMETERS.contains(&&*name) {
            known.append_pair(&name, &value);
        }
    }
    known.append_pair("f", "image").finish()
}

/// `GET /maps/{map}/tile/{level}/{row}/{column}`
pub(crate) async fn tile(
    State(shared): State<Shared>,
    SignedIn(person): SignedIn,
    Path((map, level, row, column)): Path<(usize, u32, u32, u32)>,
) -> Response {
    let Some(map) = listed(&shared, map, Drawn::Tiled) else {
        return not_found();
    };
    let url = format!("{}/tile/{level}/{row}/{column}", map.url());
    image(&shared, &person, &url).await
}

fn listed(shared: &Shared, map: usize, drawn: Drawn) -> Option<&MapService> {
    shared.maps.get(map).filter(|map| map.drawn == drawn)
}

fn not_found() -> Response {
    (StatusCode::NOT_FOUND, "There is no such map.\n").into_response()
}

async fn image(shared: &Shared, person: &Person, url: &str) -> Response {
    let response = match shared.gis.get(url, "image/*", person).await {
        Ok(response) => response,
        Err(problem) => return (StatusCode::BAD_GATEWAY, format!("{problem}\n")).into_response(),
    };
    let status = response.status();
    let image_type = response.headers().get(CONTENT_TYPE).cloned();
    match image_type.filter(is_image) {
        Some(image_type) if status == StatusCode::OK => {
            let body = Body::new(response.into_body());
            ([(CONTENT_TYPE, image_type)], body).into_response()
        }
        _ => {
            tracing::warn!(%status, "ArcGIS answered with no image");
            (StatusCode::BAD_GATEWAY, "The server has no such map.\n").into_response()
        }
    }
}

/// Pages, scripts and SVG would run as this service's own.
fn is_image(image_type: &HeaderValue) -> bool {
    let text = image_type.to_str().unwrap_or_default().to_ascii_lowercase();
    text.starts_with("image/") && !text.starts_with("image/svg")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_parameters_are_passed_on_and_the_format_is_an_image() {
        for (query, known) in [
            ("", "f=image"),
            (
                "bbox=1,2,3,4&size=5,6",
                "bbox=1%2C2%2C3%2C4&size=5%2C6&f=image",
            ),
            (
                "f=html&token=x&Token=y&to%6ben=z&callback=a&layers=show:0",
                "layers=show%3A0&f=image",
            ),
            ("size=5%26token%3Dx", "size=5%26token%3Dx&f=image"),
        ] {
            assert_eq!(known_parameters(query), known, "{query}");
        }
    }

    #[test]
    fn only_pixels_are_images() {
        let is_image = |text| is_image(&HeaderValue::from_static(text));
        assert!(is_image("image/png"));
        assert!(is_image("Image/JPEG; x=y"));
        for other in [
            "text/html",
            "image/svg+xml",
            "IMAGE/SVG+xml",
            "application/json",
            "x-image/png",
        ] {
            assert!(!is_image(other), "{other}");
        }
    }
}
