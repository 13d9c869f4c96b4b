//! Settings that cannot work.

use tower_arcgis_auth::{ArcgisAuthLayer, Site};

use crate::support::{TokenService, reader};

#[test]
fn a_root_that_is_given_twice_in_any_spelling_is_named() {
    const ROOT: &str = "https://gis.test/arcgis";
    for (other, named) in [
        ("https://gis.test/arcgis/", ROOT),
        ("https://GIS.test/arcgis", ROOT),
        ("https://gis.test:443/arcgis", ROOT),
        ("https://gis.test/ArcGIS", "https://gis.test/ArcGIS"),
        ("https://GIS.test:443/ArcGIS/", "https://gis.test/ArcGIS"),
        ("https://gis.test./arcgis", ROOT),
    ] {
        let others = (0..1000).map(|number| Site::new(format!("https://host{number}.test/arcgis")));
        let builder = [Site::new("https://gis.test/arcgis")]
            .into_iter()
            .chain(others)
            .chain([Site::new(other)])
            .fold(ArcgisAuthLayer::builder(), |builder, site| {
                builder.add_site(site)
            });
        let error = builder.build().unwrap_err().to_string();
        assert!(error.contains(named), "{error}");
        assert!(error.contains("twice"), "{error}");
    }
}

#[test]
fn invalid_roots_are_named_in_the_error() {
    for root in [
        "gis.city.gov/arcgis",
        "//gis.city.gov/arcgis",
        "ftp://gis.city.gov/arcgis",
        "https://user:pw@gis.city.gov/arcgis",
        "https://gis.city.gov/arcgis?f=json",
        "https://gis.city.gov/arcgis/../other",
        "/arcgis",
        "",
        "*",
    ] {
        let error = ArcgisAuthLayer::try_new(Site::new(root))
            .unwrap_err()
            .to_string();
        assert!(error.contains("https://gis.example.com/arcgis"), "{error}");
        assert!(
            !error.contains("pw"),
            "a password goes into no error: {error}"
        );
    }
}

fn site() -> Site {
    Site::new("https://gis.test/arcgis").credential(reader())
}

#[test]
fn settings_that_cannot_work_are_named_when_the_layer_is_built() {
    let client = TokenService::new().client();
    for (site, words) in [
        (site().token_url("gis.city.gov/tokens"), "token URL"),
        (
            site().token_url("https://h/generateToken?username=u"),
            "without a query",
        ),
        (
            site().trust_token_service("portal"),
            "trusted token service",
        ),
        (site().referer("bad\nreferer"), "referer"),
        (
            site().portal("https://gis.test/portal/sharing/rest"),
            "`/sharing`",
        ),
        (site().portal("https://gis.test/home/index.html"), "`/home`"),
        (site().portal("https://gis.test/portal/home/"), "`/home`"),
        (site().referer(""), "referer"),
    ] {
        let error = ArcgisAuthLayer::builder()
            .add_site(site)
            .token_client(client.clone())
            .build()
            .unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
    }
}
