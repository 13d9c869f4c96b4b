//! `ProxyConfig`: what holds for all of the file.

use super::{Attributes, level, warn_of_rest};
use crate::config::{Config, Problem};

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
        config.allowed_referers = entries
            .filter(|entry| !entry.is_empty())
            .map(str::to_owned)
            .collect();
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
