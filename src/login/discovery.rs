//! Finding a site's token service: what its `rest/info` says of it, and whether a credential may go there.

use http::{StatusCode, Uri, uri::Scheme};
use serde_json::Value;

use crate::{
    error::TokenError,
    login::{
        Endpoint,
        client::{Form, TokenClient, get, is_loopback, post_form},
        way::NoWay,
    },
    url::{Origin, redact},
};

/// Where a site's token service may be looked for, and where it may be.
#[derive(Clone, Debug)]
pub(crate) struct Discovery {
    /// The site's root, without a trailing slash: `https://host/arcgis`.
    pub(crate) root: String,
    /// Origins a credential may go to: the root's own, and those the user listed.
    pub(crate) trusted: Vec<Origin>,
    pub(crate) insecure_http: bool,
}

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

impl Discovery {
    /// What the server says at `<root>/rest/info`, or, being a portal, at `<root>/sharing/rest/info`: the first of them
    /// that names a login, else the first that says anything. `None` where it says nothing: ArcGIS before 10.1, or
    /// something else altogether.
    pub(crate) async fn server_info(
        &self,
        client: &TokenClient,
    ) -> Result<Option<ServerInfo>, TokenError> {
        let mut without_login = None;
        for path in ["/rest/info", "/sharing/rest/info"] {
            let info = format!("{}{path}?f=json", self.root);
            let info: Uri = info.parse().map_err(|_| {
                TokenError::fault(
                    "the site's root makes no URL with /rest/info behind it; check the root",
                )
            })?;
            let asked = redact(&info);
            let response = client.send(get(info)).await?;
            let status = response.status();
            let json = serde_json::from_slice::<Value>(response.body()).ok();
            let info = json.as_ref().and_then(|json| ServerInfo::of(json, &asked));
            if info.as_ref().is_some_and(ServerInfo::names_login) {
                return Ok(info);
            }
            without_login = without_login.or(info);
            // A page of a server that starts or is being repaired says nothing of its age.
            if json.is_none() && status != StatusCode::NOT_FOUND {
                return Err(TokenError::fault(format!(
                    "{asked} answered {status} with no JSON; is the server up? A token URL can be named instead",
                )));
            }
        }
        Ok(without_login)
    }

    /// Whether `<root>/tokens/generateToken` is there. Asked without a credential, so that nobody is locked out: it
    /// answers in JSON that there is none, where ArcGIS before 10.1 has a page or nothing.
    pub(crate) async fn has_generate_token(
        &self,
        client: &TokenClient,
    ) -> Result<bool, TokenError> {
        let endpoint = self.own_token_service()?;
        let asked = post_form(endpoint.checked()?, Form::default().pair("f", "json"));
        let response = client.send(asked).await?;
        let json = serde_json::from_slice::<Value>(response.body());
        Ok(json.is_ok_and(|json| json.is_object()))
    }

    /// The token service where ArcGIS Server has it.
    pub(super) fn own_token_service(&self) -> Result<Endpoint, TokenError> {
        Ok(self.checked(&format!("{}/tokens", self.root))?)
    }

    /// The URL as a login may use it, or why a credential must not go there.
    pub(super) fn checked(&self, url: &str) -> Result<Endpoint, NoWay> {
        let unusable = || {
            TokenError::fault(
                "the server advertises a token service that is no usable URL; name one with `token_url`",
            )
        };
        let mut uri: Uri = generate_token_url(url).parse().map_err(|_| unusable())?;
        let origin = Origin::of(&uri).ok_or_else(unusable)?;
        if !self.trusted.contains(&origin) {
            // Old set-ups advertise http for what they serve over https.
            let upgraded = (uri.scheme() == Some(&Scheme::HTTP))
                .then(|| https(&uri))
                .flatten()
                .and_then(|uri| Origin::of(&uri).map(|origin| (uri, origin)));
            match upgraded {
                Some((https_uri, https_origin)) if self.trusted.contains(&https_origin) => {
                    uri = https_uri;
                }
                upgraded => {
                    let error = TokenError::fault(format!(
                        "the server at {} advertises its token service at {}, another origin, and the credential \
                         does not go there; if that is right, list it with `trust_token_service`",
                        self.root,
                        redact(&uri)
                    ));
                    let in_the_clear = require_https(&uri, &origin, self.insecure_http).is_err();
                    let listed = match upgraded {
                        // Listed as https it works where http would not.
                        Some((_, https_origin)) if in_the_clear && uri.port().is_none() => {
                            https_origin
                        }
                        _ => origin,
                    };
                    return Err(NoWay {
                        error,
                        unlisted: Some(listed.to_url()),
                    });
                }
            }
        }
        let endpoint = Endpoint::new(uri).ok_or_else(unusable)?;
        Ok(endpoint.insecure_http(self.insecure_http))
    }
}

/// A credential goes over https, to this machine, or where the user said so out loud.
pub(crate) fn require_https(
    uri: &Uri,
    origin: &Origin,
    insecure_http: bool,
) -> Result<(), TokenError> {
    if origin.is_https() || insecure_http || uri.host().is_some_and(is_loopback) {
        return Ok(());
    }
    Err(TokenError::fault(format!(
        "{} is plain http, and a password does not go there in the clear; use https, or `allow_insecure_http` if the \
         way is safe by other means",
        redact(uri)
    )))
}

/// The login URL behind what servers advertise: `…/tokens/` and `…/tokens` lack `generateToken`.
pub(crate) fn generate_token_url(advertised: &str) -> String {
    let url = advertised.split(['?', '#']).next().unwrap_or_default();
    let url = url.trim_end_matches('/');
    let last = url.rsplit('/').next().unwrap_or_default();
    if last.eq_ignore_ascii_case("tokens") {
        format!("{url}/generateToken")
    } else {
        url.to_owned()
    }
}

impl ServerInfo {
    /// Field names are the REST API's ("Server info"); all of them may be missing. `None` where nothing of it is there.
    fn of(json: &Value, asked_at: &str) -> Option<Self> {
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

    fn names_login(&self) -> bool {
        self.token_service.is_some() || self.portal.is_some()
    }
}

fn https(uri: &Uri) -> Option<Uri> {
    let mut parts = uri.clone().into_parts();
    parts.scheme = Some(Scheme::HTTPS);
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_token_service_leads_to_its_login() {
        for (advertised, login) in [
            (
                "https://h/arcgis/tokens/",
                "https://h/arcgis/tokens/generateToken",
            ),
            (
                "https://h/arcgis/tokens",
                "https://h/arcgis/tokens/generateToken",
            ),
            (
                "https://h/arcgis/tokens/generateToken",
                "https://h/arcgis/tokens/generateToken",
            ),
            (
                "https://h/portal/sharing/rest/generateToken/",
                "https://h/portal/sharing/rest/generateToken",
            ),
            (
                "https://www.example.com/sharing/generateToken",
                "https://www.example.com/sharing/generateToken",
            ),
            (
                "https://h/arcgis/security/tokens",
                "https://h/arcgis/security/tokens/generateToken",
            ),
        ] {
            assert_eq!(generate_token_url(advertised), login);
        }
    }
}
