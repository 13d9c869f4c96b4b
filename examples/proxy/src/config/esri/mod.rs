//! Esri's `proxy.config`: the same attributes in XML and JSON.

mod attributes;
mod json;
mod level;
mod rule;
mod top;
mod url;
mod xml;

use self::attributes::Attributes;
use crate::config::{Config, Problem};

/// The file as it stands: the attributes of `ProxyConfig`, and those of each `serverUrl`.
#[derive(Debug)]
struct Written {
    top: Attributes,
    rules: Vec<Attributes>,
}

pub(super) fn from_xml(text: &str) -> Result<Config, Vec<Problem>> {
    config(xml::read(text).map_err(|problem| vec![problem])?)
}

pub(super) fn from_json(text: &str) -> Result<Config, Vec<Problem>> {
    config(json::read(text).map_err(|problem| vec![problem])?)
}

fn config(written: Written) -> Result<Config, Vec<Problem>> {
    let mut config = Config {
        is_esri: true,
        ..Config::default()
    };
    let mut problems = Vec::new();
    top::read(written.top, &mut config, &mut problems);
    for rule in written.rules {
        rule::read(rule, &mut config, &mut problems);
    }
    if config.sites.is_empty() && problems.is_empty() {
        problems.push(Problem::of_file(
            "there is no <serverUrl> in it, so that nothing may be asked for",
        ));
    }
    if problems.is_empty() {
        Ok(config)
    } else {
        Err(problems)
    }
}

/// Says of what nothing took that it has no effect.
fn warn_of_rest(attributes: &Attributes, config: &mut Config) {
    for name in attributes.rest() {
        // Namespaces and schemas, which say nothing.
        if !name.starts_with("xmlns") && !name.starts_with("xsi:") {
            let words = format!("the attribute {name} is not known, and has no effect");
            config.warnings.push(Problem::at(attributes.place, words));
        }
    }
}

#[cfg(test)]
mod tests;
