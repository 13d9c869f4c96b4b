//! URLs as errors, logs and `Debug` may show them.

use std::fmt;

/// No URL that helps anybody is longer.
const LONGEST: usize = 300;

/// Schemes of URLs that people configure. Something else before a `//` may be a part of a password.
const SCHEMES: [&str; 6] = ["", "http:", "https:", "ftp:", "redis:", "rediss:"];

const HIDDEN: &str = "…";

/// A URL, or what was meant to be one, without user information, query and fragment, on one line of at most 300
/// characters.
///
/// A password that should have been percent-encoded may hold any character, an `@`, `/`, `?` or `#` too. So everything
/// before the last `@` is hidden. Where a `?` or `#` stands before that, it cannot be told whether a password or a query
/// holds the `@`, and everything is hidden but the scheme.
pub(crate) fn redact(url: impl fmt::Display) -> String {
    let text = url.to_string();
    let text = text.trim();
    let (scheme, rest) = match text.split_once("//") {
        Some((scheme, rest)) if is_known_scheme(scheme) => (format!("{scheme}//"), rest),
        _ => (String::new(), text),
    };
    let (user, rest) = match rest.rsplit_once('@') {
        Some((user, _)) if user.contains(ENDS_PATH) => return format!("{scheme}{HIDDEN}"),
        Some((_, rest)) => ("…@", rest),
        None => ("", rest),
    };
    let rest = rest.split(ENDS_PATH).next().unwrap_or_default();
    let authority_end = rest.find(['/', '\\']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(authority_end);
    let authority = if is_authority(authority) {
        authority
    } else {
        HIDDEN
    };
    let shown = format!("{scheme}{user}{authority}{path}");
    let mut shown: String = shown
        .chars()
        .filter(|character| is_shown(*character))
        .take(LONGEST + 1)
        .collect();
    if shown.chars().count() > LONGEST {
        shown.pop();
        shown.push_str(HIDDEN);
    }
    shown
}

/// What begins a query, a fragment or path parameters: session ids are among these.
const ENDS_PATH: [char; 3] = ['?', '#', ';'];

fn is_known_scheme(scheme: &str) -> bool {
    SCHEMES
        .iter()
        .any(|known| known.eq_ignore_ascii_case(scheme))
}

/// Whether it is a host, and no user's name and password before a forgotten `@`: behind a colon stand digits alone.
fn is_authority(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, port)) if address.parse::<std::net::Ipv6Addr>().is_ok() => {
            ("", port.strip_prefix(':').unwrap_or(port))
        }
        _ => text.split_once(':').unwrap_or((text, "")),
    };
    let is_of_host = |character: char| character.is_alphanumeric() || ".-_ ".contains(character);
    host.chars().all(is_of_host)
        && port.len() <= "65535".len()
        && port.chars().all(|character| character.is_ascii_digit())
}

/// Neither control characters nor what changes the direction of writing.
fn is_shown(character: char) -> bool {
    character.is_alphanumeric()
        || character.is_ascii_graphic()
        || character == ' '
        || HIDDEN.contains(character)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_url_without_secrets_is_shown_whole() {
        for url in [
            "",
            "https://gis.example.com/arcgis",
            "http://[::1]:6080/arcgis/rest/services",
            "https://gis.stadt-münchen.de",
            "gis.example.com/arcgis",
            "//gis.example.com:6443/arcgis",
            "rediss://redis.example.com:6379/0",
            "10.9.1",
            "10.9.1 Final",
            "…",
        ] {
            assert_eq!(redact(url), url);
        }
    }

    #[test]
    fn what_may_be_a_secret_is_hidden() {
        for (url, shown) in [
            ("https://u:hunter2@host/arcgis", "https://…@host/arcgis"),
            ("u:hunter2@host/arcgis", "…@host/arcgis"),
            ("https://u:hun@ter2@host/a", "https://…@host/a"),
            ("https://u:hun/ter2@host/a", "https://…@host/a"),
            ("https://u:hun//ter2@host/a", "https://…@host/a"),
            ("https://u:hunter2#x@host", "https://…"),
            ("https://u:hunter2?x@host", "https://…"),
            ("https://u:hun;ter2@host", "https://…"),
            ("u:passw//ord@host", "…@host"),
            ("hunter2://x@host", "…@host"),
            ("https:/u:hunter2@host", "…@host"),
            ("https:\\\\u:hunter2@host", "…@host"),
            // The `@` was forgotten, or encoded.
            ("https://u:hunter2", "https://…"),
            ("redis://default:hunter2/0", "redis://…/0"),
            ("https://u:hunter2%40host/a", "https://…/a"),
            ("https://hunter2%40host/a", "https://…/a"),
            // Queries, fragments and path parameters.
            ("https://host/a?token=hunter2", "https://host/a"),
            ("https://host/a?token=x@hunter2", "https://…"),
            ("https://host/a#hunter2", "https://host/a"),
            ("https://host/a;jsessionid=hunter2", "https://host/a"),
            ("https://host?hunter2", "https://host"),
            // One line, and no terminal's commands.
            (
                " https://host/a\r\nb\u{1b}[2J\u{202e}c ",
                "https://host/ab[2Jc",
            ),
        ] {
            assert_eq!(redact(url), shown, "{url}");
        }
    }

    #[test]
    fn a_long_url_is_cut() {
        let shown = redact(format!("https://host/{}", "ä".repeat(1000)));
        assert_eq!(shown.chars().count(), LONGEST + 1);
        assert!(shown.ends_with('…'));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1500))]

        #[test]
        fn no_part_of_a_password_is_shown(
            // Nothing of `https://host:6443/0` is made of these.
            user in "[j-nJ-N@:/?#;%\\\\ .é\t\\[\\]]{0,12}",
            password in "[j-nJ-N@:/?#;%\\\\ .é\t\\[\\]]{4,24}",
            query in "([?#][j-nJ-N@:/?#=&]{0,12})?",
            scheme in "(https://|http://|//|redis://|HTTPS://|https:/|https:|)",
        ) {
            let shown = redact(format!("{scheme}{user}:{password}@host:6443/0{query}"));
            for secret in [&user, &password, &query] {
                let secret: Vec<char> = secret.chars().collect();
                for part in secret.windows(4) {
                    let part: String = part.iter().collect();
                    prop_assert!(!shown.contains(&part), "{shown} shows {part}");
                }
            }
        }
    }
}
