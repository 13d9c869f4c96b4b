//! Names and labels: which there are, that they are few, and that they tell nothing secret.

use std::collections::BTreeSet;

use metrics::Unit;
use tower::Layer;
use tower_arcgis_auth::{ArcgisAuthLayer, Credential, Site};

use crate::{
    recorder::Recorded,
    support::{
        INFO, MINUTE, REQUIRED, ROADS, ROOT, Reply, TokenService, Upstream, client, get, get_as,
        layer, map_server, named_like_identities,
        secrets::{PASSWORD, assert_silent},
        send, site,
    },
};

fn names(recorded: &Recorded) -> BTreeSet<String> {
    let keys = recorded.keys();
    keys.iter().map(|key| key.name().to_owned()).collect()
}

#[test]
fn every_metric_is_described_with_its_unit() {
    let recorded = Recorded::new();
    metrics::with_local_recorder(&recorded, tower_arcgis_auth::metrics::describe);
    let described = recorded.described();
    assert!(described.len() >= 12);
    for (name, unit) in described {
        assert!(name.starts_with("arcgis_auth_"), "{name}");
        let is_in_seconds = name.ends_with("_seconds");
        let expected = if is_in_seconds {
            Unit::Seconds
        } else {
            Unit::Count
        };
        assert_eq!(unit, Some(expected), "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_recorded_is_described() {
    let recorded = Recorded::new();
    let _here = recorded.here();
    tower_arcgis_auth::metrics::describe();
    let source = TokenService::new();
    let layer = ArcgisAuthLayer::try_new(site(&source)).unwrap();
    send(&layer.layer(Upstream::secured_by(&source)), get(ROADS)).await;
    layer.handle().sign_out().await.unwrap();
    let described: BTreeSet<String> = recorded
        .described()
        .into_iter()
        .map(|(name, _)| name)
        .filter(|name| !name.contains("shared_cache"))
        .collect();
    assert_eq!(names(&recorded), described);
}

#[tokio::test(start_paused = true)]
async fn counters_begin_with_zero_when_the_layer_is_built() {
    let recorded = Recorded::new();
    let _here = recorded.here();
    let source = TokenService::new();
    let _layer = ArcgisAuthLayer::try_new(site(&source)).unwrap();
    for (name, label) in [
        ("arcgis_auth_challenges_total", "kind=login_page"),
        (
            "arcgis_auth_challenges_returned_total",
            "reason=after_resend",
        ),
        ("arcgis_auth_resends_total", "outcome=failed"),
        ("arcgis_auth_logins_started_total", "reason=forced"),
        ("arcgis_auth_logins_total", "outcome=refused"),
        ("arcgis_auth_logins_withheld_total", "reason=lockout_guard"),
        ("arcgis_auth_sign_outs_total", ""),
    ] {
        assert_eq!(recorded.count(name, label), 0);
    }
    assert_eq!(
        recorded.gauge("arcgis_auth_login_budget_remaining"),
        Some(20.0)
    );
}

#[test]
fn a_site_without_a_credential_has_no_metrics() {
    let recorded = Recorded::new();
    let _here = recorded.here();
    let _layer = ArcgisAuthLayer::try_new(Site::new(ROOT)).unwrap();
    assert_eq!(recorded.asked(), 0);
}

#[tokio::test(start_paused = true)]
async fn sites_are_told_apart_by_their_first_root() {
    let recorded = Recorded::new();
    let _here = recorded.here();
    let source = TokenService::new();
    let other = "https://other.test/server";
    let layer = ArcgisAuthLayer::builder()
        .add_site(site(&source).add_root("http://tiles.test/arcgis"))
        .add_site(Site::new("HTTPS://Other.test:443/server/").token_source(source.clone()))
        .build()
        .unwrap();
    let service = layer.layer(Upstream::secured_by(&source));
    send(
        &service,
        get("http://tiles.test/arcgis/rest/services?f=json"),
    )
    .await;
    send(&service, get(&format!("{other}/rest/services?f=json"))).await;
    for site in [ROOT, other] {
        let name = "arcgis_auth_challenges_total";
        assert_eq!(recorded.count_at(site, name, "kind=token_required"), 1);
    }
    let sites: BTreeSet<String> = recorded
        .keys()
        .iter()
        .flat_map(|key| key.labels())
        .filter(|label| label.key() == "site")
        .map(|label| label.value().to_owned())
        .collect();
    assert_eq!(sites, [ROOT, other].map(String::from).into());
}

#[tokio::test(start_paused = true)]
async fn the_login_at_a_portal_is_told_apart_from_the_sites_it_serves() {
    let recorded = Recorded::new();
    let _here = recorded.here();
    let service = TokenService::new();
    // The site is the portal itself.
    let root = "https://portal.test/portal";
    let at = Site::new(root)
        .credential(Credential::user("reader", PASSWORD))
        .portal(root);
    let client = client(at, &service);
    send(
        &client,
        get(&format!("{root}/sharing/rest/content/items/1?f=json")),
    )
    .await;
    let name = "arcgis_auth_logins_total";
    for site in [root, "https://portal.test/portal/sharing/rest"] {
        assert_eq!(recorded.count_at(site, name, "outcome=succeeded"), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn labels_do_not_grow_with_requests_identities_and_services() {
    let recorded = Recorded::new();
    let _here = recorded.here();
    let source = TokenService::new().lifetime(60 * MINUTE);
    let site = named_like_identities(Site::new(ROOT).allow_insecure_http());
    let service = layer(site, &source).layer(Upstream::secured_by(&source));
    let mut labels = Vec::new();
    for number in 0..50 {
        let name = format!("user{number}");
        send(&service, get_as(name.clone())).await;
        source.revoke_all();
        send(&service, get_as(name)).await;
        labels.push(recorded.keys().len());
    }
    assert_eq!(
        recorded.count("arcgis_auth_logins_total", "outcome=succeeded"),
        100
    );
    assert_eq!(labels[1], labels[49]);
}

#[tokio::test(start_paused = true)]
async fn no_label_tells_a_secret_a_user_an_identity_or_a_request() {
    let recorded = Recorded::new();
    let _here = recorded.here();
    let service = TokenService::new().info(INFO).lifetime(MINUTE);
    service.next([Reply::Token, Reply::Fault, Reply::Refused]);
    let site = Site::new(ROOT)
        .allow_insecure_http()
        .credential(Credential::user("ada.lovelace", PASSWORD));
    let layer = layer(site, &service);
    let client = layer.layer(
        Upstream::secured_by(&service).except("Hidden", |_| crate::support::answer(REQUIRED)),
    );
    for name in ["Roads", "Hidden", "Roads", "Hidden"] {
        service.revoke_all();
        let mut request = get(&format!("{}?where=surname", map_server(name)));
        request
            .headers_mut()
            .insert("x-identity", "grace".parse().unwrap());
        send(&client, request).await;
    }
    let _ = layer.handle().sites()[0].renew().await;
    let _ = layer.handle().sign_out().await;
    assert!(recorded.count("arcgis_auth_logins_total", "outcome=refused") > 0);

    for key in recorded.keys() {
        let labels: Vec<String> = key
            .labels()
            .map(|label| format!("{}={}", label.key(), label.value()))
            .collect();
        let text = format!("{} {}", key.name(), labels.join(" "));
        assert_silent("a metric", &text);
        for hidden in [
            "secret-", "ada", "grace", "Roads", "Hidden", "surname", "services",
        ] {
            assert!(!text.contains(hidden), "{text} tells {hidden}");
        }
        assert!(labels.len() <= 2, "{text}");
    }
}
