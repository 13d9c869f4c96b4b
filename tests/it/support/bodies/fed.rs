//! A body that is fed by hand.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame};
use tokio::sync::mpsc;
use tower_arcgis_auth::BoxError;

/// A body of unknown length that gives what it is fed, when it is fed.
#[derive(Debug)]
pub(crate) struct Fed {
    frames: mpsc::UnboundedReceiver<Result<Frame<Bytes>, BoxError>>,
}

/// The other end of a [`Fed`]. Dropping it ends the body.
#[derive(Clone, Debug)]
pub(crate) struct Feeder {
    frames: mpsc::UnboundedSender<Result<Frame<Bytes>, BoxError>>,
}

pub(crate) fn fed() -> (Feeder, Fed) {
    let (sender, receiver) = mpsc::unbounded_channel();
    (Feeder { frames: sender }, Fed { frames: receiver })
}

impl Feeder {
    pub(crate) fn data(&self, data: impl Into<Bytes>) {
        self.frame(Frame::data(data.into()));
    }

    pub(crate) fn frame(&self, frame: Frame<Bytes>) {
        self.frames.send(Ok(frame)).unwrap();
    }

    pub(crate) fn fail(&self, error: &'static str) {
        self.frames.send(Err(error.into())).unwrap();
    }

    /// Whether the body at the other end still exists.
    pub(crate) fn is_wanted(&self) -> bool {
        !self.frames.is_closed()
    }

    /// Waits until the body at the other end is gone.
    pub(crate) async fn unwanted(&self) {
        self.frames.closed().await;
    }
}

impl Body for Fed {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.frames.poll_recv(context)
    }
}
