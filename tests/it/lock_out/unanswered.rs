//! Logins whose outcome is unknown: the token service may have counted each as a failure, and five of these in
//! 15 minutes lock an account.

use super::named_like_identities;
use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use crate::support::{
    ROADS, ROOT, Reply, Upstream, answer, get,
    logins::{SECOND, TOKEN, caller, client, get_as, layer, paused_runtime, reader, site},
    send,
    token_service::IntoReply,
};
use bytes::Bytes;
use futures_util::{future::join_all, stream};
use http::{Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use tokio::time::{Instant, advance, sleep};
use tower::Layer;
use tower_arcgis_auth::{ArcgisAuthLayer, Credential, Identity, Site, TokenError, token_source_fn};

fn says(body: &'static str) -> Reply {
    answer(body).into_reply()
}

fn page(status: StatusCode) -> Reply {
    let mut page = says("<html>it is not here</html>")?;
    *page.status_mut() = status;
    Ok(page)
}

/// How often a token service that does as `rule` does gets the password in the 14 minutes in which a request comes every
/// second.
async fn passwords_in_14_minutes<F, Fut>(rule: F) -> usize
where
    F: Fn() -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Reply> + Send + 'static,
{
    let passwords = Arc::new(AtomicUsize::new(0));
    let count = passwords.clone();
    let client = client(move |_, _| {
        count.fetch_add(1, Ordering::SeqCst);
        rule()
    });
    let service = layer(site().credential(reader()), client).layer(Upstream::taking_any_token());
    let started = Instant::now();
    while started.elapsed() < 14 * 60 * SECOND {
        assert!(!send(&service, get(ROADS)).await.is_clean());
        advance(SECOND).await;
    }
    passwords.load(Ordering::SeqCst)
}

#[tokio::test(start_paused = true)]
async fn a_client_that_gives_up_by_itself_makes_four_logins() {
    let gives_up = || async {
        sleep(5 * SECOND).await;
        Err(io::ErrorKind::TimedOut.into())
    };
    assert_eq!(passwords_in_14_minutes(gives_up).await, 4);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_breaks_off_is_none() {
    let breaks_off = || async {
        let broken: io::Error = io::ErrorKind::ConnectionReset.into();
        let body = StreamBody::new(stream::iter([
            Ok(Frame::data(Bytes::from_static(b"{\"err"))),
            Err(broken),
        ]));
        Ok(Response::new(body.boxed_unsync()))
    };
    assert_eq!(passwords_in_14_minutes(breaks_off).await, 4);
}

#[tokio::test(start_paused = true)]
async fn a_gateway_that_gives_up_on_the_token_service_has_not_its_answer() {
    for status in [StatusCode::GATEWAY_TIMEOUT, StatusCode::BAD_GATEWAY] {
        let gives_up = move || async move {
            sleep(15 * SECOND).await;
            page(status)
        };
        assert_eq!(passwords_in_14_minutes(gives_up).await, 4, "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn where_the_password_did_not_get_to_it_is_tried_again_and_again() {
    let refuses = || async { Err(io::ErrorKind::ConnectionRefused.into()) };
    assert!(passwords_in_14_minutes(refuses).await > 8);
    // A gateway says so at once where nothing is behind it.
    let nothing_there = || async { page(StatusCode::BAD_GATEWAY) };
    assert!(passwords_in_14_minutes(nothing_there).await > 8);
    let starting = || async { page(StatusCode::SERVICE_UNAVAILABLE) };
    assert!(passwords_in_14_minutes(starting).await > 8);
}

#[tokio::test]
async fn a_closed_port_has_not_seen_the_password() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let site = Site::new(format!("http://{address}/arcgis"))
        .token_url(format!("http://{address}/arcgis/tokens/generateToken"))
        .credential(reader());
    let layer = ArcgisAuthLayer::builder().add_site(site).build().unwrap();
    let site = layer.handle().sites().remove(0);
    for _ in 0..6 {
        let error = site.renew().await.unwrap_err().to_string();
        assert!(error.contains("cannot be reached"), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_password_that_worked_is_not_in_more_than_four_logins_without_an_answer_either() {
    let (hangs, passwords) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(0)),
    );
    let shared = (hangs.clone(), passwords.clone());
    let client = client(move |_, _| {
        let (hangs, passwords) = shared.clone();
        async move {
            if hangs.load(Ordering::SeqCst) {
                passwords.fetch_add(1, Ordering::SeqCst);
                std::future::pending::<()>().await;
            }
            says(TOKEN)
        }
    });
    let service = layer(site().identity_fn(caller).credential(reader()), client)
        .layer(Upstream::taking_any_token());
    assert!(send(&service, get_as("first")).await.is_clean());
    hangs.store(true, Ordering::SeqCst);
    for crowd in 0..4 {
        let answers = (0..3).map(|number| send(&service, get_as(format!("{crowd}-{number}"))));
        join_all(answers).await;
    }
    assert_eq!(passwords.load(Ordering::SeqCst), 4);
}

#[tokio::test(start_paused = true)]
async fn a_login_broken_off_by_a_sign_out_is_one_without_an_answer() {
    let passwords = Arc::new(AtomicUsize::new(0));
    let count = passwords.clone();
    let client = client(move |_, form| {
        let count = count.clone();
        async move {
            if form.contains("username=alice") {
                count.fetch_add(1, Ordering::SeqCst);
                std::future::pending::<()>().await;
            }
            says(TOKEN)
        }
    });
    let layer = layer(named_like_identities(site()), client);
    let service = layer.layer(Upstream::taking_any_token());
    let handle = layer.handle().sites().remove(0);
    for number in 0..8 {
        let other = service.clone();
        let sent = tokio::spawn(async move { send(&other, get_as("alice")).await });
        sleep(2 * SECOND).await;
        handle
            .sign_out_identity(&Identity::from("alice"))
            .await
            .unwrap();
        assert!(!sent.await.unwrap().is_clean());
        // Whoever comes a minute later has the layer look what it may forget.
        sleep(61 * SECOND).await;
        assert!(
            send(&service, get_as(format!("bob{number}")))
                .await
                .is_clean()
        );
    }
    assert_eq!(passwords.load(Ordering::SeqCst), 4);
}

#[tokio::test(start_paused = true)]
async fn guesses_broken_off_by_sign_outs_are_four_at_most() {
    let passwords = Arc::new(AtomicUsize::new(0));
    let count = passwords.clone();
    let client = client(move |_, _| {
        count.fetch_add(1, Ordering::SeqCst);
        std::future::pending::<Reply>()
    });
    let guesses = AtomicUsize::new(0);
    let guess = move |_| {
        let guess = guesses.fetch_add(1, Ordering::SeqCst);
        async move { Ok(Credential::user("alice", format!("guess {guess}"))) }
    };
    let handle = layer(site().credential_fn(guess), client).handle();
    let site = handle.sites().remove(0);
    for _ in 0..8 {
        let signs_out = async {
            sleep(2 * SECOND).await;
            handle.sign_out().await.unwrap();
        };
        let (renewed, ()) = tokio::join!(site.renew(), signs_out);
        assert!(renewed.is_err());
    }
    assert_eq!(passwords.load(Ordering::SeqCst), 4);
}

#[tokio::test(start_paused = true)]
async fn a_source_of_the_users_own_says_what_came_of_its_login() {
    for (says_no_verdict, most) in [(false, 4), (true, 100)] {
        let logins = Arc::new(AtomicUsize::new(0));
        let count = logins.clone();
        let source = token_source_fn(move |request| {
            let count = count.clone();
            async move {
                let mut attempt = request.login_attempt(ROOT, "robot", "secret").await?;
                count.fetch_add(1, Ordering::SeqCst);
                attempt.sent();
                if says_no_verdict {
                    attempt.no_verdict();
                }
                Err(TokenError::fault("it does not make sense"))
            }
        });
        let layer = ArcgisAuthLayer::try_new(Site::new(ROOT).token_source(source)).unwrap();
        let handle = layer.handle().sites().remove(0);
        for _ in 0..100 {
            assert!(handle.renew().await.is_err());
        }
        assert_eq!(logins.load(Ordering::SeqCst), most);
    }
}

#[test]
fn a_login_on_a_runtime_that_is_dropped_counts_and_the_next_is_made_on_another() {
    let passwords = Arc::new(AtomicUsize::new(0));
    let count = passwords.clone();
    let client = client(move |_, _| {
        count.fetch_add(1, Ordering::SeqCst);
        std::future::pending::<Reply>()
    });
    let service = layer(site().credential(reader()), client).layer(Upstream::taking_any_token());
    for minute in 0..10 {
        let runtime = paused_runtime();
        runtime.block_on(async {
            advance(minute * 60 * SECOND).await;
            let sent = tokio::time::timeout(10 * SECOND, send(&service, get(ROADS)));
            assert!(sent.await.is_err() || minute >= 4);
        });
    }
    assert_eq!(passwords.load(Ordering::SeqCst), 4);
}
