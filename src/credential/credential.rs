//! What a login needs. Secret parts are wiped when dropped, and no `Debug` shows them.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};

use crate::{
    credential::{Fingerprint, Secret},
    error::TokenError,
};

/// What a login needs. The layer asks the server which token source it fits, unless you name a source.
///
/// Every part may be a text, or a [`Secret`] read from the environment or from a file that may change.
///
/// ```
/// use tower_arcgis_auth::{Credential, Secret};
///
/// let user = Credential::user("gis_reader", "p&ss wörd+%");
/// let app = Credential::app("aClientId", Secret::env("ARCGIS_CLIENT_SECRET"));
/// assert!(!format!("{user:?} {app:?}").contains("wörd"));
/// ```
#[derive(Clone)]
pub struct Credential {
    kind: CredentialKind,
}

#[derive(Clone)]
pub(crate) enum CredentialKind {
    User { name: Secret, password: Secret },
    App { id: Secret, secret: Secret },
    Token(Secret),
}

impl Credential {
    /// A user's name (case-sensitive at ArcGIS) and password.
    pub fn user(name: impl Into<Secret>, password: impl Into<Secret>) -> Self {
        let (name, password) = (name.into(), password.into());
        Self {
            kind: CredentialKind::User { name, password },
        }
    }

    /// An application registered at a portal: its client id and client secret (OAuth 2.0, `client_credentials`).
    pub fn app(client_id: impl Into<Secret>, client_secret: impl Into<Secret>) -> Self {
        let (id, secret) = (client_id.into(), client_secret.into());
        Self {
            kind: CredentialKind::App { id, secret },
        }
    }

    /// An API key, or a token made elsewhere. When it dies, challenges are returned to the caller: nothing here can renew it.
    pub fn token(text: impl Into<Secret>) -> Self {
        Self {
            kind: CredentialKind::Token(text.into()),
        }
    }

    /// What is empty though nothing can be logged in with that, if anything is. What is read later is not known yet.
    pub(crate) fn empty_part(&self) -> Option<&'static str> {
        let (first, second) = self.parts();
        let names = match &self.kind {
            CredentialKind::User { .. } => ["user name", "password"],
            CredentialKind::App { .. } => ["client id", "client secret"],
            CredentialKind::Token(_) => ["token", "token"],
        };
        let parts = [Some(first), second].into_iter().flatten().zip(names);
        parts
            .into_iter()
            .find_map(|(part, name)| part.is_empty_value().then_some(name))
    }

    pub(crate) fn kind(&self) -> &CredentialKind {
        &self.kind
    }

    /// Whether it is a token, and no login.
    pub(crate) fn is_static_token(&self) -> bool {
        matches!(self.kind, CredentialKind::Token(_))
    }

    pub(crate) fn is_app(&self) -> bool {
        matches!(self.kind, CredentialKind::App { .. })
    }

    /// User name and password, as they are now.
    pub(crate) fn read_user(&self) -> Result<User, TokenError> {
        match &self.kind {
            CredentialKind::User { name, password } => Ok(User {
                name: name.read()?,
                password: password.read()?,
            }),
            _ => Err(not_a_user()),
        }
    }

    /// Client id and client secret, as they are now.
    pub(crate) fn read_app(&self) -> Result<App, TokenError> {
        match &self.kind {
            CredentialKind::App { id, secret } => Ok(App {
                id: id.read()?,
                secret: secret.read()?,
            }),
            _ => Err(not_an_app()),
        }
    }

    pub(crate) fn fingerprint(&self, fingerprint: &mut Fingerprint) {
        match self.parts() {
            (account, Some(secret)) => {
                if matches!(self.kind, CredentialKind::App { .. }) {
                    fingerprint.account(APPLICATION);
                }
                fingerprint.account_of(account);
                fingerprint.secret_of(secret);
            }
            (token, None) => fingerprint.token_of(token),
        }
    }

    /// A number that differs for different credentials: by kind, and by the values or places they were made of.
    pub(crate) fn identity(&self) -> (u8, u64, u64) {
        let (first, second) = self.parts();
        let kind = match &self.kind {
            CredentialKind::User { .. } => 0,
            CredentialKind::App { .. } => 1,
            CredentialKind::Token(_) => 2,
        };
        (kind, first.identity(), second.map_or(0, Secret::identity))
    }

    fn parts(&self) -> (&Secret, Option<&Secret>) {
        match &self.kind {
            CredentialKind::User { name, password } => (name, Some(password)),
            CredentialKind::App { id, secret } => (id, Some(secret)),
            CredentialKind::Token(text) => (text, None),
        }
    }
}

/// An application may be called what a user is called: this comes before its client id.
const APPLICATION: &str = "application";

/// A client id and a client secret as they were read.
pub(crate) struct App {
    id: SecretString,
    secret: SecretString,
}

impl App {
    pub(crate) fn id(&self) -> &str {
        self.id.expose_secret()
    }

    pub(crate) fn secret(&self) -> &str {
        self.secret.expose_secret()
    }

    /// As [`Credential::fingerprint`] of these.
    pub(crate) fn fingerprint(&self) -> Fingerprint {
        let mut fingerprint = Fingerprint::empty();
        fingerprint.account(APPLICATION);
        fingerprint.account(self.id());
        fingerprint.secret(self.secret());
        fingerprint
    }
}

/// A user name and a password as they were read.
pub(crate) struct User {
    name: SecretString,
    password: SecretString,
}

impl User {
    pub(crate) fn name(&self) -> &str {
        self.name.expose_secret()
    }

    pub(crate) fn password(&self) -> &str {
        self.password.expose_secret()
    }

    /// As [`Credential::fingerprint`] of these.
    pub(crate) fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of_login(self.name(), self.password())
    }
}

/// A token service for users got a credential of another kind.
pub(crate) fn not_a_user() -> TokenError {
    TokenError::refused(
        "this token service logs users in, and the credential is no user's; give `Credential::user`",
    )
}

/// A token service for applications got a credential of another kind.
fn not_an_app() -> TokenError {
    TokenError::refused(
        "OAuth logs applications in here, and the credential is no application's; give `Credential::app`",
    )
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match &self.kind {
            CredentialKind::User { .. } => "user and password",
            CredentialKind::App { .. } => "client id and secret",
            CredentialKind::Token(_) => "token",
        };
        write!(f, "Credential({kind})")
    }
}
