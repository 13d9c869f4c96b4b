//! One account, however many sites log in with it.

use std::sync::Arc;

use arcgis_stand_in::{Portal, StandIn};
use futures_util::future::join_all;
use tokio::time::advance;
use tower::Layer;
use tower_arcgis_auth::{ArcgisAuthLayer, GenerateToken, Site};

use crate::support::{
    MINUTE, ROOT, Reply, TokenService, Upstream, assert_login_refused, get,
    loopback::{PARCELS, client_of, federated_with, fetch, member, wrong_user},
    reader, send,
};

#[tokio::test(start_paused = true)]
async fn a_wrong_password_of_one_source_is_tried_once_whatever_the_number_of_sites() {
    let service = TokenService::new().answering(Reply::Refused);
    let url = format!("{ROOT}/tokens/generateToken");
    let source = GenerateToken::try_new(&url, reader(), service.client());
    let source = Arc::new(source.unwrap().allow_insecure_http());
    let mut builder = ArcgisAuthLayer::builder();
    for number in 0..6 {
        let site = Site::new(format!("http://gis{number}.test/arcgis"));
        builder = builder.add_site(site.token_source(source.clone()));
    }
    for site in builder.build().unwrap().handle().sites() {
        assert!(site.renew().await.is_err());
    }
    assert_eq!(service.attempts(), 1);
}

#[tokio::test]
async fn sites_with_one_wrong_password_at_one_token_service_try_it_once() {
    let server = StandIn::start().await.unwrap();
    let mut builder = ArcgisAuthLayer::builder();
    for folder in ["Parcels", "Water", "Zoning"] {
        let root = server.url(&format!("rest/services/{folder}"));
        let site = Site::new(root).credential(wrong_user());
        builder = builder.add_site(site.token_url(server.url("tokens/generateToken")));
    }
    // By discovery as well.
    let whole = Site::new(server.root()).credential(wrong_user());
    let service = client_of(&builder.add_site(whole).build().unwrap());
    let paths = [
        "rest/services/Parcels/MapServer",
        "rest/services/Water/FeatureServer",
        "rest/services/Zoning/MapServer",
        "admin/services",
    ];
    let asked = paths
        .iter()
        .map(|path| fetch(&service, server.url(&format!("{path}?f=json"))));
    for got in join_all(asked).await {
        let outcome = got.outcome;
        assert!(outcome.returned_challenge().is_some(), "{outcome}");
    }
    assert_eq!(server.counters().login_attempts, 1);
}

#[tokio::test]
async fn a_wrong_password_at_the_portal_is_tried_once_for_all_its_servers() {
    let portal = Portal::start().await.unwrap();
    let servers = [federated_with(&portal).await, federated_with(&portal).await];
    let mut builder = ArcgisAuthLayer::builder();
    for server in &servers {
        let site = member(server, &portal).credential(wrong_user());
        builder = builder.add_site(site);
    }
    let service = client_of(&builder.build().unwrap());
    for _ in 0..3 {
        for server in &servers {
            let outcome = fetch(&service, server.url(PARCELS)).await.outcome;
            assert_login_refused(outcome.skip_reason());
        }
    }
    assert_eq!(portal.counters().login_attempts, 1);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_that_another_site_met_first_is_remembered_no_longer_than_there() {
    const TOKEN_URL: &str = "https://gis.test/arcgis/tokens/generateToken";
    let service = TokenService::new().answering(Reply::Refused);
    let mut builder = ArcgisAuthLayer::builder().token_client(service.client());
    for root in ["https://gis.test/arcgis", "https://other.test/arcgis"] {
        let site = Site::new(root).credential(reader());
        let site = site.trust_token_service("https://gis.test");
        builder = builder.add_site(site.token_url(TOKEN_URL));
    }
    let client = builder
        .build()
        .unwrap()
        .layer(Upstream::open_to_any_token());
    let roads = "https://gis.test/arcgis/rest/services/Roads/MapServer?f=json";
    let water = "https://other.test/arcgis/rest/services/Water/MapServer?f=json";

    send(&client, get(roads)).await;
    advance(10 * MINUTE).await;
    let got = send(&client, get(water)).await;
    assert_login_refused(got.outcome.skip_reason());
    advance(4 * MINUTE).await;
    send(&client, get(water)).await;
    assert_eq!(service.attempts(), 1);

    advance(2 * MINUTE).await;
    send(&client, get(water)).await;
    assert_eq!(
        service.attempts(),
        2,
        "fifteen minutes have passed since it was refused"
    );
}
