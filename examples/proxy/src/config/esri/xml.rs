//! `proxy.config` in XML.

use quick_xml::{
    Reader, XmlVersion,
    events::{BytesStart, Event},
};

use super::{Attributes, Written};
use crate::config::{Place, Problem};

/// Reads the file's elements, whatever they stand in: forks have other names for the lists.
pub(super) fn read(text: &str) -> Result<Written, Problem> {
    let mut reader = Reader::from_str(text);
    let mut top = None;
    let mut rules = Vec::new();
    let mut open = 0_usize;
    loop {
        let start = usize::try_from(reader.buffer_position()).unwrap_or(usize::MAX);
        let event = reader.read_event().map_err(|error| {
            let at = usize::try_from(reader.error_position()).unwrap_or(usize::MAX);
            malformed(text, at, &error)
        })?;
        let element = match &event {
            Event::Start(element) => {
                open += 1;
                element
            }
            Event::Empty(element) => element,
            Event::End(_) => {
                open = open.saturating_sub(1);
                continue;
            }
            Event::Eof => break,
            _ => continue,
        };
        let name = element.local_name().as_ref().to_ascii_lowercase();
        match name.as_str() {
            "proxyconfig" => top = Some(attributes(text, start, element)?),
            "serverurl" | "serveritem" => rules.push(attributes(text, start, element)?),
            _ => {}
        }
    }
    if open > 0 {
        return Err(malformed(text, text.len(), &"an element is not closed"));
    }
    match top {
        Some(top) => Ok(Written { top, rules }),
        None => Err(Problem::of_file(
            "it is XML, and has no <ProxyConfig>; is it resource-proxy's proxy.config?",
        )),
    }
}

fn attributes(text: &str, start: usize, element: &BytesStart<'_>) -> Result<Attributes, Problem> {
    let mut attributes = Attributes::new(Place::of(text, start));
    for attribute in element.attributes() {
        let attribute = attribute.map_err(|error| malformed(text, start, &error))?;
        let value = attribute
            .normalized_value(XmlVersion::Implicit1_0)
            .map_err(|error| malformed(text, start, &error))?;
        attributes.push(attribute.key.as_ref(), &value);
    }
    Ok(attributes)
}

fn malformed(text: &str, at: usize, error: &dyn std::fmt::Display) -> Problem {
    Problem::at(
        Place::of(text, at),
        format!("it is no well-formed XML: {error}"),
    )
}
