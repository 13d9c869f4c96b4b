//! What a login needs, kept secret.

#[allow(clippy::module_inception, reason = "the file of the type")]
mod credential;
mod fingerprint;
mod secret;

pub(crate) use self::credential::{App, CredentialKind, User, not_a_user};
#[cfg(feature = "shared-cache")]
pub(crate) use self::fingerprint::add_part;
pub use self::{credential::Credential, fingerprint::Fingerprint, secret::Secret};
