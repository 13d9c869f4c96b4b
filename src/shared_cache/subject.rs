//! What a record is about: whose tokens or logins it holds. Names a record, and is sealed into it.

use std::sync::Arc;

use secrecy::zeroize::Zeroizing;

use crate::{
    credential::{Fingerprint, add_part},
    token::Owner,
};

/// What a source gets tokens for, apart from whose they are.
#[derive(Clone, Debug)]
pub(crate) enum About {
    /// The site the layer asks for, with tokens bound like this.
    Site { binding: String },
    /// A portal's own login, bound like this: serves all sites whose servers it owns.
    Portal { binding: String },
}

/// One record's subject: all that must be the same for two processes to share.
#[derive(Clone, PartialEq)]
pub(super) struct Subject(Arc<Zeroizing<Vec<u8>>>);

impl Subject {
    /// The tokens of `owner`, for the account in `fingerprint`.
    pub(super) fn tokens(about: &About, owner: &Owner, fingerprint: &Fingerprint) -> Self {
        let (kind, binding) = match about {
            About::Site { binding } => (&b"site"[..], binding),
            About::Portal { binding } => (&b"portal"[..], binding),
        };
        let identity = owner.identity.as_ref().map(|identity| identity.as_str());
        let (account, only_secret) = account_of(fingerprint);
        Self(Arc::new(encoded(&[
            kind,
            owner.site.as_bytes(),
            binding.as_bytes(),
            // A portal's login that is wrapped runs within that of a site at the same URL, which is another one.
            &[u8::from(owner.is_portal)],
            // No identity is not an identity without a name.
            &[u8::from(identity.is_some())],
            identity.unwrap_or_default().as_bytes(),
            account,
            only_secret,
        ])))
    }

    /// The logins with the user name in `fingerprint`.
    pub(super) fn history(fingerprint: &Fingerprint) -> Self {
        let (account, only_secret) = account_of(fingerprint);
        Self(Arc::new(encoded(&[b"history", account, only_secret])))
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// The account, and the secret only where that is all there is to tell the account by, as with an API key.
fn account_of(fingerprint: &Fingerprint) -> (&[u8], &[u8]) {
    let (account, secret) = fingerprint.parts();
    (account, if account.is_empty() { secret } else { &[] })
}

/// Each part with its length before it, so that no two lists of parts are spelled alike.
pub(super) fn encoded(parts: &[&[u8]]) -> Zeroizing<Vec<u8>> {
    let length = parts.iter().map(|part| size_of::<u64>() + part.len()).sum();
    let mut bytes = Zeroizing::new(Vec::with_capacity(length));
    for part in parts {
        add_part(&mut bytes, part);
    }
    bytes
}
