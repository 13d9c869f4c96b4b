//! What a server says of itself: `rest/info` (ArcGIS REST API, "Server info"), read with tolerance.

use std::time::Duration;

use serde_json::Value;

use super::answer::integer;

/// What a server says of itself and of its logins.
#[derive(Clone, Debug, Default)]
pub(crate) struct ServerInfo {
    /// The URL of the information, without its query.
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
    /// `authInfo.shortLivedTokenValidity`, which is in minutes: the longest lifetime that tokens may be asked for.
    pub(crate) longest_lifetime: Option<Duration>,
}

impl ServerInfo {
    /// Field names are the REST API's ("Server info"); each may be missing. `None` where all are.
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
            longest_lifetime: auth_info
                .and_then(|auth| auth.get("shortLivedTokenValidity"))
                .and_then(integer)
                .and_then(|minutes| u64::try_from(minutes).ok())
                .filter(|minutes| *minutes > 0)
                .map(|minutes| Duration::from_secs(minutes.saturating_mul(60))),
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

    /// Whether it names a version older than 10.6, which does not know `X-Esri-Authorization`. `currentVersion` is `10.51`
    /// for 10.5.1, and `10.91` for 10.9.1.
    pub(super) fn is_before_10_6(&self) -> bool {
        let version = self.current_version.as_deref().unwrap_or_default();
        let mut parts = version.split('.');
        let major: Option<u32> = parts.next().and_then(|part| part.parse().ok());
        let minor = parts.next().and_then(|part| part.chars().next());
        match (major, minor.and_then(|minor| minor.to_digit(10))) {
            (Some(10), minor) => minor.unwrap_or(0) < 6,
            (Some(major), _) => major < 10,
            (None, _) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(version: Value) -> ServerInfo {
        ServerInfo::of(&json!({ "currentVersion": version }), "").unwrap()
    }

    #[test]
    fn versions_are_told_apart_by_the_header_they_know() {
        for (version, is_before) in [
            (json!(10), true),
            (json!(10.01), true),
            (json!(10.51), true),
            (json!("10.5.1"), true),
            (json!(9.31), true),
            (json!(10.6), false),
            (json!(10.61), false),
            (json!(10.91), false),
            (json!(11.2), false),
            (json!("next"), false),
        ] {
            assert_eq!(of(version.clone()).is_before_10_6(), is_before, "{version}");
        }
    }
}
