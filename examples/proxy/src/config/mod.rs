//! `--config`: many sites in one file, in TOML, or as Esri's resource-proxy has it, in XML or JSON.

mod esri;
mod file;
mod place;
mod secret_text;
mod site;
mod toml;

use std::{fmt, path::Path};

pub(crate) use self::{
    place::Place,
    secret_text::SecretText,
    site::SiteConfig,
    toml::{Defaults, to_toml},
};

/// What a file says.
#[derive(Debug, Default)]
pub(crate) struct Config {
    /// In the order of the file.
    pub(crate) sites: Vec<Listed>,
    /// Options of the command line that the file has too, which count where the command line and the environment are silent.
    pub(crate) defaults: Defaults,
    /// It is a `proxy.config`: what its users know of resource-proxy holds.
    pub(crate) is_esri: bool,
    /// Its `allowedReferers`, as `--allow-referer` takes them.
    pub(crate) allowed_referers: Vec<String>,
    /// Where something was guessed, or left out.
    pub(crate) warnings: Vec<Problem>,
}

/// A site, and where it stands in the file.
#[derive(Clone, Debug)]
pub(crate) struct Listed {
    pub(crate) place: Place,
    pub(crate) site: SiteConfig,
}

/// What is wrong, where, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) place: Option<Place>,
    pub(crate) words: String,
}

impl Problem {
    pub(crate) fn at(place: Place, words: impl Into<String>) -> Self {
        Self {
            place: Some(place),
            words: words.into(),
        }
    }

    pub(crate) fn of_file(words: impl Into<String>) -> Self {
        Self {
            place: None,
            words: words.into(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place {
            Some(place) => write!(f, "{place}: {}", self.words),
            None => f.write_str(&self.words),
        }
    }
}

impl Config {
    /// Reads a file. What it is, is known by its first character.
    ///
    /// # Errors
    ///
    /// All that is wrong with it, at once.
    pub(crate) fn read(path: &Path) -> Result<Self, Vec<Problem>> {
        let text = file::read(path).map_err(|problem| vec![problem])?;
        Self::parse(&text)
    }

    pub(crate) fn parse(text: &str) -> Result<Self, Vec<Problem>> {
        match text.trim_start().chars().next() {
            None => Err(vec![Problem::of_file("the file is empty")]),
            Some('<') => esri::from_xml(text),
            Some('{') => esri::from_json(text),
            Some(_) => toml::from_toml(text),
        }
    }
}
