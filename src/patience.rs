//! How long anything is waited for that should have ended by itself.

use std::time::Duration;

/// What has not ended by itself this long after its time is on a runtime that nobody drives.
pub(crate) const GIVEN_UP_AFTER: Duration = Duration::from_secs(1);

/// A day is for ever, and sums of it do not overflow.
pub(crate) const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);
