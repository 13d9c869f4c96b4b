//! The probe's steps, from the command line to the exit code.

mod advice;
mod answer;
mod arguments;
mod ask;
pub(crate) mod option_names;
mod reach;
mod report;
mod who;

use std::io::{self, Write};

use arcgis_stand_in::{PASSWORD, StandIn, USERNAME};
use tower_arcgis_auth::Site;

use self::{
    arguments::{Arguments, HELP, Wanted},
    option_names::in_options,
    reach::Reach,
    report::Report,
    who::Who,
};

/// The URL can be used with what was given.
const USABLE: u8 = 0;
const NOT_USABLE: u8 = 1;
const WRONG_COMMAND_LINE: u8 = 2;

/// Probes what `arguments` name. The report goes to `out`, what is done to `progress`.
pub(crate) async fn run(
    arguments: impl Iterator<Item = String>,
    variable: &dyn Fn(&str) -> Option<String>,
    out: &mut dyn Write,
    progress: &mut dyn Write,
) -> io::Result<u8> {
    let arguments = match arguments::read(arguments) {
        Ok(Wanted::Help) => {
            out.write_all(HELP.as_bytes())?;
            return Ok(USABLE);
        }
        Ok(Wanted::Probe(arguments)) => arguments,
        Err(wrong) => return refused(&wrong, progress),
    };
    let stand_in;
    let (url, who) = match &arguments.url {
        Some(url) => match who::read(arguments.username.as_deref(), variable) {
            Ok(who) => (url.clone(), who),
            Err(wrong) => return refused(&wrong, progress),
        },
        None => {
            stand_in = StandIn::start().await?;
            writeln!(progress, "No URL: probing a stand-in for ArcGIS Server.")?;
            let who = Who::user(USERNAME, PASSWORD);
            (
                stand_in.url("rest/services/Parcels/MapServer?f=json"),
                Some(who),
            )
        }
    };
    let site = match site(&arguments, &url, who.as_ref()) {
        Ok(site) => site,
        Err(wrong) => return refused(&wrong, progress),
    };
    let reach = match Reach::new(&url, &arguments, variable) {
        Ok(reach) => reach,
        Err(wrong) => return refused(&wrong, progress),
    };
    let report = match probe(&reach, site, &url, who, arguments.clone(), progress).await? {
        Ok(report) => report,
        Err(wrong) => return refused(&wrong, progress),
    };
    if arguments.json {
        writeln!(out, "{}", report.to_json())?;
    } else {
        write!(out, "{report}")?;
    }
    out.flush()?;
    Ok(if report.is_usable() {
        USABLE
    } else {
        NOT_USABLE
    })
}

fn refused(wrong: &str, progress: &mut dyn Write) -> io::Result<u8> {
    let wrong = in_options(wrong);
    writeln!(progress, "probe: {wrong}\n`--help` lists the options.")?;
    Ok(WRONG_COMMAND_LINE)
}

fn site(arguments: &Arguments, url: &str, who: Option<&Who>) -> Result<Site, String> {
    let mut site = Site::of_service(url).map_err(|error| error.to_string())?;
    for origin in &arguments.trusted {
        site = site.trust_token_service(origin);
    }
    if let Some(portal) = &arguments.portal {
        site = site.portal(portal);
    }
    if let Some(url) = &arguments.token_url {
        site = site.token_url(url);
    }
    if arguments.sends_portal_token {
        site = site.send_portal_token();
    }
    if arguments.credentials_in_url {
        site = site.credentials_in_url();
    }
    if let Some(referer) = &arguments.referer {
        site = site.referer(referer);
    }
    if arguments.insecure_http {
        site = site.allow_insecure_http();
    }
    Ok(match who {
        Some(who) => site.credential(who.credential.clone()),
        None => site,
    })
}

/// Asks, logs in, asks again. The inner error is a setting that cannot work.
async fn probe(
    reach: &Reach,
    site: Site,
    url: &str,
    who: Option<Who>,
    arguments: Arguments,
    progress: &mut dyn Write,
) -> io::Result<Result<Report, String>> {
    if let Some(way) = &reach.way {
        writeln!(progress, "{way}")?;
    }
    writeln!(
        progress,
        "Asking the server what it is, with no credential …"
    )?;
    let site_report = match tower_arcgis_auth::site_report(&site, reach.token_client()).await {
        Ok(site_report) => site_report,
        Err(error) => return Ok(Err(error.to_string())),
    };
    let target = ask::target(url, &site_report);
    writeln!(progress, "Asking {} without a token …", ask::shown(&target))?;
    let secrets = who
        .as_ref()
        .map_or_else(Vec::new, |who| who.secrets.clone());
    let without_login = ask::without_token(reach, &target, &secrets).await;
    let target_in_json = ask::in_json(&target).unwrap_or(target.clone());
    let mut report = Report::new(site_report, &target, without_login, who, arguments);
    if let Some(who) = report.who_logs_in() {
        if who.is_ready_token {
            writeln!(progress, "Asking again as {who}: that takes no login …")?;
        } else {
            writeln!(
                progress,
                "Logging in as {who}: one login, and no other whatever comes of it …"
            )?;
        }
        // Of a URL that asks for nothing, the probe itself asks for the token.
        let insist = report.is_open_without_login();
        match ask::with_login(reach, site, target_in_json, insist, secrets).await {
            Ok((login, answer)) => report.logged_in(login, answer),
            Err(error) => return Ok(Err(error)),
        }
    }
    Ok(Ok(report))
}
