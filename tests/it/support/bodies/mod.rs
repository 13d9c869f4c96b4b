//! Bodies that follow a script and tell how they were used, one that is fed by hand, and ways to watch a body closely.

mod buffers;
mod fed;
mod scripted;
mod seen;

use bytes::Bytes;
use http::HeaderMap;

pub(crate) use self::{
    buffers::{Buffers, Pieces},
    fed::{Fed, fed},
    scripted::{Hint, Log, Scripted, Step},
    seen::{Observed, Seen, data_of, drive, next, observe, poll_once, read, waiting_for},
};

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
