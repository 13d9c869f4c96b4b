//! What a `Debug` shows, that a reader may tell by it what it is of.

use tower::Layer;
use tower_arcgis_auth::ArcgisAuthLayer;

use crate::support::{TokenService, Upstream, get_as, identity_in_header, over, send, site};

#[tokio::test]
async fn the_debug_of_a_service_shows_what_is_within_and_its_sites() {
    let shown = format!("{:?}", over(Upstream::saying(""), &TokenService::new()));
    assert!(
        shown.starts_with("ArcgisAuth { inner: Upstream { .. }, shared: "),
        "{shown}"
    );
    let store = r#"TokenStore { site: "http://gis.test/arcgis""#;
    assert!(shown.contains(store), "{shown}");
}

#[tokio::test]
async fn the_debug_of_a_site_with_identities_shows_how_many_there_are_and_none_of_them() {
    let site = site(&TokenService::new()).identity_fn(identity_in_header);
    let layer = ArcgisAuthLayer::try_new(site).unwrap();
    let service = layer.layer(Upstream::open_to_any_token());
    send(&service, get_as("ada")).await;
    assert_eq!(layer.handle().sites().remove(0).sessions().len(), 1);
    let shown = format!("{service:?}");
    assert!(shown.contains("sessions: 1"), "{shown}");
    assert!(!shown.contains("ada"), "{shown}");
}
