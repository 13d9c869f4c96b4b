//! An ArcGIS behind a tower service that a test scripts: it answers as its rule says, and remembers what it was asked.

use std::{
    convert::Infallible,
    future::Ready,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response, request::Parts};
use http_body_util::Full;
use tower::Service;
use tower_arcgis_auth::ReplayBody;

use super::{CLEAN, INVALID, REQUIRED};

pub type Answer = Response<Full<Bytes>>;
type Rule = dyn Fn(&Parts) -> Answer + Send + Sync;

pub fn answer(body: impl Into<Bytes>) -> Answer {
    Response::new(Full::new(body.into()))
}

/// A server of one rule. Remembers the head of every request.
#[derive(Clone)]
pub struct Upstream {
    rule: Arc<Rule>,
    seen: Arc<Mutex<Vec<Parts>>>,
}

impl Upstream {
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

    /// Takes any token.
    pub fn taking_any_token() -> Self {
        Self::new(|request| match token_of(request) {
            Some(_) => answer(CLEAN),
            None => answer(REQUIRED),
        })
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

impl<B> Service<Request<ReplayBody<B>>> for Upstream {
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

/// The tokens a server takes. Minted by a [`Source`], revoked at will.
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
