//! Bodies that follow a script and tell how they were used, one that is fed by hand, and ways to watch a body closely.

#![allow(dead_code, reason = "every test file uses its share")]

use std::{
    collections::VecDeque,
    fmt,
    io::IoSlice,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
};

use bytes::{Buf, Bytes};
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use tokio::sync::mpsc;
use tokio_test::task;
use tower_arcgis_auth::BoxError;

/// What a scripted body does when it is polled.
#[derive(Clone, Debug)]
pub(crate) enum Step<D> {
    Data(D),
    Trailers(HeaderMap),
    Error(&'static str),
    /// Not ready, until [`Log::ring`].
    Pending,
}

/// What a scripted body says of its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hint {
    Nothing,
    Exact,
    /// True, but not tight.
    Loose,
    /// Nothing while there is data to come, and then that there is none.
    ExactAtTheEnd,
}

/// How a scripted body was used.
#[derive(Debug, Default)]
pub(crate) struct Log {
    polls: AtomicUsize,
    polled_after_end: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

impl Log {
    pub(crate) fn polls(&self) -> usize {
        self.polls.load(Ordering::SeqCst)
    }

    pub(crate) fn polled_after_end(&self) -> bool {
        self.polled_after_end.load(Ordering::SeqCst)
    }

    /// Wakes the task that polled last and had to wait. False if there is none.
    pub(crate) fn ring(&self) -> bool {
        let waker = self.waker.lock().unwrap().take();
        waker.map(Waker::wake).is_some()
    }
}

/// A body that follows a script.
#[derive(Debug)]
pub(crate) struct Scripted<D> {
    steps: VecDeque<Step<D>>,
    /// Bytes of data to come.
    remaining: u64,
    /// Frames and errors to come.
    events: usize,
    hint: Hint,
    reports_end: bool,
    ended: bool,
    log: Arc<Log>,
}

impl<D: Buf> Scripted<D> {
    pub(crate) fn new(steps: impl IntoIterator<Item = Step<D>>) -> Self {
        let steps = steps.into_iter().collect::<VecDeque<_>>();
        let data = steps.iter().map(|step| match step {
            Step::Data(data) => data.remaining() as u64,
            _ => 0,
        });
        let events = steps.iter().filter(|step| !matches!(step, Step::Pending));
        Self {
            remaining: data.sum(),
            events: events.count(),
            steps,
            hint: Hint::Nothing,
            reports_end: false,
            ended: false,
            log: Arc::default(),
        }
    }

    pub(crate) fn data(frames: impl IntoIterator<Item = D>) -> Self {
        Self::new(frames.into_iter().map(Step::Data))
    }

    pub(crate) fn hint(mut self, hint: Hint) -> Self {
        self.hint = hint;
        self
    }

    /// Says so once nothing more comes, instead of waiting to be polled for it.
    pub(crate) fn reports_end(mut self, reports_end: bool) -> Self {
        self.reports_end = reports_end;
        self
    }

    pub(crate) fn log(&self) -> Arc<Log> {
        Arc::clone(&self.log)
    }
}

impl<D: Buf + Unpin> Body for Scripted<D> {
    type Data = D;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<D>, BoxError>>> {
        self.log.polls.fetch_add(1, Ordering::SeqCst);
        if self.ended {
            self.log.polled_after_end.store(true, Ordering::SeqCst);
            return Poll::Ready(None);
        }
        let step = self.steps.pop_front();
        if !matches!(step, None | Some(Step::Pending)) {
            self.events -= 1;
        }
        match step {
            Some(Step::Data(data)) => {
                self.remaining -= data.remaining() as u64;
                Poll::Ready(Some(Ok(Frame::data(data))))
            }
            Some(Step::Trailers(trailers)) => Poll::Ready(Some(Ok(Frame::trailers(trailers)))),
            Some(Step::Error(error)) => {
                self.ended = true;
                Poll::Ready(Some(Err(error.into())))
            }
            Some(Step::Pending) => {
                *self.log.waker.lock().unwrap() = Some(context.waker().clone());
                Poll::Pending
            }
            None => {
                self.ended = true;
                Poll::Ready(None)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.reports_end && self.events == 0
    }

    fn size_hint(&self) -> SizeHint {
        let remaining = self.remaining;
        match self.hint {
            Hint::Nothing => SizeHint::new(),
            Hint::Exact => SizeHint::with_exact(remaining),
            Hint::Loose => {
                let mut hint = SizeHint::new();
                hint.set_lower(remaining / 2);
                hint.set_upper(remaining * 2 + 1);
                hint
            }
            Hint::ExactAtTheEnd if remaining > 0 => SizeHint::new(),
            Hint::ExactAtTheEnd => SizeHint::with_exact(0),
        }
    }
}

/// Data in several pieces, some of them perhaps empty.
#[derive(Clone, Debug)]
pub(crate) struct Pieces {
    pieces: VecDeque<Bytes>,
    /// Whether it shows more than its first piece to those who ask for all.
    shows_all: bool,
}

impl Pieces {
    pub(crate) fn new(pieces: impl IntoIterator<Item = Bytes>, shows_all: bool) -> Self {
        Self {
            pieces: pieces.into_iter().collect(),
            shows_all,
        }
    }
}

impl Buf for Pieces {
    fn remaining(&self) -> usize {
        self.pieces.iter().map(Bytes::len).sum()
    }

    fn chunk(&self) -> &[u8] {
        let first = self.pieces.iter().find(|piece| !piece.is_empty());
        first.map_or(&[], |piece| &piece[..])
    }

    fn chunks_vectored<'a>(&'a self, target: &mut [IoSlice<'a>]) -> usize {
        let shown = if self.shows_all { usize::MAX } else { 1 };
        let pieces = self.pieces.iter().filter(|piece| !piece.is_empty());
        let mut count = 0;
        for (slot, piece) in target.iter_mut().zip(pieces.take(shown)) {
            *slot = IoSlice::new(piece);
            count += 1;
        }
        count
    }

    fn advance(&mut self, mut count: usize) {
        while let Some(first) = self.pieces.front_mut() {
            let taken = count.min(first.len());
            first.advance(taken);
            count -= taken;
            if !first.is_empty() {
                return;
            }
            self.pieces.pop_front();
        }
        assert_eq!(count, 0, "advanced past the end");
    }
}

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

/// Counts the buffers that are still held.
#[derive(Clone, Debug, Default)]
pub(crate) struct Buffers {
    held: Arc<AtomicUsize>,
}

struct Buffer {
    bytes: Vec<u8>,
    held: Arc<AtomicUsize>,
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.held.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Buffers {
    pub(crate) fn buffer(&self, bytes: Vec<u8>) -> Bytes {
        self.held.fetch_add(1, Ordering::SeqCst);
        Bytes::from_owner(Buffer {
            bytes,
            held: Arc::clone(&self.held),
        })
    }

    pub(crate) fn held(&self) -> usize {
        self.held.load(Ordering::SeqCst)
    }
}

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

/// Cuts `content` into frames of these sizes, over and over.
pub(crate) fn cut(content: &Bytes, sizes: &[usize]) -> Vec<Bytes> {
    let mut rest = content.clone();
    let mut frames = Vec::new();
    let mut sizes = sizes.iter().copied().cycle();
    let mut empty = 0;
    while !rest.is_empty() {
        let size = sizes.next().unwrap_or(usize::MAX);
        empty = if size == 0 { empty + 1 } else { 0 };
        // Sizes that are all 0 lead nowhere.
        let size = if empty > 8 { 1 } else { size };
        frames.push(rest.split_to(size.min(rest.len())));
    }
    frames
}

pub(crate) fn trailers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    for (name, value) in pairs {
        trailers.append(*name, http::HeaderValue::from_static(value));
    }
    trailers
}
