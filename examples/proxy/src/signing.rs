//! One site's settings as the library takes them.

use clap::ValueEnum;
use tower_arcgis_auth::{CallerToken, Site, TokenPlacement};

use crate::{config::SiteConfig, login::Login, shared_cache::Sharing};

/// What `--token-placement` takes.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Placement {
    /// `token=` in the query: every version of ArcGIS takes it
    Query,
    /// The cookie `agstoken`
    Cookie,
    /// `X-Esri-Authorization: Bearer`: ArcGIS Enterprise 10.6 and later
    Header,
    /// `Authorization: Bearer`
    Bearer,
}

/// What `--caller-token` takes.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Callers {
    /// It is passed on, and nothing is signed
    Keep,
    /// It is taken off, and the proxy's own put in its place
    Replace,
}

/// The site with these roots: its login is looked up at the first.
pub(crate) fn library_site(
    roots: &[String],
    settings: &SiteConfig,
    login: Option<&Login>,
    sharing: Option<&Sharing>,
) -> Result<Site, String> {
    let mut roots = roots.iter();
    let first = roots.next().map(String::as_str).unwrap_or_default();
    let mut site = Site::new(first)
        // All callers of the proxy may see an answer; a cache on the way lets others see it too.
        .private_answers(true)
        .placement(placement(settings)?)
        .caller_token(caller_token(settings)?)
        .login_first(is_on(settings.login_first));
    for root in roots {
        site = site.add_root(root);
    }
    if let Some(referer) = &settings.referer {
        site = site.referer(referer);
    } else if is_on(settings.bind_to_address) {
        site = site.bind_to_address();
    }
    if let Some(login) = login {
        site = site.credential(login.credential());
    }
    if let Some(url) = &settings.token_url {
        site = site.token_url(url);
    }
    if let Some(url) = &settings.portal {
        site = site.portal(url);
    }
    for origin in settings.trust_token_service.iter().flatten() {
        site = site.trust_token_service(origin);
    }
    if is_on(settings.allow_insecure_http) {
        site = site.allow_insecure_http();
    }
    if is_on(settings.send_portal_token) {
        site = site.send_portal_token();
    }
    if is_on(settings.credentials_in_url) {
        site = site.credentials_in_url();
    }
    if let Some(sharing) = sharing {
        site = site.shared_token_cache(&sharing.cache);
    }
    Ok(site)
}

/// Whether an option is given, and not with a no.
pub(crate) fn is_on(option: Option<bool>) -> bool {
    option.unwrap_or(false)
}

fn placement(settings: &SiteConfig) -> Result<TokenPlacement, String> {
    Ok(
        match named("token-placement", settings.token_placement.as_deref())? {
            None | Some(Placement::Query) => TokenPlacement::Query,
            Some(Placement::Cookie) => TokenPlacement::Cookie,
            Some(Placement::Header) => TokenPlacement::EsriHeader,
            Some(Placement::Bearer) => TokenPlacement::Bearer,
        },
    )
}

fn caller_token(settings: &SiteConfig) -> Result<CallerToken, String> {
    Ok(
        match named("caller-token", settings.caller_token.as_deref())? {
            None | Some(Callers::Keep) => CallerToken::Keep,
            Some(Callers::Replace) => CallerToken::Replace,
        },
    )
}

fn named<T: ValueEnum>(option: &str, value: Option<&str>) -> Result<Option<T>, String> {
    let Some(value) = value else {
        return Ok(None);
    };
    T::from_str(value, true).map(Some).map_err(|_| {
        let names: Vec<String> = T::value_variants()
            .iter()
            .filter_map(T::to_possible_value)
            .map(|value| format!("`{}`", value.get_name()))
            .collect();
        format!("{option} is none of {}", names.join(", "))
    })
}

/// The name that an option's value has on the command line.
pub(crate) fn name_of<T: ValueEnum>(value: &T) -> Option<String> {
    value
        .to_possible_value()
        .map(|value| value.get_name().to_owned())
}
