//! A scripted ArcGIS behind the layer.

use std::{
    convert::Infallible,
    fmt,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response, request::Parts};
use http_body_util::Full;
use tower::Service;

use super::{CLEAN, INVALID, REQUIRED, TokenService, answer};

pub(crate) type Answer = Response<Full<Bytes>>;
type Answering = Pin<Box<dyn Future<Output = Answer> + Send>>;
type Rule = dyn Fn(&Parts) -> Answering + Send + Sync;

/// A server that answers by rule and remembers the head of every request. Clones are the same server.
#[derive(Clone)]
pub(crate) struct Upstream {
    rule: Arc<Rule>,
    requests: Arc<Mutex<Vec<Parts>>>,
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upstream").finish_non_exhaustive()
    }
}

impl Upstream {
    /// Answers at once.
    pub(crate) fn new(rule: impl Fn(&Parts) -> Answer + Send + Sync + 'static) -> Self {
        Self::slow(move |request| std::future::ready(rule(request)))
    }

    /// Answers when what `rule` makes of the request's head is ready.
    pub(crate) fn slow<Fut>(rule: impl Fn(&Parts) -> Fut + Send + Sync + 'static) -> Self
    where
        Fut: Future<Output = Answer> + Send + 'static,
    {
        Self {
            rule: Arc::new(move |request| Box::pin(rule(request))),
            requests: Arc::default(),
        }
    }

    /// Says the same to every request.
    pub(crate) fn saying(body: &'static str) -> Self {
        Self::new(move |_| answer(body))
    }

    /// Takes the tokens that `service` issues, as ArcGIS would: it says 499 without a token, and 498 with another.
    pub(crate) fn secured_by(service: &TokenService) -> Self {
        let tokens = service.tokens();
        Self::new(move |request| match token_of(request) {
            None => answer(REQUIRED),
            Some(token) if tokens.contains(&token) => answer(CLEAN),
            Some(_) => answer(INVALID),
        })
    }

    /// Takes any token.
    pub(crate) fn open_to_any_token() -> Self {
        Self::new(|request| match token_of(request) {
            Some(_) => answer(CLEAN),
            None => answer(REQUIRED),
        })
    }

    /// The same server, but `rule` answers requests whose path contains `part`.
    pub(crate) fn except(
        self,
        part: &'static str,
        rule: impl Fn(&Parts) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let others = self.rule;
        Self {
            rule: Arc::new(move |request| {
                if request.uri.path().contains(part) {
                    Box::pin(std::future::ready(rule(request)))
                } else {
                    others(request)
                }
            }),
            requests: self.requests,
        }
    }

    /// The same server, but it asks for a token where the path contains `part`, whatever token there is.
    pub(crate) fn refusing(self, part: &'static str) -> Self {
        self.except(part, |_| answer(REQUIRED))
    }

    pub(crate) fn requests(&self) -> Vec<Parts> {
        self.requests.lock().unwrap().clone()
    }

    pub(crate) fn last_request(&self) -> Parts {
        self.requests().pop().expect("a request")
    }

    pub(crate) fn count(&self) -> usize {
        self.requests.lock().unwrap().len()
    }

    /// The tokens of all requests so far, in order.
    pub(crate) fn tokens(&self) -> Vec<Option<String>> {
        self.requests().iter().map(token_of).collect()
    }
}

impl<B> Service<Request<B>> for Upstream {
    type Response = Answer;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Answer, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (head, _) = request.into_parts();
        let answering = (self.rule)(&head);
        self.requests.lock().unwrap().push(head);
        Box::pin(async { Ok(answering.await) })
    }
}

/// The token on a request, wherever it is.
pub(crate) fn token_of(request: &Parts) -> Option<String> {
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
                .find_map(|pair| pair.strip_prefix("agstoken="))
        });
    in_query.or(in_header).or(in_cookie).map(str::to_owned)
}
