//! Sites that share a session: those of one server with one credential and the same settings.

use crate::{config::SiteConfig, plan::PlannedSite};

/// Sites with one login between them.
#[derive(Debug)]
pub(crate) struct Group<'a> {
    pub(crate) sites: Vec<&'a PlannedSite>,
}

impl<'a> Group<'a> {
    /// The sites with a login, in groups.
    pub(crate) fn all(sites: impl IntoIterator<Item = &'a PlannedSite>) -> Vec<Self> {
        let mut groups: Vec<Self> = Vec::new();
        for site in sites.into_iter().filter(|site| site.login.is_some()) {
            let group = groups.iter_mut().find(|group| {
                group
                    .sites
                    .first()
                    .is_some_and(|first| is_shared(first, site))
            });
            match group {
                Some(group) => group.sites.push(site),
                None => groups.push(Self { sites: vec![site] }),
            }
        }
        groups
    }

    /// The roots of all its sites. At the first the login is looked up.
    pub(crate) fn roots(&self) -> Vec<String> {
        let guessed = self
            .sites
            .iter()
            .filter_map(|site| site.guessed_root.clone());
        let mut roots: Vec<String> = guessed
            .chain(self.sites.iter().flat_map(|site| site.roots()))
            .collect();
        let mut known = std::collections::HashSet::new();
        roots.retain(|root| known.insert(root.to_ascii_lowercase()));
        roots
    }
}

/// Whether both have the same login, with the same settings, at the same server.
pub(super) fn is_shared(one: &PlannedSite, other: &PlannedSite) -> bool {
    server_of(one) == server_of(other) && about_login(&one.settings) == about_login(&other.settings)
}

/// The server, by its root's URL: what stands before ArcGIS's own part of the path.
fn server_of(site: &PlannedSite) -> Option<String> {
    let root = site.guessed_root.clone().or_else(|| site.roots().next())?;
    let lower = root.to_ascii_lowercase();
    let start = lower.find("://")? + 3;
    let path = lower.get(start..)?;
    let end = ["/rest", "/services", "/sharing"]
        .iter()
        .filter_map(|own| path.find(own))
        .min()
        .unwrap_or(path.len());
    lower.get(..start + end).map(str::to_owned)
}

/// The settings that a session is made by.
fn about_login(settings: &SiteConfig) -> SiteConfig {
    SiteConfig {
        url: String::new(),
        mount: None,
        match_all: None,
        host_redirect: None,
        allow_path: None,
        allow_referer: None,
        rate_limit: None,
        allow_logins: None,
        allow_admin: None,
        forward_authorization: None,
        ..settings.clone()
    }
}
