//! The URL of a rule, as people write it.

use crate::config::{Place, Problem};

/// A URL that can be used, and what was guessed for it.
pub(super) struct Read {
    pub(super) url: String,
    pub(super) warnings: Vec<Problem>,
}

/// Reads `http://host/path`, `//host/path` and `host/path`, with whatever stands behind the path.
pub(super) fn read(text: &str, place: Place) -> Result<Read, Problem> {
    let mut warnings = Vec::new();
    let mut warn = |words: String| warnings.push(Problem::at(place, words));
    let text = text.trim();
    let end = text.find(['?', '#']).unwrap_or(text.len());
    let (bare, behind) = text.split_at(end);
    if behind.len() > 1 {
        warn("the query in the url has no effect: any query may be asked for".to_owned());
    }
    let (scheme, rest) = match bare.split_once("//") {
        Some((scheme, rest)) => (scheme.to_ascii_lowercase(), rest),
        None => {
            warn(format!(
                "{bare} has no scheme: it is read as //{bare}, http and https"
            ));
            (String::new(), bare)
        }
    };
    let error = |words: &str| Err(Problem::at(place, words));
    if !matches!(scheme.as_str(), "http:" | "https:" | "") {
        return error("the url is neither http nor https");
    }
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    if authority.contains('@') {
        return error(
            "the url has a user name in it; write it as username=\"…\" password=\"…\" beside the url",
        );
    }
    // A scheme twice leaves `http:` for a host.
    let is_host = !authority.is_empty() && !authority.ends_with(':');
    if !is_host || authority.contains(char::is_whitespace) {
        return error("the url has no host; write it like https://gis.example.com/arcgis");
    }
    if authority.contains('*') {
        return error("hosts with a `*` cannot be listed; write a <serverUrl> for each host");
    }
    let path = path.trim_end_matches('/').replace(' ', "%20");
    Ok(Read {
        url: format!("{scheme}//{}{path}", authority.to_ascii_lowercase()),
        warnings,
    })
}
