//! The `expiration` field: how long a token is to live.

use std::time::Duration;

use crate::request_parts::Fields;

/// An `expiration` that is no number of minutes above zero.
#[derive(Debug)]
pub(crate) struct Invalid;

/// The life asked for; none if the request leaves it open.
pub(crate) fn asked_for(form: &Fields) -> Result<Option<Duration>, Invalid> {
    match form.get("expiration").map(str::parse::<u64>) {
        None => Ok(None),
        Some(Ok(minutes)) if minutes > 0 => {
            Ok(Some(Duration::from_secs(minutes.saturating_mul(60))))
        }
        Some(_) => Err(Invalid),
    }
}
