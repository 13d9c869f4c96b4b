//! The decision which way of getting tokens fits a server: one value, made before anything secret is sent, for whoever
//! logs in and for whoever only wants to know.

use crate::{
    credential::not_a_user,
    error::TokenError,
    login::{Endpoint, automatic::Recipe, discovery::ServerInfo},
    url::Root,
};

/// A way of getting tokens, and where it goes.
pub(crate) enum Way {
    GenerateToken(Endpoint),
    LegacyToken(Endpoint),
    Portal(PortalWay),
}

/// A login at a portal, for the portal itself or for a server of its.
pub(crate) struct PortalWay {
    /// The portal's URL, the part before `/sharing`.
    pub(super) url: String,
    /// Its `generateToken`: for users' logins, and for exchanges.
    pub(super) exchange: Endpoint,
    /// Its `oauth2/token`, where an application logs in.
    pub(super) oauth: Option<Endpoint>,
    /// The site is the portal itself.
    pub(super) is_site: bool,
}

/// The way that fits, and whether the server or the user said so: what is only supposed is looked at again.
pub(super) struct Decision {
    pub(super) way: Way,
    pub(super) is_told: bool,
}

impl Decision {
    fn told(way: Way) -> Self {
        Self { way, is_told: true }
    }
}

/// Why no way fits.
pub(super) struct NoWay {
    pub(super) error: TokenError,
    /// The origin that would have to be listed.
    pub(super) unlisted: Option<String>,
}

impl From<TokenError> for NoWay {
    fn from(error: TokenError) -> Self {
        Self {
            error,
            unlisted: None,
        }
    }
}

impl From<NoWay> for TokenError {
    fn from(no_way: NoWay) -> Self {
        no_way.error
    }
}

impl Recipe {
    /// The way for a user, or for an application. `asked` is the server's own word, waited for only where the user has
    /// not said enough.
    pub(super) async fn decide(
        &self,
        is_app: bool,
        asked: impl Future<Output = Result<Option<ServerInfo>, TokenError>>,
    ) -> Result<Decision, NoWay> {
        if let Some(endpoint) = &self.token_url {
            if is_app {
                return Err(not_a_user().into());
            }
            return Ok(Decision::told(generate_token(endpoint.clone())?));
        }
        if let Some(portal) = &self.portal {
            return Ok(Decision::told(self.at_portal(portal, is_app)?));
        }
        let info = asked.await?.unwrap_or_default();
        match (info.portal, info.token_service) {
            (Some(portal), token_service) => {
                let at_portal = self.at_portal(&portal, is_app);
                match (at_portal, token_service) {
                    // The portal is out of bounds; the server's own token service may not be.
                    (Err(out_of_bounds), Some(url)) if !is_app => self
                        .discovery
                        .checked(&url)
                        .and_then(|endpoint| Ok(generate_token(endpoint)?))
                        .map_err(|_| out_of_bounds),
                    (at_portal, _) => at_portal,
                }
                .map(Decision::told)
            }
            _ if is_app => Err(TokenError::fault(format!(
                "an application logs in at a portal, and the server at {} names none; name it with `portal`",
                self.discovery.root
            ))
            .into()),
            (None, Some(url)) => Ok(Decision::told(generate_token(
                self.discovery.checked(&url)?,
            )?)),
            (None, None) => Ok(Decision {
                way: self.without_info().await?,
                is_told: false,
            }),
        }
    }

    /// A server that says nothing of itself: its token service is where ArcGIS Server has it, the new one or the old.
    async fn without_info(&self) -> Result<Way, NoWay> {
        if self.discovery.has_generate_token(&self.client).await? {
            return Ok(generate_token(self.discovery.own_token_service()?)?);
        }
        let url = format!("{}/tokens", self.discovery.root);
        let endpoint = Endpoint::parse(&url)
            .map_err(|error| TokenError::fault(error.to_string()))?
            .insecure_http(self.discovery.insecure_http);
        endpoint.checked()?;
        Ok(Way::LegacyToken(endpoint))
    }

    fn at_portal(&self, portal: &str, is_app: bool) -> Result<Way, NoWay> {
        let portal = portal.trim_end_matches('/');
        let exchange = self
            .discovery
            .checked(&format!("{portal}/sharing/rest/generateToken"))?;
        // Asked where it may be asked, which for `http://www.arcgis.com` is https.
        let uri = exchange.checked()?;
        let url = uri
            .to_string()
            .trim_end_matches("/sharing/rest/generateToken")
            .to_owned();
        let oauth = if is_app {
            let oauth = format!("{url}/sharing/rest/oauth2/token");
            Some(self.discovery.checked(&oauth)?)
        } else {
            None
        };
        Ok(Way::Portal(PortalWay {
            is_site: is_same_place(&self.discovery.root, &url),
            url,
            exchange,
            oauth,
        }))
    }
}

/// User and password go there, if they may.
fn generate_token(endpoint: Endpoint) -> Result<Way, TokenError> {
    endpoint.checked()?;
    Ok(Way::GenerateToken(endpoint))
}

/// Whether the site is the portal itself, in whatever spelling.
fn is_same_place(root: &str, portal: &str) -> bool {
    matches!((Root::parse(root), Root::parse(portal)), (Ok(root), Ok(portal)) if root.is_same(&portal))
}
