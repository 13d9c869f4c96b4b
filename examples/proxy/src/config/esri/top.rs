//! `ProxyConfig`: what holds for all of the file.

use super::{Attributes, level, warn_of_rest};
use crate::{
    access::RefererPattern,
    config::{Config, Problem},
};

pub(super) fn read(mut top: Attributes, config: &mut Config, problems: &mut Vec<Problem>) {
    let place = top.place;
    match top.take_bool("mustMatch") {
        Ok(Some(false)) => problems.push(Problem::at(
            place,
            "mustMatch=\"false\" lets all who reach the proxy ask for anything on any host through it, the machine's own \
             services included; write mustMatch=\"true\", and a <serverUrl> for each host that is asked for",
        )),
        Ok(_) => {}
        Err(problem) => problems.push(problem),
    }
    if let Some(referers) = top.take("allowedReferers") {
        let entries = referers.split([',', ';']).map(str::trim);
        for entry in entries.filter(|entry| !entry.is_empty()) {
            match pages(entry) {
                Ok(pages) => {
                    if pages.len() > 1 {
                        let words = format!(
                            "{entry} in allowedReferers has no scheme: it is read as http and https"
                        );
                        config.warnings.push(Problem::at(place, words));
                    }
                    config.allowed_referers.extend(pages);
                }
                Err(words) => {
                    let words = format!("`{entry}` in allowedReferers: {words}");
                    problems.push(Problem::at(place, words));
                }
            }
        }
    }
    if let Some(file) = top.take("logFile") {
        config.defaults.push(("log-file".to_owned(), vec![file]));
    }
    if let Some(level) = top.take("logLevel") {
        match level::named(&level) {
            Some(filter) => config
                .defaults
                .push(("log-level".to_owned(), vec![filter.to_owned()])),
            None => {
                let words =
                    format!("logLevel {level} is not known; --log-level says how much is logged");
                config.warnings.push(Problem::at(place, words));
            }
        }
    }
    warn_of_rest(&top, config);
}

/// An entry as `--allow-referer` takes it: one without a scheme stands for two.
fn pages(entry: &str) -> Result<Vec<String>, &'static str> {
    let pages = if entry == "*" || entry.contains("://") {
        vec![entry.to_owned()]
    } else {
        let bare = entry.trim_start_matches('/');
        ["http", "https"]
            .map(|scheme| format!("{scheme}://{bare}"))
            .to_vec()
    };
    for page in &pages {
        page.parse::<RefererPattern>()?;
    }
    Ok(pages)
}
