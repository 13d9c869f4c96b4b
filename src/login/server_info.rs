//! What a server says of itself: `rest/info` (ArcGIS REST API, "Server info"), read with tolerance.

use serde_json::Value;

/// What a server says of itself and of its logins.
#[derive(Clone, Debug, Default)]
pub(crate) struct ServerInfo {
    /// The URL that said so, without its query.
    pub(crate) asked_at: String,
    /// `currentVersion`, `10.91`.
    pub(crate) current_version: Option<String>,
    /// `fullVersion`, `10.9.1`.
    pub(crate) full_version: Option<String>,
    /// `authInfo.isTokenBasedSecurity`.
    pub(crate) token_based_security: Option<bool>,
    /// `authInfo.tokenServicesUrl`.
    pub(crate) token_service: Option<String>,
    /// `owningSystemUrl`: the portal the server is federated with.
    pub(crate) portal: Option<String>,
}

impl ServerInfo {
    /// Field names are the REST API's ("Server info"); all of them may be missing. `None` where nothing of it is there.
    pub(super) fn of(json: &Value, asked_at: &str) -> Option<Self> {
        let auth_info = json.get("authInfo");
        let token_service = [
            auth_info.and_then(|auth| auth.get("tokenServicesUrl")),
            auth_info.and_then(|auth| auth.get("tokenServiceUrl")),
            json.get("tokenServiceUrl"),
        ];
        let text = |value: &Value| {
            value
                .as_str()
                .filter(|url| !url.is_empty())
                .map(str::to_owned)
        };
        let version = |value: &Value| match value {
            Value::Number(number) => Some(number.to_string()),
            value => text(value),
        };
        let info = Self {
            asked_at: asked_at.to_owned(),
            current_version: json.get("currentVersion").and_then(version),
            full_version: json.get("fullVersion").and_then(version),
            token_based_security: auth_info
                .and_then(|auth| auth.get("isTokenBasedSecurity"))
                .and_then(Value::as_bool),
            token_service: token_service.into_iter().flatten().find_map(text),
            portal: json.get("owningSystemUrl").and_then(text),
        };
        let says_anything = info.names_login()
            || info.token_based_security.is_some()
            || info.current_version.is_some()
            || info.full_version.is_some();
        says_anything.then_some(info)
    }

    pub(super) fn names_login(&self) -> bool {
        self.token_service.is_some() || self.portal.is_some()
    }
}
