//! The request body handed to the inner service: keeps what is sent, within a cap, so that it can be sent again.
//!
//! A client such as hyper's goes on reading a request body from a task of its own after the answer has come. So the
//! body and what was captured of it are shared: on a challenge the first sending is paused, and then either goes on,
//! or fails while a second sending takes what was captured plus what has not been read yet.

use std::{
    collections::VecDeque,
    error::Error,
    fmt,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard},
    task::{Context, Poll, Waker},
};

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};

use super::{
    form::ReadForm,
    frames::{FramePoll, poll_bytes},
};
use crate::{error::BoxError, lock::lock};

/// Frames from here on are kept by reference; smaller ones are copied together, because a kept one-byte frame pins
/// the whole buffer it was cut from.
const KEPT_BY_REFERENCE: usize = 4 * 1024;

/// The body of a request on its way to the inner service: what the caller gave, byte for byte, in a form that can be
/// sent again.
///
/// ```
/// use bytes::Bytes;
/// use http_body::Body;
/// use http_body_util::Full;
/// use tower_arcgis_auth::ReplayBody;
///
/// // Inner services that want a body made from nothing (timeouts, redirects) can have one.
/// let body = ReplayBody::<Full<Bytes>>::default();
/// assert!(body.is_end_stream());
/// ```
pub struct ReplayBody<B> {
    inner: Inner<B>,
}

enum Inner<B> {
    /// Never sent again: the caller's body itself.
    Bare(B),
    /// A second sending of an empty body.
    Empty,
    /// The first sending of a body that may be sent again.
    First(Arc<Mutex<Capture<B>>>),
    /// Boxed: it is rare, and every request would carry the room for it.
    Second(Box<Second<B>>),
}

/// The layer's end of a body that may be sent again.
pub(crate) enum KeptBody<B> {
    Empty,
    Captured(Arc<Mutex<Capture<B>>>),
    /// All of it, apart from the first sending.
    Copied {
        held: VecDeque<Frame<Bytes>>,
        open: bool,
    },
    /// There is no other sending.
    Lost,
}

/// What both ends share. The lock is this request's alone, and two tasks at most meet at it. A caller's body that panics
/// leaves it whole: nothing here is changed before that returns.
pub(crate) struct Capture<B> {
    /// `None` once the second sending has it.
    body: Option<B>,
    /// The body told its exact length before it was sent.
    exact: bool,
    phase: Phase,
    held: VecDeque<Frame<Bytes>>,
    /// Small frames, copied together until a large one, trailers or the end comes.
    tail: BytesMut,
    held_bytes: usize,
    cap: usize,
    /// The body reached its end, or said so, or failed: it is not polled again.
    ended: bool,
    /// Beyond the cap, or the body failed: no second sending.
    lost: bool,
    waker: Option<Waker>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Capturing,
    /// The answer is clean, or cannot be acted on: go on without keeping anything.
    Released,
    /// A challenge came: hold still until it is known whether there will be a second sending.
    Paused,
    /// The second sending has begun.
    Taken,
}

struct Second<B> {
    held: VecDeque<Frame<Bytes>>,
    rest: Option<B>,
    /// What comes behind what is held, where the body failed.
    error: Option<BoxError>,
    /// No exact length is told: there are trailers, or there may be, and a first sending that told none either.
    /// Clients make a `Content-Length` of an exact hint, and then have no place for trailers.
    open: bool,
}

/// What the first sending ends with when a second one takes over: ending it quietly would make a cut upload look
/// complete to the server.
#[derive(Debug)]
struct SentAgain;

impl fmt::Display for SentAgain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("this sending was given up: the server asked for a token, and the request is sent again with one")
    }
}

impl Error for SentAgain {}

impl<B> ReplayBody<B> {
    #[inline]
    pub(crate) fn bare(body: B) -> Self {
        Self {
            inner: Inner::Bare(body),
        }
    }
}

impl<B: Body> ReplayBody<B> {
    /// The body for a first sending, and what a second can be made from; at most `cap` bytes are kept.
    #[inline]
    pub(crate) fn kept(body: B, cap: usize) -> (Self, KeptBody<B>) {
        if body.is_end_stream() {
            return (Self::bare(body), KeptBody::Empty);
        }
        Self::captured(body, cap)
    }

    fn captured(body: B, cap: usize) -> (Self, KeptBody<B>) {
        let capture = Arc::new(Mutex::new(Capture {
            exact: body.size_hint().exact().is_some(),
            body: Some(body),
            phase: Phase::Capturing,
            held: VecDeque::new(),
            tail: BytesMut::new(),
            held_bytes: 0,
            cap,
            ended: false,
            lost: false,
            waker: None,
        }));
        let first = Self {
            inner: Inner::First(Arc::clone(&capture)),
        };
        (first, KeptBody::Captured(capture))
    }
}

impl<B> ReplayBody<B> {
    /// The only sending of a form that was read.
    pub(crate) fn read(form: ReadForm<B>) -> Self {
        let is_whole = form.is_whole();
        Self {
            inner: Inner::Second(Box::new(Second {
                open: !is_whole || form.frames.iter().any(Frame::is_trailers),
                held: form.frames,
                rest: form.rest,
                error: form.error,
            })),
        }
    }

    /// The first sending of a form that was read, and what a second can be made from. One that was not read to its end is
    /// sent once.
    pub(crate) fn read_and_kept(form: ReadForm<B>) -> (Self, KeptBody<B>) {
        let kept = if form.is_whole() {
            KeptBody::Copied {
                held: copies(&form.frames),
                open: form.frames.iter().any(Frame::is_trailers),
            }
        } else {
            KeptBody::Lost
        };
        (Self::read(form), kept)
    }
}

impl<B> KeptBody<B> {
    /// Holds the first sending still. False where there can be no second: then the first goes on.
    pub(crate) fn pause(&self) -> bool {
        let capture = match self {
            Self::Empty | Self::Copied { .. } => return true,
            Self::Lost => return false,
            Self::Captured(capture) => capture,
        };
        let mut capture = lock(capture);
        if capture.lost {
            return false;
        }
        if capture.phase == Phase::Capturing {
            capture.phase = Phase::Paused;
        }
        true
    }

    /// What one more sending can be made from after the next, if the body was read to its end.
    pub(crate) fn copy(&self) -> Option<Self> {
        let (held, open) = match self {
            Self::Empty => return Some(Self::Empty),
            Self::Lost => return None,
            Self::Copied { held, open } => (copies(held), *open),
            Self::Captured(capture) => {
                let mut capture = lock(capture);
                if capture.lost || !capture.ended {
                    return None;
                }
                capture.flush_tail();
                let open = !capture.exact && capture.held.iter().any(Frame::is_trailers);
                (copies(&capture.held), open)
            }
        };
        Some(Self::Copied { held, open })
    }

    /// The body of the second sending. The first, if it has not ended, fails.
    pub(crate) fn take(mut self) -> Option<ReplayBody<B>> {
        let inner = match &mut self {
            Self::Empty => Inner::Empty,
            Self::Lost => return None,
            Self::Copied { held, open } => Inner::Second(Box::new(Second {
                held: std::mem::take(held),
                rest: None,
                error: None,
                open: *open,
            })),
            Self::Captured(shared) => {
                let mut capture = lock(shared);
                if capture.lost {
                    return None;
                }
                capture.phase = Phase::Taken;
                capture.flush_tail();
                let held = std::mem::take(&mut capture.held);
                let rest = capture.body.take().filter(|_| !capture.ended);
                let open =
                    !capture.exact && (rest.is_some() || held.iter().any(Frame::is_trailers));
                wake(capture);
                Inner::Second(Box::new(Second {
                    held,
                    rest,
                    error: None,
                    open,
                }))
            }
        };
        Some(ReplayBody { inner })
    }
}

impl<B> Drop for KeptBody<B> {
    /// No second sending: what was captured is freed, and a first one that was paused goes on.
    fn drop(&mut self) {
        if let Self::Captured(capture) = self {
            let mut capture = lock(capture);
            if capture.phase != Phase::Taken {
                capture.release();
                wake(capture);
            }
        }
    }
}

/// Frames of the same bytes: nothing is copied but trailers.
fn copies(frames: &VecDeque<Frame<Bytes>>) -> VecDeque<Frame<Bytes>> {
    let copy = |frame: &Frame<Bytes>| match (frame.data_ref(), frame.trailers_ref()) {
        (Some(data), _) => Some(Frame::data(data.clone())),
        (None, Some(trailers)) => Some(Frame::trailers(trailers.clone())),
        (None, None) => None,
    };
    frames.iter().filter_map(copy).collect()
}

impl<B> Capture<B> {
    fn release(&mut self) {
        self.phase = Phase::Released;
        self.held = VecDeque::new();
        self.tail = BytesMut::new();
    }

    fn flush_tail(&mut self) {
        if !self.tail.is_empty() {
            let tail = std::mem::take(&mut self.tail).freeze();
            self.held.push_back(Frame::data(tail));
        }
    }

    fn keep_data(&mut self, data: &Bytes) {
        self.held_bytes = self.held_bytes.saturating_add(data.len());
        if self.held_bytes > self.cap {
            self.lost = true;
            self.release();
        } else if data.len() < KEPT_BY_REFERENCE {
            self.tail.extend_from_slice(data);
        } else {
            self.flush_tail();
            self.held.push_back(Frame::data(data.clone()));
        }
    }

    fn keep(&mut self, frame: &Frame<Bytes>) {
        if let Some(data) = frame.data_ref() {
            self.keep_data(data);
        } else if let Some(trailers) = frame.trailers_ref() {
            self.flush_tail();
            self.held.push_back(Frame::trailers(trailers.clone()));
        }
    }
}

impl<B> Capture<B>
where
    B: Body + Unpin,
    B::Error: Into<BoxError>,
{
    fn poll_first(&mut self, context: &mut Context<'_>) -> FramePoll {
        if self.ended {
            return Poll::Ready(None);
        }
        if self.phase == Phase::Paused {
            self.waker = Some(context.waker().clone());
            return Poll::Pending;
        }
        let Some(body) = &mut self.body else {
            self.ended = true;
            return Poll::Ready(Some(Err(SentAgain.into())));
        };
        match poll_bytes(body, context) {
            // The caller's body may be waiting for something else than the answer to the pause: both must wake us.
            Poll::Pending => {
                self.waker = Some(context.waker().clone());
                Poll::Pending
            }
            Poll::Ready(frame) => {
                match &frame {
                    Some(Ok(frame)) => {
                        // The client asks for it next, but perhaps not before a second sending has the body.
                        self.ended = body.is_end_stream();
                        if self.phase == Phase::Capturing {
                            self.keep(frame);
                        }
                    }
                    Some(Err(_)) => {
                        self.ended = true;
                        self.lost = true;
                    }
                    None => self.ended = true,
                }
                Poll::Ready(frame)
            }
        }
    }
}

/// Wakes the reader of the first sending, after the lock is free: it may look at the body from the wake-up itself.
fn wake<B>(mut capture: MutexGuard<'_, Capture<B>>) {
    let waker = capture.waker.take();
    drop(capture);
    if let Some(waker) = waker {
        waker.wake();
    }
}

impl<B> Body for ReplayBody<B>
where
    B: Body + Unpin,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> FramePoll {
        match &mut self.inner {
            Inner::Bare(body) => poll_bytes(body, context),
            Inner::Empty => Poll::Ready(None),
            Inner::First(capture) => lock(capture).poll_first(context),
            Inner::Second(second) => {
                if let Some(frame) = second.held.pop_front() {
                    return Poll::Ready(Some(Ok(frame)));
                }
                match &mut second.rest {
                    Some(rest) => poll_bytes(rest, context),
                    None => Poll::Ready(second.error.take().map(Err)),
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.inner {
            Inner::Bare(body) => body.is_end_stream(),
            Inner::Empty => true,
            Inner::First(capture) => {
                let capture = lock(capture);
                capture.ended
                    || capture
                        .body
                        .as_ref()
                        .is_some_and(|body| body.is_end_stream())
            }
            Inner::Second(second) => {
                second.held.is_empty()
                    && second.error.is_none()
                    && second.rest.as_ref().is_none_or(|rest| rest.is_end_stream())
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.inner {
            Inner::Bare(body) => body.size_hint(),
            Inner::Empty => SizeHint::with_exact(0),
            Inner::First(capture) => {
                let capture = lock(capture);
                match &capture.body {
                    Some(body) if !capture.ended => body.size_hint(),
                    Some(_) => SizeHint::with_exact(0),
                    // It is about to fail, and promises nothing.
                    None => SizeHint::new(),
                }
            }
            Inner::Second(second) => {
                let held: u64 = second
                    .held
                    .iter()
                    .filter_map(Frame::data_ref)
                    .map(|data| data.len() as u64)
                    .sum();
                let rest = match &second.rest {
                    Some(rest) => rest.size_hint(),
                    None => SizeHint::with_exact(0),
                };
                let hint = rest + SizeHint::with_exact(held);
                if second.open {
                    let mut open = SizeHint::new();
                    open.set_lower(hint.lower());
                    open
                } else {
                    hint
                }
            }
        }
    }
}

impl<B: Default> Default for ReplayBody<B> {
    fn default() -> Self {
        Self::bare(B::default())
    }
}

impl<B> fmt::Debug for ReplayBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sending = match &self.inner {
            Inner::Bare(_) => "only",
            Inner::First(_) => "first",
            Inner::Empty | Inner::Second(_) => "second",
        };
        f.debug_struct("ReplayBody")
            .field("sending", &sending)
            .finish_non_exhaustive()
    }
}

impl<B> fmt::Debug for KeptBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeptBody").finish_non_exhaustive()
    }
}
