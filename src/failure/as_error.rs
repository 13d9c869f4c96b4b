//! Challenges that could not be answered, as errors of the service.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{Method, Request, Response};
use http_body::Body;
use pin_project::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::judged::Judged;
use crate::{body::ResponseBody, error::BoxError};

/// Fails with an [`AuthFailure`](crate::AuthFailure) where [`ArcgisAuth`](crate::ArcgisAuth) below it would return a
/// challenge.
///
/// [`ArcgisAuthLayer::failures_as_errors`](crate::ArcgisAuthLayer::failures_as_errors) puts it on; it stands directly above
/// the layer. Its error is a [`BoxError`], as those of tower's own layers that fail by themselves: an `AuthFailure`, or the
/// inner service's.
#[derive(Clone, Copy, Debug, Default)]
pub struct FailureAsErrorLayer {
    _more_to_come: (),
}

impl FailureAsErrorLayer {
    /// The layer.
    pub fn new() -> Self {
        Self::default()
    }
}

impl<S> Layer<S> for FailureAsErrorLayer {
    type Service = FailureAsError<S>;

    fn layer(&self, inner: S) -> FailureAsError<S> {
        FailureAsError { inner }
    }
}

/// The service of [`FailureAsErrorLayer`].
#[derive(Clone, Copy, Debug)]
pub struct FailureAsError<S> {
    inner: S,
}

impl<S> FailureAsError<S> {
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

impl<S, B, R> Service<Request<B>> for FailureAsError<S>
where
    S: Service<Request<B>, Response = Response<ResponseBody<R>>>,
    S::Error: Into<BoxError>,
    R: Body + Unpin,
{
    type Response = Response<ResponseBody<R>>;
    type Error = BoxError;
    type Future = FailureAsErrorFuture<S::Future, R>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let is_head = *request.method() == Method::HEAD;
        FailureAsErrorFuture {
            judged: Judged::new(self.inner.call(request), is_head),
        }
    }
}

/// The future of [`FailureAsError`].
#[pin_project]
pub struct FailureAsErrorFuture<F, R: Body> {
    #[pin]
    judged: Judged<F, R>,
}

impl<F, R, E> Future for FailureAsErrorFuture<F, R>
where
    F: Future<Output = Result<Response<ResponseBody<R>>, E>>,
    E: Into<BoxError>,
    R: Body + Unpin,
{
    type Output = Result<Response<ResponseBody<R>>, BoxError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let answered = ready!(self.project().judged.poll(context)).map_err(Into::into)?;
        Poll::Ready(match answered {
            (response, None) => Ok(response),
            (_, Some(failure)) => Err(failure.into()),
        })
    }
}

impl<F, R: Body> fmt::Debug for FailureAsErrorFuture<F, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FailureAsErrorFuture")
            .finish_non_exhaustive()
    }
}
