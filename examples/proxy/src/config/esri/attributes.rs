//! The attributes of one element, taken out one by one: what is left was not known.

use crate::config::{Place, Problem};

/// Attributes by their names in lower case, with blanks around their values left out.
#[derive(Debug)]
pub(super) struct Attributes {
    pub(super) place: Place,
    pairs: Vec<(String, String)>,
}

impl Attributes {
    pub(super) fn new(place: Place) -> Self {
        Self {
            place,
            pairs: Vec::new(),
        }
    }

    pub(super) fn push(&mut self, name: &str, value: &str) {
        let pair = (name.to_ascii_lowercase(), value.trim().to_owned());
        self.pairs.push(pair);
    }

    /// A value; an empty one is none.
    pub(super) fn take(&mut self, name: &str) -> Option<String> {
        let at = self
            .pairs
            .iter()
            .position(|(known, _)| known.eq_ignore_ascii_case(name))?;
        Some(self.pairs.remove(at).1).filter(|value| !value.is_empty())
    }

    /// A truth value as .NET, Java and people write it.
    pub(super) fn take_bool(&mut self, name: &str) -> Result<Option<bool>, Problem> {
        let Some(value) = self.take(name) else {
            return Ok(None);
        };
        match value.to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" => Ok(Some(true)),
            "false" | "0" | "no" => Ok(Some(false)),
            _ => Err(Problem::at(
                self.place,
                format!("{name} is neither `true` nor `false`"),
            )),
        }
    }

    /// A number above 0.
    pub(super) fn take_number(&mut self, name: &str) -> Result<Option<u32>, Problem> {
        let Some(value) = self.take(name) else {
            return Ok(None);
        };
        match value.parse() {
            Ok(0) | Err(_) => Err(Problem::at(
                self.place,
                format!("{name} is no number above 0"),
            )),
            Ok(number) => Ok(Some(number)),
        }
    }

    /// The names of what nothing took.
    pub(super) fn rest(&self) -> impl Iterator<Item = &str> {
        self.pairs.iter().map(|(name, _)| name.as_str())
    }
}
