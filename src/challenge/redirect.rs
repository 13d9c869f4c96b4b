//! Redirects to a sign-in page, known by the path of their `Location`.

use crate::challenge::ends_with;

/// Ends of paths that are sign-in pages of ArcGIS Server, Portal and ArcGIS Online.
const LOGIN_PATHS: [&[u8]; 7] = [
    b"/rest/login",
    b"/admin/login",
    b"/portaladmin/login",
    b"/sharing/login",
    b"/oauth2/signin",
    b"/home/signin.html",
    b"/home/signin",
];

/// Whether this `Location` is a sign-in page.
pub(super) fn is_login(location: &[u8]) -> bool {
    let (path, query) = split(location);
    LOGIN_PATHS.iter().any(|end| ends_with(path, end))
        || is_authorize(path)
        || is_identity_provider(path, query)
}

/// Whether a form that is sent to this URL signs somebody in. On a page of ArcGIS's own (`arcgis`) a
/// relative `login` will do; elsewhere that is anybody's.
pub(super) fn is_login_target(action: &[u8], arcgis: bool) -> bool {
    let (path, query) = split(action);
    LOGIN_PATHS.iter().any(|end| {
        // A relative reference has no slash in front.
        ends_with(path, end)
            || end
                .get(1..)
                .is_some_and(|end| path.eq_ignore_ascii_case(end))
    }) || (arcgis && matches!(path, b"login" | b"./login" | b"../login"))
        || is_identity_provider(path, query)
}

/// `/oauth2/authorize`, and with a version in between, as other identity providers have it.
fn is_authorize(path: &[u8]) -> bool {
    let mut segments = path.rsplit(|byte| *byte == b'/');
    let mut next = || segments.next().unwrap_or_default();
    if !next().eq_ignore_ascii_case(b"authorize") {
        return false;
    }
    let parent = next();
    parent.eq_ignore_ascii_case(b"oauth2")
        || (matches!(parent, [b'v' | b'V', b'0'..=b'9', ..])
            && next().eq_ignore_ascii_case(b"oauth2"))
}

/// ADFS by its path; SAML and WS-Federation by the parameters they cannot do without.
fn is_identity_provider(path: &[u8], query: &[u8]) -> bool {
    ends_with(path, b"/adfs/ls")
        || ends_with(path, b"/adfs/ls/idpinitiatedsignon.aspx")
        || query.split(|byte| *byte == b'&').any(|pair| {
            let at = pair.iter().position(|byte| *byte == b'=');
            let (key, value) = pair.split_at(at.unwrap_or(pair.len()));
            (key.eq_ignore_ascii_case(b"SAMLRequest") && value.len() > 1)
                || (key.eq_ignore_ascii_case(b"wa") && value.eq_ignore_ascii_case(b"=wsignin1.0"))
        })
}

/// Takes path and query out of a reference, absolute or not; the path without a trailing slash or
/// session id.
fn split(reference: &[u8]) -> (&[u8], &[u8]) {
    let reference = reference.trim_ascii();
    let reference = before(reference, b'#');
    let full = before(reference, b'?');
    let query = reference.get(full.len() + 1..).unwrap_or_default();

    // Anything else with a colon is not followed by browsers as a page either.
    let rest = match memchr::memmem::find(full, b"://") {
        Some(at) if !full[..at].contains(&b'/') => &full[at + 1..],
        _ => full,
    };
    let path = match rest.strip_prefix(b"//") {
        Some(authority) => &authority[before(authority, b'/').len()..],
        None => rest,
    };
    let mut path = before(path, b';');
    while let Some(shorter) = path.strip_suffix(b"/") {
        path = shorter;
    }
    (path, query)
}

/// The part before the first `byte`, or all.
fn before(text: &[u8], byte: u8) -> &[u8] {
    &text[..memchr::memchr(byte, text).unwrap_or(text.len())]
}
