//! What a record is about: which tokens it holds and whose. Names a record, and is sealed into it.

use secrecy::zeroize::Zeroizing;

use crate::{credential::Fingerprint, shared_cache::keys::Key, token::Owner};

/// What a source gets tokens for, apart from whose they are.
#[derive(Clone, Debug)]
pub(crate) enum About {
    /// The site the layer asks for, with tokens bound like this.
    Site { binding: String },
    /// A portal's own login, bound like this: serves all sites whose servers it owns.
    Portal { binding: String },
    /// Logins at one token service, whatever they are for: they take turns, and share what was refused.
    Turn { service: String },
}

/// One record's subject: all that must be the same for two processes to share.
#[derive(Clone)]
pub(super) struct Subject {
    /// Names an account and, where nothing else tells accounts apart, holds a secret.
    bytes: Zeroizing<Vec<u8>>,
    /// Account and secret together, where the source can tell them.
    credential: Option<Zeroizing<Vec<u8>>>,
}

impl Subject {
    pub(super) fn new(about: &About, owner: &Owner, fingerprint: &Fingerprint) -> Self {
        let caller = owner.identity.as_ref().map(|caller| caller.as_str());
        let (kind, place, binding, caller) = match about {
            About::Site { binding } => ("site", &*owner.site, &**binding, caller),
            About::Portal { binding } => ("portal", &*owner.site, &**binding, caller),
            // ArcGIS counts failures by account, whoever it logs in for.
            About::Turn { service } => ("turn", &**service, "", None),
        };
        let (account, secret) = fingerprint.parts();
        let is_known = fingerprint.is_known();
        let mut bytes = Zeroizing::new(Vec::with_capacity(1024));
        for part in [kind, place, binding] {
            add(&mut bytes, part.as_bytes());
        }
        // A portal's login that is wrapped runs within that of a site at the same URL, and has a lock of its own. Turns are
        // within neither.
        let is_portals = owner.is_portal() && kind != "turn";
        add(&mut bytes, &[u8::from(is_portals)]);
        // No caller is not a caller without a name.
        add(&mut bytes, &[u8::from(caller.is_some())]);
        add(&mut bytes, caller.unwrap_or_default().as_bytes());
        add(&mut bytes, account);
        if account.is_empty() {
            // An API key is all there is to tell its account by.
            add(&mut bytes, secret);
        }
        let credential = is_known.then(|| {
            let mut credential = Zeroizing::new(Vec::with_capacity(1024));
            add(&mut credential, account);
            add(&mut credential, secret);
            credential
        });
        Self { bytes, credential }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What the credential is recognised by; `None` while it cannot be told.
    pub(super) fn digest(&self, key: &Key) -> Option<u32> {
        self.credential.as_ref().map(|bytes| key.digest(bytes))
    }
}

/// With its length before it, so that no two lists of parts are spelled alike.
fn add(to: &mut Vec<u8>, part: &[u8]) {
    to.extend((part.len() as u64).to_le_bytes());
    to.extend(part);
}
