//! Finding a site's token service: what its `rest/info` says of it, and whether a credential may go there.

use http::{StatusCode, Uri, uri::Scheme};
use serde_json::Value;

use super::client::{TokenClient, get, is_loopback, place};
use crate::{error::TokenError, site::Origin};

/// Where a site's token service may be looked for, and where it may be.
#[derive(Clone, Debug)]
pub(crate) struct Discovery {
    /// The site's root, without a trailing slash: `https://host/arcgis`.
    pub(crate) root: String,
    /// Origins a credential may go to: the root's own, and those the user listed.
    pub(crate) trusted: Vec<Origin>,
    pub(crate) insecure_http: bool,
}

/// A URL to log in at.
#[derive(Clone, Debug)]
pub(crate) enum TokenService {
    /// The server names it.
    Advertised(Uri),
    /// The server names none; it may be there all the same.
    Guessed(Uri),
}

impl Discovery {
    /// Asks `<root>/rest/info?f=json` and returns the URL to log in at.
    ///
    /// ArcGIS Server 10.1 and later names its token service in `authInfo.tokenServicesUrl`, with or without a trailing
    /// slash or `generateToken` (ArcGIS REST API, "Server info").
    pub(crate) async fn token_service(
        &self,
        client: &TokenClient,
    ) -> Result<TokenService, TokenError> {
        let info = format!("{}/rest/info?f=json", self.root);
        let info: Uri = info.parse().map_err(|_| {
            TokenError::fault(
                "the site's root makes no URL with /rest/info behind it; check the root",
            )
        })?;
        let asked = place(&info);
        let response = client.send(get(info)).await?;
        let json = serde_json::from_slice::<Value>(response.body()).ok();
        let says_nothing = response.status() == StatusCode::NOT_FOUND || json.is_some();
        match json.as_ref().and_then(advertised_url) {
            Some(url) => self.checked(&url).map(TokenService::Advertised),
            // ArcGIS Server has its token service there.
            None if says_nothing => self
                .checked(&format!("{}/tokens/generateToken", self.root))
                .map(TokenService::Guessed),
            None => Err(TokenError::fault(format!(
                "{asked} answered {} with no JSON; is the server up? A token URL can be named instead",
                response.status()
            ))),
        }
    }

    /// The URL as a login may use it, or why a credential must not go there.
    fn checked(&self, url: &str) -> Result<Uri, TokenError> {
        let unusable = || {
            TokenError::fault(
                "the server advertises a token service that is no usable URL; name one with `token_url`",
            )
        };
        let mut uri: Uri = generate_token_url(url).parse().map_err(|_| unusable())?;
        let mut origin = Origin::of(&uri).ok_or_else(unusable)?;
        if !self.trusted.contains(&origin) {
            // Old set-ups advertise http for what they serve over https.
            let upgraded = (uri.scheme() == Some(&Scheme::HTTP))
                .then(|| https(&uri))
                .flatten()
                .and_then(|uri| Origin::of(&uri).map(|origin| (uri, origin)));
            match upgraded {
                Some((https_uri, https_origin)) if self.trusted.contains(&https_origin) => {
                    uri = https_uri;
                    origin = https_origin;
                }
                _ => {
                    return Err(TokenError::fault(format!(
                        "the server at {} advertises its token service at {}, another origin, and the credential \
                         does not go there; if that is right, list it with `trust_token_service` or name it with \
                         `token_url`",
                        self.root,
                        place(&uri)
                    )));
                }
            }
        }
        require_https(&uri, &origin, self.insecure_http)?;
        Ok(uri)
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
        place(uri)
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

fn advertised_url(info: &Value) -> Option<String> {
    let auth_info = info.get("authInfo");
    [
        auth_info.and_then(|auth| auth.get("tokenServicesUrl")),
        auth_info.and_then(|auth| auth.get("tokenServiceUrl")),
        info.get("tokenServiceUrl"),
    ]
    .into_iter()
    .flatten()
    .filter_map(Value::as_str)
    .find(|url| !url.is_empty())
    .map(str::to_owned)
    .or_else(|| {
        // A federated server may name its portal and nothing else.
        let portal = info.get("owningSystemUrl")?.as_str()?;
        (!portal.is_empty()).then(|| {
            format!(
                "{}/sharing/rest/generateToken",
                portal.trim_end_matches('/')
            )
        })
    })
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
