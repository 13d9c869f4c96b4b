//! br, by `brotli-decompressor`, with an allocator that hands out a fixed amount and keeps what it gets back.

use brotli_decompressor::{
    Allocator, BrotliDecompressStream, BrotliResult, BrotliState, HuffmanCode, SliceWrapper,
    SliceWrapperMut,
};

use super::sink::Sink;
use crate::challenge::{LOOK, Verdict};

/// The largest window that is decoded, as a power of two: 8 MiB.
const MAX_WINDOW: u32 = 23;
/// The buffer that is used in its place, as a power of two: as long as the look, for it ends where the buffer is full.
const BUFFER: u32 = LOOK.ilog2();
/// How much is decoded at a time. Pieces of always the same bytes, because what the decoder has put out when it meets
/// broken data depends on how they came; short ones, because what is not yet a piece waits for more.
const PIECE: usize = 16;
/// How much of each kind of memory is handed out for one body, in bytes. Tables for 256 codes of each kind, which the
/// format allows, would be more than 1 MiB; what encoders make of answers takes a tenth of this.
const MAX_BYTES: usize = 96 << 10;
const MAX_INDEXES: usize = 16 << 10;
const MAX_CODES: usize = 704 << 10;
/// How much a thread keeps for its next body. Together with the others it is less than 1 MiB.
const MAX_KEPT: usize = 192 << 10;

type State = BrotliState<Pool<u8>, Pool<u32>, Pool<HuffmanCode>>;

/// Decodes br as it arrives.
pub(in crate::challenge) struct Brotli {
    stage: Stage,
    state: State,
    piece: [u8; PIECE],
    have: usize,
}

#[derive(Clone, Copy, Debug)]
enum Stage {
    /// The first byte says how large the window is.
    Window,
    Data,
    /// Not coded at all, whatever the header says: some proxies decode and leave the header.
    Plain,
    /// The data ended, or are broken, or need more memory than a look may take.
    Over,
}

impl Default for Brotli {
    fn default() -> Self {
        Self {
            stage: Stage::Over,
            state: State::new_strict(Pool::default(), Pool::default(), Pool::default()),
            piece: [0; PIECE],
            have: 0,
        }
    }
}

impl Brotli {
    /// Gets ready for the start of a body. The decoder is new, or cleared.
    pub(super) fn start(&mut self) {
        self.stage = Stage::Window;
        self.have = 0;
        self.state.alloc_u8.left = MAX_BYTES;
        self.state.alloc_u32.left = MAX_INDEXES;
        self.state.alloc_hc.left = MAX_CODES;
    }

    pub(super) fn is_over(&self) -> bool {
        matches!(self.stage, Stage::Over)
    }

    pub(super) fn push(&mut self, mut bytes: &[u8], mut sink: impl Sink) -> Verdict {
        if let (Stage::Window, Some(&first)) = (self.stage, bytes.first()) {
            // Neither can begin a stream with something in it: behind the size of the window, one is an empty stream
            // with padding that is not zero, the other a block with a reserved bit set.
            if matches!(first, b'{' | b'<') {
                self.stage = Stage::Plain;
            } else {
                self.start_data(first);
                bytes = &bytes[1..];
            }
        }
        if let Stage::Plain = self.stage {
            return sink(bytes);
        }
        while let Stage::Data = self.stage {
            let now = bytes.len().min(PIECE - self.have);
            self.piece[self.have..][..now].copy_from_slice(&bytes[..now]);
            bytes = &bytes[now..];
            self.have += now;
            if self.have < PIECE {
                break;
            }
            match self.decode(&mut sink) {
                Verdict::More => {}
                verdict => return verdict,
            }
        }
        Verdict::More
    }

    /// Decodes the last piece, which is shorter than the others.
    pub(super) fn finish(&mut self, mut sink: impl Sink) -> Verdict {
        match self.stage {
            Stage::Data => self.decode(&mut sink),
            Stage::Window | Stage::Plain | Stage::Over => Verdict::More,
        }
    }

    fn start_data(&mut self, first: u8) {
        let (mut read, mut written, mut total) = (0, 0, 0);
        let result = BrotliDecompressStream(
            &mut 1,
            &mut read,
            &[first],
            &mut 0,
            &mut written,
            &mut [],
            &mut total,
            &mut self.state,
        );
        self.stage = match (result, self.state.window_bits) {
            (BrotliResult::NeedsMoreInput, ..=MAX_WINDOW) => Stage::Data,
            // Empty, broken, or more than a look may take.
            _ => Stage::Over,
        };
        // No more than the look is decoded into it. How far back copies may reach stays as the window has it.
        self.state.window_bits = self.state.window_bits.min(BUFFER);
    }

    fn decode(&mut self, sink: &mut impl Sink) -> Verdict {
        let (mut left, mut read, mut total) = (self.have, 0, 0);
        self.have = 0;
        loop {
            let mut out = [0; 512];
            let (mut room, mut written) = (out.len(), 0);
            let result = BrotliDecompressStream(
                &mut left,
                &mut read,
                &self.piece,
                &mut room,
                &mut written,
                &mut out,
                &mut total,
                &mut self.state,
            );
            if let BrotliResult::ResultSuccess | BrotliResult::ResultFailure = result {
                self.stage = Stage::Over;
            }
            if written > 0 {
                match sink(&out[..written]) {
                    Verdict::More => {}
                    verdict => return verdict,
                }
            }
            match result {
                BrotliResult::NeedsMoreOutput if written > 0 => {}
                _ => return Verdict::More,
            }
        }
    }

    /// Makes a used decoder a new one that has the memory of the old. False where that is too much to be kept.
    pub(super) fn clear(&mut self) -> bool {
        let state = &mut self.state;
        state.BrotliStateCleanupAfterMetablock();
        state
            .alloc_u8
            .free_cell(std::mem::take(&mut state.ringbuffer));
        let trees = &mut state.block_type_length_state;
        for codes in [
            &mut trees.block_type_trees,
            &mut trees.block_len_trees,
            &mut state.context_map_table,
        ] {
            state.alloc_hc.free_cell(std::mem::take(codes));
        }
        let bytes = std::mem::take(&mut state.alloc_u8);
        let indexes = std::mem::take(&mut state.alloc_u32);
        let codes = std::mem::take(&mut state.alloc_hc);
        let kept = bytes.size() + indexes.size() + codes.size();
        *state = State::new_strict(bytes, indexes, codes);
        kept <= MAX_KEPT
    }
}

/// Memory of one kind.
#[derive(Debug)]
struct Pool<T> {
    /// What came back.
    free: Vec<Cells<T>>,
    /// How much may still be handed out, in bytes. What came back does not count again: so the sum is the same however
    /// much the thread has kept, and the verdict, too.
    left: usize,
}

/// A piece of memory, as long as it was asked for.
#[derive(Debug)]
struct Cells<T>(Vec<T>);

impl<T> Default for Cells<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> SliceWrapper<T> for Cells<T> {
    fn slice(&self) -> &[T] {
        &self.0
    }
}

impl<T> SliceWrapperMut<T> for Cells<T> {
    fn slice_mut(&mut self) -> &mut [T] {
        &mut self.0
    }
}

/// It hands out nothing yet.
impl<T> Default for Pool<T> {
    fn default() -> Self {
        Self {
            free: Vec::new(),
            left: 0,
        }
    }
}

impl<T> Pool<T> {
    /// How much it holds, in bytes.
    fn size(&self) -> usize {
        self.free.iter().map(Cells::size).sum()
    }
}

impl<T> Cells<T> {
    fn size(&self) -> usize {
        self.0.capacity() * size_of::<T>()
    }
}

impl<T: Clone + Default> Allocator<T> for Pool<T> {
    type AllocatedMemory = Cells<T>;

    /// Memory of this length, or none at all where that would be too much: the decoder then gives up.
    fn alloc_cell(&mut self, len: usize) -> Cells<T> {
        let Some(left) = self.left.checked_sub(len.saturating_mul(size_of::<T>())) else {
            return Cells::default();
        };
        self.left = left;
        let fitting = self
            .free
            .iter()
            .enumerate()
            .filter(|(_, cells)| cells.0.capacity() >= len);
        let Some((at, _)) = fitting.min_by_key(|(_, cells)| cells.0.capacity()) else {
            return Cells(vec![T::default(); len]);
        };
        let mut cells = self.free.swap_remove(at);
        cells.0.clear();
        cells.0.resize(len, T::default());
        cells
    }

    fn free_cell(&mut self, cells: Cells<T>) {
        if cells.0.capacity() > 0 {
            self.free.push(cells);
        }
    }
}
