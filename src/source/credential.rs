//! What a login needs. Secret parts are wiped when dropped and shown by no `Debug`.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};

/// What a login needs: a user's name and password.
///
/// ```
/// use tower_arcgis_auth::Credential;
///
/// let credential = Credential::user("gis_reader", "p&ss wörd+%");
/// assert_eq!(format!("{credential:?}"), r#"Credential { user: "gis_reader", password: "[redacted]" }"#);
/// ```
#[derive(Clone)]
pub struct Credential {
    user: String,
    password: SecretString,
}

impl Credential {
    /// A user's name (case-sensitive at ArcGIS) and password.
    pub fn user(name: impl Into<String>, password: impl Into<String>) -> Self {
        Self {
            user: name.into(),
            password: SecretString::from(password.into()),
        }
    }

    pub(crate) fn user_name(&self) -> &str {
        &self.user
    }

    pub(crate) fn password(&self) -> &str {
        self.password.expose_secret()
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential")
            .field("user", &self.user)
            .field("password", &"[redacted]")
            .finish()
    }
}
