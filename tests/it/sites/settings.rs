//! Settings that cannot work.

use std::time::Duration;

use tower_arcgis_auth::{ArcgisAuthLayer, Cancelled, Credential, Secret, Site};

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

#[test]
fn a_builder_that_could_do_nothing_is_told_so() {
    let error = ArcgisAuthLayer::builder().build().unwrap_err();
    assert!(error.to_string().contains("`add_site`"), "{error}");
    let hasty = ArcgisAuthLayer::builder()
        .add_site(site())
        .token_client(TokenService::new().client())
        .login_timeout(Duration::ZERO);
    let error = hasty.build().unwrap_err();
    assert!(error.to_string().contains("`login_timeout`"), "{error}");
    assert_eq!(error.clone(), error);
}

#[test]
fn an_empty_part_of_a_credential_is_named_with_its_site() {
    for (credential, part) in [
        (Credential::user("", "secret"), "user name"),
        (Credential::user("reader", ""), "password"),
        (Credential::app("", "secret"), "client id"),
        (Credential::app("anApp", ""), "client secret"),
        (Credential::token(""), "token"),
    ] {
        let site = Site::new("https://gis.test/arcgis").credential(credential);
        let error = ArcgisAuthLayer::try_new(site).unwrap_err().to_string();
        let begin = format!("the {part} of the site https://gis.test/arcgis is empty");
        assert!(error.starts_with(&begin), "{error}");
    }
    // What is read for each login may not be there yet.
    let site = Site::new("https://gis.test/arcgis")
        .credential(Credential::user("reader", Secret::file("/nowhere")));
    let layer = ArcgisAuthLayer::builder().add_site(site);
    let client = TokenService::new().client();
    assert!(layer.token_client(client).build().is_ok());
}

#[test]
fn two_ways_to_get_tokens_are_one_too_many() {
    let source = || TokenService::new();
    for (site, both) in [
        (
            site().token_source(source()),
            ["`credential`", "`token_source`"],
        ),
        (
            site().credential_fn(|_| async { Err(Cancelled) }),
            ["`credential`", "`credential_fn`"],
        ),
        (
            Site::new("https://gis.test/arcgis")
                .token_source_for(move |_| source())
                .try_credential_fn(|_| async { Ok(None) }),
            ["`token_source_for`", "`try_credential_fn`"],
        ),
    ] {
        let error = ArcgisAuthLayer::try_new(site).unwrap_err().to_string();
        for setter in both {
            assert!(error.contains(setter), "{error}");
        }
    }
    // The same setting again is a change of mind.
    let site = site().credential(reader());
    let layer = ArcgisAuthLayer::builder().add_site(site);
    let client = TokenService::new().client();
    assert!(layer.token_client(client).build().is_ok());
}
