//! What came of what is recorded, where the library has no name for it of its own.

/// What came of a search in the shared cache.
#[cfg(feature = "shared-cache")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lookup {
    Hit,
    Miss,
    Error,
}

/// What came of a request that was sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resent {
    Answered,
    Challenged,
    Failed,
}
