//! What arrives, arrives whole.

use bytes::Bytes;
use http::{HeaderValue, Request, header};
use http_body::{Body, Frame};
use http_body_util::{Empty, Full};
use tokio::sync::oneshot;
use tower_arcgis_auth::{BoxError, SkipReason};

use super::{
    BOTH, CLEAN, Connected, assert_sent_again,
    server::{Arrived, Manner, Protocol, Server},
    text,
};
use crate::{
    replay::letters,
    support::{INVALID, TokenService, bodies},
};

/// Sends `request` to a server that reads all of it before it asks for a token, and checks that the same arrives a
/// second time, signed. A stream of unknown length has a token from the start, but one that was revoked.
async fn arrives_twice<B>(
    protocol: Protocol,
    request: http::request::Builder,
    path: &str,
    body: B,
    data: &[u8],
) -> [Arrived; 2]
where
    B: Body + Unpin + Send + 'static,
    B::Error: Into<BoxError>,
{
    let mut server = Server::start(protocol, Manner::Reads).await;
    let client = Connected::to(&server, protocol);
    let tokens = if body.size_hint().exact().is_some() {
        [None, Some("secret-1")]
    } else {
        client.log_in_and_be_revoked(&server).await;
        [Some("secret-1"), Some("secret-2")]
    };
    let request = request.uri(server.url(path)).body(body).unwrap();
    let sent = request.headers().clone();
    let method = request.method().clone();
    assert_sent_again(client.send(request).await.unwrap()).await;
    assert_eq!(client.logins.attempts(), tokens.iter().flatten().count());

    let both = [server.next().await, server.next().await];
    for arrived in &both {
        assert_eq!(arrived.method, method);
        assert_eq!(arrived.path, format!("/arcgis/rest/services{path}"));
        assert_eq!(arrived.data, data, "{protocol:?}");
        assert!(arrived.complete);
        for name in sent.keys() {
            let sent = sent.get_all(name).iter();
            assert!(arrived.headers.get_all(name).iter().eq(sent), "{name}");
        }
    }
    assert_eq!([both[0].token(), both[1].token()], tokens);
    both
}

#[tokio::test]
async fn a_get_is_sent_again() {
    for protocol in BOTH {
        let request = Request::get("/")
            .header("x-many", "1")
            .header("x-many", "2");
        let body = Empty::<Bytes>::new();
        let path = "/Roads/MapServer/0/query?where=1%3D1&f=json";
        let both = arrives_twice(protocol, request, path, body, b"").await;
        for arrived in both {
            assert!(!arrived.headers.contains_key(header::CONTENT_LENGTH));
            assert!(!arrived.headers.contains_key(header::TRANSFER_ENCODING));
        }
    }
}

#[tokio::test]
async fn a_form_json_and_multipart_are_sent_again() {
    let multipart = "--cut\r\nContent-Disposition: form-data; name=\"f\"\r\n\r\njson\r\n\
        --cut\r\nContent-Disposition: form-data; name=\"attachment\"; filename=\"a.bin\"\r\n\r\n\
        \0\u{1}\u{2}\r\n--cut--\r\n";
    for protocol in BOTH {
        for (content_type, data) in [
            (
                "application/x-www-form-urlencoded",
                "f=json&where=1%3D1&outFields=*",
            ),
            ("application/json", r#"{"adds":[{"attributes":{"a":1}}]}"#),
            ("multipart/form-data; boundary=cut", multipart),
        ] {
            let request = Request::post("/").header(header::CONTENT_TYPE, content_type);
            let path = "/Roads/FeatureServer/0/applyEdits";
            let body = Full::new(Bytes::from(data));
            let both = arrives_twice(protocol, request, path, body, data.as_bytes()).await;
            for arrived in both {
                let length = &arrived.headers[header::CONTENT_LENGTH];
                assert_eq!(length, &data.len().to_string());
            }
        }
    }
}

#[tokio::test]
async fn a_stream_of_unknown_length_is_sent_again() {
    for protocol in BOTH {
        for size in [1, 1000, 70_000] {
            let data = letters(size * 3);
            let (feeder, body) = bodies::fed();
            for frame in data.chunks(size) {
                feeder.data(frame.to_vec());
            }
            drop(feeder);
            let request = Request::post("/");
            arrives_twice(protocol, request, "/Roads/FeatureServer/0/x", body, &data).await;
        }
    }
}

#[tokio::test]
async fn trailers_are_sent_again() {
    for protocol in BOTH {
        let (feeder, body) = bodies::fed();
        feeder.data("f=");
        feeder.data("json");
        feeder.frame(Frame::trailers(bodies::trailers(&[("x-sum", "42")])));
        drop(feeder);
        let request = Request::post("/").header(header::TRAILER, "x-sum");
        let path = "/Roads/FeatureServer/0/x";
        let both = arrives_twice(protocol, request, path, body, b"f=json").await;
        for arrived in both {
            let trailers = arrived.trailers.expect("no trailers");
            assert_eq!(trailers, bodies::trailers(&[("x-sum", "42")]));
        }
    }
}

#[tokio::test]
async fn once_there_is_a_token_everything_is_sent_once() {
    for protocol in BOTH {
        let mut server = Server::start(protocol, Manner::Reads).await;
        let client = Connected::to(&server, protocol);
        for _ in 0..3 {
            let request = Request::post(server.url("/Roads/FeatureServer/0/x"));
            let request = request.body(Full::new(Bytes::from("f=json"))).unwrap();
            assert_eq!(text(client.send(request).await.unwrap()).await, CLEAN);
        }
        let mut tokens = Vec::new();
        for _ in 0..4 {
            let arrived = server.next().await;
            assert_eq!(arrived.data, b"f=json");
            tokens.push(arrived.token().map(str::to_owned));
        }
        assert_eq!(tokens[0], None);
        assert!(
            tokens[1..]
                .iter()
                .all(|token| token.as_deref() == Some("secret-1"))
        );
        server.assert_nothing_more();
        assert_eq!(client.logins.attempts(), 1);
    }
}

#[tokio::test]
async fn an_upload_waits_for_the_login_and_loses_nothing() {
    for protocol in BOTH {
        let mut server = Server::start(protocol, Manner::AsksFirst).await;
        let logins = TokenService::new().holding();
        let client = Connected::with(logins, &server, protocol);
        client.logins.release(1);
        client.log_in_and_be_revoked(&server).await;
        let (feeder, body) = bodies::fed();
        let request = Request::post(server.url("/Roads/FeatureServer/0/x"));
        let call = tokio::spawn(client.send(request.body(body).unwrap()));
        while client.logins.attempts() == 1 {
            tokio::task::yield_now().await;
        }
        // Fed while the login runs: nothing of it may go to the server before there is another token.
        let data = letters(200_000);
        for frame in data.chunks(3000) {
            feeder.data(frame.to_vec());
            tokio::task::yield_now().await;
        }
        drop(feeder);
        client.logins.release(1);

        let response = call.await.unwrap().unwrap();
        assert_eq!(text(response).await, CLEAN);
        let mut arrived = [server.next().await, server.next().await];
        arrived.sort_by_key(|arrived| arrived.token() == Some("secret-2"));
        let [first, second] = arrived;
        assert!(!first.complete);
        assert_eq!(first.data, b"");
        assert!(second.complete);
        assert!(second.data == data, "{protocol:?}");
    }
}

#[tokio::test]
async fn a_stream_of_unknown_length_waits_for_the_first_login_and_arrives_once() {
    for protocol in BOTH {
        let mut server = Server::start(protocol, Manner::AsksFirst).await;
        let logins = TokenService::new().holding();
        let client = Connected::with(logins, &server, protocol);
        let (feeder, body) = bodies::fed();
        let request = Request::post(server.url("/Roads/FeatureServer/0/x"));
        let call = tokio::spawn(client.send(request.body(body).unwrap()));
        while client.logins.attempts() == 0 {
            tokio::task::yield_now().await;
        }
        feeder.data("f=json");
        drop(feeder);
        client.logins.release(1);

        let response = call.await.unwrap().unwrap();
        assert!(!response.body().outcome().resent());
        assert_eq!(text(response).await, CLEAN);
        let arrived = server.next().await;
        assert_eq!(arrived.token(), Some("secret-1"));
        assert_eq!(arrived.data, b"f=json");
        server.assert_nothing_more();
    }
}

#[tokio::test]
async fn an_upload_over_the_limit_is_signed_first_and_arrives_once() {
    for protocol in BOTH {
        let data = letters(5 * 1024 * 1024);
        let mut server = Server::start(protocol, Manner::Reads).await;
        let client = Connected::to(&server, protocol);
        let request = Request::post(server.url("/Roads/FeatureServer/uploads"));
        let request = request.body(Full::new(data.clone())).unwrap();
        let response = client.send(request).await.unwrap();
        assert!(response.body().outcome().signed());
        assert!(!response.body().outcome().resent());
        assert_eq!(text(response).await, CLEAN);

        let arrived = server.next().await;
        assert_eq!(arrived.token(), Some("secret-1"));
        assert!(arrived.complete);
        assert!(arrived.data == data);
        server.assert_nothing_more();
        assert_eq!(client.logins.attempts(), 1);
    }
}

#[tokio::test]
async fn a_stream_over_the_limit_arrives_whole_and_once() {
    for protocol in BOTH {
        let data = letters(5 * 1024 * 1024);
        let mut server = Server::start(protocol, Manner::Reads).await;
        let client = Connected::to(&server, protocol);
        client.log_in_and_be_revoked(&server).await;
        for token in ["secret-1", "secret-2"] {
            let (feeder, body) = bodies::fed();
            for frame in data.chunks(100_000) {
                feeder.data(frame.to_vec());
            }
            drop(feeder);
            let request = Request::post(server.url("/Roads/FeatureServer/uploads"));
            let response = client.send(request.body(body).unwrap()).await.unwrap();
            let outcome = response.body().outcome();
            assert!(!outcome.resent());
            let body = if token == "secret-1" {
                assert!(matches!(
                    outcome.skip_reason(),
                    Some(SkipReason::BodyNotReplayable)
                ));
                INVALID
            } else {
                assert!(outcome.skip_reason().is_none());
                CLEAN
            };
            assert_eq!(text(response).await, body);
            let arrived = server.next().await;
            assert_eq!(arrived.token(), Some(token));
            assert!(arrived.complete);
            assert!(arrived.data == data);
            // The challenge has started a login for those to come.
            while client.logins.attempts() == 1 {
                tokio::task::yield_now().await;
            }
        }
        server.assert_nothing_more();
        assert_eq!(client.logins.attempts(), 2);
    }
}

#[tokio::test]
async fn many_uploads_at_once_do_not_mix() {
    for protocol in BOTH {
        let mut server = Server::start(protocol, Manner::Reads).await;
        let client = Connected::to(&server, protocol);
        let mut calls = Vec::new();
        for number in 0..20 {
            let (feeder, body) = bodies::fed();
            let (go, wait) = oneshot::channel::<()>();
            tokio::spawn(async move {
                for _ in 0..50 {
                    feeder.data(format!("{number},"));
                    tokio::task::yield_now().await;
                }
                let _ = wait.await;
            });
            let request = Request::post(server.url("/Roads/FeatureServer/0/x"));
            let number = HeaderValue::from(number);
            let request = request.header("x-number", number).body(body).unwrap();
            calls.push(tokio::spawn(client.send(request)));
            drop(go);
        }
        for call in calls {
            let response = call.await.unwrap().unwrap();
            assert_eq!(text(response).await, CLEAN);
        }
        let mut signed = 0;
        while signed < 20 {
            let arrived = server.next().await;
            let number = arrived.headers["x-number"].to_str().unwrap();
            assert_eq!(arrived.data, format!("{number},").repeat(50).into_bytes());
            assert!(arrived.complete);
            signed += usize::from(arrived.token().is_some());
        }
        assert_eq!(client.logins.attempts(), 1);
    }
}
