//! What others ask for less or the same.

use std::{
    future::Ready,
    pin::Pin,
    sync::{Arc, RwLock},
    time::{Duration, SystemTime},
};

use http::{HeaderValue, Request, header::AUTHORIZATION};
use tower::{
    BoxError, Layer, Service,
    filter::{AsyncFilterLayer, AsyncPredicate},
    retry::{Policy, Retry},
    util::MapErr,
};
use tower_http::auth::{AddAuthorization, AddAuthorizationLayer};

use super::answers::Bare;

/// A constant header: the least that anyone can do.
pub(super) fn add_authorization() -> AddAuthorization<Bare> {
    AddAuthorizationLayer::bearer(&"T".repeat(200)).layer(Bare::json())
}

/// A copy of every request, and never a second sending.
pub(super) fn retry() -> Retry<CloneAndKeep, Bare> {
    Retry::new(CloneAndKeep, Bare::json())
}

#[derive(Clone)]
pub(super) struct CloneAndKeep;

impl<B: Clone, R, E> Policy<Request<B>, R, E> for CloneAndKeep {
    type Future = Ready<()>;

    fn retry(&mut self, _: &mut Request<B>, _: &mut Result<R, E>) -> Option<Self::Future> {
        None
    }

    fn clone_request(&mut self, request: &Request<B>) -> Option<Request<B>> {
        Some(request.clone())
    }
}

/// A token out of a file that another program renews, as kube's client has it: a boxed future for each request, a lock
/// around the token, a look at the clock, and a header made each time. Written out here, because that client brings all of
/// Kubernetes along.
pub(super) fn token_file() -> impl Service<
    super::Request,
    Response = http::Response<http_body_util::Full<bytes::Bytes>>,
    Error = std::convert::Infallible,
> {
    let file = TokenFile {
        token: "T".repeat(200),
        expires_at: SystemTime::now() + Duration::from_secs(3600),
    };
    let layer = AsyncFilterLayer::new(FromFile(Arc::new(RwLock::new(file))));
    MapErr::new(
        layer.layer(Bare::json()),
        |error: BoxError| -> std::convert::Infallible { unreachable!("the token is one: {error}") },
    )
}

struct TokenFile {
    token: String,
    expires_at: SystemTime,
}

#[derive(Clone)]
struct FromFile(Arc<RwLock<TokenFile>>);

impl<B: Send + 'static> AsyncPredicate<Request<B>> for FromFile {
    type Future = Pin<Box<dyn Future<Output = Result<Request<B>, BoxError>> + Send>>;
    type Request = Request<B>;

    fn check(&mut self, mut request: Request<B>) -> Self::Future {
        let file = Arc::clone(&self.0);
        Box::pin(async move {
            let file = file.read().map_err(|_| "poisoned")?;
            if SystemTime::now() + Duration::from_secs(10) > file.expires_at {
                return Err("expired".into());
            }
            let mut value = HeaderValue::try_from(format!("Bearer {}", file.token))?;
            value.set_sensitive(true);
            request.headers_mut().insert(AUTHORIZATION, value);
            Ok(request)
        })
    }
}
