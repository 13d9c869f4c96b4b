//! Response bodies that follow a script: frames, pauses, trailers, failures.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use http_body::Frame;
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;

/// The body of every answer.
pub(crate) type Body = UnsyncBoxBody<Bytes, io::Error>;

/// One thing a scripted body does.
#[derive(Debug)]
pub(crate) enum Step {
    Data(Bytes),
    /// The same frame so many times.
    Repeat(Bytes, u64),
    Trailers(HeaderMap),
    /// Lets the connection write out what it holds.
    Pause,
    /// The body fails, and with it the connection (HTTP/1) or the stream (HTTP/2).
    Fail,
    /// Never ends.
    StayOpen,
}

/// A body of unknown length that plays its steps in order.
#[derive(Debug)]
struct Scripted(VecDeque<Step>);

/// A body that plays `steps`.
pub(crate) fn scripted(steps: impl IntoIterator<Item = Step>) -> Body {
    Scripted(steps.into_iter().collect()).boxed_unsync()
}

impl http_body::Body for Scripted {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match self.0.pop_front() {
            None => Poll::Ready(None),
            Some(Step::Data(data)) => Poll::Ready(Some(Ok(Frame::data(data)))),
            Some(Step::Repeat(_, 0)) => self.poll_frame(cx),
            Some(Step::Repeat(data, times)) => {
                self.0.push_front(Step::Repeat(data.clone(), times - 1));
                Poll::Ready(Some(Ok(Frame::data(data))))
            }
            Some(Step::Trailers(trailers)) => Poll::Ready(Some(Ok(Frame::trailers(trailers)))),
            Some(Step::Pause) => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Some(Step::Fail) => Poll::Ready(Some(Err(io::ErrorKind::ConnectionAborted.into()))),
            Some(Step::StayOpen) => {
                self.0.push_front(Step::StayOpen);
                Poll::Pending
            }
        }
    }
}
