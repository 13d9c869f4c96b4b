//! What has been decoded: a flat buffer, so that no window is needed.

use super::sink::{FIRST_STEP, Sink};
use crate::challenge::{LOOK, Verdict};

#[derive(Debug)]
pub(super) struct Output {
    /// What an earlier body left behind `at` is never read.
    bytes: [u8; LOOK as usize],
    at: usize,
    /// How much the sink has seen.
    shown: usize,
    /// How much it sees next.
    step: usize,
    /// Where the part begins that is coded by itself: nothing in it refers to what is before it.
    part: usize,
}

impl Default for Output {
    fn default() -> Self {
        Self {
            bytes: [0; LOOK as usize],
            at: 0,
            shown: 0,
            step: FIRST_STEP,
            part: 0,
        }
    }
}

impl Output {
    pub(super) fn start(&mut self) {
        self.at = 0;
        self.shown = 0;
        self.step = FIRST_STEP;
    }

    pub(super) fn start_part(&mut self) {
        self.part = self.at;
    }

    pub(super) fn is_full(&self) -> bool {
        self.at == self.bytes.len()
    }

    /// Whether it is time to show what there is.
    pub(super) fn is_due(&self) -> bool {
        self.at - self.shown >= self.step
    }

    pub(super) fn step(&self) -> usize {
        self.step
    }

    pub(super) fn show(&mut self, sink: &mut impl Sink) -> Verdict {
        let new = &self.bytes[self.shown..self.at];
        if new.is_empty() {
            return Verdict::More;
        }
        self.shown = self.at;
        self.step = LOOK.into();
        sink(new)
    }

    /// Lets `write` fill the place of the next `len` bytes, or of as many as the look still takes. Where it fails,
    /// nothing is added.
    pub(super) fn write(
        &mut self,
        len: usize,
        write: impl FnOnce(&mut [u8]) -> Option<()>,
    ) -> Option<()> {
        let end = self.at + len.min(self.bytes.len() - self.at);
        write(&mut self.bytes[self.at..end])?;
        self.at = end;
        Some(())
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        let now = bytes.len().min(self.bytes.len() - self.at);
        self.bytes[self.at..][..now].copy_from_slice(&bytes[..now]);
        self.at += now;
    }

    pub(super) fn fill(&mut self, byte: u8, len: usize) {
        let now = len.min(self.bytes.len() - self.at);
        self.bytes[self.at..][..now].fill(byte);
        self.at += now;
    }

    /// Repeats what is `offset` bytes back; `None` where the part did not begin yet.
    pub(super) fn repeat(&mut self, offset: usize, len: usize) -> Option<()> {
        if offset == 0 || offset > self.at - self.part {
            return None;
        }
        let source = self.at - offset;
        let end = self.at + len.min(self.bytes.len() - self.at);
        while self.at < end {
            // A copy may run into itself; then it goes on with what it has just written.
            let now = (self.at - source).min(end - self.at);
            self.bytes.copy_within(source..source + now, self.at);
            self.at += now;
        }
        Some(())
    }
}
