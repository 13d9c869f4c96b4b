//! An answer's body on its way to the caller.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::{Either, Full};
use pin_project::pin_project;
use tower::BoxError;

use crate::{connections::UnderWay, forward};

/// An answer's body. The request is under way until it is dropped.
#[pin_project]
pub(crate) struct AnswerBody {
    #[pin]
    body: forward::Body,
    under_way: Option<UnderWay>,
}

impl AnswerBody {
    pub(super) fn new(body: forward::Body, under_way: impl Into<Option<UnderWay>>) -> Self {
        Self {
            body,
            under_way: under_way.into(),
        }
    }

    /// The proxy's own words, to a request that goes no further.
    pub(super) fn of_refusal(words: Full<Bytes>) -> Self {
        Self::new(Either::Right(Either::Right(words)), None)
    }
}

impl Default for AnswerBody {
    fn default() -> Self {
        Self::of_refusal(Full::default())
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.project();
        // A further part is only asked for once the one before is taken.
        if let Some(under_way) = this.under_way.as_mut() {
            under_way.set_untaken(false);
        }
        let frame = this.body.poll_frame(context);
        if let (Poll::Ready(Some(Ok(_))), Some(under_way)) = (&frame, this.under_way.as_mut()) {
            under_way.set_untaken(true);
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
