//! Logins whose outcome is unknown: the token service may have counted each as a failure.

use std::io::ErrorKind;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::StatusCode;
use tokio::time::{Instant, advance, sleep};
use tower_arcgis_auth::{ArcgisAuthLayer, Site};

use crate::support::{
    INFO, MINUTE, ROADS, ROOT, Reply, SECOND, TokenService, client, get, layer, named_site, reader,
    send,
};

/// How often a token service that replies so gets the password in 14 minutes, in which a request comes every second.
async fn passwords_in_14_minutes(reply: Reply) -> usize {
    let service = TokenService::new().answering(reply);
    let site = named_site().credential(reader());
    let client = client(site, &service);
    let started = Instant::now();
    while started.elapsed() < 14 * MINUTE {
        assert!(!send(&client, get(ROADS)).await.is_clean());
        advance(SECOND).await;
    }
    service.attempts()
}

#[tokio::test(start_paused = true)]
async fn a_client_that_gives_up_by_itself_makes_four_logins() {
    let gives_up = Reply::Fails(ErrorKind::TimedOut).after(5 * SECOND);
    assert_eq!(passwords_in_14_minutes(gives_up).await, 4);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_breaks_off_is_none() {
    assert_eq!(passwords_in_14_minutes(Reply::BreaksOff).await, 4);
}

#[tokio::test(start_paused = true)]
async fn a_gateway_that_gives_up_on_the_token_service_does_not_know_the_outcome() {
    for status in [StatusCode::GATEWAY_TIMEOUT, StatusCode::BAD_GATEWAY] {
        let gives_up = Reply::page(status, "<html>no answer</html>").after(15 * SECOND);
        assert_eq!(passwords_in_14_minutes(gives_up).await, 4, "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_password_that_did_not_arrive_is_tried_again_and_again() {
    let refuses = Reply::Fails(ErrorKind::ConnectionRefused);
    assert!(passwords_in_14_minutes(refuses).await > 8);
    // A gateway says so at once where nothing is behind it.
    for status in [StatusCode::BAD_GATEWAY, StatusCode::SERVICE_UNAVAILABLE] {
        let nothing_there = Reply::page(status, "<html>it is not here</html>");
        assert!(passwords_in_14_minutes(nothing_there).await > 8, "{status}");
    }
}

#[tokio::test]
async fn a_port_without_a_listener_has_not_received_the_password() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let site = Site::new(format!("http://{address}/arcgis"))
        .token_url(format!("http://{address}/arcgis/tokens/generateToken"))
        .credential(reader());
    let layer = ArcgisAuthLayer::try_new(site).unwrap();
    let site = layer.handle().sites().remove(0);
    for _ in 0..6 {
        let error = site.renew().await.unwrap_err().to_string();
        assert!(error.contains("cannot be reached"), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_say_what_it_is_has_received_no_password() {
    let asked = AtomicUsize::new(0);
    let service =
        TokenService::new().info_by(move |_| match asked.fetch_add(1, Ordering::SeqCst) {
            0..4 => Reply::Hangs,
            _ => Reply::says(INFO),
        });
    let site = Site::new(ROOT).allow_insecure_http().credential(reader());
    let handle = layer(site, &service).handle().sites().remove(0);
    for _ in 0..4 {
        assert!(handle.renew().await.is_err());
    }
    assert_eq!(service.attempts(), 0);
    handle.renew().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_fault_of_the_portal_that_is_repeated_is_no_login_of_its_servers() {
    let service = TokenService::new();
    service.next([Reply::Hangs]);
    let site = Site::new(ROOT)
        .allow_insecure_http()
        .credential(reader())
        .portal("http://portal.test/portal");
    let handle = layer(site, &service).handle().sites().remove(0);
    for _ in 0..4 {
        assert!(handle.renew().await.is_err());
    }
    assert_eq!(service.passwords(), 1);
    sleep(MINUTE).await;
    handle.renew().await.unwrap();
}
