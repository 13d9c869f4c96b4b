//! Form bodies that are read before they are sent, to see whether the caller put a token of its own in one.

use std::{
    collections::VecDeque,
    task::{Context, Poll, ready},
};

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame};

use super::frames::poll_bytes;
use crate::error::BoxError;

/// A form that is being read. It stops at its limit, whatever length was declared.
pub(crate) struct FormReader<B> {
    form: ReadForm<B>,
    limit: usize,
    length: usize,
}

/// What was read of a form: all of it, or as much as there was before it failed or grew too long.
pub(crate) struct ReadForm<B> {
    pub(super) frames: VecDeque<Frame<Bytes>>,
    /// The body, where it has not ended.
    pub(super) rest: Option<B>,
    pub(super) error: Option<BoxError>,
}

impl<B> FormReader<B> {
    pub(crate) fn new(body: B, limit: usize) -> Self {
        Self {
            form: ReadForm {
                frames: VecDeque::new(),
                rest: Some(body),
                error: None,
            },
            limit,
            length: 0,
        }
    }

    pub(crate) fn into_form(self) -> ReadForm<B> {
        self.form
    }
}

impl<B> FormReader<B>
where
    B: Body + Unpin,
    B::Error: Into<BoxError>,
{
    /// Reads on to the end, to an error, or beyond the limit.
    pub(crate) fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<()> {
        while let Some(body) = self
            .form
            .rest
            .as_mut()
            .filter(|_| self.length <= self.limit)
        {
            match ready!(poll_bytes(body, context)) {
                Some(Ok(frame)) => {
                    self.length += frame.data_ref().map_or(0, Bytes::len);
                    self.form.frames.push_back(frame);
                }
                Some(Err(error)) => {
                    self.form.error = Some(error);
                    self.form.rest = None;
                }
                None => self.form.rest = None,
            }
        }
        Poll::Ready(())
    }
}

impl<B> ReadForm<B> {
    /// The form's text, where all of it was read.
    pub(crate) fn text(&self) -> Option<Bytes> {
        if !self.is_whole() {
            return None;
        }
        let mut data = self.frames.iter().filter_map(Frame::data_ref);
        let (first, second) = (data.next(), data.next());
        Some(match (first, second) {
            (first, None) => first.cloned().unwrap_or_default(),
            (first, second) => first
                .into_iter()
                .chain(second)
                .chain(data)
                .fold(BytesMut::new(), |mut text, piece| {
                    text.extend_from_slice(piece);
                    text
                })
                .freeze(),
        })
    }

    /// How long its text is in bytes, where all of it was read.
    pub(crate) fn length(&self) -> Option<u64> {
        let data = self.frames.iter().filter_map(Frame::data_ref);
        let length = data.map(|data| data.len() as u64).sum();
        self.is_whole().then_some(length)
    }

    /// Puts another text in the form's place.
    pub(crate) fn replace(&mut self, text: Bytes) {
        self.frames.retain(|frame| !frame.is_data());
        self.frames.push_front(Frame::data(text));
    }

    pub(crate) fn is_whole(&self) -> bool {
        self.rest.is_none() && self.error.is_none()
    }
}
