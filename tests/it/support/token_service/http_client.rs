//! The token service over HTTP.

use std::{io, sync::atomic::Ordering};

use bytes::Bytes;
use futures_util::stream;
use http::{Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use tokio::time::sleep;
use tower::service_fn;
use tower_arcgis_auth::TokenClient;

use super::{super::answer, Asked, Reply, TokenService, reply::WRONG};

impl TokenService {
    /// The client that logs in at this service.
    pub(crate) fn client(&self) -> TokenClient {
        let service = self.clone();
        TokenClient::new(service_fn(move |request: Request<Full<Bytes>>| {
            let service = service.clone();
            async move { service.respond(request).await }
        }))
    }

    async fn respond(
        &self,
        request: Request<Full<Bytes>>,
    ) -> io::Result<Response<UnsyncBoxBody<Bytes, io::Error>>> {
        let (head, body) = request.into_parts();
        let Ok(body) = body.collect().await;
        let asked = Asked {
            method: head.method,
            uri: head.uri,
            headers: head.headers,
            body: String::from_utf8(body.to_bytes().to_vec()).unwrap(),
        };
        self.shared.requests.lock().unwrap().push(asked.clone());
        if asked.is_for_info() {
            let rule = self.script().info.clone();
            return self.deliver(rule(&asked), &asked, "").await;
        }
        let user = asked.field("username");
        let token = self.attempt(user.as_deref(), false).await;
        let reply = self.settle(user.as_deref(), Some(&asked));
        let answer = self.deliver(reply, &asked, &token).await;
        self.shared.answered.fetch_add(1, Ordering::SeqCst);
        let when_answered = self.script().when_answered.clone();
        if let Some(does) = when_answered {
            does();
        }
        answer
    }

    async fn deliver(
        &self,
        reply: Reply,
        asked: &Asked,
        token: &str,
    ) -> io::Result<Response<UnsyncBoxBody<Bytes, io::Error>>> {
        let mut reply = reply;
        let answer = loop {
            match reply {
                Reply::After(time, then) => {
                    sleep(time).await;
                    reply = *then;
                }
                Reply::Token | Reply::Useless => {
                    if matches!(reply, Reply::Token) {
                        self.shared.tokens.add(token);
                    }
                    break answer(if asked.field("grant_type").is_some() {
                        format!(r#"{{"access_token":"{token}","expires_in":1800}}"#)
                    } else {
                        format!(r#"{{"token":"{token}","expires":4102444800000}}"#)
                    });
                }
                Reply::Refused => break answer(WRONG),
                Reply::Fault => reply = Reply::page(StatusCode::SERVICE_UNAVAILABLE, "down"),
                Reply::Hangs => std::future::pending().await,
                Reply::Panics => panic!("the token service panics, as scripted"),
                Reply::Fails(kind) => return Err(kind.into()),
                Reply::BreaksOff => {
                    let broken = io::ErrorKind::ConnectionReset.into();
                    let start = Frame::data(Bytes::from_static(b"{\"err"));
                    let body = StreamBody::new(stream::iter([Ok(start), Err(broken)]));
                    return Ok(Response::new(body.boxed_unsync()));
                }
                Reply::Says(answer) => break answer,
            }
        };
        Ok(answer.map(|body| body.map_err(|never| match never {}).boxed_unsync()))
    }
}
