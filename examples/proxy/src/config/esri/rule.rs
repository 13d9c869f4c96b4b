//! `serverUrl`: what may be asked for, and with which login.

use super::{Attributes, url, warn_of_rest};
use crate::config::{Config, Listed, Place, Problem, SecretText, SiteConfig};

/// Where applications log in that name no portal.
const ARCGIS_ONLINE: &str = "https://www.arcgis.com";

/// Reads one rule into the file's sites, with what was guessed, or what is wrong with it.
pub(super) fn read(mut rule: Attributes, config: &mut Config, problems: &mut Vec<Problem>) {
    let before = problems.len();
    let place = rule.place;
    let mut found = |result: Result<(), Problem>| {
        if let Err(problem) = result {
            problems.push(problem);
        }
    };
    let mut site = SiteConfig::default();
    found(set_url(&mut rule, &mut site, config));
    found(refuse(&mut rule));
    found(set_login(&mut rule, &mut site, config));
    found(set_limits(&mut rule, &mut site));
    if problems.len() > before {
        return;
    }
    warn_of_rest(&rule, config);
    config.sites.push(Listed { place, site });
}

fn set_url(
    rule: &mut Attributes,
    site: &mut SiteConfig,
    config: &mut Config,
) -> Result<(), Problem> {
    let Some(text) = rule.take("url") else {
        return Err(Problem::at(rule.place, "there is no url in this rule"));
    };
    let read = url::read(&text, rule.place)?;
    config.warnings.extend(read.warnings);
    site.url = read.url;
    // Without the attribute, resource-proxy serves that URL alone.
    site.match_all = Some(rule.take_bool("matchAll")?.unwrap_or(false));
    if let Some(redirect) = rule.take("hostRedirect") {
        let read = url::read(&redirect, rule.place)?;
        config.warnings.extend(read.warnings);
        // The certificate is that of the name people know, whatever machine answers.
        let host = site.url.split_once("//").map_or("", |(_, rest)| rest);
        let host = host.split(['/', ':']).next().unwrap_or_default();
        if read.url.starts_with("https:") {
            site.tls_name = Some(host.to_owned());
        }
        site.host_redirect = Some(read.url);
    }
    Ok(())
}

/// What cannot be served.
fn refuse(rule: &mut Attributes) -> Result<(), Problem> {
    if rule.take("domain").is_some() {
        return Err(Problem::at(
            rule.place,
            "domain means a Windows login, which this proxy does not have; write an ArcGIS account as username and \
             password, or let the web server before ArcGIS take this machine's requests without one",
        ));
    }
    if rule.take_bool("useAppPoolIdentity")? == Some(true) {
        return Err(Problem::at(
            rule.place,
            "useAppPoolIdentity means the Windows login of the web server's program, which this proxy does not have; write an \
             ArcGIS account as username and password",
        ));
    }
    match rule.take("tokenParamName") {
        Some(name) if !name.eq_ignore_ascii_case("token") => Err(Problem::at(
            rule.place,
            format!(
                "tokenParamName=\"{name}\" is another service's, and not ArcGIS's; leave this rule out, and let a web server \
                 add that parameter"
            ),
        )),
        _ => Ok(()),
    }
}

fn set_login(
    rule: &mut Attributes,
    site: &mut SiteConfig,
    config: &mut Config,
) -> Result<(), Problem> {
    let place = rule.place;
    let username = rule.take("username");
    let password = rule.take("password");
    let client_id = rule.take("clientId");
    let client_secret = rule.take("clientSecret");
    let endpoint = rule.take("oauth2Endpoint");
    let token_service = rule.take("tokenServiceUri");
    let token = rule.take("accessToken").or(rule.take("token"));
    let is_dynamic = rule.take_bool("dynamicToken")?.unwrap_or(false);
    let mut warn = |words: &str| config.warnings.push(Problem::at(place, words));

    match (client_id, client_secret) {
        (Some(id), Some(secret)) => {
            if username.is_some() || token.is_some() || is_dynamic {
                warn("there are several credentials; the application's is used");
            }
            site.client_id = Some(id);
            site.client_secret = Some(SecretText::new(secret));
            site.portal = Some(portal_of(endpoint.as_deref(), place)?);
            return Ok(());
        }
        (None, None) => {}
        _ => {
            return Err(Problem::at(
                place,
                "of clientId and clientSecret one is missing; write both, or neither",
            ));
        }
    }
    if endpoint.is_some() {
        warn("oauth2Endpoint has no effect without clientId and clientSecret");
    }
    match (username, password) {
        (Some(user), Some(password)) => {
            if token.is_some() || is_dynamic {
                warn("there are several credentials; the user's is used");
            }
            site.username = Some(user);
            site.password = Some(SecretText::new(password));
        }
        (None, None) if is_dynamic => {
            if token.is_some() {
                warn("there are several credentials; that of dynamicToken is used");
            }
            site.username = Some("env:ARCGIS_USERNAME".to_owned());
            site.password = Some(SecretText::new("env:ARCGIS_PASSWORD"));
        }
        (None, None) => site.token = token.map(SecretText::new),
        _ => {
            return Err(Problem::at(
                place,
                "of username and password one is missing; write both, or neither",
            ));
        }
    }
    if let Some(uri) = token_service {
        if site.username.is_some() {
            set_token_service(&uri, site, place)?;
        } else {
            warn("tokenServiceUri has no effect without username and password");
        }
    }
    Ok(())
}

/// A portal's `generateToken` makes tokens for its servers by exchange; where the rule is for a whole host, the portal is
/// most likely among what is asked for, and takes its own token only.
fn set_token_service(uri: &str, site: &mut SiteConfig, place: Place) -> Result<(), Problem> {
    let url = url::read(uri, place)?.url;
    let is_whole_host = path_of(&site.url).is_empty();
    match before_sharing(&url) {
        Some(portal) if !is_whole_host => site.portal = Some(portal.to_owned()),
        _ => site.token_url = Some(url),
    }
    Ok(())
}

fn set_limits(rule: &mut Attributes, site: &mut SiteConfig) -> Result<(), Problem> {
    let limit = rule.take_number("rateLimit")?;
    let minutes = rule.take_number("rateLimitPeriod")?;
    if let Some(limit) = limit {
        // An hour, as in resource-proxy.
        site.rate_limit = Some(format!("{limit}/{}m", minutes.unwrap_or(60)));
    }
    Ok(())
}

/// The portal that `oauth2Endpoint` belongs to: `…/sharing/oauth2/`, `…/sharing/rest/oauth2/token` and the portal itself are
/// written.
fn portal_of(endpoint: Option<&str>, place: Place) -> Result<String, Problem> {
    let Some(endpoint) = endpoint else {
        return Ok(ARCGIS_ONLINE.to_owned());
    };
    let url = url::read(endpoint, place)?.url;
    Ok(before_sharing(&url).unwrap_or(&url).to_owned())
}

fn before_sharing(url: &str) -> Option<&str> {
    let at = url.to_ascii_lowercase().find("/sharing")?;
    let behind = url.get(at + "/sharing".len()..)?;
    (behind.is_empty() || behind.starts_with('/'))
        .then(|| url.get(..at))
        .flatten()
}

fn path_of(url: &str) -> &str {
    let rest = url.split_once("//").map_or(url, |(_, rest)| rest);
    rest.find('/')
        .and_then(|at| rest.get(at..))
        .unwrap_or_default()
}
