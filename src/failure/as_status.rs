//! Challenges that could not be answered, as a status with ArcGIS's JSON error body.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, header::VARY};
use http_body::Body;
use pin_project::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::{AuthFailure, judged::Judged};
use crate::body::ResponseBody;

/// Answers with a status where [`ArcgisAuth`](crate::ArcgisAuth) below it would return a challenge.
///
/// [`ArcgisAuthLayer::failures_as_status`](crate::ArcgisAuthLayer::failures_as_status) puts it on; it stands directly above
/// the layer. The statuses are [`AuthFailure`]'s. Of the server's answer, `Vary` and the headers of CORS stay.
#[derive(Clone, Copy, Debug, Default)]
pub struct FailureAsStatusLayer {
    _more_to_come: (),
}

impl FailureAsStatusLayer {
    /// The layer.
    pub fn new() -> Self {
        Self::default()
    }
}

impl<S> Layer<S> for FailureAsStatusLayer {
    type Service = FailureAsStatus<S>;

    fn layer(&self, inner: S) -> FailureAsStatus<S> {
        FailureAsStatus::new(inner)
    }
}

/// The service of [`FailureAsStatusLayer`].
#[derive(Clone, Copy, Debug)]
pub struct FailureAsStatus<S> {
    inner: S,
}

impl<S> FailureAsStatus<S> {
    pub(crate) fn new(inner: S) -> Self {
        Self { inner }
    }

    /// The inner service.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The inner service, mutably.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// Consumes the layer's part.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, B, R> Service<Request<B>> for FailureAsStatus<S>
where
    S: Service<Request<B>, Response = Response<ResponseBody<R>>>,
    R: Body<Data = Bytes> + Unpin,
{
    type Response = Response<ResponseBody<R>>;
    type Error = S::Error;
    type Future = FailureAsStatusFuture<S::Future, R>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let is_head = *request.method() == Method::HEAD;
        FailureAsStatusFuture {
            judged: Judged::new(self.inner.call(request), is_head),
        }
    }
}

/// The future of [`FailureAsStatus`].
#[pin_project]
pub struct FailureAsStatusFuture<F, R: Body> {
    #[pin]
    judged: Judged<F, R>,
}

impl<F, R, E> Future for FailureAsStatusFuture<F, R>
where
    F: Future<Output = Result<Response<ResponseBody<R>>, E>>,
    R: Body<Data = Bytes> + Unpin,
{
    type Output = Result<Response<ResponseBody<R>>, E>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let is_head = this.judged.is_head();
        let (mut response, failure) = ready!(this.judged.poll(context))?;
        if let Some(failure) = failure {
            replace(&mut response, &failure, is_head);
        }
        Poll::Ready(Ok(response))
    }
}

/// Puts the failure in the place of the challenge. The outcome stays.
fn replace<R>(response: &mut Response<ResponseBody<R>>, failure: &AuthFailure, is_head: bool)
where
    R: Body<Data = Bytes>,
{
    let (head, body) = failure.to_response().into_parts();
    let mut headers = head.headers;
    keep(response.headers(), &mut headers);
    *response.status_mut() = head.status;
    *response.headers_mut() = headers;
    let body = if is_head { Bytes::new() } else { body };
    response.body_mut().replace(body);
}

/// Without CORS's headers the script that asked could not read the answer.
fn keep(from: &HeaderMap, to: &mut HeaderMap) {
    for (name, value) in from {
        if *name == VARY || name.as_str().starts_with("access-control-") {
            to.append(name.clone(), value.clone());
        }
    }
}

impl<F, R: Body> fmt::Debug for FailureAsStatusFuture<F, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FailureAsStatusFuture")
            .finish_non_exhaustive()
    }
}
