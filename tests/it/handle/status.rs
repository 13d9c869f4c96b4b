//! What the handle shows of sites and sessions.

use tokio::time::advance;
use tower::Layer;
use tower_arcgis_auth::{ArcgisAuthLayer, Site};

use crate::support::{MINUTE, ROADS, ROOT, Reply, SECOND, TokenService, Upstream, get, send, site};

#[tokio::test(start_paused = true)]
async fn sites_and_their_tokens_are_listed_without_the_tokens() {
    let source = TokenService::new().lifetime(10 * MINUTE);
    let layer = ArcgisAuthLayer::builder()
        .add_site(site(&source).add_root("http://tiles.gis.test"))
        .add_site(Site::new("https://open.gis.test:443/ArcGIS/"))
        .build()
        .unwrap();
    let service = layer.layer(Upstream::secured_by(&source));
    let handle = layer.handle();
    send(&service, get(ROADS)).await;
    advance(MINUTE).await;

    let sites = handle.sites();

    assert_eq!(sites[0].root(), ROOT);
    assert_eq!(sites[0].roots(), [ROOT, "http://tiles.gis.test"]);
    let sessions = sites[0].sessions();
    let token = sessions[0].token().unwrap();
    assert_eq!(token.generation(), 1);
    assert_eq!(token.age(), MINUTE);
    assert_eq!(token.expires_in(), Some(540 * SECOND));
    assert!(token.is_proven());
    assert_eq!(
        sessions[0].to_string(),
        "token 1 of 60 s ago, good for 540 s"
    );
    assert_eq!(sites[1].root(), "https://open.gis.test/ArcGIS");
    assert!(sites[1].sessions().is_empty());
    assert!(handle.site("HTTP://GIS.test:80/arcgis/").is_some());
    assert!(handle.site("http://tiles.gis.test/").is_some());
    assert!(handle.site("http://other.test").is_none());
    assert!(!format!("{handle:?} {sites:?} {sessions:?}").contains("secret-1"));
}

#[tokio::test(start_paused = true)]
async fn logins_and_challenges_are_counted_by_site_and_together() {
    let (one, other) = (TokenService::new(), TokenService::new());
    let layer = ArcgisAuthLayer::builder()
        .add_site(site(&one))
        .add_site(Site::new("http://other.test").token_source(other.clone()))
        .build()
        .unwrap();
    let service = layer.layer(Upstream::secured_by(&one));
    other.next([Reply::Refused]);
    for _ in 0..2 {
        send(&service, get(ROADS)).await;
        send(&service, get("http://other.test/rest/services/X/MapServer")).await;
    }
    let handle = layer.handle();
    let counters: Vec<_> = handle.sites().iter().map(|site| site.counters()).collect();
    assert_eq!(
        counters[0].to_string(),
        "1 logins, 0 refused, 0 failed; 1 challenges, 1 sent again; 0 signed out"
    );
    assert_eq!(
        counters[1].to_string(),
        "0 logins, 1 refused, 0 failed; 2 challenges, 0 sent again; 0 signed out"
    );
    let all = handle.counters();
    assert_eq!(
        (
            all.logins(),
            all.refused_logins(),
            all.challenges(),
            all.sent_again()
        ),
        (1, 1, 3, 1)
    );
}
