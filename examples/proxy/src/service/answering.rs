//! A request that is being answered.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderValue, Response};
use http_body_util::Full;
use tokio::time::Instant;

use crate::{
    connections::UnderWay, forward, measures::Measures, request_id::X_REQUEST_ID,
    service::AnswerBody,
};

/// The steps of one request. Nearly all are forwarded, without a box of their own.
pub(super) enum Passing {
    Forwarded {
        forwarded: forward::Answering,
        /// Until the answer's body has it.
        under_way: Option<UnderWay>,
    },
    Boxed(Pin<Box<dyn Future<Output = Response<AnswerBody>> + Send>>),
}

impl Passing {
    /// The proxy's own answer.
    pub(super) fn own(response: Response<Full<Bytes>>) -> Self {
        let response = response.map(AnswerBody::of_refusal);
        Self::Boxed(Box::pin(std::future::ready(response)))
    }
}

impl Future for Passing {
    type Output = Response<AnswerBody>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut *self {
            Self::Forwarded {
                forwarded,
                under_way,
            } => Pin::new(forwarded)
                .poll(context)
                .map(|response| response.map(|body| AnswerBody::new(body, under_way.take()))),
            Self::Boxed(answering) => answering.as_mut().poll(context),
        }
    }
}

/// A request that is being answered: its answer gets its name, and is counted.
pub(crate) struct Answering {
    pub(super) passing: Passing,
    pub(super) id: Option<HeaderValue>,
    pub(super) measured: Option<(Arc<Measures>, Instant)>,
}

impl Future for Answering {
    type Output = Result<Response<AnswerBody>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut response = ready!(Pin::new(&mut self.passing).poll(context));
        if let Some(id) = self.id.take() {
            response.headers_mut().insert(X_REQUEST_ID, id);
        }
        if let Some((measures, started)) = self.measured.take() {
            measures.answered(response.status(), started);
        }
        Poll::Ready(Ok(response))
    }
}
