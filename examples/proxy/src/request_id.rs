//! `X-Request-Id`: one name for a request in the logs of all who pass it on.

use std::{
    hash::{BuildHasher, RandomState},
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header::Entry};

pub(crate) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What would fill the logs is none.
const LONGEST: usize = 128;
/// Odd: by its multiples all numbers come, each once, and none is like the one before.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// The caller's name for the request, or a new one, which the request has from now on.
pub(crate) fn of_request(headers: &mut HeaderMap) -> HeaderValue {
    match headers.entry(X_REQUEST_ID) {
        Entry::Occupied(mut given) => {
            if !is_usable(given.get()) {
                given.insert(new());
            }
            given.get().clone()
        }
        Entry::Vacant(none) => none.insert(new()).clone(),
    }
}

fn is_usable(id: &HeaderValue) -> bool {
    let id = id.as_bytes();
    !id.is_empty() && id.len() <= LONGEST && id.iter().all(u8::is_ascii_graphic)
}

/// Another one each time, whatever process makes it.
fn new() -> HeaderValue {
    static START: LazyLock<u64> = LazyLock::new(|| RandomState::new().hash_one("request"));
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let number = COUNT.fetch_add(1, Relaxed).wrapping_mul(STEP);
    let mut number = START.wrapping_add(number);
    let mut text = [0; 16];
    for digit in &mut text {
        number = number.rotate_left(4);
        *digit = b"0123456789abcdef"[(number & 0xf) as usize];
    }
    // Digits are fit for a header. They are copied more than once, and then this is one allocation less.
    let text = Bytes::from_owner(text);
    HeaderValue::from_maybe_shared(text).unwrap_or(HeaderValue::from_static("0"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id_of(given: Option<&str>) -> (HeaderValue, HeaderMap) {
        let mut headers = HeaderMap::new();
        if let Some(given) = given {
            headers.insert(X_REQUEST_ID, HeaderValue::from_str(given).unwrap());
        }
        (of_request(&mut headers), headers)
    }

    #[test]
    fn a_callers_name_is_kept() {
        let (id, headers) = id_of(Some("a-1"));
        assert_eq!(
            (&id, &headers[X_REQUEST_ID]),
            (&HeaderValue::from_static("a-1"), &id)
        );
    }

    #[test]
    fn no_name_and_one_that_is_of_no_use_are_replaced_by_another_each_time() {
        let long = "a".repeat(129);
        let mut seen = std::collections::HashSet::new();
        for given in [None, None, Some(""), Some("a b"), Some(long.as_str())] {
            let (id, headers) = id_of(given);
            assert_eq!(id.len(), 16);
            assert_eq!(headers[X_REQUEST_ID], id);
            assert!(seen.insert(id));
        }
    }
}
