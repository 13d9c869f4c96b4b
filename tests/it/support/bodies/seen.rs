//! What is seen of a body: frame for frame, and what it says of itself before each.

use std::{fmt, pin::Pin, task::Poll};

use bytes::{Buf, Bytes};
use http::HeaderMap;
use http_body::{Body, Frame};
use tokio_test::task;
use tower_arcgis_auth::BoxError;

use super::Log;

/// What one poll of a body gave.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Seen {
    Data(Vec<u8>),
    Trailers(HeaderMap),
    Error(String),
    End,
}

impl Seen {
    pub(crate) fn of<D: Buf, E: Into<BoxError>>(frame: Option<Result<Frame<D>, E>>) -> Self {
        match frame {
            None => Self::End,
            Some(Err(error)) => Self::Error(error.into().to_string()),
            Some(Ok(frame)) => match frame.into_data() {
                Ok(mut data) => Self::Data(data.copy_to_bytes(data.remaining()).to_vec()),
                Err(frame) => Self::Trailers(frame.into_trailers().ok().unwrap()),
            },
        }
    }

    pub(crate) fn is_last(&self) -> bool {
        matches!(self, Self::Error(_) | Self::End)
    }
}

impl fmt::Debug for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Data(data) => write!(f, "Data({:?})", Bytes::copy_from_slice(data)),
            Self::Trailers(trailers) => write!(f, "Trailers({trailers:?})"),
            Self::Error(error) => write!(f, "Error({error})"),
            Self::End => f.write_str("End"),
        }
    }
}

/// What a body said of itself before a poll, and what that poll gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Observed {
    pub(crate) lower: u64,
    pub(crate) upper: Option<u64>,
    pub(crate) end_stream: bool,
    pub(crate) seen: Seen,
}

impl Observed {
    pub(crate) fn len(&self) -> u64 {
        match &self.seen {
            Seen::Data(data) => data.len() as u64,
            _ => 0,
        }
    }
}

/// Polls once, on a task of its own.
pub(crate) fn poll_once<B>(body: &mut B) -> Poll<Seen>
where
    B: Body + Unpin,
    B::Error: Into<BoxError>,
{
    let mut task = task::spawn(());
    task.enter(|context, _| Pin::new(body).poll_frame(context))
        .map(Seen::of)
}

/// A task that waits for a body, and is woken when the body has more.
pub(crate) fn waiting_for<B: Body + Unpin>(body: &mut B) -> task::Spawn<()> {
    let mut task = task::spawn(());
    assert!(task.enter(|context, _| Pin::new(body).poll_frame(context).is_pending()));
    task
}

/// The next frame of a body that waits for nothing but its script.
pub(crate) fn next<B>(body: &mut B, log: &Log) -> Seen
where
    B: Body + Unpin,
    B::Error: Into<BoxError>,
{
    let mut task = task::spawn(());
    loop {
        let polled = task.enter(|context, _| Pin::new(&mut *body).poll_frame(context));
        match polled {
            Poll::Ready(frame) => return Seen::of(frame),
            Poll::Pending => {
                assert!(log.ring(), "waits for nothing");
                assert!(task.is_woken(), "a wake-up was lost");
            }
        }
    }
}

/// Reads a body to its end or error, looking at what it says of itself before every frame.
pub(crate) fn observe<B>(body: &mut B, log: &Log) -> Vec<Observed>
where
    B: Body + Unpin,
    B::Error: Into<BoxError>,
{
    let mut all = Vec::new();
    loop {
        let hint = body.size_hint();
        let end_stream = body.is_end_stream();
        let seen = next(body, log);
        let last = seen.is_last();
        all.push(Observed {
            lower: hint.lower(),
            upper: hint.upper(),
            end_stream,
            seen,
        });
        if last {
            return all;
        }
    }
}

/// Reads a body to its end or error.
pub(crate) fn read<B>(body: &mut B, log: &Log) -> Vec<Seen>
where
    B: Body + Unpin,
    B::Error: Into<BoxError>,
{
    let mut all = Vec::new();
    loop {
        let seen = next(body, log);
        all.push(seen.clone());
        if seen.is_last() {
            return all;
        }
    }
}

/// The data of these, in one piece.
pub(crate) fn data_of(seen: &[Seen]) -> Vec<u8> {
    let mut all = Vec::new();
    for seen in seen {
        if let Seen::Data(data) = seen {
            all.extend_from_slice(data);
        }
    }
    all
}

/// Runs a future that waits for a scripted body, or for other tasks of this thread's runtime, and sees to it that it
/// is polled again only when it was woken.
pub(crate) async fn drive<F: Future>(future: F, log: &Log) -> F::Output {
    let mut task = task::spawn(future);
    loop {
        if let Poll::Ready(output) = task.poll() {
            return output;
        }
        let mut turns = 0;
        log.ring();
        while !task.is_woken() {
            turns += 1;
            assert!(turns < 1000, "a wake-up was lost");
            tokio::task::yield_now().await;
        }
    }
}
