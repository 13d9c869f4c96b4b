//! Secrets as files write them: themselves, or where they are.

use std::fmt;

use serde::{Deserialize, Serialize};
use tower_arcgis_auth::Secret;

/// `env:NAME`, `file:PATH`, or the secret itself. Never shown.
#[derive(Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(transparent)]
pub(crate) struct SecretText(String);

impl SecretText {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The secret, read now or whenever it is needed.
    pub(crate) fn secret(&self) -> Secret {
        if let Some(name) = self.variable() {
            Secret::env(name)
        } else if let Some(path) = self.0.strip_prefix("file:") {
            Secret::file(path)
        } else {
            Secret::value(self.0.as_str())
        }
    }

    /// The variable that it is in.
    pub(crate) fn variable(&self) -> Option<&str> {
        self.0.strip_prefix("env:")
    }

    /// Whether it stands in the file itself.
    pub(crate) fn is_written_down(&self) -> bool {
        self.variable().is_none() && !self.0.starts_with("file:")
    }

    /// Where it is, in words that may be shown.
    pub(crate) fn place(&self) -> &str {
        if self.is_written_down() {
            "written in the file"
        } else {
            &self.0
        }
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_a_secret_is_may_be_shown_and_the_secret_never() {
        let [written, variable, file] = ["hunter2", "env:NAME", "file:/a"].map(SecretText::new);
        assert_eq!(written.place(), "written in the file");
        assert_eq!(variable.place(), "env:NAME");
        assert_eq!(file.place(), "file:/a");
        assert_eq!(format!("{written:?}"), "SecretText");
    }
}
