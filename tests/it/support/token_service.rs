//! A token service that a test scripts: it answers as its rule says, and remembers what it was asked.

use std::{
    convert::Infallible,
    io,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{HeaderMap, Method, Request, Response, Uri};
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use tower::service_fn;
use tower_arcgis_auth::TokenClient;

use super::{Answer, answer};

pub const INFO: &str =
    r#"{"currentVersion":11,"authInfo":{"tokenServicesUrl":"http://gis.test/arcgis/tokens/"}}"#;
pub const TOKEN: &str = r#"{"token":"abcdef","expires":4102444800000}"#;
pub const WRONG: &str = r#"{"error":{"code":400,"message":"Unable to generate token.","details":["Invalid username or password."]}}"#;

/// A request of the layer's token client, as it arrived.
#[derive(Clone, Debug)]
pub struct Asked {
    pub method: Method,
    pub uri: Uri,
    pub headers: HeaderMap,
    pub body: String,
}

impl Asked {
    pub fn path(&self) -> &str {
        self.uri.path()
    }

    pub fn form(&self) -> Vec<(String, String)> {
        form_urlencoded::parse(self.body.as_bytes())
            .into_owned()
            .collect()
    }

    pub fn field(&self, name: &str) -> Option<String> {
        let mut form = self.form().into_iter();
        form.find_map(|(key, value)| (key == name).then_some(value))
    }
}

/// An answer whose body may break off, or none at all.
pub type Reply = io::Result<Response<UnsyncBoxBody<Bytes, io::Error>>>;

pub trait IntoReply {
    fn into_reply(self) -> Reply;
}

impl IntoReply for Answer {
    fn into_reply(self) -> Reply {
        Ok(self.map(|body| {
            body.map_err(|never: Infallible| match never {})
                .boxed_unsync()
        }))
    }
}

impl IntoReply for Reply {
    fn into_reply(self) -> Reply {
        self
    }
}

type Rule = dyn Fn(Asked) -> BoxFuture<'static, Reply> + Send + Sync;

#[derive(Clone)]
pub struct TokenService {
    rule: Arc<Rule>,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl TokenService {
    /// Answers as `rule` does, in its time.
    pub fn new<F, Fut>(rule: F) -> Self
    where
        F: Fn(Asked) -> Fut + Send + Sync + 'static,
        Fut: Future<Output: IntoReply> + Send + 'static,
    {
        let rule = move |asked| -> BoxFuture<'static, Reply> {
            let reply = rule(asked);
            Box::pin(async move { reply.await.into_reply() })
        };
        Self {
            rule: Arc::new(rule),
            asked: Arc::default(),
        }
    }

    /// Answers at once.
    pub fn at_once(rule: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> Self {
        Self::new(move |asked| std::future::ready(rule(&asked)))
    }

    /// `rest/info` says `info`, everything else `login`.
    pub fn advertising(info: impl Into<String>, login: &'static str) -> Self {
        let info = info.into();
        Self::at_once(move |asked| {
            if asked.path().ends_with("/rest/info") {
                answer(info.clone())
            } else {
                answer(login)
            }
        })
    }

    /// Knows one password.
    pub fn knowing(password: &'static str) -> Self {
        Self::at_once(move |asked| {
            answer(if asked.field("password").as_deref() == Some(password) {
                TOKEN
            } else {
                WRONG
            })
        })
    }

    pub fn client(&self) -> TokenClient {
        let service = self.clone();
        TokenClient::new(service_fn(move |request: Request<Full<Bytes>>| {
            let service = service.clone();
            async move {
                let (head, body) = request.into_parts();
                let body = body.collect().await.unwrap().to_bytes();
                let asked = Asked {
                    method: head.method,
                    uri: head.uri,
                    headers: head.headers,
                    body: String::from_utf8(body.to_vec()).unwrap(),
                };
                service.asked.lock().unwrap().push(asked.clone());
                (service.rule)(asked).await
            }
        }))
    }

    /// All requests so far, in order.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// Those that brought a form.
    pub fn logins(&self) -> Vec<Asked> {
        let mut asked = self.asked();
        asked.retain(|asked| asked.method == Method::POST);
        asked
    }
}
