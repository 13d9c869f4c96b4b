//! Keeping one caller's answers out of shared caches.

use http::{HeaderMap, HeaderName, HeaderValue, header::CACHE_CONTROL};

/// What content delivery networks read in place of `Cache-Control` (RFC 9213, and what came before it).
const TARGETED: [HeaderName; 2] = [
    HeaderName::from_static("cdn-cache-control"),
    HeaderName::from_static("surrogate-control"),
];

/// Makes the answer private (RFC 9111): a browser may keep it as before, a shared cache may not.
pub(crate) fn make_private(headers: &mut HeaderMap) {
    for name in &TARGETED {
        headers.remove(name);
    }
    if !headers.contains_key(CACHE_CONTROL) {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("private"));
        return;
    }
    let mut kept = Vec::new();
    for value in headers.get_all(CACHE_CONTROL) {
        for directive in directives(value.as_bytes()) {
            let name = directive.split(|byte| *byte == b'=').next();
            let name = name.unwrap_or_default().trim_ascii();
            if name.eq_ignore_ascii_case(b"no-store") {
                return;
            }
            // `private="X"` keeps no more than the field X out of a cache.
            let gives_way = [&b"private"[..], b"public", b"s-maxage"];
            if !gives_way
                .iter()
                .any(|other| name.eq_ignore_ascii_case(other))
            {
                kept.push(directive);
            }
        }
    }
    let mut text = b"private".to_vec();
    for directive in kept {
        text.extend(b", ");
        text.extend(directive);
    }
    // It is made of header values, so it is one.
    let value = HeaderValue::from_maybe_shared(bytes::Bytes::from(text))
        .unwrap_or(HeaderValue::from_static("private"));
    headers.insert(CACHE_CONTROL, value);
}

/// The directives of one field line, split at the commas outside quotes.
fn directives(value: &[u8]) -> impl Iterator<Item = &[u8]> {
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
        .filter(|directive| !directive.is_empty())
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
        for name in ["cdn-cache-control", "surrogate-control"] {
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
}
