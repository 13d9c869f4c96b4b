//! The response body handed up: untouched, or what the look took from it followed by the rest.

use std::{
    collections::VecDeque,
    fmt,
    io::IoSlice,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use http::Response;
use http_body::{Body, Frame, SizeHint};

use crate::{
    challenge::{Detector, Glance, Noted, RequestFacts, Start, Verdict},
    outcome::AuthOutcome,
    sign::scrub::clean_trailers,
    token::Token,
};

/// How many pieces of one data frame the look sees. hyper's frames have one; a chain of buffers has two.
const PIECES: usize = 16;

/// How many empty frames are held while nothing is decided. They use up nothing of the look's bytes, so without a
/// bound of their own a hostile server could have any number of them held.
const EMPTY_FRAMES: u16 = 1024;

/// The body of a response on its way up: the inner service's, frame for frame, trailers and errors included.
///
/// ```
/// use bytes::Bytes;
/// use http_body_util::Full;
/// use tower_arcgis_auth::ResponseBody;
///
/// fn signed(response: &http::Response<ResponseBody<Full<Bytes>>>) -> bool {
///     response.body().outcome().signed()
/// }
/// # assert!(!signed(&http::Response::new(ResponseBody::default())));
/// ```
pub struct ResponseBody<R: Body> {
    inner: R,
    /// The first data frame the look took: nearly always the only one.
    first: Option<Held<R::Data>>,
    /// Whatever it took behind that.
    more: Option<Box<More<R::Data, R::Error>>>,
    /// The inner body gave its last frame or an error to the look: it is not polled again.
    ended: bool,
    /// Nothing is held, and the inner body has not ended: one question for each frame in place of three.
    passes: bool,
    outcome: AuthOutcome,
    /// What the request was signed with: trailers must not repeat it.
    token: Option<Arc<Token>>,
}

struct More<D, E> {
    frames: VecDeque<Held<Frame<D>>>,
    error: Option<Held<E>>,
}

struct Held<T> {
    /// What the inner body said of its length before it gave this.
    hint: SizeHint,
    item: T,
}

type FramePoll<R> = Poll<Option<Result<Frame<<R as Body>::Data>, <R as Body>::Error>>>;

impl<R: Body> ResponseBody<R> {
    #[inline]
    pub(crate) fn untouched(inner: R) -> Self {
        Self {
            inner,
            first: None,
            more: None,
            ended: false,
            passes: true,
            outcome: AuthOutcome::default(),
            token: None,
        }
    }

    /// Nothing else is to be told.
    #[inline]
    pub(crate) fn set_signed(&mut self, signed: bool) {
        self.outcome.signed = signed;
    }

    pub(crate) fn set_outcome(&mut self, outcome: AuthOutcome) {
        self.outcome = outcome;
    }

    #[inline]
    pub(crate) fn set_token(&mut self, token: Option<Arc<Token>>) {
        self.token = token;
    }

    /// What the layer did with the request this answers.
    pub fn outcome(&self) -> &AuthOutcome {
        &self.outcome
    }

    /// The inner service's body, unless the look has taken something from it: then the body itself comes back. Its trailers
    /// are the server's own, which may repeat the token.
    ///
    /// # Errors
    ///
    /// The body, whole, where frames are held that the inner body no longer has.
    pub fn into_inner(self) -> Result<R, Self> {
        if self.passes {
            Ok(self.inner)
        } else {
            Err(self)
        }
    }

    fn holds_nothing(&self) -> bool {
        self.first.is_none() && self.more.is_none()
    }

    fn more(&mut self) -> &mut More<R::Data, R::Error> {
        self.more.get_or_insert_with(|| {
            Box::new(More {
                frames: VecDeque::new(),
                error: None,
            })
        })
    }

    fn hold(&mut self, hint: SizeHint, frame: Frame<R::Data>) {
        self.passes = false;
        let item = if self.holds_nothing() {
            match frame.into_data() {
                Ok(item) => {
                    self.first = Some(Held { hint, item });
                    return;
                }
                Err(frame) => frame,
            }
        } else {
            frame
        };
        self.more().frames.push_back(Held { hint, item });
    }

    /// What the look took and has not been given on yet.
    #[inline(never)]
    fn poll_held(&mut self) -> FramePoll<R> {
        let mut next = self.next_held();
        self.passes = self.holds_nothing() && !self.ended;
        if let Some(Ok(frame)) = &mut next {
            if frame.is_trailers() {
                self.clean(frame);
            }
        }
        Poll::Ready(next)
    }

    /// Takes the token that the request was signed with out of trailers.
    #[cold]
    fn clean(&self, frame: &mut Frame<R::Data>) {
        if let (Some(trailers), Some(token)) = (frame.trailers_mut(), &self.token) {
            clean_trailers(trailers, token);
        }
    }

    fn next_held(&mut self) -> Option<Result<Frame<R::Data>, R::Error>> {
        if let Some(data) = self.first.take() {
            return Some(Ok(Frame::data(data.item)));
        }
        let more = self.more.as_mut()?;
        let next = match more.frames.pop_front() {
            Some(frame) => Some(Ok(frame.item)),
            None => more.error.take().map(|error| Err(error.item)),
        };
        if more.frames.is_empty() && more.error.is_none() {
            self.more = None;
        }
        next
    }
}

impl<R: Body<Data = Bytes>> ResponseBody<R> {
    /// Puts `bytes` in the place of all that is left of the body.
    pub(crate) fn replace(&mut self, bytes: Bytes) {
        self.ended = true;
        self.passes = false;
        self.more = None;
        self.first = Some(Held {
            hint: SizeHint::with_exact(bytes.len() as u64),
            item: bytes,
        });
    }
}

/// A look at a response body.
pub(crate) struct Peek {
    detector: Detector,
    /// Empty frames that may still come before the look gives up.
    empty_left: u16,
}

/// How far a look came at once.
pub(crate) enum Begun {
    Decided(Verdict),
    Waiting(Peek),
}

impl Peek {
    /// Looks at an untouched answer, as far as it is there. `noted` is what its headers say.
    #[inline]
    pub(crate) fn begin<R: Body + Unpin>(
        response: &mut Response<ResponseBody<R>>,
        noted: Noted,
        facts: RequestFacts,
        context: &mut Context<'_>,
    ) -> Begun {
        let status = response.status();
        let body = response.body_mut();
        let is_empty = body.inner.is_end_stream();
        let Some(glance) = Glance::of(status, noted, facts, is_empty) else {
            return Self::by_head(response, noted, facts, is_empty, context);
        };
        // The first frame is nearly always there with the head, and decides at a glance.
        let hint = body.inner.size_hint();
        let frame = match Pin::new(&mut body.inner).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                Ok(item) if glance.is_clean(item.chunk()) => {
                    body.passes = false;
                    body.first = Some(Held { hint, item });
                    return Begun::Decided(Verdict::Clean);
                }
                Ok(item) => Poll::Ready(Some(Ok(Frame::data(item)))),
                Err(frame) => Poll::Ready(Some(Ok(frame))),
            },
            frame => frame,
        };
        Self::closer(glance, body, (hint, frame), context)
    }

    /// Looks where status and headers leave anything to look at.
    #[inline(never)]
    fn by_head<R: Body + Unpin>(
        response: &mut Response<ResponseBody<R>>,
        noted: Noted,
        facts: RequestFacts,
        is_empty: bool,
        context: &mut Context<'_>,
    ) -> Begun {
        let (status, headers) = (response.status(), response.headers());
        match Detector::start(status, headers, noted, facts, is_empty) {
            Start::Decided(verdict) => Begun::Decided(verdict),
            Start::Look(detector) => Self::new(detector).begun(response.body_mut(), context),
        }
    }

    /// Looks on where a glance at the first frame, or at its absence, did not decide.
    #[inline(never)]
    fn closer<R: Body + Unpin>(
        glance: Glance,
        body: &mut ResponseBody<R>,
        (hint, frame): (SizeHint, FramePoll<R>),
        context: &mut Context<'_>,
    ) -> Begun {
        let mut peek = Self::new(Detector::of(glance));
        match frame {
            Poll::Pending => Begun::Waiting(peek),
            Poll::Ready(frame) => match peek.take(body, hint, frame) {
                Some(verdict) => Begun::Decided(verdict),
                None => peek.begun(body, context),
            },
        }
    }

    fn begun<R: Body + Unpin>(
        mut self,
        body: &mut ResponseBody<R>,
        context: &mut Context<'_>,
    ) -> Begun {
        match self.poll_verdict(body, context) {
            Poll::Ready(verdict) => Begun::Decided(verdict),
            Poll::Pending => Begun::Waiting(self),
        }
    }

    fn new(detector: Detector) -> Self {
        Self {
            detector,
            empty_left: EMPTY_FRAMES,
        }
    }

    /// Reads on until it is decided; everything read stays in the body. [`Verdict::More`] where the body broke off
    /// undecided.
    pub(crate) fn poll_verdict<R: Body + Unpin>(
        &mut self,
        body: &mut ResponseBody<R>,
        context: &mut Context<'_>,
    ) -> Poll<Verdict> {
        loop {
            let hint = body.inner.size_hint();
            let frame = ready!(Pin::new(&mut body.inner).poll_frame(context));
            if let Some(verdict) = self.take(body, hint, frame) {
                return Poll::Ready(verdict);
            }
        }
    }

    /// Looks at what the body gave, and holds it. `None` where that does not decide.
    fn take<R: Body>(
        &mut self,
        body: &mut ResponseBody<R>,
        hint: SizeHint,
        frame: Option<Result<Frame<R::Data>, R::Error>>,
    ) -> Option<Verdict> {
        let verdict = match frame {
            Some(Ok(frame)) => {
                let verdict = match frame.data_ref() {
                    Some(data) if data.has_remaining() => look_at(&mut self.detector, data),
                    Some(_) if self.empty_left > 0 => {
                        self.empty_left -= 1;
                        Verdict::More
                    }
                    // Trailers: the data is over.
                    _ => self.detector.finish(),
                };
                body.hold(hint, frame);
                // Some bodies say that this was their last frame; polling for another can cost a wait.
                if verdict == Verdict::More && body.inner.is_end_stream() {
                    self.detector.finish()
                } else {
                    verdict
                }
            }
            Some(Err(error)) => {
                body.passes = false;
                body.ended = true;
                body.more().error = Some(Held { hint, item: error });
                return Some(Verdict::More);
            }
            None => {
                body.passes = false;
                body.ended = true;
                self.detector.finish()
            }
        };
        (verdict != Verdict::More).then_some(verdict)
    }
}

/// Shows the detector one data frame, without taking anything from it.
fn look_at<D: Buf>(detector: &mut Detector, data: &D) -> Verdict {
    let whole = data.chunk();
    if whole.len() == data.remaining() {
        return detector.push(whole);
    }
    let mut pieces = [IoSlice::new(&[]); PIECES];
    let count = data.chunks_vectored(&mut pieces);
    let mut seen = 0;
    for piece in &pieces[..count] {
        seen += piece.len();
        let verdict = detector.push(piece);
        if verdict != Verdict::More {
            return verdict;
        }
    }
    if seen < data.remaining() {
        // The rest of this frame cannot be seen without taking it apart, and what follows makes no sense without it.
        return detector.finish();
    }
    Verdict::More
}

impl<R: Body + Unpin> Body for ResponseBody<R> {
    type Data = R::Data;
    type Error = R::Error;

    #[inline]
    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<R::Data>, R::Error>>> {
        let this = &mut *self;
        if !this.passes {
            return this.poll_held();
        }
        // Changed where it stands: moving a frame costs more than all else.
        let mut polled = Pin::new(&mut this.inner).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &mut polled {
            if frame.is_trailers() {
                this.clean(frame);
            }
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.holds_nothing() && (self.ended || self.inner.is_end_stream())
    }

    /// What the inner body said at this point, so that a server above writes the same framing. Its hint of now plus
    /// what is held would not do: a body of unknown length that is known to be over has an exact one, and trailers
    /// have no place behind the `Content-Length` made of it.
    fn size_hint(&self) -> SizeHint {
        if self.passes {
            return self.inner.size_hint();
        }
        if let Some(first) = &self.first {
            return first.hint;
        }
        let held = self.more.as_ref().and_then(|more| {
            let frame = more.frames.front().map(|frame| &frame.hint);
            frame.or_else(|| more.error.as_ref().map(|error| &error.hint))
        });
        held.copied().unwrap_or_else(|| self.inner.size_hint())
    }
}

// Nothing is pinned in place: the inner body is polled through `Pin::new`, which `R: Unpin` allows, and frames are
// plain values.
impl<R: Body + Unpin> Unpin for ResponseBody<R> {}

impl<R: Body + Default> Default for ResponseBody<R> {
    fn default() -> Self {
        Self::untouched(R::default())
    }
}

impl<R: Body> fmt::Debug for ResponseBody<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseBody")
            .field("outcome", &self.outcome)
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}
