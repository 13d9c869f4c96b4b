//! The error of a name that stands for nothing.

use std::error::Error;
use std::fmt;

/// A name that no challenge shape or fault has, and those that there are.
///
/// ```
/// use arcgis_stand_in::ChallengeShape;
///
/// let error = "logon-page".parse::<ChallengeShape>().unwrap_err();
/// assert!(error.to_string().starts_with("there is no \"logon-page\"; there are json, json-pretty, "));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownName {
    name: String,
    known: Vec<&'static str>,
}

impl UnknownName {
    pub(crate) fn new(name: &str, known: impl IntoIterator<Item = &'static str>) -> Self {
        Self {
            name: name.to_owned(),
            known: known.into_iter().collect(),
        }
    }
}

impl fmt::Display for UnknownName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = self.known.join(", ");
        write!(f, "there is no \"{}\"; there are {known}", self.name)
    }
}

impl Error for UnknownName {}
