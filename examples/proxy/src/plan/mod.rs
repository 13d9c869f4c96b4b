//! What the proxy makes of a file: sites that can be served, or all that is wrong with them.

mod check;
mod convert;
mod group;
mod login;
mod site;

pub(crate) use self::{check::describe, convert::convert, group::Group, site::PlannedSite};
use crate::{
    access::RefererPattern,
    arguments::Arguments,
    config::{Config, Problem, SiteConfig},
};

/// All sites of a file, ready to be served.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) sites: Vec<PlannedSite>,
    /// What was guessed, or has no effect.
    pub(crate) warnings: Vec<Problem>,
}

impl Plan {
    /// # Errors
    ///
    /// All that keeps the file from being served, at once.
    pub(crate) fn new(config: &Config, arguments: &Arguments) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let mut warnings = config.warnings.clone();
        check_pages(config, arguments, &mut problems);
        let mut sites: Vec<PlannedSite> = Vec::new();
        for listed in &config.sites {
            let settings = site_settings_of(config, &listed.site).or(&arguments.site_settings());
            let mut doubts = Vec::new();
            match PlannedSite::new(settings, listed.place, &mut doubts) {
                Ok(site) => {
                    let before = sites.iter().find(|before| before.is_same(&site));
                    match before.map(|before| before.place) {
                        Some(first) => warnings.push(Problem::at(
                            listed.place,
                            format!(
                                "the same as in {first}, which comes first: this has no effect"
                            ),
                        )),
                        None => {
                            warnings.append(&mut doubts);
                            sites.push(site);
                        }
                    }
                }
                Err(problem) => problems.push(problem),
            }
        }
        if config.sites.is_empty() {
            problems.push(Problem::of_file(
                "it lists no site; write [[site]] and url = \"https://gis.example.com/arcgis\"",
            ));
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(Self { sites, warnings })
    }
}

impl Plan {
    /// Whether a site's root may not stand beside the others' in one layer: the layer signs what lies below a root, and what
    /// lies below this one belongs to another site, with another login or none.
    pub(crate) fn is_apart(&self, site: &PlannedSite) -> bool {
        if site.settings.match_all != Some(false) {
            return false;
        }
        let wider = self
            .sites
            .iter()
            .filter(|other| other.settings.match_all != Some(false) && other.holds(site))
            .max_by_key(|other| other.serves.depth());
        wider.is_some_and(|wider| !group::is_shared(wider, site))
    }
}

/// A site's settings as its file means them.
pub(crate) fn site_settings_of(config: &Config, site: &SiteConfig) -> SiteConfig {
    let mut settings = site.clone();
    if config.is_esri {
        // As resource-proxy's users know it.
        settings.login_first = Some(true);
        if !config.allowed_referers.is_empty() {
            settings.allow_referer = Some(config.allowed_referers.clone());
        }
    }
    settings
}

/// Whether the pages that a `proxy.config` lets ask may be let.
fn check_pages(config: &Config, arguments: &Arguments, problems: &mut Vec<Problem>) {
    let listen = arguments.listen.ip().to_canonical();
    let is_any = config.allowed_referers.iter().any(|entry| entry == "*");
    let is_said = arguments
        .access
        .allow_referer
        .contains(&RefererPattern::Any);
    if is_any && !listen.is_loopback() && !is_said {
        problems.push(Problem::of_file(
            "allowedReferers=\"*\" lets any page use the account, for all who reach the proxy beyond this machine; list the \
             pages, as in allowedReferers=\"https://maps.example.com\", or say so with --allow-referer '*'",
        ));
    }
}
