//! Asking a server what it is: what it says, which source a site would take, and nothing of the credential sent.

use arcgis_stand_in::{Personality, Portal, StandIn};
use tower_arcgis_auth::{ChosenSource, Credential, Site, SiteReport, site_report};

use crate::support::{
    TokenService,
    loopback::{federated_with, server_like, user},
};

async fn report_on(site: Site) -> SiteReport {
    site_report(&site, None).await.unwrap()
}

async fn federated() -> (Portal, StandIn) {
    let portal = Portal::start().await.unwrap();
    let server = federated_with(&portal).await;
    (portal, server)
}

fn assert_no_login(server: &StandIn) {
    let has_password =
        |received: &arcgis_stand_in::Received| format!("{received:?}").contains("password");
    assert!(!server.received().iter().any(has_password));
    assert_eq!(server.counters().logins, 0);
}

#[tokio::test]
async fn a_standalone_server_is_reported_with_its_version_and_its_token_service() {
    let server = StandIn::start().await.unwrap();
    let report = report_on(Site::new(server.root()).credential(user())).await;
    assert_eq!(report.root(), server.root());
    assert_eq!(report.info_url(), Some(server.url("rest/info").as_str()));
    assert_eq!(report.current_version(), Some("10.91"));
    assert_eq!(report.full_version(), Some("10.9.1"));
    assert_eq!(report.token_based_security(), Some(true));
    assert_eq!(report.token_service(), Some(server.url("tokens/").as_str()));
    assert_eq!(report.owning_portal(), None);
    let url = server.url("tokens/generateToken");
    assert_eq!(
        report.source().unwrap(),
        &ChosenSource::GenerateToken { url }
    );
    assert_eq!(report.unlisted_origin(), None);
    assert_no_login(&server);
    assert_eq!(server.counters().login_attempts, 0);
}

#[tokio::test]
async fn a_server_before_10_1_leaves_only_the_old_token_service() {
    let server = server_like(Personality::Legacy).await;
    let report = report_on(Site::new(server.root()).credential(user())).await;
    assert_eq!(report.info_url(), None);
    let url = server.url("tokens");
    assert_eq!(report.source().unwrap(), &ChosenSource::LegacyToken { url });
    assert_no_login(&server);
}

#[tokio::test]
async fn the_administrators_token_service_is_reported() {
    let server = server_like(Personality::AdminOnly).await;
    let report = report_on(Site::new(server.root())).await;
    let url = server.url("admin/generateToken");
    assert_eq!(
        report.source().unwrap(),
        &ChosenSource::GenerateToken { url }
    );
    assert_no_login(&server);
}

#[tokio::test]
async fn a_portal_that_is_not_listed_is_the_reason_why_there_is_no_source_and_the_origin_to_list() {
    let (portal, server) = federated().await;
    let report = report_on(Site::new(server.root()).credential(user())).await;
    assert_eq!(report.owning_portal(), Some(portal.root().as_str()));
    let error = report.source().unwrap_err();
    assert!(error.to_string().contains("trust_token_service"), "{error}");
    assert_eq!(report.unlisted_origin(), Some(portal.origin().as_str()));

    let origin = report.unlisted_origin().unwrap();
    let site = Site::new(server.root()).credential(user());
    let report = report_on(site.trust_token_service(origin)).await;
    assert_eq!(
        report.source().unwrap(),
        &ChosenSource::FederatedServer {
            portal: portal.root(),
            url: portal.url("sharing/rest/generateToken"),
        }
    );
    assert_eq!(portal.counters().login_attempts, 0);
    assert_no_login(&server);
}

#[tokio::test]
async fn an_application_logs_in_at_the_oauth_end_point_of_the_portal() {
    let (portal, server) = federated().await;
    let site = Site::new(server.root()).credential(Credential::app("id", "secret"));
    let report = report_on(site.trust_token_service(portal.origin())).await;
    assert_eq!(
        report.source().unwrap().url(),
        Some(portal.url("sharing/rest/oauth2/token").as_str())
    );
    let alone = StandIn::start().await.unwrap();
    let site = Site::new(alone.root()).credential(Credential::app("id", "secret"));
    let report = report_on(site.clone()).await;
    let error = report.source().unwrap_err().to_string();
    assert!(error.contains("`portal`"), "{error}");
    let report = report_on(site.token_url(alone.url("tokens/generateToken"))).await;
    assert!(report.source().unwrap_err().is_refused());
}

#[tokio::test]
async fn a_portal_that_is_a_site_of_its_own_is_reported_as_a_portal() {
    let portal = Portal::start().await.unwrap();
    let report = report_on(Site::new(portal.root()).credential(user())).await;
    assert_eq!(
        report.source().unwrap(),
        &ChosenSource::Portal {
            portal: portal.root(),
            url: portal.url("sharing/rest/generateToken"),
        }
    );
    assert_eq!(
        report.info_url(),
        Some(portal.url("sharing/rest/info").as_str())
    );
    assert_eq!(portal.counters().login_attempts, 0);
}

#[tokio::test]
async fn what_the_user_named_wins_over_what_the_server_says() {
    let (portal, server) = federated().await;
    let own = server.url("tokens/generateToken");
    let site = Site::new(server.root()).credential(user());
    let report = report_on(site.clone().token_url(&own)).await;
    let chosen = ChosenSource::GenerateToken { url: own };
    assert_eq!(report.source().unwrap(), &chosen);
    // And what the server says is reported all the same.
    assert_eq!(report.owning_portal(), Some(portal.root().as_str()));

    let report = report_on(site.clone().portal(portal.root())).await;
    assert_eq!(report.source().unwrap().as_str(), "federated_server");
    let report = report_on(site.credential(Credential::token("AAPK0123"))).await;
    assert_eq!(report.source().unwrap(), &ChosenSource::StaticToken);
    let own = Site::new(server.root()).token_source(TokenService::new());
    let report = report_on(own).await;
    assert_eq!(report.source().unwrap(), &ChosenSource::Given);
}

#[tokio::test]
async fn plain_http_to_another_machine_is_the_reason_why_there_is_no_source() {
    let server = StandIn::start().await.unwrap();
    server.set_token_services_url(Some("http://tokens.example.com/arcgis/tokens/".into()));
    let report = report_on(Site::new(server.root())).await;
    // Listed as https it would work.
    assert_eq!(report.unlisted_origin(), Some("https://tokens.example.com"));
    let site = Site::new(server.root()).trust_token_service("http://tokens.example.com");
    let report = report_on(site.clone()).await;
    let error = report.source().unwrap_err().to_string();
    assert!(error.contains("allow_insecure_http"), "{error}");
    assert_eq!(report.unlisted_origin(), None);
    let report = report_on(site.allow_insecure_http()).await;
    assert!(report.source().is_ok());
}

#[tokio::test]
async fn a_server_out_of_reach_is_reported_and_an_invalid_root_is_an_error() {
    let server = StandIn::start().await.unwrap();
    let root = server.root();
    server.stop().await;
    let report = report_on(Site::new(&root)).await;
    let error = report.source().unwrap_err().to_string();
    assert!(error.contains("cannot be reached"), "{error}");
    assert!(
        site_report(&Site::new("gis.example.com"), None)
            .await
            .is_err()
    );
}

#[tokio::test]
async fn a_servers_words_are_repeated_without_what_may_be_a_secret() {
    let server = StandIn::start().await.unwrap();
    server.set_token_services_url(Some(
        "https://u:hunter2@h/tokens?key=hunter2\n\u{1b}[2J".into(),
    ));
    let report = report_on(Site::new(server.root())).await;
    let shown = format!("{report:?}");
    assert!(
        !shown.contains("hunter2") && !shown.contains("\\u{1b}"),
        "{shown}"
    );
}

#[tokio::test]
async fn a_server_without_a_token_service_is_still_reported_with_its_version() {
    let server = StandIn::start().await.unwrap();
    server.set_token_services_url(None);
    let report = report_on(Site::new(server.root())).await;
    assert_eq!(report.full_version(), Some("10.9.1"));
    // Its token service is where ArcGIS Server has it.
    assert_eq!(
        report.source().unwrap().url(),
        Some(server.url("tokens/generateToken").as_str())
    );
}
