//! Keeping one caller's answers out of shared caches.

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{CACHE_CONTROL, CONNECTION, Entry},
};

/// Makes the answer private (RFC 9111): a browser may keep it as before, a shared cache may not.
pub(crate) fn make_private(headers: &mut HeaderMap) {
    // One walk over the names costs less than a hashed look-up for each.
    let found = headers.keys().fold(0, |found, name| found | kind(name));
    if found & TARGETED != 0 {
        remove_targeted(headers);
    }
    if found & NAMES_FIELDS != 0 {
        take_out_of_connection(headers);
    }
    if found & FOR_ALL != 0 {
        restrict(headers);
    } else {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("private"));
    }
}

/// `Cache-Control`.
const FOR_ALL: u8 = 1;
/// What some caches read in place of `Cache-Control`.
const TARGETED: u8 = 1 << 1;
/// `Connection`.
const NAMES_FIELDS: u8 = 1 << 2;

static EDGE_CONTROL: HeaderName = HeaderName::from_static("edge-control");
static X_ACCEL_EXPIRES: HeaderName = HeaderName::from_static("x-accel-expires");
static SURROGATE_CONTROL: HeaderName = HeaderName::from_static("surrogate-control");

/// What a header is to caches. Nearly all names are told from those that matter by their length.
#[inline]
fn kind(name: &HeaderName) -> u8 {
    match name.as_str().len() {
        10 if *name == CONNECTION => NAMES_FIELDS,
        13 if *name == CACHE_CONTROL => FOR_ALL,
        // Akamai's, nginx's, and that of the Edge Architecture and Fastly.
        12 if *name == EDGE_CONTROL => TARGETED,
        15 if *name == X_ACCEL_EXPIRES => TARGETED,
        17 if *name == SURROGATE_CONTROL => TARGETED,
        // `CDN-Cache-Control` (RFC 9213), and those of Akamai, Cloudflare, Netlify, Vercel, LiteSpeed.
        15.. if name.as_str().ends_with("-cache-control") => TARGETED,
        _ => 0,
    }
}

/// Makes the `Cache-Control` that there is private.
fn restrict(headers: &mut HeaderMap) {
    let Entry::Occupied(mut lines) = headers.entry(CACHE_CONTROL) else {
        return;
    };
    let is_one = lines.iter().nth(1).is_none();
    let private = match lines.get().as_bytes() {
        // Nearly always: what there is stays as it is, behind `private`.
        line @ [b'a'..=b'z', ..] if is_one && is_ordinary(line) => joined(&[PRIVATE, line]),
        _ => {
            let directives = lines.iter().flat_map(|line| elements(line.as_bytes()));
            let mut kept = vec![PRIVATE];
            for directive in directives {
                match role(directive) {
                    Role::NoStore => return,
                    Role::GivesWay => {}
                    Role::Other => kept.push(directive),
                }
            }
            joined(&kept)
        }
    };
    lines.insert(private.unwrap_or(HeaderValue::from_static("private")));
}

const PRIVATE: &[u8] = b"private";

/// Whether nothing but `private` is to be added. A comma within quotes parts nothing, and is taken for one that does: then a
/// closer look is taken.
fn is_ordinary(line: &[u8]) -> bool {
    let mut pieces = line.split(|byte| *byte == b',');
    pieces.all(|piece| role(piece.trim_ascii_start()) == Role::Other)
}

/// What a directive is beside `private`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    /// Shuts all caches out already.
    NoStore,
    /// Lets shared caches in. `private="X"` does, for it keeps no more than the field X out of them.
    GivesWay,
    Other,
}

#[inline]
fn role(directive: &[u8]) -> Role {
    let is = |name: &[u8]| {
        let behind = directive.get(name.len()..).map(<[u8]>::trim_ascii_start);
        behind.is_some_and(|rest| matches!(rest.first(), None | Some(b'=')))
            && directive[..name.len()].eq_ignore_ascii_case(name)
    };
    // Few directives begin like these.
    match directive.first() {
        Some(b'n' | b'N') if is(b"no-store") => Role::NoStore,
        Some(b'p' | b'P') if is(PRIVATE) || is(b"public") => Role::GivesWay,
        Some(b's' | b'S') if is(b"s-maxage") => Role::GivesWay,
        _ => Role::Other,
    }
}

#[cold]
fn remove_targeted(headers: &mut HeaderMap) {
    while let Some(name) = headers.keys().find(|name| kind(name) == TARGETED).cloned() {
        headers.remove(name);
    }
}

/// A proxy above takes off what `Connection` names: our `Cache-Control` must not be among it.
#[cold]
fn take_out_of_connection(headers: &mut HeaderMap) {
    let is_ours = |element: &[u8]| element.eq_ignore_ascii_case(b"cache-control");
    let values = || headers.get_all(CONNECTION).iter();
    let all = || values().flat_map(|value| elements(value.as_bytes()));
    if !all().any(is_ours) {
        return;
    }
    let others: Vec<&[u8]> = all().filter(|element| !is_ours(element)).collect();
    match joined(&others).filter(|_| !others.is_empty()) {
        Some(others) => headers.insert(CONNECTION, others),
        None => headers.remove(CONNECTION),
    };
}

/// The elements as one list. They are parts of header values, so the list is one.
fn joined(elements: &[&[u8]]) -> Option<HeaderValue> {
    HeaderValue::from_maybe_shared(bytes::Bytes::from(elements.join(&b", "[..]))).ok()
}

/// The elements of one field line's list, split at the commas outside quotes.
fn elements(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut is_quoted = false;
    let mut is_escaped = false;
    value
        .split(move |byte| {
            let is_comma = *byte == b',' && !is_quoted;
            if *byte == b'"' && !is_escaped {
                is_quoted = !is_quoted;
            }
            is_escaped = is_quoted && *byte == b'\\' && !is_escaped;
            is_comma
        })
        .map(<[u8]>::trim_ascii)
        .filter(|element| !element.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made_private(lines: &[&str]) -> Vec<String> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(CACHE_CONTROL, HeaderValue::from_str(line).unwrap());
        }
        make_private(&mut headers);
        let values = headers.get_all(CACHE_CONTROL).iter();
        values
            .map(|value| value.to_str().unwrap().to_owned())
            .collect()
    }

    #[test]
    fn shared_caches_are_shut_out_and_the_browser_keeps_its_copy() {
        for (before, after) in [
            (&[][..], "private"),
            (&["public, max-age=300"], "private, max-age=300"),
            (&["max-age=300", "Public"], "private, max-age=300"),
            (&["s-maxage=60,max-age=5"], "private, max-age=5"),
            (&["private, max-age=0"], "private, max-age=0"),
            (
                &["private=\"set-cookie, x\", max-age=9"],
                "private, max-age=9",
            ),
            (
                &["no-cache=\"a\\\",public\", public"],
                "private, no-cache=\"a\\\",public\"",
            ),
            (&["no-store"], "no-store"),
            (&["NO-STORE, max-age=0"], "NO-STORE, max-age=0"),
            (&[", ,"], "private"),
        ] {
            assert_eq!(made_private(before), [after], "{before:?}");
        }
    }

    #[test]
    fn what_delivery_networks_read_in_its_place_is_gone() {
        for name in [
            "cdn-cache-control",
            "akamai-cache-control",
            "cloudflare-cdn-cache-control",
            "netlify-cdn-cache-control",
            "vercel-cdn-cache-control",
            "x-litespeed-cache-control",
            "surrogate-control",
            "edge-control",
            "x-accel-expires",
        ] {
            for own in [None, Some("max-age=5"), Some("no-store")] {
                let mut headers = HeaderMap::new();
                let cached = HeaderValue::from_static("public, max-age=300");
                headers.append(name, cached.clone());
                headers.append(name, cached);
                headers.extend(own.map(|own| (CACHE_CONTROL, HeaderValue::from_static(own))));
                make_private(&mut headers);
                assert!(!headers.contains_key(name), "{name} beside {own:?}");
            }
        }
    }

    #[test]
    fn a_connection_takes_our_cache_control_off_nowhere() {
        for (before, after) in [
            (&["cache-control"][..], None),
            (&["close, Cache-Control"], Some("close")),
            (
                &["Cache-Control,X-Mine", "x-other"],
                Some("X-Mine, x-other"),
            ),
            (&["close"], Some("close")),
            (&["x-cache-control"], Some("x-cache-control")),
        ] {
            for own in [None, Some("max-age=5"), Some("no-store")] {
                let mut headers = HeaderMap::new();
                for value in before {
                    headers.append(CONNECTION, HeaderValue::from_static(value));
                }
                headers.extend(own.map(|own| (CACHE_CONTROL, HeaderValue::from_static(own))));
                make_private(&mut headers);
                let left = headers.get(CONNECTION).map(|value| value.to_str().unwrap());
                assert_eq!(left, after, "{before:?} beside {own:?}");
                assert!(headers.contains_key(CACHE_CONTROL));
            }
        }
    }
}
