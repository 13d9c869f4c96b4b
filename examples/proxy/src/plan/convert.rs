//! `--convert`: a file as TOML, with its secrets in variables.

use std::collections::HashSet;

use crate::{
    config::{Config, SecretText, SiteConfig, to_toml},
    plan::site_settings_of,
};

/// The TOML, and the variables that its secrets are expected in.
pub(crate) struct Converted {
    pub(crate) text: String,
    pub(crate) variables: Vec<String>,
}

/// Writes a file as TOML that serves the same. A secret that several sites have stays one, and so does their session.
pub(crate) fn convert(config: &Config) -> Result<Converted, String> {
    let mut secrets = Secrets::default();
    let mut variables = Vec::new();
    let mut sites = Vec::new();
    for listed in &config.sites {
        let mut site = site_settings_of(config, &listed.site);
        for (secret, kind) in [
            (&mut site.password, "PASSWORD"),
            (&mut site.client_secret, "CLIENT_SECRET"),
            (&mut site.token, "TOKEN"),
        ] {
            if let Some(text) = secret {
                *text = secrets.hidden(text, kind);
                variables.extend(text.variable().map(str::to_owned));
            }
        }
        let name = site
            .username
            .as_deref()
            .and_then(|name| name.strip_prefix("env:"));
        variables.extend(name.map(str::to_owned));
        tidy(&mut site);
        sites.push(site);
    }
    let mut seen = HashSet::new();
    variables.retain(|variable| seen.insert(variable.clone()));
    let text = to_toml(&config.defaults, &sites)?;
    Ok(Converted { text, variables })
}

/// Secrets that stand in the file, each with the variable that it is expected in.
#[derive(Default)]
struct Secrets(Vec<(SecretText, SecretText)>);

impl Secrets {
    fn hidden(&mut self, secret: &SecretText, kind: &str) -> SecretText {
        if !secret.is_written_down() {
            return secret.clone();
        }
        if let Some((_, place)) = self.0.iter().find(|(known, _)| known == secret) {
            return place.clone();
        }
        let place = SecretText::new(format!("env:ARCGIS_{kind}_{}", self.0.len() + 1));
        self.0.push((secret.clone(), place.clone()));
        place
    }
}

/// What is the default need not be written.
fn tidy(site: &mut SiteConfig) {
    site.match_all = site.match_all.filter(|all| !all);
    let has_login = site.username.is_some() || site.client_id.is_some() || site.token.is_some();
    site.login_first = site.login_first.filter(|_| has_login);
}
