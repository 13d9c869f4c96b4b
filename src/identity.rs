//! Who a request is made for, where a site has a token for each of its callers.

use std::{
    convert::Infallible,
    fmt,
    hash::{Hash, Hasher},
    str::FromStr,
    sync::Arc,
};

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
#[derive(Clone, PartialEq, Eq)]
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

/// Each request of a site with identities is hashed, so there is no byte at the end as after a `str`: it only keeps apart
/// texts of which one follows another.
impl Hash for Identity {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(self.0.as_bytes());
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
