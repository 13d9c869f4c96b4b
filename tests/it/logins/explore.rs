//! Asking a server what it is: what it says, which source a site would take, and nothing of the credential sent.

use arcgis_stand_in::{PASSWORD, Personality, Portal, StandIn, USERNAME};
use tower_arcgis_auth::{
    ChosenSource, Credential, IssuedToken, Site, SiteReport, site_report, token_source_fn,
};

fn user() -> Credential {
    Credential::user(USERNAME, PASSWORD)
}

async fn explore(site: Site) -> SiteReport {
    site_report(&site, None).await.unwrap()
}

async fn personality(personality: Personality) -> StandIn {
    let server = StandIn::builder().personality(personality).start().await;
    server.unwrap()
}

async fn federated() -> (Portal, StandIn) {
    let portal = Portal::start().await.unwrap();
    let server = StandIn::builder().federated_with(&portal).start().await;
    (portal, server.unwrap())
}

fn assert_no_login(server: &StandIn) {
    let has_password =
        |received: &arcgis_stand_in::Received| format!("{received:?}").contains("password");
    assert!(!server.received().iter().any(has_password));
    assert_eq!(server.counters().logins, 0);
}

#[tokio::test]
async fn a_server_of_its_own_tells_its_version_and_its_token_service() {
    let server = StandIn::start().await.unwrap();
    let findings = explore(Site::new(server.root()).credential(user())).await;
    assert_eq!(findings.root(), server.root());
    assert_eq!(findings.info_url(), Some(server.url("rest/info").as_str()));
    assert_eq!(findings.current_version(), Some("10.91"));
    assert_eq!(findings.full_version(), Some("10.9.1"));
    assert_eq!(findings.token_based_security(), Some(true));
    assert_eq!(
        findings.token_service(),
        Some(server.url("tokens/").as_str())
    );
    assert_eq!(findings.owning_portal(), None);
    let url = server.url("tokens/generateToken");
    assert_eq!(
        findings.source().unwrap(),
        &ChosenSource::GenerateToken { url }
    );
    assert_eq!(findings.unlisted_origin(), None);
    assert_no_login(&server);
    assert_eq!(server.counters().login_attempts, 0);
}

#[tokio::test]
async fn a_server_before_10_1_leaves_only_the_old_token_service() {
    let server = personality(Personality::Legacy).await;
    let findings = explore(Site::new(server.root()).credential(user())).await;
    assert_eq!(findings.info_url(), None);
    let url = server.url("tokens");
    assert_eq!(
        findings.source().unwrap(),
        &ChosenSource::LegacyToken { url }
    );
    assert_no_login(&server);
}

#[tokio::test]
async fn the_administrators_token_service_is_reported() {
    let server = personality(Personality::AdminOnly).await;
    let findings = explore(Site::new(server.root())).await;
    let url = server.url("admin/generateToken");
    assert_eq!(
        findings.source().unwrap(),
        &ChosenSource::GenerateToken { url }
    );
    assert_no_login(&server);
}

#[tokio::test]
async fn a_portal_that_is_not_listed_is_the_reason_why_there_is_no_source_and_the_origin_to_list() {
    let (portal, server) = federated().await;
    let findings = explore(Site::new(server.root()).credential(user())).await;
    assert_eq!(findings.owning_portal(), Some(portal.root().as_str()));
    let error = findings.source().unwrap_err();
    assert!(error.to_string().contains("trust_token_service"), "{error}");
    assert_eq!(findings.unlisted_origin(), Some(portal.origin().as_str()));

    let origin = findings.unlisted_origin().unwrap();
    let site = Site::new(server.root()).credential(user());
    let findings = explore(site.trust_token_service(origin)).await;
    assert_eq!(
        findings.source().unwrap(),
        &ChosenSource::FederatedServer {
            portal: portal.root(),
            url: portal.url("sharing/rest/generateToken"),
        }
    );
    assert_eq!(portal.counters().login_attempts, 0);
    assert_no_login(&server);
}

#[tokio::test]
async fn an_application_logs_in_at_the_portals_oauth() {
    let (portal, server) = federated().await;
    let site = Site::new(server.root()).credential(Credential::app("id", "secret"));
    let findings = explore(site.trust_token_service(portal.origin())).await;
    assert_eq!(
        findings.source().unwrap().url(),
        Some(portal.url("sharing/rest/oauth2/token").as_str())
    );
    let alone = StandIn::start().await.unwrap();
    let site = Site::new(alone.root()).credential(Credential::app("id", "secret"));
    let findings = explore(site.clone()).await;
    let error = findings.source().unwrap_err().to_string();
    assert!(error.contains("`portal`"), "{error}");
    let findings = explore(site.token_url(alone.url("tokens/generateToken"))).await;
    assert!(findings.source().unwrap_err().is_refused());
}

#[tokio::test]
async fn a_portal_is_its_own_site() {
    let portal = Portal::start().await.unwrap();
    let findings = explore(Site::new(portal.root()).credential(user())).await;
    assert_eq!(
        findings.source().unwrap(),
        &ChosenSource::Portal {
            portal: portal.root(),
            url: portal.url("sharing/rest/generateToken"),
        }
    );
    assert_eq!(
        findings.info_url(),
        Some(portal.url("sharing/rest/info").as_str())
    );
    assert_eq!(portal.counters().login_attempts, 0);
}

#[tokio::test]
async fn what_the_user_named_wins_over_what_the_server_says() {
    let (portal, server) = federated().await;
    let own = server.url("tokens/generateToken");
    let site = Site::new(server.root()).credential(user());
    let findings = explore(site.clone().token_url(&own)).await;
    let chosen = ChosenSource::GenerateToken { url: own };
    assert_eq!(findings.source().unwrap(), &chosen);
    // And what the server says is told all the same.
    assert_eq!(findings.owning_portal(), Some(portal.root().as_str()));

    let findings = explore(site.clone().portal(portal.root())).await;
    assert_eq!(findings.source().unwrap().as_str(), "federated_server");
    let findings = explore(site.credential(Credential::token("AAPK0123"))).await;
    assert_eq!(findings.source().unwrap(), &ChosenSource::StaticToken);
    let own = token_source_fn(|_| async { IssuedToken::try_new("x") });
    let findings = explore(Site::new(server.root()).token_source(own)).await;
    assert_eq!(findings.source().unwrap(), &ChosenSource::Given);
}

#[tokio::test]
async fn plain_http_to_another_machine_is_the_reason_why_there_is_no_source() {
    let server = StandIn::start().await.unwrap();
    server.set_token_services_url(Some("http://tokens.example.com/arcgis/tokens/".into()));
    let findings = explore(Site::new(server.root())).await;
    // Listed as https it would work.
    assert_eq!(
        findings.unlisted_origin(),
        Some("https://tokens.example.com")
    );
    let site = Site::new(server.root()).trust_token_service("http://tokens.example.com");
    let findings = explore(site.clone()).await;
    let error = findings.source().unwrap_err().to_string();
    assert!(error.contains("allow_insecure_http"), "{error}");
    assert_eq!(findings.unlisted_origin(), None);
    let findings = explore(site.allow_insecure_http()).await;
    assert!(findings.source().is_ok());
}

#[tokio::test]
async fn a_server_out_of_reach_is_a_finding_and_a_root_that_is_none_an_error() {
    let server = StandIn::start().await.unwrap();
    let root = server.root();
    server.stop().await;
    let findings = explore(Site::new(&root)).await;
    let error = findings.source().unwrap_err().to_string();
    assert!(error.contains("cannot be reached"), "{error}");
    assert!(
        site_report(&Site::new("gis.example.com"), None)
            .await
            .is_err()
    );
}

#[tokio::test]
async fn a_servers_words_are_repeated_without_what_might_be_a_secret() {
    let server = StandIn::start().await.unwrap();
    server.set_token_services_url(Some(
        "https://u:hunter2@h/tokens?key=hunter2\n\u{1b}[2J".into(),
    ));
    let findings = explore(Site::new(server.root())).await;
    let shown = format!("{findings:?}");
    assert!(
        !shown.contains("hunter2") && !shown.contains("\\u{1b}"),
        "{shown}"
    );
}

#[tokio::test]
async fn a_server_without_a_token_service_still_tells_its_version() {
    let server = StandIn::start().await.unwrap();
    server.set_token_services_url(None);
    let findings = explore(Site::new(server.root())).await;
    assert_eq!(findings.full_version(), Some("10.9.1"));
    // Its token service is where ArcGIS Server has it.
    assert_eq!(
        findings.source().unwrap().url(),
        Some(server.url("tokens/generateToken").as_str())
    );
}
