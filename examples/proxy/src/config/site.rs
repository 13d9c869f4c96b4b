//! One site as a file lists it. What it leaves out, the command line and the defaults say.

use serde::{Deserialize, Serialize};

use crate::config::SecretText;

/// A `[[site]]`. Its options mean what the command line's of the same names do.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct SiteConfig {
    /// What may be asked for: this URL and what lies below it. `//host/path` stands for http and https.
    pub(crate) url: String,
    /// A path of the proxy's that leads to `url`; without it the site is reached as `/proxy?https://…`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) mount: Option<String>,
    /// Whether what lies below `url` may be asked for; true unless set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) match_all: Option<bool>,
    /// Where requests go in place of the host in `url`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) host_redirect: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tls_name: Option<String>,

    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) username: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) password: Option<SecretText>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) client_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) client_secret: Option<SecretText>,
    /// An API key, or a token that was made elsewhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) token: Option<SecretText>,

    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) portal: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) token_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) trust_token_service: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) token_placement: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) caller_token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) referer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) bind_to_address: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) login_first: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) forward_authorization: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) send_portal_token: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) credentials_in_url: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) allow_insecure_http: Option<bool>,

    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) allow_path: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) allow_referer: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rate_limit: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) allow_logins: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) allow_admin: Option<bool>,
}

impl SiteConfig {
    /// Whether its login is that of `ARCGIS_USERNAME` and `ARCGIS_PASSWORD`.
    pub(crate) fn uses_variables(&self) -> bool {
        self.username.as_deref() == Some("env:ARCGIS_USERNAME")
            || self.password.as_ref().and_then(SecretText::variable) == Some("ARCGIS_PASSWORD")
    }

    /// What this site leaves out, as `others` have it. A site's URLs and its login are its own.
    pub(crate) fn or(&self, others: &Self) -> Self {
        let or = |own: &Option<String>, other: &Option<String>| own.clone().or(other.clone());
        Self {
            portal: or(&self.portal, &others.portal),
            token_url: or(&self.token_url, &others.token_url),
            trust_token_service: self
                .trust_token_service
                .clone()
                .or(others.trust_token_service.clone()),
            token_placement: or(&self.token_placement, &others.token_placement),
            caller_token: or(&self.caller_token, &others.caller_token),
            referer: or(&self.referer, &others.referer),
            bind_to_address: self.bind_to_address.or(others.bind_to_address),
            login_first: self.login_first.or(others.login_first),
            forward_authorization: self.forward_authorization.or(others.forward_authorization),
            send_portal_token: self.send_portal_token.or(others.send_portal_token),
            credentials_in_url: self.credentials_in_url.or(others.credentials_in_url),
            allow_insecure_http: self.allow_insecure_http.or(others.allow_insecure_http),
            allow_path: self.allow_path.clone().or(others.allow_path.clone()),
            allow_referer: self.allow_referer.clone().or(others.allow_referer.clone()),
            allow_logins: self.allow_logins.or(others.allow_logins),
            allow_admin: self.allow_admin.or(others.allow_admin),
            ..self.clone()
        }
    }
}
