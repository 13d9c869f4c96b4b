//! A request's body on its way upstream: how large it may be, how long it may make no progress, and what went wrong.

use std::{
    error, fmt,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep};

use crate::{connections::Caller, refusal::Refusal};

/// How much of a body there may be, and how long its next part may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BodyLimits {
    /// In bytes.
    pub(crate) most: Option<u64>,
    /// The time without progress while the server wants more of it.
    pub(crate) patience: Duration,
}

/// The body of one request. Most have none, and cost nothing here.
pub(crate) struct RequestBody {
    body: Incoming,
    watch: Option<Box<Watch>>,
}

struct Watch {
    caller: Arc<Caller>,
    fault: Fault,
    left: Option<u64>,
    patience: Duration,
    time_is_up: Pin<Box<Sleep>>,
    /// The next part is waited for.
    is_wanted: bool,
}

/// What is wrong with a body: known here first, and for certain, whatever error the client towards the upstream makes of
/// it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fault(Arc<AtomicU8>);

/// In the order of their numbers in [`Fault`], from 1.
const FAULTS: [Refusal; 3] = [
    Refusal::MalformedBody,
    Refusal::SlowBody,
    Refusal::LargeBody,
];

impl Fault {
    /// Why the request failed, if that was for its body.
    pub(crate) fn refusal(&self) -> Option<Refusal> {
        let number = usize::from(self.0.load(Relaxed)).checked_sub(1)?;
        FAULTS.get(number).copied()
    }

    fn set(&self, refusal: Refusal) -> BodyError {
        let number = FAULTS.iter().position(|fault| *fault == refusal);
        self.0
            .store(number.map_or(0, |number| number as u8 + 1), Relaxed);
        BodyError(refusal)
    }
}

/// The body broke off, through the caller's fault.
#[derive(Debug)]
pub(crate) struct BodyError(Refusal);

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the caller's request body broke off ({})", self.0.name())
    }
}

impl error::Error for BodyError {}

impl RequestBody {
    /// Watches over a body that `caller` sends.
    ///
    /// # Errors
    ///
    /// Where it says itself that it is too large.
    pub(crate) fn new(
        body: Incoming,
        limits: BodyLimits,
        caller: &Arc<Caller>,
    ) -> Result<Self, Refusal> {
        if body.is_end_stream() {
            return Ok(Self { body, watch: None });
        }
        if limits
            .most
            .is_some_and(|most| body.size_hint().lower() > most)
        {
            return Err(Refusal::LargeBody);
        }
        let watch = Watch {
            caller: Arc::clone(caller),
            fault: Fault::default(),
            left: limits.most,
            patience: limits.patience,
            time_is_up: Box::pin(tokio::time::sleep(limits.patience)),
            is_wanted: false,
        };
        Ok(Self {
            body,
            watch: Some(Box::new(watch)),
        })
    }

    /// Says later what was wrong with it.
    pub(crate) fn fault(&self) -> Option<Fault> {
        self.watch.as_ref().map(|watch| watch.fault.clone())
    }
}

impl Watch {
    fn set_wanted(&mut self, is_wanted: bool) {
        if is_wanted != self.is_wanted {
            self.is_wanted = is_wanted;
            self.caller.set_wanted(is_wanted);
            if is_wanted {
                let time = Instant::now() + self.patience;
                self.time_is_up.as_mut().reset(time);
            }
        }
    }

    fn next(
        &mut self,
        frame: Poll<Option<Result<Frame<Bytes>, hyper::Error>>>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.set_wanted(frame.is_pending());
        match frame {
            Poll::Pending => match self.time_is_up.as_mut().poll(context) {
                Poll::Ready(()) => Poll::Ready(Some(Err(self.fault.set(Refusal::SlowBody)))),
                Poll::Pending => Poll::Pending,
            },
            Poll::Ready(Some(Err(_))) => {
                Poll::Ready(Some(Err(self.fault.set(Refusal::MalformedBody))))
            }
            Poll::Ready(Some(Ok(frame))) => Poll::Ready(Some(self.within_limit(frame))),
            Poll::Ready(None) => Poll::Ready(None),
        }
    }

    fn within_limit(&mut self, frame: Frame<Bytes>) -> Result<Frame<Bytes>, BodyError> {
        if let (Some(left), Some(data)) = (&mut self.left, frame.data_ref()) {
            match left.checked_sub(data.len() as u64) {
                Some(rest) => *left = rest,
                None => return Err(self.fault.set(Refusal::LargeBody)),
            }
        }
        Ok(frame)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.set_wanted(false);
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        match &mut self.watch {
            Some(watch) => watch.next(frame, context),
            None => frame.map_err(|_| BodyError(Refusal::MalformedBody)),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
