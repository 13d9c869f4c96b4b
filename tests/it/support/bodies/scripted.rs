//! Bodies that follow a script.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
};

use bytes::Buf;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
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
