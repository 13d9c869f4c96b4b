//! What a credential is recognised by, without showing it.

use std::{
    fmt,
    hash::{BuildHasher, RandomState},
    sync::LazyLock,
};

use secrecy::{ExposeSecret, zeroize::Zeroizing};

use crate::credential::Secret;

/// What a credential is recognised by: a [`TokenSource`](crate::TokenSource) writes it, and the layer hashes and compares it. Wiped when
/// dropped; never stored or sent as it is.
///
/// ```
/// use tower_arcgis_auth::{Fingerprint, IssuedToken, TokenError, TokenRequest, TokenSource};
///
/// struct Robot { name: String, key: String }
///
/// impl TokenSource for Robot {
///     async fn token(&self, _request: TokenRequest) -> Result<IssuedToken, TokenError> {
///         Err(TokenError::refused("robots may not"))
///     }
///
///     fn fingerprint(&self, fingerprint: &mut Fingerprint) {
///         fingerprint.account(&self.name);
///         fingerprint.secret(&self.key);
///     }
/// }
/// # let _ = Robot { name: String::new(), key: String::new() };
/// ```
pub struct Fingerprint {
    account: Zeroizing<Vec<u8>>,
    secret: Zeroizing<Vec<u8>>,
    is_known: bool,
}

impl Fingerprint {
    pub(crate) fn empty() -> Self {
        Self {
            // Growing would leave copies in memory that are not wiped.
            account: Zeroizing::new(Vec::with_capacity(256)),
            secret: Zeroizing::new(Vec::with_capacity(1024)),
            is_known: true,
        }
    }

    /// A user name and what proves it.
    pub(crate) fn of_login(account: &str, secret: &str) -> Self {
        let mut fingerprint = Self::empty();
        fingerprint.account(account);
        fingerprint.secret(secret);
        fingerprint
    }

    /// Adds the account: what stays the same when a password changes.
    pub fn account(&mut self, part: &str) {
        add_part(&mut self.account, part.as_bytes());
    }

    /// Adds the secret: what changes when the credential does.
    pub fn secret(&mut self, part: &str) {
        add_part(&mut self.secret, part.as_bytes());
    }

    /// Says that the credential is unknown, now or always: that counts as no change.
    pub fn cannot_tell(&mut self) {
        self.is_known = false;
    }

    /// Adds another source's credential: `tell` gets a fingerprint to write it to. Where that credential is
    /// [unknown](Self::cannot_tell), the whole is unknown too and counts as not changed: otherwise a source that knows it only
    /// now and then would look like a credential that changes each time. So with a source whose credential is always unknown,
    /// a refusal lasts its 15 minutes, even if the other parts change.
    ///
    /// ```
    /// use tower_arcgis_auth::{Fingerprint, StaticToken, TokenSource};
    ///
    /// struct Both(StaticToken, StaticToken);
    ///
    /// impl Both {
    ///     fn fingerprint(&self, fingerprint: &mut Fingerprint) {
    ///         self.0.fingerprint(fingerprint);
    ///         fingerprint.also(|second| self.1.fingerprint(second));
    ///     }
    /// }
    /// # let _ = Both::fingerprint;
    /// ```
    pub fn also(&mut self, tell: impl FnOnce(&mut Self)) {
        let mut other = Self::empty();
        tell(&mut other);
        // An account that the source did not name must not look like an empty one.
        if !other.account.is_empty() {
            add_part(&mut self.account, &other.account);
        }
        add_part(&mut self.secret, &other.secret);
        self.is_known &= other.is_known;
    }

    pub(crate) fn account_of(&mut self, secret: &Secret) {
        match secret.read() {
            Ok(text) => self.account(text.expose_secret()),
            Err(_) => self.cannot_tell(),
        }
    }

    pub(crate) fn secret_of(&mut self, secret: &Secret) {
        match secret.read() {
            Ok(text) => self.secret(text.expose_secret()),
            Err(_) => self.cannot_tell(),
        }
    }

    /// A token is its own account: nothing else names one.
    pub(crate) fn token_of(&mut self, token: &Secret) {
        self.account_of(token);
        self.secret_of(token);
    }

    /// The account and the secret.
    pub(crate) fn parts(&self) -> (&[u8], &[u8]) {
        (&self.account, &self.secret)
    }

    /// A number that changes with the credential, and means nothing outside this process; `None` while the credential is
    /// unknown.
    pub(crate) fn hashed(&self) -> Option<u64> {
        static HASHER: LazyLock<RandomState> = LazyLock::new(RandomState::new);
        self.is_known
            .then(|| HASHER.hash_one((self.account.as_slice(), self.secret.as_slice())))
    }
}

/// Adds a part with its length before it, so that no two lists of parts are spelled alike.
pub(crate) fn add_part(to: &mut Vec<u8>, part: &[u8]) {
    to.extend((part.len() as u64).to_le_bytes());
    to.extend(part);
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fingerprint")
            .field("is_known", &self.is_known)
            .finish_non_exhaustive()
    }
}
