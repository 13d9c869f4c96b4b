//! Each identity has a token of its own.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, OnceLock},
    time::Duration,
};

use arcgis_stand_in::StandIn;
use bytes::Bytes;
use futures_util::future::join_all;
use http::{HeaderValue, Request};
use http_body_util::{BodyExt, Full};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use tokio::time::sleep;
use tower::{Layer, Service, ServiceBuilder, ServiceExt};
use tower_arcgis_auth::{
    ArcgisAuthHandle, ArcgisAuthLayer, Cancelled, Challenge, Credential, Identity, ReplayBody,
    Site, SkipReason,
};

use super::{over, site};
use crate::support::{
    Got, MINUTE, REQUIRED, ROADS, ROOT, SECOND, TokenService, Upstream, get, get_as,
    identity_in_header, send,
};

#[tokio::test(start_paused = true)]
async fn each_identity_gets_a_token_of_its_own_and_keeps_it() {
    let source = TokenService::new();
    let upstream = Upstream::secured_by(&source);
    let service = over(&upstream, site(&source));

    for name in ["alice", "bob", "alice", "bob"] {
        assert!(send(&service, get_as(name)).await.is_clean());
    }

    let signed: Vec<String> = upstream.tokens().into_iter().flatten().collect();
    assert_eq!(signed, ["alice-1", "bob-1", "alice-1", "bob-1"]);
}

#[tokio::test(start_paused = true)]
async fn a_request_without_an_identity_is_not_signed() {
    let source = TokenService::new();
    let upstream = Upstream::secured_by(&source);
    let service = over(&upstream, site(&source));
    send(&service, get_as("alice")).await;

    let got = send(&service, get(ROADS)).await;

    assert_eq!(got.body, REQUIRED);
    assert!(matches!(
        got.outcome.skip_reason(),
        Some(SkipReason::NoIdentity)
    ));
    assert_eq!(upstream.tokens().last(), Some(&None));
    assert_eq!(source.attempts(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_request_without_an_identity_is_signed_with_a_token_for_all_such_where_that_is_set() {
    let source = TokenService::new();
    let upstream = Upstream::secured_by(&source);
    let service = over(&upstream, site(&source).sign_without_identity());

    assert!(send(&service, get(ROADS)).await.is_clean());

    assert_eq!(upstream.tokens().last(), Some(&Some("secret-1".to_owned())));
}

#[tokio::test(start_paused = true)]
async fn a_second_sending_is_for_the_identity_of_the_first() {
    let source = TokenService::new().takes(SECOND);
    let now = Arc::new(Mutex::new("alice"));
    let asked = now.clone();
    let upstream = Upstream::secured_by(&source);
    let site = Site::new(ROOT)
        .token_source(source.clone())
        .identity_fn(move |_| Some(Identity::from(*asked.lock().unwrap())));
    let service = over(&upstream, site);

    let first = send(&service, get(ROADS));
    let meanwhile = async {
        sleep(SECOND / 2).await;
        *now.lock().unwrap() = "bob";
    };
    let (got, ()) = tokio::join!(first, meanwhile);

    assert!(got.outcome.resent());
    assert_eq!(upstream.tokens(), [None, Some("alice-1".to_owned())]);
    assert_eq!(source.attempts_of("bob"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_hundred_requests_for_each_of_ten_identities_cost_ten_logins() {
    let source = TokenService::new().takes(Duration::from_millis(200));
    let service = over(&Upstream::secured_by(&source), site(&source));
    let names: Vec<String> = (0..10).map(|number| format!("identity{number}")).collect();

    let requests = (0..1000).map(|request| send(&service, get_as(&names[request % 10])));
    let answers = join_all(requests).await;

    assert!(answers.iter().all(Got::is_clean));
    assert_eq!(source.attempts(), 10);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_identities_at_once_have_a_thousand_tokens_and_one_wrong_password() {
    let name = |number: usize| format!("identity{number}");
    let server = StandIn::start().await.unwrap();
    let users: Vec<_> = (0..1000)
        .map(|number| (name(number), format!("password of {number}")))
        .collect();
    server.set_users(users.iter().map(|(name, password)| (name, password)));
    let passwords: Arc<HashMap<String, String>> = Arc::new(users.into_iter().collect());
    let site = Site::new(server.root())
        .identity_fn(identity_in_header)
        .credential_fn(move |request| {
            let name = request.identity().unwrap().as_str().to_owned();
            // Asked again after a wrong answer, caller 500 has no other.
            let answer = match request.refused() {
                0 if name == "identity500" => Ok("a wrong guess".to_owned()),
                0 => Ok(passwords[&name].clone()),
                _ => Err(Cancelled),
            };
            async move { Ok(Credential::user(name, answer?)) }
        });
    let layer = ArcgisAuthLayer::try_new(site).unwrap();
    let service = ServiceBuilder::new()
        .layer(&layer)
        // Sockets are not the point.
        .concurrency_limit(64)
        .service(Client::builder(TokioExecutor::new()).build_http::<ReplayBody<Full<Bytes>>>());
    let url = server.url("rest/services/Parcels/MapServer/echo?f=json");

    for _round in 0..2 {
        let answers = (0..1000).map(|number| {
            let mut request = Request::get(&url).body(Full::<Bytes>::default()).unwrap();
            let value = HeaderValue::from_str(&name(number)).unwrap();
            request.headers_mut().insert("x-identity", value);
            let answer = service.clone().oneshot(request);
            async move {
                let answer = answer.await.unwrap();
                let outcome = answer.body().outcome().clone();
                let body = answer.into_body().collect().await.unwrap().to_bytes();
                (outcome, String::from_utf8(body.to_vec()).unwrap())
            }
        });
        for (number, (outcome, body)) in join_all(answers).await.into_iter().enumerate() {
            if number == 500 {
                assert_eq!(outcome.returned_challenge(), Some(Challenge::TokenRequired));
            } else {
                let user = format!(r#""user":"{}""#, name(number));
                assert!(body.contains(&user), "{number} is another user: {body}");
            }
        }
    }

    assert_eq!(server.counters().logins, 999);
    assert_eq!(server.counters().login_attempts, 1000);
    assert_eq!(server.login_failures("identity500"), 1);
    assert_eq!(server.counters().info_requests, 1, "one asks for all");
    let sessions = layer.handle().sites()[0].sessions();
    assert_eq!(sessions.len(), 1000);
    let tokens = sessions.iter().filter(|session| session.token().is_some());
    assert_eq!(tokens.count(), 999);
}

#[tokio::test(start_paused = true)]
async fn each_identity_may_have_a_source_of_its_own() {
    let source = TokenService::new();
    let made = Arc::new(Mutex::new(Vec::new()));
    let log = made.clone();
    let other = source.clone();
    let site = Site::new(ROOT)
        .identity_fn(identity_in_header)
        .token_source_for(move |identity| {
            log.lock()
                .unwrap()
                .push(identity.map(|name| name.as_str().to_owned()));
            other.clone()
        });
    let service = over(&Upstream::secured_by(&source), site);
    for name in ["alice", "bob", "alice"] {
        assert!(send(&service, get_as(name)).await.is_clean());
    }
    let made = made.lock().unwrap().clone();
    assert_eq!(made, [Some("alice".to_owned()), Some("bob".to_owned())]);
}

#[test]
fn the_function_that_makes_sources_may_use_the_handle() {
    let handle = Arc::new(OnceLock::<ArcgisAuthHandle>::new());
    let other = handle.clone();
    let site = Site::new(ROOT)
        .identity_fn(identity_in_header)
        .token_source_for(move |_| {
            let site = other.get().unwrap().sites().remove(0);
            site.session(Some(&Identity::from("admin")));
            TokenService::new()
        });
    let layer = ArcgisAuthLayer::try_new(site).unwrap();
    handle.set(layer.handle()).unwrap();
    let mut service = layer.layer(Upstream::open_to_any_token());
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        drop(service.call(get_as("alice")));
        sender.send(()).unwrap();
    });
    // A minute is long enough: it is locked, or it is not.
    receiver.recv_timeout(MINUTE).unwrap();
}
