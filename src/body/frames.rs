//! Frames of any body, as bytes.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use http_body::{Body, Frame};

use crate::error::BoxError;

pub(super) type FramePoll = Poll<Option<Result<Frame<Bytes>, BoxError>>>;

pub(super) fn poll_bytes<B>(body: &mut B, context: &mut Context<'_>) -> FramePoll
where
    B: Body + Unpin,
    B::Error: Into<BoxError>,
{
    let frame = ready!(Pin::new(body).poll_frame(context));
    Poll::Ready(frame.map(|frame| {
        frame
            .map(|frame| frame.map_data(|mut data| data.copy_to_bytes(data.remaining())))
            .map_err(Into::into)
    }))
}
