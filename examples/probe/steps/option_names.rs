//! What the library says of its settings, said of the probe's options.

#[path = "../../option_names/mod.rs"]
mod names;

use self::names::Name;
#[cfg(test)]
pub(crate) use self::names::assert_complete;

/// The names that only the probe has. The longer comes before what it contains.
pub(crate) const NAMES: [Name; 6] = [
    ("the trusted token service `", "--trust `"),
    (
        "give the site's root as it is there",
        "give the URL as it is there",
    ),
    (", or give a client of your own with `token_client`", ""),
    ("`token_client`", "a client of your own"),
    ("`trust_token_service`", "--trust ORIGIN"),
    ("`Credential::app`", "ARCGIS_CLIENT_ID"),
];

/// The library's words with the probe's options in place of its settings.
pub(crate) fn in_options(words: &str) -> String {
    names::in_options(words, &NAMES)
}
