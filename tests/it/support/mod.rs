//! A fake ArcGIS behind a tower service, and token sources that count.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "every test binary uses its own part of this module"
)]

pub mod bodies;
pub mod logins;
pub mod secrets;
#[cfg(feature = "shared-cache")]
pub(crate) mod shared_cache;

use std::{
    collections::VecDeque,
    convert::Infallible,
    future::Ready,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, request::Parts};
use http_body_util::{BodyExt, Full};
use tower::{Layer, Service, ServiceExt};
use tower_arcgis_auth::{
    ArcgisAuth, ArcgisAuthLayer, AuthOutcome, IssuedToken, ReplayBody, ResponseBody, Secret, Site,
    TokenError, TokenReason, TokenRequest, TokenSource,
};

pub const ROOT: &str = "http://gis.test/arcgis";
pub const ROADS: &str = "http://gis.test/arcgis/rest/services/Roads/MapServer?f=json";
pub const CLEAN: &str = r#"{"currentVersion":11.3,"layers":[]}"#;
pub const REQUIRED: &str = r#"{"error":{"code":499,"message":"Token Required","details":[]}}"#;
pub const INVALID: &str = r#"{"error":{"code":498,"message":"Invalid Token","details":[]}}"#;

/// A file of a test's own, a mounted secret, gone with it.
pub struct Mounted(PathBuf);

impl Mounted {
    pub fn holding(name: &str, text: &str) -> Self {
        let name = format!("arcgis-auth-{}-{name}", std::process::id());
        let mounted = Self(std::env::temp_dir().join(name));
        mounted.hold(text);
        mounted
    }

    pub fn hold(&self, text: &str) {
        std::fs::write(&self.0, text).unwrap();
    }

    pub fn secret(&self) -> Secret {
        Secret::file(&self.0)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        std::fs::remove_file(&self.0).unwrap();
    }
}

pub type Answer = Response<Full<Bytes>>;
type Rule = dyn Fn(&Parts) -> Answer + Send + Sync;

pub fn answer(body: impl Into<Bytes>) -> Answer {
    Response::new(Full::new(body.into()))
}

/// A server of one rule. Remembers the head of every request.
#[derive(Clone)]
pub struct Fake {
    rule: Arc<Rule>,
    seen: Arc<Mutex<Vec<Parts>>>,
}

impl Fake {
    pub fn new(rule: impl Fn(&Parts) -> Answer + Send + Sync + 'static) -> Self {
        Self {
            rule: Arc::new(rule),
            seen: Arc::default(),
        }
    }

    /// Takes the tokens in `valid`, as ArcGIS would: 499 without a token, 498 with another.
    pub fn secured(valid: &ValidTokens) -> Self {
        let valid = valid.clone();
        Self::new(move |request| match token_of(request) {
            None => answer(REQUIRED),
            Some(token) if valid.contains(&token) => answer(CLEAN),
            Some(_) => answer(INVALID),
        })
    }

    /// What it answers to a request with this head.
    pub fn answer(&self, request: &Parts) -> Answer {
        (self.rule)(request)
    }

    pub fn seen(&self) -> Vec<Parts> {
        self.seen.lock().unwrap().clone()
    }

    pub fn count(&self) -> usize {
        self.seen.lock().unwrap().len()
    }

    /// The tokens of all requests so far, in order.
    pub fn tokens(&self) -> Vec<Option<String>> {
        self.seen().iter().map(token_of).collect()
    }
}

impl<B> Service<Request<ReplayBody<B>>> for Fake {
    type Response = Answer;
    type Error = Infallible;
    type Future = Ready<Result<Answer, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<ReplayBody<B>>) -> Self::Future {
        let (parts, _) = request.into_parts();
        let answer = (self.rule)(&parts);
        self.seen.lock().unwrap().push(parts);
        std::future::ready(Ok(answer))
    }
}

/// The token on a request, wherever it is.
pub fn token_of(request: &Parts) -> Option<String> {
    let in_query = request.uri.query().and_then(|query| {
        query
            .split('&')
            .find_map(|pair| pair.strip_prefix("token="))
            .filter(|token| !token.is_empty())
    });
    let in_header = ["x-esri-authorization", "authorization"]
        .iter()
        .filter_map(|name| request.headers.get(*name)?.to_str().ok())
        .find_map(|value| value.strip_prefix("Bearer "));
    let in_cookie = request
        .headers
        .get("cookie")
        .and_then(|value| value.to_str().ok())
        .and_then(|cookies| {
            cookies
                .split("; ")
                .find_map(|crumb| crumb.strip_prefix("agstoken="))
        });
    in_query.or(in_header).or(in_cookie).map(str::to_owned)
}

/// The tokens a fake server takes. Minted by a [`Source`], revoked at will.
#[derive(Clone, Default)]
pub struct ValidTokens(Arc<Mutex<Vec<String>>>);

impl ValidTokens {
    pub fn contains(&self, token: &str) -> bool {
        self.0.lock().unwrap().iter().any(|valid| valid == token)
    }

    pub fn revoke_all(&self) {
        self.0.lock().unwrap().clear();
    }

    pub fn add(&self, token: &str) {
        self.0.lock().unwrap().push(token.to_owned());
    }
}

/// A token source that mints `secret-1`, `secret-2`, … and does what its script says first.
#[derive(Clone, Default)]
pub struct Source {
    pub valid: ValidTokens,
    logins: Arc<AtomicUsize>,
    reasons: Arc<Mutex<Vec<TokenReason>>>,
    script: Arc<Mutex<VecDeque<Scripted>>>,
    always: Arc<Mutex<Option<Scripted>>>,
    pub lifetime: Option<Duration>,
    /// How long every login takes.
    pub takes: Duration,
}

#[derive(Clone)]
pub enum Scripted {
    Refuse,
    Fault,
    Panic,
    Hang,
    /// A token no server takes.
    Useless,
}

impl Source {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = Some(lifetime);
        self
    }

    pub fn takes(mut self, takes: Duration) -> Self {
        self.takes = takes;
        self
    }

    pub fn next(&self, scripted: Scripted) {
        self.script.lock().unwrap().push_back(scripted);
    }

    pub fn always(&self, scripted: Option<Scripted>) {
        *self.always.lock().unwrap() = scripted;
    }

    pub fn logins(&self) -> usize {
        self.logins.load(Ordering::SeqCst)
    }

    pub fn reasons(&self) -> Vec<TokenReason> {
        self.reasons.lock().unwrap().clone()
    }
}

impl TokenSource for Source {
    async fn token(&self, request: TokenRequest) -> Result<IssuedToken, TokenError> {
        let login = self.logins.fetch_add(1, Ordering::SeqCst) + 1;
        self.reasons.lock().unwrap().push(request.reason());
        if !self.takes.is_zero() {
            tokio::time::sleep(self.takes).await;
        }
        let scripted = self.script.lock().unwrap().pop_front();
        let always = self.always.lock().unwrap().clone();
        let text = format!("secret-{login}");
        match scripted.or(always) {
            Some(Scripted::Refuse) => return Err(TokenError::refused("wrong password")),
            Some(Scripted::Fault) => return Err(TokenError::fault("token service down")),
            Some(Scripted::Panic) => panic!("the source panics, as scripted"),
            Some(Scripted::Hang) => std::future::pending::<()>().await,
            Some(Scripted::Useless) => {}
            None => self.valid.add(&text),
        }
        let issued = IssuedToken::try_new(text)?;
        Ok(match self.lifetime {
            Some(lifetime) => issued.valid_for(lifetime),
            None => issued,
        })
    }
}

pub fn site(source: &Source) -> Site {
    Site::new(ROOT).token_source(source.clone())
}

/// The layer with default settings over `inner`.
pub fn over<S>(inner: S, source: &Source) -> ArcgisAuth<S> {
    ArcgisAuthLayer::try_new(site(source)).unwrap().layer(inner)
}

pub fn get(uri: &str) -> Request<Full<Bytes>> {
    Request::get(uri).body(Full::default()).unwrap()
}

/// An answer, read to its end.
pub struct Answered {
    pub body: Bytes,
    pub outcome: AuthOutcome,
    pub parts: http::response::Parts,
}

impl Answered {
    pub fn is_clean(&self) -> bool {
        self.body == CLEAN
    }
}

pub async fn send<S>(service: &ArcgisAuth<S>, request: Request<Full<Bytes>>) -> Answered
where
    ArcgisAuth<S>: Service<
            Request<Full<Bytes>>,
            Response = Response<ResponseBody<Full<Bytes>>>,
            Error = Infallible,
        > + Clone,
{
    let response = service.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let outcome = body.outcome().clone();
    let body = body.collect().await.unwrap().to_bytes();
    Answered {
        body,
        outcome,
        parts,
    }
}
