//! What the library says of its settings, said of the probe's options.

/// What the library writes, and what a user of the probe knows it by. The longer comes before what it contains.
pub(crate) const NAMES: [(&str, &str); 17] = [
    ("the token URL `", "--token-url `"),
    ("the portal `", "--portal `"),
    ("the trusted token service `", "--trust `"),
    ("the referer `", "--referer `"),
    (
        "give the site's root as it is there",
        "give the URL as it is there",
    ),
    (", or give a client of your own with `token_client`", ""),
    ("`trust_token_service`", "--trust ORIGIN"),
    ("`token_url`", "--token-url URL"),
    ("`portal`", "--portal URL"),
    ("`allow_insecure_http`", "--allow-insecure-http"),
    ("`send_portal_token`", "--send-portal-token"),
    ("`credentials_in_url`", "--credentials-in-url"),
    ("than `login_timeout`", "than the 30 seconds it may take"),
    ("`login_timeout`", "time limit for logins"),
    ("`token_client`", "a client of your own"),
    ("`Credential::user`", "--username NAME"),
    ("`Credential::app`", "ARCGIS_CLIENT_ID"),
];

/// The library's words with the probe's options in place of its settings.
pub(crate) fn in_options(words: &str) -> String {
    NAMES
        .iter()
        .fold(words.to_owned(), |words, (setting, option)| {
            words.replace(setting, option)
        })
}
