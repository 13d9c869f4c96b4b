//! Portals that make no token for a server, and applications.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::time::sleep;
use tower_arcgis_auth::{ArcgisAuthLayer, Credential, Site};

use super::{FEDERATED_INFO, ROADS, ROOT, TOKEN, ask, error_of, password_places, server, site};
use crate::support::{Mounted, Reply, SECOND, TokenService, answer, client, get, reader, send};

/// A portal that logs in, and refuses to make a token for the server.
fn hosting(refusal: &'static str) -> TokenService {
    server(FEDERATED_INFO.to_owned(), move |asked| {
        answer(if asked.field("serverUrl").is_some() {
            refusal
        } else {
            TOKEN
        })
    })
}

#[tokio::test]
async fn a_portal_that_makes_no_token_for_a_server_is_no_matter_of_the_password() {
    for refusal in [
        r#"{"error":{"code":400,"message":"Unable to generate token for this server","details":[]}}"#,
        r#"{"error":{"code":400,"message":"Unable to generate token","details":[]}}"#,
    ] {
        let service = hosting(refusal);
        let error = error_of(site(), &service).await.to_string();
        assert!(error.contains("hosts the service itself"), "{error}");
        assert!(error.contains("`send_portal_token`"), "{error}");
        assert!(!error.contains("password"), "{error}");

        let got = ask(site().send_portal_token(), &service).await;
        assert!(got.is_clean(), "{}", got.outcome);
    }
}

#[tokio::test]
async fn any_other_refusal_of_an_exchange_is_no_matter_of_the_password_either() {
    let forbidden = hosting(r#"{"error":{"code":403,"message":"You do not have permissions"}}"#);
    let error = error_of(site(), &forbidden).await.to_string();
    assert!(error.contains("403 You do not have permissions"), "{error}");
    assert!(!error.contains("password"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn no_other_password_is_asked_for_because_a_portal_makes_no_token() {
    for refusal in [
        r#"{"error":{"code":400,"message":"Unable to generate token for this server"}}"#,
        r#"{"error":{"code":403,"message":"You do not have permissions"}}"#,
    ] {
        let service = hosting(refusal);
        let asked = Arc::new(AtomicUsize::new(0));
        let count = asked.clone();
        let site = Site::new(ROOT).credential_fn(move |_| {
            count.fetch_add(1, Ordering::SeqCst);
            async { Ok(reader()) }
        });
        let client = client(site, &service);
        for _ in 0..10 {
            assert!(!send(&client, get(ROADS)).await.is_clean());
        }
        assert_eq!(asked.load(Ordering::SeqCst), 1);
        assert_eq!(password_places(&service).len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_is_the_applications_secret_that_was_sent() {
    let file = Mounted::holding("right");
    let wrong = Arc::new(AtomicUsize::new(0));
    let count = wrong.clone();
    let service = TokenService::new().logins(move |asked| {
        if asked.field("serverUrl").is_some() {
            return Reply::Token;
        }
        if asked.field("client_secret").as_deref() == Some("right") {
            return Reply::Token.after(SECOND);
        }
        count.fetch_add(1, Ordering::SeqCst);
        let refused =
            r#"{"error":{"code":400,"error":"invalid_request","message":"Invalid client_secret"}}"#;
        Reply::says(refused).after(SECOND)
    });
    // Sites with a portal each share no login, and have one application at one origin.
    let mut builder = ArcgisAuthLayer::builder().token_client(service.client());
    for number in 0..3 {
        let site = Site::new(format!("https://gis{number}.test/arcgis"))
            .portal(format!("https://portal.test/portal{number}"))
            .credential(Credential::app("anApp", file.secret()));
        builder = builder.add_site(site);
    }
    let sites = builder.build().unwrap().handle().sites();
    let changes = async {
        sleep(SECOND / 2).await;
        file.hold("wrong");
    };
    let (first, second, ()) = tokio::join!(sites[0].renew(), sites[1].renew(), changes);
    assert!(first.is_ok() && second.is_err());
    assert_eq!(wrong.load(Ordering::SeqCst), 1);
    file.hold("right");
    sites[2].renew().await.unwrap();
    assert_eq!(wrong.load(Ordering::SeqCst), 1);
}
