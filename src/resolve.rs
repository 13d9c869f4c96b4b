//! From a site's description to its sessions: checks the settings, makes the token sources.

use std::sync::Arc;

#[cfg(feature = "identities")]
use crate::session::{Identities, IdentitySettings};
use crate::{
    error::ConfigError,
    guard::LockoutGuard,
    identity::Identity,
    login::{
        Answers, AskedCredential, Automatic, Discovery, Endpoint, LoginSettings, Portals,
        TokenClient, Wanted,
    },
    session::{LayerSettings, Session, Sessions, Signing, SiteEvents, TokenStore},
    sharing::Sharing,
    site::{Login, Site, SourceFor},
    token::{DynTokenSource, Owner},
    url::{Origin, Root, redact, server_of},
};

/// What the sites of a layer share while they are resolved.
pub(crate) struct Resolver {
    pub(crate) token_client: Option<TokenClient>,
    pub(crate) portals: Portals,
    pub(crate) guard: LockoutGuard,
    pub(crate) settings: LayerSettings,
}

impl Resolver {
    /// The sessions of a site: none, one, or one for each identity.
    pub(crate) fn sessions(
        &mut self,
        site: &Site,
        roots: &[Root],
        events: &Arc<SiteEvents>,
    ) -> Result<Sessions, ConfigError> {
        let Some(first) = roots.first() else {
            return Err(ConfigError::new("a site has no root"));
        };
        check_login(site, first)?;
        check_identities(site, first)?;
        let binding = site.binding_at(first);
        let referer = match (&site.login, &site.binding) {
            // A token source of the user's own chooses what its tokens are bound to.
            (Login::Sources(_), None) => None,
            _ => binding.referer()?,
        };
        let layer_settings = self.settings;
        let login_timeout = layer_settings.login_timeout;
        let mut store_timeout = login_timeout;
        let source_for: SourceFor = match &site.login {
            Login::None => return Ok(Sessions::None),
            Login::Sources(source_for) => Arc::clone(source_for),
            Login::Credential(credential) => {
                let settings = Arc::new(self.login_settings(site, first)?);
                let credential = credential.clone();
                Arc::new(move |_| {
                    Arc::new(Automatic::new(Arc::clone(&settings), credential.clone()))
                })
            }
            Login::Ask(function) => {
                let settings = Arc::new(self.login_settings(site, first)?);
                let (function, deadline) = (function.clone(), site.credential_deadline);
                store_timeout = AskedCredential::longest(deadline, login_timeout);
                Arc::new(move |_| {
                    let settings = Arc::clone(&settings);
                    let log_in_with = move |credential| -> Arc<dyn DynTokenSource> {
                        Arc::new(Automatic::new(Arc::clone(&settings), credential))
                    };
                    Arc::new(AskedCredential::new(
                        function.clone(),
                        deadline,
                        login_timeout,
                        log_in_with,
                    ))
                })
            }
        };
        let name: Arc<str> = first.to_url().into();
        events.begin();
        let events = Arc::clone(events);
        let guard = match site.sharing.history() {
            Some(history) => self.guard.shared_through(history),
            None => self.guard.clone(),
        };
        let sharing = match &site.login {
            // An API key needs no login that could be shared.
            Login::Credential(credential) if credential.is_static_token() => Sharing::default(),
            Login::Credential(_) | Login::Ask(..) if !binding.is_portable() => Sharing::default(),
            _ => site.sharing.clone(),
        };
        let new_store = move |identity: Option<Identity>| {
            let source = sharing.site(&binding, source_for(identity.as_ref()));
            let owner = Owner::site(Arc::clone(&name), identity);
            Arc::new(TokenStore::new(
                source,
                owner,
                guard.clone(),
                store_timeout,
                Arc::clone(&events),
            ))
        };
        let signing = Signing {
            placement: site.placement,
            caller_token: site.caller_token,
            referer,
            private_answers: site.has_private_answers(),
            login_first: site.login_first,
        };
        #[cfg(feature = "identities")]
        if let Some(identity_fn) = &site.identity_fn {
            let identity_fn = Arc::clone(identity_fn);
            let settings = &site.identities;
            let identities = Identities::new(
                identity_fn,
                settings,
                signing,
                layer_settings,
                Box::new(new_store),
            );
            return Ok(Sessions::Each(Arc::new(identities)));
        }
        Ok(Sessions::One(Arc::new(Session::new(
            new_store(None),
            signing,
            layer_settings,
        ))))
    }

    fn login_settings(&mut self, site: &Site, root: &Root) -> Result<LoginSettings, ConfigError> {
        Ok(LoginSettings {
            discovery: Arc::new(discovery(&mut self.token_client, site, root)?),
            sends_portal_token: site.sends_portal_token,
            binding: site.binding_at(root),
            credentials_in_url: site.credentials_in_url,
            portals: self.portals.clone(),
            sharing: site.sharing.clone(),
        })
    }
}

/// How the site's token service is found. Without a client there is one afterwards, if the platform has one.
pub(crate) fn discovery(
    token_client: &mut Option<TokenClient>,
    site: &Site,
    root: &Root,
) -> Result<Discovery, ConfigError> {
    let client = match token_client {
        Some(client) => client.clone(),
        None => match platform_client() {
            Ok(client) => token_client.insert(client).clone(),
            Err(error) => plain_client(site, root).ok_or(error)?,
        },
    };
    let token_url = match &site.token_url {
        Some(url) => Some(Endpoint::of_token_service(url)?.insecure_http(site.insecure_http)),
        None => None,
    };
    Ok(Discovery {
        root: server_of(&root.to_url()),
        trusted: trusted(site, root)?,
        insecure_http: site.insecure_http,
        token_url,
        portal: site.portal.clone(),
        client,
        found: Answers::default(),
    })
}

/// What the site's login would log in.
pub(crate) fn wanted(site: &Site) -> Wanted {
    match &site.login {
        Login::Sources(_) => Wanted::Given,
        Login::Credential(credential) if credential.is_static_token() => Wanted::StaticToken,
        Login::Credential(credential) if credential.is_app() => Wanted::App,
        Login::None | Login::Ask(..) | Login::Credential(_) => Wanted::User,
    }
}

fn check_login(site: &Site, root: &Root) -> Result<(), ConfigError> {
    if let [first, second, ..] = site.login_setters[..] {
        return Err(ConfigError::new(format!(
            "the site {} has a `{first}` and a `{second}`; give it one of the two",
            root.to_url()
        )));
    }
    let Login::Credential(credential) = &site.login else {
        return Ok(());
    };
    match credential.empty_part() {
        Some(part) => Err(ConfigError::new(format!(
            "the {part} of the site {} is empty; see where it should come from",
            root.to_url()
        ))),
        None => Ok(()),
    }
}

#[cfg(feature = "identities")]
fn check_identities(site: &Site, root: &Root) -> Result<(), ConfigError> {
    if site.identity_fn.is_none() && site.identities != IdentitySettings::default() {
        return Err(ConfigError::new(format!(
            "the site {} says what to do about identities, and not how to tell them apart; give it an `identity_fn`",
            root.to_url()
        )));
    }
    if site.identities.most == 0 || site.identities.longest_idle.is_zero() {
        return Err(ConfigError::new(format!(
            "the site {} remembers no identities, so that each request would log in; remember one, for a second, at least",
            root.to_url()
        )));
    }
    Ok(())
}

#[cfg(not(feature = "identities"))]
fn check_identities(_: &Site, _: &Root) -> Result<(), ConfigError> {
    Ok(())
}

/// Origins that the credential may go to.
fn trusted(site: &Site, root: &Root) -> Result<Vec<Origin>, ConfigError> {
    let mut trusted = vec![root.origin.clone()];
    if let Some(portal) = &site.portal {
        trusted.push(portal_origin(portal)?);
    }
    for service in &site.trusted_token_services {
        let origin = service.parse().ok().and_then(|uri| Origin::of(&uri));
        trusted.push(origin.ok_or_else(|| {
            ConfigError::new(format!(
                "the trusted token service `{}` is not an origin; write it like https://portal.example.com",
                redact(service)
            ))
        })?);
    }
    Ok(trusted)
}

fn portal_origin(portal: &str) -> Result<Origin, ConfigError> {
    let origin = portal
        .parse()
        .ok()
        .filter(|_| !portal.contains(['?', '#']))
        .and_then(|uri| Origin::of(&uri))
        .ok_or_else(|| {
            ConfigError::new(format!(
                "the portal `{}` is not a URL; write it like https://portal.example.com/portal",
                redact(portal)
            ))
        })?;
    let path = portal.trim_end_matches('/').split('/').skip(3);
    let path: Vec<&str> = path.collect();
    let inside = path.iter().find(|segment| {
        // A web adaptor alone may be called `home`.
        segment.eq_ignore_ascii_case("sharing")
            || (segment.eq_ignore_ascii_case("home") && path.len() > 1)
    });
    match inside {
        Some(inside) => Err(ConfigError::new(format!(
            "the portal `{}` reaches into `/{inside}`; the portal is the part before that, like \
             https://portal.example.com/portal",
            redact(portal)
        ))),
        None => Ok(origin),
    }
}

#[cfg(feature = "client")]
fn platform_client() -> Result<TokenClient, ConfigError> {
    TokenClient::platform()
}

/// A machine without root certificates can still log in where no certificate is needed.
#[cfg(feature = "client")]
fn plain_client(site: &Site, root: &Root) -> Option<TokenClient> {
    let named_https = site
        .token_url
        .as_ref()
        .is_some_and(|url| !url.starts_with("http:"));
    (!root.origin.is_https() && !named_https).then(TokenClient::plain_http)
}

#[cfg(not(feature = "client"))]
fn plain_client(_: &Site, _: &Root) -> Option<TokenClient> {
    None
}

#[cfg(not(feature = "client"))]
fn platform_client() -> Result<TokenClient, ConfigError> {
    Err(ConfigError::new(
        "a site has a credential, and there is no client to log in with; give one with `token_client`, or turn the \
         feature `client` on",
    ))
}
