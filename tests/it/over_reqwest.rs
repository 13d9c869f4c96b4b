//! reqwest below the layer, over sockets: what is sent, what is not, and what errors say.

use std::{
    error::Error,
    sync::{Arc, Mutex},
};

use axum::{Router, body::Body, extract::Request as Arrived, response::Response as Answered};
use bytes::Bytes;
use futures_util::stream;
use http::{
    Request, StatusCode,
    header::{CONTENT_LENGTH, CONTENT_TYPE, LOCATION, REFERER, TRANSFER_ENCODING},
    request::Parts,
};
use http_body_util::{BodyExt, Full, StreamBody};
use reqwest::multipart::{Form, Part};
use tower::{Layer, Service, ServiceExt};
use tower_arcgis_auth::{
    ArcgisAuthLayer, AuthOutcome, Credential, ReqwestClient, ReqwestService, Site, TokenClient,
    TokenPlacement,
};

use crate::support::{
    CLEAN, INVALID, REQUIRED, identity_in_header,
    loopback::{PARCELS, site_at},
    secrets::{TOKEN, assert_silent},
    token_of,
};

/// Answers by rule and keeps what arrives. It is gone with the test's runtime.
struct Server {
    root: String,
    seen: Arc<Mutex<Vec<(Parts, Bytes)>>>,
}

impl Server {
    async fn start(rule: impl Fn(&Parts) -> Answered + Clone + Send + Sync + 'static) -> Self {
        let seen: Arc<Mutex<Vec<(Parts, Bytes)>>> = Arc::default();
        let kept = Arc::clone(&seen);
        let app = Router::new().fallback(move |request: Arrived| {
            let (rule, kept) = (rule.clone(), Arc::clone(&kept));
            async move {
                let (head, body) = request.into_parts();
                let answer = rule(&head);
                let body = body.collect().await.unwrap().to_bytes();
                kept.lock().unwrap().push((head, body));
                answer
            }
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let root = format!("http://{}/arcgis", listener.local_addr().unwrap());
        tokio::spawn(async { axum::serve(listener, app).await });
        Self { root, seen }
    }

    /// Takes [`TOKEN`], and asks for it.
    async fn secured() -> Self {
        Self::start(|head| says(if is_signed(head) { CLEAN } else { REQUIRED })).await
    }

    fn roads(&self) -> String {
        format!("{}/rest/services/Roads/MapServer?f=json", self.root)
    }

    fn layer(&self) -> ArcgisAuthLayer {
        ArcgisAuthLayer::try_new(self.site()).unwrap()
    }

    fn site(&self) -> Site {
        Site::new(&self.root).credential(Credential::token(TOKEN))
    }

    fn seen(&self) -> Vec<(Parts, Bytes)> {
        self.seen.lock().unwrap().clone()
    }
}

fn says(body: &'static str) -> Answered {
    Answered::new(Body::from(body))
}

fn is_signed(head: &Parts) -> bool {
    token_of(head).as_deref() == Some(TOKEN)
}

fn client(layer: &ArcgisAuthLayer) -> ReqwestClient {
    ReqwestClient::try_new(layer, reqwest::Client::builder()).unwrap()
}

fn service(layer: &ArcgisAuthLayer) -> tower_arcgis_auth::ArcgisAuth<ReqwestService> {
    layer.layer(ReqwestService::try_new(reqwest::Client::builder()).unwrap())
}

/// All that an error says, of its causes as well.
fn all_of(error: &(dyn Error + 'static)) -> String {
    let mut text = format!("{error} {error:?}");
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(" {error} {error:?}"));
        cause = error.source();
    }
    text
}

#[tokio::test]
async fn requests_and_responses_are_reqwests_own_and_the_token_shows_in_neither() {
    let server = Server::secured().await;
    let mut client = client(&server.layer());
    let roads = server.roads();
    let response = client
        .send(|http| http.get(&roads).query(&[("token_format", "x")]))
        .await
        .unwrap();
    let outcome: &AuthOutcome = response.extensions().get().unwrap();
    assert!(outcome.resent() && outcome.signed());
    assert_eq!(response.url().as_str(), format!("{roads}&token_format=x"));
    assert_silent("the response", &format!("{response:?}"));
    let json: serde_json::Value = response.json().await.unwrap();
    assert_eq!(json["currentVersion"], 11.3);

    let request = reqwest::Request::new(http::Method::GET, roads.parse().unwrap());
    let response = client.ready().await.unwrap().call(request).await.unwrap();
    assert_eq!(response.text().await.unwrap(), CLEAN);
    let tokens: Vec<_> = server
        .seen()
        .iter()
        .map(|(head, _)| is_signed(head))
        .collect();
    assert_eq!(tokens, [false, true, true]);
}

#[tokio::test]
async fn no_redirect_is_followed_and_no_referer_sent_whatever_the_builder_says() {
    let elsewhere = Server::secured().await;
    let target = elsewhere.roads();
    let server = Server::start(move |head| {
        if !is_signed(head) {
            return says(REQUIRED);
        }
        let mut moved = says("");
        *moved.status_mut() = StatusCode::FOUND;
        let target = target.parse().unwrap();
        moved.headers_mut().insert(LOCATION, target);
        moved
    })
    .await;
    for placement in [TokenPlacement::Query, TokenPlacement::EsriHeader] {
        let layer = ArcgisAuthLayer::try_new(server.site().placement(placement)).unwrap();
        let builder = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::limited(10))
            .referer(true);
        let client = ReqwestClient::try_new(&layer, builder).unwrap();
        let roads = server.roads();
        let response = client.send(|http| http.get(&roads)).await.unwrap();
        assert_eq!(response.status(), StatusCode::FOUND);
        assert_eq!(response.headers()[LOCATION], elsewhere.roads());
    }
    assert!(elsewhere.seen().is_empty());
    let root = format!("{}/", server.root);
    for (head, _) in server.seen() {
        let referer = head.headers.get(REFERER);
        assert!(
            referer.is_none_or(|referer| *referer == root),
            "{referer:?}"
        );
    }
}

#[tokio::test]
async fn bodies_of_axum_and_of_streams_arrive_whole_both_times_with_their_length() {
    let text = "f=json&features=[]";
    let pieces = || {
        let (first, rest) = text.split_at(7);
        let pieces = [first, rest]
            .map(|piece| Ok::<_, std::io::Error>(http_body::Frame::data(Bytes::from(piece))));
        Body::new(StreamBody::new(stream::iter(pieces)))
    };
    for (body, length) in [
        (Body::from(text), Some(text.len().to_string())),
        // A stream has no length.
        (pieces(), None),
        (Body::empty(), Some("0".to_owned())),
    ] {
        let server = Server::secured().await;
        let expected = if length.as_deref() == Some("0") {
            ""
        } else {
            text
        };
        let request = Request::post(server.roads()).body(body).unwrap();
        let response = service(&server.layer()).oneshot(request).await.unwrap();
        assert_eq!(
            response.into_body().collect().await.unwrap().to_bytes(),
            CLEAN
        );
        let seen = server.seen();
        // What has no length waits for the login, and is sent once.
        assert_eq!(seen.len(), if length.is_some() { 2 } else { 1 });
        for (head, body) in seen {
            let header = head.headers.get(CONTENT_LENGTH);
            assert_eq!(
                header.map(|value| value.to_str().unwrap()),
                length.as_deref()
            );
            assert_eq!(
                head.headers.contains_key(TRANSFER_ENCODING),
                length.is_none()
            );
            assert_eq!(body, expected);
        }
    }
}

#[tokio::test]
async fn a_multipart_form_arrives_whole_both_times_with_its_length() {
    let server = Server::secured().await;
    let form = Form::new().text("f", "json").part(
        "file",
        Part::bytes(vec![b'x'; 10_000]).file_name("roads.zip"),
    );
    let boundary = form.boundary().to_owned();
    let url = format!(
        "{}/rest/services/Roads/FeatureServer/0/addAttachment",
        server.root
    );
    let client = client(&server.layer());
    let sent = client.send(|http| http.post(url).multipart(form)).await;
    assert_eq!(sent.unwrap().text().await.unwrap(), CLEAN);
    let seen = server.seen();
    assert_eq!(seen.len(), 2);
    for (head, body) in seen {
        let kind = head.headers[CONTENT_TYPE].to_str().unwrap();
        assert!(kind.starts_with("multipart/form-data") && kind.contains(&boundary));
        assert_eq!(head.headers[CONTENT_LENGTH], body.len().to_string());
        assert!(body.len() > 10_000 && body.ends_with(format!("{boundary}--\r\n").as_bytes()));
    }
}

#[tokio::test]
async fn a_get_has_no_body_and_says_no_length() {
    let server = Server::secured().await;
    let request = Request::get(server.roads()).body(Body::empty()).unwrap();
    service(&server.layer()).oneshot(request).await.unwrap();
    for (head, _) in server.seen() {
        assert!(!head.headers.contains_key(CONTENT_LENGTH));
        assert!(!head.headers.contains_key(TRANSFER_ENCODING));
    }
}

#[tokio::test]
async fn errors_say_nothing_of_the_token() {
    // Breaks off in the middle of the body, and then is gone.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let root = format!("http://{}/arcgis", listener.local_addr().unwrap());
    let served = tokio::spawn(async move {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        for length in [REQUIRED.len(), 10 * CLEAN.len()] {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                request.push(socket.read_u8().await.unwrap());
            }
            let body = if length == REQUIRED.len() {
                REQUIRED
            } else {
                CLEAN
            };
            let answer = format!(
                "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
            );
            socket.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    let site = Site::new(&root).credential(Credential::token(TOKEN));
    let client = client(&ArcgisAuthLayer::try_new(site).unwrap());
    let url = format!("{root}/rest/services/Roads/MapServer?f=json");
    let response = client.send(|http| http.get(&url)).await.unwrap();
    served.await.unwrap();
    let outcome = response.extensions().get::<AuthOutcome>().unwrap();
    assert!(outcome.signed());
    let error = response.bytes().await.unwrap_err();
    assert_silent("an answer that breaks off", &all_of(&error));
    let error = client.send(|http| http.get(&url)).await.unwrap_err();
    assert!(error.is_connect());
    assert_silent("a server that is gone", &all_of(&error));
}

#[tokio::test]
async fn a_request_that_reqwest_cannot_send_is_an_error() {
    let server = Server::secured().await;
    let request = Request::get("/rest/services").body(Full::<Bytes>::default());
    let error = service(&server.layer())
        .oneshot(request.unwrap())
        .await
        .unwrap_err();
    assert!(error.is_builder());
    let client = client(&server.layer());
    let error = client.send(|http| http.get("no url")).await.unwrap_err();
    assert!(error.is_builder());
}

#[tokio::test]
async fn a_failure_as_a_status_is_found_by_error_for_status_and_its_error_says_no_token() {
    let server = Server::start(|_| says(INVALID)).await;
    let roads = server.roads();
    let plain = client(&server.layer());
    let response = plain.send(|http| http.get(&roads)).await.unwrap();
    assert_eq!(response.text().await.unwrap(), INVALID);

    let client = plain.failures_as_status();
    let response = client.send(|http| http.get(&roads)).await.unwrap();
    let error = response.error_for_status().unwrap_err();
    assert!(error.status().is_some_and(|status| !status.is_success()));
    assert_eq!(error.url().unwrap().as_str(), roads);
    assert_silent("the error", &all_of(&error));
}

#[tokio::test]
async fn a_client_for_an_identity_sends_its_requests_with_its_token() {
    use tower_arcgis_auth::{Identity, IssuedToken, TokenRequest, token_source_fn};

    let server = Server::start(|head| {
        says(if token_of(head).is_some() {
            CLEAN
        } else {
            REQUIRED
        })
    })
    .await;
    let own = token_source_fn(|request: TokenRequest| async move {
        IssuedToken::try_new(format!("of-{}", request.identity().unwrap().as_str()))
    });
    let by_extension = |head: &Parts| {
        let extension = head.extensions.get::<Identity>().cloned();
        extension.or_else(|| identity_in_header(head))
    };
    let site = Site::new(&server.root)
        .token_source(own)
        .identity_fn(by_extension);
    let client = client(&ArcgisAuthLayer::try_new(site).unwrap());
    let roads = server.roads();
    for name in ["alice", "bob"] {
        let client = client.for_identity(name);
        let response = client.send(|http| http.get(&roads)).await.unwrap();
        assert_eq!(response.text().await.unwrap(), CLEAN);
        let seen = server.seen();
        let (last, _) = seen.last().unwrap();
        assert_eq!(token_of(last), Some(format!("of-{name}")));
    }
    let response = client.send(|http| http.get(&roads)).await.unwrap();
    assert_eq!(response.text().await.unwrap(), REQUIRED);
}

#[tokio::test]
async fn logins_can_go_through_reqwest_as_well() {
    let server = arcgis_stand_in::StandIn::start().await.unwrap();
    let http = ReqwestService::try_new(reqwest::Client::builder()).unwrap();
    let layer = ArcgisAuthLayer::builder()
        .add_site(site_at(&server))
        .token_client(TokenClient::new(http))
        .build()
        .unwrap();
    let url = server.url(PARCELS);
    let response = client(&layer).send(|http| http.get(url)).await.unwrap();
    let outcome = response.extensions().get::<AuthOutcome>().unwrap();
    assert!(outcome.signed() && outcome.returned_challenge().is_none());
    assert_eq!(server.counters().logins, 1);
}

#[cfg(feature = "axum")]
#[tokio::test]
async fn a_handler_of_axum_gets_the_client_for_its_caller_and_may_fail_with_a_failure() {
    use axum::{Extension, routing::get};
    use tower_arcgis_auth::{AuthFailure, Identity, IssuedToken, TokenRequest, token_source_fn};

    async fn roads(
        client: ReqwestClient,
        Extension(url): Extension<String>,
    ) -> Result<String, AuthFailure> {
        let response = client.send(|http| http.get(url)).await.unwrap();
        let failure = response.extensions().get().and_then(AuthFailure::of);
        match failure {
            Some(failure) => Err(failure),
            None => Ok(response.text().await.unwrap()),
        }
    }

    let server = Server::start(|head| {
        says(match token_of(head).as_deref() {
            Some("of-alice") => CLEAN,
            _ => REQUIRED,
        })
    })
    .await;
    let own = token_source_fn(|request: TokenRequest| async move {
        IssuedToken::try_new(format!("of-{}", request.identity().unwrap().as_str()))
    });
    let site = Site::new(&server.root)
        .token_source(own)
        .identity_fn(|head| head.extensions.get::<Identity>().cloned());
    let client = client(&ArcgisAuthLayer::try_new(site).unwrap());
    let app = Router::new()
        .route("/roads", get(roads))
        .layer(Extension(server.roads()))
        .with_state(client);
    for (name, status) in [("alice", 200), ("bob", 403)] {
        let mut request = Request::get("/roads").body(Body::empty()).unwrap();
        request.extensions_mut().insert(Identity::from(name));
        let response = app.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), status);
        let body = response.into_body().collect().await.unwrap().to_bytes();
        if status == 200 {
            assert_eq!(body, CLEAN);
        } else {
            assert!(body.starts_with(br#"{"error":{"code":403,"#));
        }
    }
}
