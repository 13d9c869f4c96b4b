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

/// Writes a file as TOML that serves the same.
pub(crate) fn convert(config: &Config) -> Result<Converted, String> {
    let mut variables = Vec::new();
    let mut sites = Vec::new();
    for (number, listed) in config.sites.iter().enumerate() {
        let mut site = site_settings_of(config, &listed.site);
        for (secret, kind) in [
            (&mut site.password, "PASSWORD"),
            (&mut site.client_secret, "CLIENT_SECRET"),
            (&mut site.token, "TOKEN"),
        ] {
            hide(
                secret,
                &format!("ARCGIS_{kind}_{}", number + 1),
                &mut variables,
            );
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

fn hide(secret: &mut Option<SecretText>, variable: &str, variables: &mut Vec<String>) {
    let Some(text) = secret else {
        return;
    };
    if text.is_written_down() {
        *text = SecretText::new(format!("env:{variable}"));
    }
    if let Some(variable) = text.variable() {
        variables.push(variable.to_owned());
    }
}

/// What is the default need not be written.
fn tidy(site: &mut SiteConfig) {
    site.match_all = site.match_all.filter(|all| !all);
}
