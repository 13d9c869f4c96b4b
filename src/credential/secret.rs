//! A secret, and where it is read from: a value, an environment variable, or a file that may change.

use std::{
    env, fmt, fs,
    hash::{BuildHasher, RandomState},
    path::PathBuf,
    sync::LazyLock,
};

use secrecy::{ExposeSecret, SecretString};

use crate::error::TokenError;

/// Where a secret is read from. It is read again for every login: a changed file counts with the next one.
///
/// ```
/// use tower_arcgis_auth::{Credential, Secret};
///
/// let credential = Credential::user("gis_reader", Secret::file("/run/secrets/arcgis-password"));
/// let from_environment = Credential::user(Secret::env("ARCGIS_USERNAME"), Secret::env("ARCGIS_PASSWORD"));
/// assert_eq!(format!("{:?}", Secret::value("hunter2")), "Secret([redacted])");
/// # drop((credential, from_environment));
/// ```
#[derive(Clone)]
pub struct Secret {
    place: Place,
}

#[derive(Clone)]
enum Place {
    Value(SecretString),
    Environment(String),
    File(PathBuf),
}

impl Secret {
    /// The secret itself.
    pub fn value(text: impl Into<String>) -> Self {
        Self {
            place: Place::Value(SecretString::from(text.into())),
        }
    }

    /// What the environment variable `name` holds.
    pub fn env(name: impl Into<String>) -> Self {
        Self {
            place: Place::Environment(name.into()),
        }
    }

    /// What the file holds, without line breaks at its end.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self {
            place: Place::File(path.into()),
        }
    }

    /// The secret as it is now.
    ///
    /// # Errors
    ///
    /// A fault that names the variable or file, where it is missing or empty. A value never fails.
    pub fn read(&self) -> Result<SecretString, TokenError> {
        let text = match &self.place {
            Place::Value(text) => return Ok(text.clone()),
            Place::Environment(name) => env::var(name).map_err(|_| {
                TokenError::fault(format!(
                    "the environment variable {name} is not set, or not text; set it"
                ))
            })?,
            Place::File(path) => fs::read_to_string(path).map_err(|error| {
                TokenError::fault(format!(
                    "the secret's file {} cannot be read; check that it is there and readable",
                    path.display()
                ))
                .with_source(error)
            })?,
        };
        let text = SecretString::from(text);
        let trimmed = text.expose_secret().trim_end_matches(['\r', '\n']);
        if trimmed.is_empty() {
            let place = match &self.place {
                Place::File(path) => format!("the file {}", path.display()),
                Place::Environment(name) => format!("the environment variable {name}"),
                Place::Value(_) => "the value".to_owned(),
            };
            return Err(TokenError::fault(format!(
                "{place} holds nothing where a secret should be; set it"
            )));
        }
        Ok(SecretString::from(trimmed.to_owned()))
    }

    /// Whether it is a value, and empty.
    pub(crate) fn is_empty_value(&self) -> bool {
        matches!(&self.place, Place::Value(text) if text.expose_secret().is_empty())
    }

    /// A number that differs for secrets of different places, whatever they hold now.
    pub(crate) fn identity(&self) -> u64 {
        static HASHER: LazyLock<RandomState> = LazyLock::new(RandomState::new);
        match &self.place {
            Place::Value(text) => HASHER.hash_one((0, text.expose_secret())),
            Place::Environment(name) => HASHER.hash_one((1, name)),
            Place::File(path) => HASHER.hash_one((2, path)),
        }
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self::value(text)
    }
}

impl From<&String> for Secret {
    fn from(text: &String) -> Self {
        Self::value(text.as_str())
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self::value(text)
    }
}

impl From<SecretString> for Secret {
    fn from(text: SecretString) -> Self {
        Self {
            place: Place::Value(text),
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Value(_) => f.write_str("Secret([redacted])"),
            Place::Environment(name) => write!(f, "Secret(env {name})"),
            Place::File(path) => write!(f, "Secret(file {})", path.display()),
        }
    }
}
