//! Data in pieces, and buffers that are counted.

use std::{
    collections::VecDeque,
    io::IoSlice,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::{Buf, Bytes};

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
