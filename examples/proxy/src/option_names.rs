//! What the library says of its settings, said of the proxy's options: in errors, and in every line of the log.

use std::io::{self, Write};

/// What the library writes, and what a user of the proxy knows it by. The longer comes before what it contains.
const NAMES: [(&str, &str); 18] = [
    ("the site root `", "--upstream: the site's root `"),
    ("the token URL `", "--token-url `"),
    ("the portal `", "--portal `"),
    ("the trusted token service `", "--trust-token-service `"),
    ("the referer `", "--referer `"),
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
    ("`token_url`", "--token-url URL"),
    ("`portal`", "--portal URL"),
    ("`allow_insecure_http`", "--allow-insecure-http"),
    ("`send_portal_token`", "--send-portal-token"),
    ("`credentials_in_url`", "--credentials-in-url"),
    ("than `login_timeout`", "than the 30 seconds it may take"),
    ("`login_timeout`", "time limit for logins"),
    ("`Credential::user`", "--username NAME"),
    ("`Credential::app`", "--client-id ID"),
];

/// The library's words with the proxy's options in place of its settings.
pub(crate) fn in_options(words: &str) -> String {
    NAMES
        .iter()
        .fold(words.to_owned(), |words, (setting, option)| {
            words.replace(setting, option)
        })
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
    use std::{fs, path::Path};

    use super::*;

    /// What the proxy has no use for or sets itself, and a parameter of sign-ins.
    const UNREACHABLE: [&str; 3] = ["identity_fn", "token_client", "state"];

    /// The code of the library, without comments, its strings each on one line.
    fn library() -> String {
        let mut code = String::new();
        let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("../../src")];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                let text = fs::read_to_string(&path).unwrap();
                let lines = text.lines().map(str::trim_start);
                for line in lines.filter(|line| !line.starts_with("//")) {
                    match line.strip_suffix('\\') {
                        Some(line) => code.push_str(line),
                        None => code.push_str(&format!("{line}\n")),
                    }
                }
            }
        }
        code
    }

    #[test]
    fn every_setting_that_the_library_names_has_an_option_here() {
        let code = library();
        let settings = code
            .lines()
            .filter_map(|line| line.strip_prefix("pub fn "))
            .map(|line| line.split(['(', '<']).next().unwrap());
        let mut named = 0;
        for setting in settings.chain(["Credential::user", "Credential::app"]) {
            let quoted = format!("`{setting}`");
            if code.contains(&quoted) && !UNREACHABLE.contains(&setting) {
                assert!(!in_options(&quoted).contains('`'), "{setting}");
                named += 1;
            }
        }
        assert!(named >= 6, "{named}");
    }

    #[test]
    fn the_library_still_writes_what_is_looked_for() {
        let code = library();
        for (words, _) in NAMES {
            assert!(code.contains(words), "{words}");
        }
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
