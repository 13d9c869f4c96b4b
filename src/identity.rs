//! Who a request is made for, where a site has a token for each of its callers.

use std::{convert::Infallible, fmt, str::FromStr, sync::Arc};

/// Who a request is made for: a user name, a session, a tenant, whatever tells your callers apart.
///
/// Two requests of one identity share a token; two identities share nothing. May be secret (a session's key is), so no
/// `Debug` shows it. Cheap to clone.
///
/// ```
/// use tower_arcgis_auth::Identity;
///
/// let caller = Identity::from("alice");
/// assert_eq!(caller.as_str(), "alice");
/// assert_eq!(caller, "alice".parse()?);
/// assert!(!format!("{caller:?}").contains("alice"));
/// # Ok::<(), std::convert::Infallible>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Identity(Arc<str>);

impl Identity {
    /// The identity as you named it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Identity {
    fn from(name: &str) -> Self {
        Self(name.into())
    }
}

impl From<String> for Identity {
    fn from(name: String) -> Self {
        Self(name.into())
    }
}

impl From<Arc<str>> for Identity {
    fn from(name: Arc<str>) -> Self {
        Self(name)
    }
}

/// Any text is an identity.
impl FromStr for Identity {
    type Err = Infallible;

    fn from_str(name: &str) -> Result<Self, Infallible> {
        Ok(name.into())
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity([redacted])")
    }
}
