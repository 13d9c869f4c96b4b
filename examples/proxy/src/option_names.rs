//! What the library says of its settings, said of the proxy's options: in errors, and in every line of the log.

#[path = "../../option_names/mod.rs"]
mod names;

use std::io::{self, Write};

use self::names::Name;

/// The names that only the proxy has. The longer comes before what it contains.
const NAMES: [Name; 7] = [
    ("the site root `", "--upstream: the site's root `"),
    ("the trusted token service `", "--trust-token-service `"),
    ("the Redis URL `", "--redis `"),
    (
        "give the site's root as it is there",
        "give --upstream as it is there",
    ),
    (
        "give the root that is expected",
        "give --upstream with the root that is expected",
    ),
    ("`trust_token_service`", "--trust-token-service ORIGIN"),
    ("`Credential::app`", "--client-id ID"),
];

/// The library's words with the proxy's options in place of its settings.
pub(crate) fn in_options(words: &str) -> String {
    names::in_options(words, &NAMES)
}

/// Writes the log. `tracing-subscriber` hands over a line at a time.
pub(crate) struct InOptions<W>(pub(crate) W);

impl<W: Write> Write for InOptions<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let words = in_options(&String::from_utf8_lossy(line));
        self.0.write_all(words.as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn every_setting_that_the_library_names_has_an_option_here() {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../src");
        // What the proxy has no use for or sets itself, and a parameter of sign-ins.
        let unreachable = [
            "add_site",
            "credential_deadline",
            "default_site",
            "identity_fn",
            "state",
            "token_client",
        ];
        names::assert_complete(&source, &NAMES, &unreachable);
    }

    #[test]
    fn a_line_of_the_log_names_options() {
        let mut log = InOptions(Vec::new());
        let line = "list it with `trust_token_service`, or name one with `token_url`\n";
        log.write_all(line.as_bytes()).unwrap();
        assert_eq!(
            String::from_utf8(log.0).unwrap(),
            "list it with --trust-token-service ORIGIN, or name one with --token-url URL\n"
        );
    }
}
