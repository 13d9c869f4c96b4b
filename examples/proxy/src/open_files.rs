//! How many connections the open-file limit leaves room for.

/// Where nothing limits it.
const DEFAULT_PLACES: usize = 1024;

/// How many places there are for connections: as many as are `asked_for`, or what the limit leaves room for.
#[cfg(unix)]
pub(crate) fn places(asked_for: Option<usize>) -> usize {
    use rustix::process::{Resource, getrlimit};

    /// The proxy's own files: its log, its listening socket, its logins, its cache.
    const OWN: u64 = 32;

    let limit = getrlimit(Resource::Nofile).current;
    // The caller's socket, and one towards the upstream.
    let room = limit.map(|limit| limit.saturating_sub(OWN) / 2);
    let room = room.map_or(usize::MAX, |room| {
        usize::try_from(room).unwrap_or(usize::MAX)
    });
    let wanted = asked_for.unwrap_or(DEFAULT_PLACES);
    if room < wanted {
        tracing::warn!(
            open_files = limit,
            connections = room.max(1),
            "the open-file limit leaves room for less than {wanted} connections; raise it with `ulimit -n`, or with \
             LimitNOFILE= in a systemd unit"
        );
    }
    wanted.min(room.max(1))
}

/// How many places there are for connections.
#[cfg(not(unix))]
pub(crate) fn places(asked_for: Option<usize>) -> usize {
    asked_for.unwrap_or(DEFAULT_PLACES)
}
