//! Portals and the servers that are federated with them.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use arcgis_stand_in::{Portal, StandIn};
use futures_util::future::join_all;
use tokio::time::advance;
use tower_arcgis_auth::{ArcgisAuthLayer, Site};

use crate::support::{
    INVALID, MINUTE, Reply, TokenService, layer,
    loopback::{PARCELS, assert_open, client_for, client_of, federated_with, fetch, member, user},
    reader,
};

#[tokio::test]
async fn one_portal_login_serves_all_its_servers() {
    let portal = Portal::start().await.unwrap();
    let servers = [
        federated_with(&portal).await,
        federated_with(&portal).await,
        federated_with(&portal).await,
    ];
    let mut builder = ArcgisAuthLayer::builder();
    for server in &servers {
        builder = builder.add_site(member(server, &portal));
    }
    let service = client_of(&builder.build().unwrap());

    let asked = servers
        .iter()
        .flat_map(|server| (0..20).map(|_| server.url(PARCELS)));
    for got in join_all(asked.map(|url| fetch(&service, url))).await {
        assert_open(&got);
    }
    assert_eq!(portal.counters().logins, 1);
    assert_eq!(portal.counters().exchanges, 3);

    // One server forgets its tokens: an exchange, and no login.
    servers[1].revoke_all_tokens();
    assert_open(&fetch(&service, servers[1].url(PARCELS)).await);
    assert_eq!(
        (portal.counters().logins, portal.counters().exchanges),
        (1, 4)
    );

    // The portal forgets its own as well: a login, then the exchange.
    portal.revoke_all_tokens();
    servers[2].revoke_all_tokens();
    assert_open(&fetch(&service, servers[2].url(PARCELS)).await);
    assert_eq!(
        (portal.counters().logins, portal.counters().exchanges),
        (2, 5)
    );
}

#[tokio::test]
async fn a_named_portal_is_the_one_that_is_used() {
    let portal = Portal::start().await.unwrap();
    let server = federated_with(&portal).await;
    server.set_info_present(false);
    let service = client_for(
        Site::new(server.root())
            .credential(user())
            .portal(portal.root()),
    );
    assert_open(&fetch(&service, server.url(PARCELS)).await);
    assert_eq!(server.counters().info_requests, 0);
}

#[tokio::test]
async fn a_server_the_portal_makes_no_tokens_for_gets_the_portals_own_only_where_that_is_set() {
    let portal = Portal::start().await.unwrap();
    let stranger = StandIn::start().await.unwrap();
    stranger.set_owning_system_url(Some(portal.root()));
    let service = client_for(member(&stranger, &portal));
    let outcome = fetch(&service, stranger.url(PARCELS)).await.outcome;
    assert!(!outcome.resent(), "not unless that is allowed: {outcome}");
    assert_eq!(stranger.counters().signed_requests, 0);

    portal.reset_counters();
    let service = client_for(member(&stranger, &portal).send_portal_token());
    let outcome = fetch(&service, stranger.url(PARCELS)).await.outcome;
    // This one does not take it, and says so: that causes no login after login.
    assert!(outcome.resent(), "{outcome}");
    // One for all its servers, and one with this server's own Referer.
    assert_eq!(portal.counters().logins, 2);
    assert!(portal.counters().exchange_refusals <= 2);
}

#[tokio::test]
async fn the_portal_itself_is_a_site_like_any_other() {
    let portal = Portal::start().await.unwrap();
    let service = client_for(Site::new(portal.root()).credential(user()));
    let item = portal.url("sharing/rest/content/items/abc?f=json");
    for logins in 1..6 {
        assert_open(&fetch(&service, item.clone()).await);
        assert_eq!(portal.counters().logins, logins);
        portal.revoke_all_tokens();
    }
}

/// A portal that logs in with `p-1`, `p-2`, …, and calls the first `invalid` of these tokens invalid.
fn forgetful_portal(invalid: &Arc<AtomicUsize>) -> TokenService {
    let (logins, invalid) = (AtomicUsize::new(0), invalid.clone());
    TokenService::new().logins(move |asked| {
        if asked.field("serverUrl").is_none() {
            let login = logins.fetch_add(1, Ordering::SeqCst) + 1;
            return Reply::token(&format!("p-{login}"));
        }
        let token = asked.field("token").unwrap();
        let login: usize = token.trim_start_matches("p-").parse().unwrap();
        match login <= invalid.load(Ordering::SeqCst) {
            true => Reply::says(INVALID),
            false => Reply::token(&format!("s-{login}")),
        }
    })
}

#[tokio::test(start_paused = true)]
async fn a_portal_that_calls_its_fresh_token_invalid_is_not_logged_in_at_again() {
    let invalid = Arc::new(AtomicUsize::new(usize::MAX));
    let service = forgetful_portal(&invalid);
    let site = Site::new("https://gis.test/arcgis")
        .portal("https://gis.test/portal")
        .credential(reader());
    let handle = layer(site, &service).handle().sites().remove(0);
    let error = handle.renew().await.unwrap_err().to_string();
    assert!(error.contains("its own fresh token invalid"), "{error}");
    assert_eq!(service.passwords(), 1);

    // It is old by now: another may work, but is no second login of this call either if it does not.
    advance(5 * MINUTE).await;
    let error = handle.renew().await.unwrap_err().to_string();
    assert!(error.contains("its own fresh token invalid"), "{error}");
    assert_eq!(service.passwords(), 2);

    // The portal forgets what it made so far, and takes what it makes from now on.
    invalid.store(2, Ordering::SeqCst);
    advance(5 * MINUTE).await;
    handle.renew().await.unwrap();
    assert_eq!(service.passwords(), 3);
    invalid.store(3, Ordering::SeqCst);
    advance(5 * MINUTE).await;
    handle.renew().await.unwrap();
    assert_eq!(service.passwords(), 4);
}
