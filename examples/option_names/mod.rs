//! What the library says of its settings, said of a program's options. The proxy and the probe have most of them in common.

/// What the library writes, and what a program's user knows it by.
pub(crate) type Name = (&'static str, &'static str);

/// The names that all programs have. The longer comes before what it contains.
const COMMON: [Name; 11] = [
    ("the token URL `", "--token-url `"),
    ("the portal `", "--portal `"),
    ("the referer `", "--referer `"),
    ("`token_url`", "--token-url URL"),
    ("`portal`", "--portal URL"),
    ("`allow_insecure_http`", "--allow-insecure-http"),
    ("`send_portal_token`", "--send-portal-token"),
    ("`credentials_in_url`", "--credentials-in-url"),
    ("than `login_timeout`", "than the 30 seconds it may take"),
    ("`login_timeout`", "time limit for logins"),
    ("`Credential::user`", "--username NAME"),
];

/// The library's words with a program's options in place of its settings: its `own` names first, then those that all have.
pub(crate) fn in_options(words: &str, own: &[Name]) -> String {
    own.iter()
        .chain(&COMMON)
        .fold(words.to_owned(), |words, (setting, option)| {
            words.replace(setting, option)
        })
}

/// Fails unless each setting that the library names has an option, but for those that are `unreachable` in the program, and
/// the library still writes what is looked for.
#[cfg(test)]
pub(crate) fn assert_complete(source: &std::path::Path, own: &[Name], unreachable: &[&str]) {
    let code = without_comments(source);
    let settings = code
        .lines()
        .filter_map(|line| line.strip_prefix("pub fn "))
        .filter_map(|line| line.split(['(', '<']).next());
    let mut named = 0;
    for setting in settings.chain(["Credential::user", "Credential::app"]) {
        let quoted = format!("`{setting}`");
        if code.contains(&quoted) && !unreachable.contains(&setting) {
            assert!(!in_options(&quoted, own).contains('`'), "{setting}");
            named += 1;
        }
    }
    assert!(named >= 6, "{named}");
    for (words, _) in own.iter().chain(&COMMON) {
        assert!(code.contains(words), "the library no longer writes {words}");
    }
}

/// The code in a folder, without comments, its strings each on one line.
#[cfg(test)]
fn without_comments(folder: &std::path::Path) -> String {
    let mut code = String::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            code.push_str(&without_comments(&path));
            continue;
        }
        if path.extension().is_none_or(|extension| extension != "rs") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let lines = text.lines().map(str::trim_start);
        for line in lines.filter(|line| !line.starts_with("//")) {
            match line.strip_suffix('\\') {
                Some(line) => code.push_str(line),
                None => code.push_str(&format!("{line}\n")),
            }
        }
    }
    code
}
