//! Logins on runtimes that end.

use tokio::time::{advance, sleep, timeout};
use tower::Layer;
use tower_arcgis_auth::{ArcgisAuthLayer, Credential, Site};

use super::{Reporting, generate_token};
use crate::support::{
    MINUTE, Mounted, ROADS, ROOT, Reply, SECOND, TokenService, Upstream, client, get, named_site,
    paused_runtime, reader, send,
};

#[test]
fn a_login_on_a_runtime_that_is_dropped_counts_and_the_next_is_made_on_another() {
    let service = TokenService::new().answering(Reply::Hangs);
    let site = named_site().credential(reader());
    let client = client(site, &service);
    for minute in 0..10 {
        paused_runtime().block_on(async {
            advance(minute * MINUTE).await;
            let sent = timeout(10 * SECOND, send(&client, get(ROADS)));
            assert!(sent.await.is_err() || minute >= 4);
        });
    }
    assert_eq!(service.attempts(), 4);
}

#[test]
fn a_corrected_password_is_tried_though_the_refused_login_never_ended() {
    for asks_before in [true, false] {
        let file = Mounted::holding("wrong");
        let service = TokenService::new().knows("right");
        let inner = generate_token(&service, Credential::user("reader", file.secret()));
        let takes = 5 * SECOND;
        let site = Site::new(ROOT).token_source(Reporting { inner, takes });
        let layer = ArcgisAuthLayer::try_new(site).unwrap();
        let client = layer.layer(Upstream::open_to_any_token());
        // Dropped in the middle of a report.
        paused_runtime().block_on(async {
            let sent = timeout(SECOND, send(&client, get(ROADS)));
            assert!(sent.await.is_err());
        });
        paused_runtime().block_on(async {
            sleep(MINUTE).await;
            if asks_before {
                assert!(!send(&client, get(ROADS)).await.is_clean());
            }
            file.hold("right");
            sleep(5 * SECOND).await;
            send(&client, get(ROADS)).await;
            sleep(5 * SECOND).await;
            let got = send(&client, get(ROADS)).await;
            assert!(
                got.is_clean(),
                "asks before: {asks_before}: {}",
                got.outcome
            );
        });
    }
}
