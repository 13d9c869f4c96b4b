//! No `Debug` shows a secret.

use std::sync::{Arc, Mutex};

use tokio::time::advance;
use tower::{Layer, Service};
use tower_arcgis_auth::{
    ArcgisAuthLayer, Credential, GenerateToken, IssuedToken, Site, TokenPlacement, TokenRequest,
    token_source_fn,
};

use crate::support::{
    CLEAN, INVALID, MINUTE, REQUIRED, ROADS, ROOT, Upstream, answer, get,
    secrets::{PASSWORD, TOKEN, assert_silent, token_service},
    send, token_of,
};

#[tokio::test]
async fn no_debug_shows_a_secret() {
    let credential = Credential::user("reader", PASSWORD);
    let client = token_service().client();
    let source = GenerateToken::try_new(
        "https://gis.test/arcgis/tokens/generateToken",
        credential.clone(),
        client.clone(),
    )
    .unwrap();
    let issued = IssuedToken::try_new(TOKEN).unwrap();
    let upstream = Upstream::open_to_any_token();
    for placement in [
        TokenPlacement::EsriHeader,
        TokenPlacement::Bearer,
        TokenPlacement::Cookie,
    ] {
        let site = Site::new("https://gis.test/arcgis")
            .credential(credential.clone())
            .placement(placement);
        let builder = ArcgisAuthLayer::builder()
            .add_site(site.clone())
            .token_client(client.clone());
        let builder_debug = format!("{builder:?}");
        let layer = builder.build().unwrap();
        let mut service = layer.layer(upstream.clone());
        let request = get("https://gis.test/arcgis/rest/services/A/MapServer");
        let future = Service::call(&mut service, request);
        let future_debug = format!("{future:?}");
        let response = future.await.unwrap();
        assert!(response.body().outcome().resent());

        let debugs = [
            ("builder", builder_debug),
            ("future", future_debug),
            ("site", format!("{site:?}")),
            ("layer", format!("{layer:?}")),
            ("layer, pretty", format!("{layer:#?}")),
            ("response", format!("{response:?}")),
            (
                "outcome",
                format!(
                    "{:?} {}",
                    response.body().outcome(),
                    response.body().outcome()
                ),
            ),
            (
                "signed request",
                format!("{:?}", upstream.last_request().headers),
            ),
        ];
        for (what, text) in debugs {
            assert_silent(what, &text);
        }
    }
    assert_silent("credential", &format!("{credential:?} {credential:#?}"));
    assert_silent("source", &format!("{source:?}"));
    assert_silent("issued token", &format!("{issued:?}"));
    assert_silent("client", &format!("{client:?}"));
}

#[tokio::test]
async fn a_source_that_prints_its_requests_prints_no_secret() {
    let printed = Arc::new(Mutex::new(String::new()));
    let prints = printed.clone();
    let logins = Mutex::new(0);
    // As a source of a user's own may: the scripted token service prints nothing.
    let source = token_source_fn(move |request: TokenRequest| {
        prints.lock().unwrap().push_str(&format!("{request:?}"));
        *logins.lock().unwrap() += 1;
        let text = format!("{TOKEN}{}", *logins.lock().unwrap());
        async move { IssuedToken::try_new(text) }
    });
    let upstream = Upstream::new(|request| {
        answer(match token_of(request) {
            None => REQUIRED,
            Some(token) if token.ends_with('1') => INVALID,
            Some(_) => CLEAN,
        })
    });
    let layer = ArcgisAuthLayer::try_new(Site::new(ROOT).token_source(source)).unwrap();
    let service = layer.layer(upstream);
    send(&service, get(ROADS)).await;
    tokio::time::pause();
    advance(10 * MINUTE).await;
    send(&service, get(ROADS)).await;
    let printed = printed.lock().unwrap().clone();
    assert!(printed.contains("generation: 1"), "{printed}");
    assert_silent("token request", &printed);
}
