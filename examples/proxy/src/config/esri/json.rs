//! `proxy.config` in JSON, as the proxy for Node.js has it.

use serde_json::{Map, Value};

use super::{Attributes, Written};
use crate::config::{Place, Problem};

/// Reads the file. Lists and single objects mean the same, numbers and truth values what their texts do.
pub(super) fn read(text: &str) -> Result<Written, Problem> {
    let file: Value = serde_json::from_str(text).map_err(|error| {
        let place = Place {
            line: error.line(),
            column: error.column().max(1),
        };
        Problem::at(place, format!("it is no well-formed JSON: {error}"))
    })?;
    let start = Place::of(text, 0);
    let mut top = Attributes::new(start);
    for object in objects(member(&file, "proxyConfig")) {
        push_all(&mut top, object);
    }
    let mut rules = Vec::new();
    let mut places = places_of_urls(text);
    for list in objects(member(&file, "serverUrls")) {
        // `serverUrls` may have the rules themselves, or lists of them.
        let nested = list.iter().find(|(name, _)| is_rule(name));
        let found = match nested {
            Some((_, rules)) => objects(Some(rules)),
            None => vec![list],
        };
        for rule in found {
            let mut attributes = Attributes::new(places.next().unwrap_or(start));
            push_all(&mut attributes, rule);
            rules.push(attributes);
        }
    }
    if member(&file, "proxyConfig").is_none() && rules.is_empty() {
        return Err(Problem::of_file(
            "it is JSON, and has neither `proxyConfig` nor `serverUrls`",
        ));
    }
    Ok(Written { top, rules })
}

fn is_rule(name: &str) -> bool {
    ["serverUrl", "serverItem"]
        .iter()
        .any(|known| name.eq_ignore_ascii_case(known))
}

fn member<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    let members = value.as_object()?;
    let found = members
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value)
}

fn objects(value: Option<&Value>) -> Vec<&Map<String, Value>> {
    match value {
        Some(Value::Array(values)) => values.iter().filter_map(Value::as_object).collect(),
        Some(Value::Object(object)) => vec![object],
        _ => Vec::new(),
    }
}

fn push_all(attributes: &mut Attributes, object: &Map<String, Value>) {
    for (name, value) in object {
        if let Some(value) = word(value) {
            attributes.push(name, &value);
        }
    }
}

fn word(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(yes) => Some(yes.to_string()),
        Value::Number(number) => Some(number.to_string()),
        Value::Array(values) => {
            let words: Option<Vec<String>> = values.iter().map(word).collect();
            words.map(|words| words.join(","))
        }
        Value::Null | Value::Object(_) => None,
    }
}

/// The parser says no places; each rule has one `url`, in the order of the file.
fn places_of_urls(text: &str) -> impl Iterator<Item = Place> {
    let lower = text.to_ascii_lowercase();
    let offsets: Vec<usize> = lower
        .match_indices("\"url\"")
        .map(|(offset, _)| offset)
        .collect();
    offsets
        .into_iter()
        .map(|offset| Place::of(text, offset))
        .collect::<Vec<_>>()
        .into_iter()
}
