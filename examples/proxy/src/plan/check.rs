//! `--check`: what the proxy will do, site by site, without a login and without a secret.

use std::fmt::Write;

use crate::{
    access::Rate,
    plan::{Group, Plan, PlannedSite},
    signing::is_on,
};

/// The plan in words.
pub(crate) fn describe(plan: &Plan, rate_of_all: Option<Rate>) -> String {
    let mut text = String::new();
    let groups = Group::all(&plan.sites);
    for (number, site) in plan.sites.iter().enumerate() {
        if number > 0 {
            text.push('\n');
        }
        // Writing to a string does not fail.
        let _ = write_site(&mut text, site, rate_of_all);
        let others = groups
            .iter()
            .find(|group| group.sites.iter().any(|other| std::ptr::eq(*other, site)))
            .map_or(0, |group| group.sites.len() - 1);
        if others > 0 {
            let _ = writeln!(
                text,
                "  session       shared with {others} other site(s) of this server"
            );
        }
    }
    text
}

fn write_site(
    text: &mut String,
    site: &PlannedSite,
    rate_of_all: Option<Rate>,
) -> std::fmt::Result {
    let settings = &site.settings;
    writeln!(text, "{} (line {})", settings.url, site.place.line)?;
    let below = match settings.match_all {
        Some(false) => "this URL alone, with any query",
        _ => "this URL and what lies below it",
    };
    writeln!(text, "  serves        {below}")?;
    match &site.mount {
        Some(mount) => writeln!(text, "  asked as      {}/…", mount.path())?,
        None => writeln!(text, "  asked as      /proxy?{}…", example_url(site))?,
    }
    for upstream in &site.upstreams {
        writeln!(text, "  sent to       {}", upstream.root_url())?;
    }
    if let Some(name) = &settings.tls_name {
        writeln!(text, "  certificate   for {name}")?;
    }
    match &site.login {
        None => writeln!(text, "  login         none: requests pass unsigned")?,
        Some(login) => {
            writeln!(text, "  login         {}", login.account())?;
            if !login.is_ready_token() {
                writeln!(text, "  logs in at    {}", login_place(site))?;
            }
            let when = if is_on(settings.login_first) {
                "before the first request"
            } else {
                "when the server asks for a token"
            };
            writeln!(text, "  logs in       {when}")?;
        }
    }
    writeln!(text, "  who may       {}", who_may(site))?;
    if let Some(paths) = &settings.allow_path {
        writeln!(text, "  paths         {}", paths.join(", "))?;
    }
    match (&settings.rate_limit, rate_of_all) {
        (Some(rate), _) => writeln!(text, "  rate          {rate} for each client")?,
        (None, Some(rate)) => writeln!(
            text,
            "  rate          {rate} for each client, of all sites without a rate of their own"
        )?,
        (None, None) => {}
    }
    Ok(())
}

fn example_url(site: &PlannedSite) -> String {
    let is_https = site
        .upstreams
        .first()
        .is_some_and(|upstream| upstream.is_https());
    format!("{}{}", site.serves.origin(is_https), site.serves.path)
}

fn login_place(site: &PlannedSite) -> String {
    let settings = &site.settings;
    if let Some(url) = &settings.token_url {
        url.clone()
    } else if let Some(portal) = &settings.portal {
        format!("the portal {portal}")
    } else if let Some(root) = &site.guessed_root {
        format!("the token service that {root}/rest/info names (a guess)")
    } else {
        "the token service that the server's rest/info names".to_owned()
    }
}

fn who_may(site: &PlannedSite) -> String {
    let pages: Vec<&str> = site
        .settings
        .allow_referer
        .iter()
        .flatten()
        .map(String::as_str)
        .collect();
    match pages.as_slice() {
        [] => "all who reach the proxy; in a browser its own pages, and those of --allow-origin"
            .to_owned(),
        pages if pages.contains(&"*") => {
            "all who reach the proxy, pages of any origin included".to_owned()
        }
        pages => format!("requests with a Referer of {}", pages.join(", ")),
    }
}
