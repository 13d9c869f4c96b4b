//! A refresh token for each identity.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::time::sleep;
use tower::Layer;
use tower_arcgis_auth::{ArcgisAuthLayer, RefreshToken, Site};

use super::over;
use crate::support::{
    ROADS, ROOT, Reply, TokenService, Upstream, get, get_as, identity_in_header, send,
};

/// A portal that takes `NAME.N` once, and gives `NAME.N+1` in its place.
fn rotating_portal() -> TokenService {
    let spent = Mutex::new(HashSet::new());
    TokenService::new().logins(move |asked| {
        let given = asked.field("refresh_token").unwrap();
        if !spent.lock().unwrap().insert(given.clone()) {
            return Reply::says(r#"{"error":{"code":498,"message":"invalid refresh_token"}}"#);
        }
        let (name, count) = given.rsplit_once('.').unwrap();
        let next = count.parse::<u32>().unwrap() + 1;
        Reply::says(format!(
            r#"{{"access_token":"{name}-{count}","expires_in":1800,"refresh_token":"{name}.{next}"}}"#
        ))
    })
}

#[tokio::test(start_paused = true)]
async fn a_rotated_refresh_token_says_whose_it_is_and_outlives_its_session() {
    let kept = Arc::new(Mutex::new(HashMap::new()));
    let keep = Arc::clone(&kept);
    let client = rotating_portal().client();
    let signed_in = RefreshToken::try_new("https://portal.test/portal", "aClientId", "", client)
        .unwrap()
        .on_rotation(move |rotated| {
            let name = rotated.identity().unwrap().as_str().to_owned();
            keep.lock()
                .unwrap()
                .insert(name, rotated.expose().to_owned());
            async {}
        });
    let found = Arc::clone(&kept);
    let site = Site::new(ROOT)
        .identity_fn(identity_in_header)
        .remember_identities(10, Duration::from_nanos(1))
        .token_source_for(move |identity| {
            let name = identity.unwrap().as_str();
            let newest = found.lock().unwrap().get(name).cloned();
            let newest: String = newest.unwrap_or_else(|| format!("{name}.0"));
            signed_in.clone().refresh_token(newest)
        });
    let layer = ArcgisAuthLayer::try_new(site).unwrap();
    let service = layer.layer(Upstream::open_to_any_token());
    for login in 1..=3 {
        for name in ["alice", "bob"] {
            assert!(send(&service, get_as(name)).await.is_clean());
            // A task of its own keeps it.
            sleep(Duration::from_millis(1)).await;
            let newest = kept.lock().unwrap().get(name).cloned();
            assert_eq!(newest, Some(format!("{name}.{login}")));
        }
        assert!(layer.handle().sites()[0].sessions().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_refresh_token_without_an_identity_is_rotated_without_one() {
    let whose = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&whose);
    let client = rotating_portal().client();
    let source = RefreshToken::try_new("https://portal.test/portal", "aClientId", "app.0", client)
        .unwrap()
        .on_rotation(move |rotated| {
            heard.lock().unwrap().push(rotated.identity().cloned());
            async {}
        });
    let service = over(
        &Upstream::open_to_any_token(),
        Site::new(ROOT).token_source(source),
    );
    assert!(send(&service, get(ROADS)).await.is_clean());
    sleep(Duration::from_millis(1)).await;
    assert_eq!(*whose.lock().unwrap(), [None]);
}
