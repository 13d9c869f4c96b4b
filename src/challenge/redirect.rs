//! Where people sign in, known by an address: ArcGIS's own sign-in pages by their paths, the identity providers in
//! front of it by the protocols they speak.

use crate::{challenge::ends_with, url::is_login_page};

/// Whether this `Location` is a sign-in page.
pub(super) fn is_login(location: &[u8]) -> bool {
    let target = Target::of(location);
    is_login_page(target.path)
        || target.is_identity_provider()
        || (target.is_authorize() && target.has_parameter("client_id"))
}

/// An address that a form is sent to, or a redirect leads to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Target<'a> {
    /// Without a trailing slash or session id.
    path: &'a [u8],
    query: &'a [u8],
}

impl<'a> Target<'a> {
    /// Takes a reference apart, absolute or not.
    pub(super) fn of(reference: &'a [u8]) -> Self {
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
        Self { path, query }
    }

    /// Whether a form with a password that is sent here signs a person in. On a page of ArcGIS's own (`arcgis`) a
    /// relative `login` will do; elsewhere that may be anything.
    pub(super) fn takes_password(self, arcgis: bool) -> bool {
        is_login_page(self.path)
            || (arcgis && matches!(self.path, b"login" | b"./login" | b"../login"))
            || self.is_identity_provider()
    }

    /// Whether OAuth 2 or OpenID Connect begins here: providers differ in what is before the last segment, and in its
    /// name only so far.
    pub(super) fn is_authorize(self) -> bool {
        let mut segments = self.path.rsplit(|byte| *byte == b'/');
        let last = segments.next().unwrap_or_default();
        let is = |segment: &[u8], name: &str| segment.eq_ignore_ascii_case(name.as_bytes());
        is(last, "authorize")
            || is(last, "authorization.oauth2")
            || (is(last, "auth")
                && segments.any(|segment| {
                    ["openid-connect", "oauth2", "oauth", "oidc"]
                        .into_iter()
                        .any(|name| is(segment, name))
                }))
    }

    pub(super) fn has_parameter(self, name: &str) -> bool {
        self.parameters()
            .any(|(key, value)| key.eq_ignore_ascii_case(name.as_bytes()) && !value.is_empty())
    }

    /// SAML and WS-Federation, by the parameters they cannot do without; AD FS's end point, which serves nothing else.
    fn is_identity_provider(self) -> bool {
        ends_with(self.path, b"/adfs/ls")
            || ends_with(self.path, b"/adfs/ls/idpinitiatedsignon.aspx")
            || self
                .parameters()
                .any(|(key, value)| asks_identity_provider(key, value))
    }

    fn parameters(self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        self.query.split(|byte| *byte == b'&').map(|pair| {
            let key = before(pair, b'=');
            (key, pair.get(key.len() + 1..).unwrap_or_default())
        })
    }
}

/// Whether this parameter of a query, or field of a form, asks an identity provider to sign a person in.
pub(super) fn asks_identity_provider(name: &[u8], value: &[u8]) -> bool {
    (name.eq_ignore_ascii_case(b"SAMLRequest") && !value.is_empty())
        || (name.eq_ignore_ascii_case(b"wa") && value.eq_ignore_ascii_case(b"wsignin1.0"))
}

/// The part before the first `byte`, or all.
fn before(text: &[u8], byte: u8) -> &[u8] {
    &text[..memchr::memchr(byte, text).unwrap_or(text.len())]
}
