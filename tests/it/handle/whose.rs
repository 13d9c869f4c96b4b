//! Whose a session is.

use tower::Layer;
use tower_arcgis_auth::ArcgisAuthLayer;

use crate::support::{ROADS, TokenService, Upstream, get, get_as, identity_in_header, send, site};

/// The identities of a site's sessions, once these requests are answered.
async fn identities(layer: &ArcgisAuthLayer) -> Vec<Option<String>> {
    let client = layer.layer(Upstream::open_to_any_token());
    for request in [get_as("ada"), get_as("grace"), get(ROADS)] {
        send(&client, request).await;
    }
    let sessions = layer.handle().sites().remove(0).sessions();
    let mut names: Vec<Option<String>> = sessions
        .iter()
        .map(|session| Some(session.identity()?.as_str().to_owned()))
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_session_says_whose_it_is_where_each_identity_has_one() {
    let each = site(&TokenService::new()).identity_fn(identity_in_header);
    let layer = ArcgisAuthLayer::try_new(each).unwrap();
    let names = identities(&layer).await;
    assert_eq!(names, [Some("ada".to_owned()), Some("grace".to_owned())]);

    let layer = ArcgisAuthLayer::try_new(site(&TokenService::new())).unwrap();
    assert_eq!(identities(&layer).await, [None]);
}
