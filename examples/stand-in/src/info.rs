//! `rest/info`, of a server and of a portal: where the token service is.

use serde_json::{Map, Value, json};

/// What `rest/info` says.
#[derive(Debug)]
pub(crate) struct Info {
    /// Not there at all: 404.
    pub(crate) present: bool,
    pub(crate) token_based: bool,
    pub(crate) token_services_url: Option<String>,
    pub(crate) owning_system_url: Option<String>,
}

impl Info {
    pub(crate) fn json(&self, short_lived_minutes: u64) -> Value {
        let mut auth = Map::new();
        auth.insert("isTokenBasedSecurity".into(), self.token_based.into());
        if let Some(url) = &self.token_services_url {
            auth.insert("tokenServicesUrl".into(), url.as_str().into());
        }
        auth.insert("shortLivedTokenValidity".into(), short_lived_minutes.into());
        let mut info =
            json!({ "currentVersion": 10.91, "fullVersion": "10.9.1", "authInfo": auth });
        if let Some(url) = &self.owning_system_url {
            info["owningSystemUrl"] = url.as_str().into();
        }
        info
    }

    /// What a portal's says: no version, and itself as the owner.
    pub(crate) fn portal_json(&self) -> Value {
        let mut info = json!({ "authInfo": { "isTokenBasedSecurity": self.token_based } });
        if let Some(url) = &self.token_services_url {
            info["authInfo"]["tokenServicesUrl"] = url.as_str().into();
        }
        if let Some(url) = &self.owning_system_url {
            info["owningSystemUrl"] = url.as_str().into();
        }
        info
    }
}
