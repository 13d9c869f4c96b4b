//! Says what a server is, which login it wants, whether yours works, and what to write in code. Never prints a secret.
//!
//! `cargo run --example probe` probes a stand-in for ArcGIS Server. A real one:
//!
//! ```text
//! cargo run --example probe -- https://gis.example.com/arcgis/rest/services/Roads/MapServer
//! ARCGIS_PASSWORD=secret cargo run --example probe -- https://gis.example.com/arcgis --username reader
//! ```
//!
//! It asks the server what it is and the URL without a token, and, given a credential, logs in once and asks again.
//! What it does goes to stderr, its report to stdout. It ends with 0 if the URL can be used with what it was
//! given, 1 if not, 2 for a command line that cannot work. `--help` lists the options.
//!
//! `--json` prints one object:
//!
//! | field | what it is |
//! | --- | --- |
//! | `url` | what was asked, without its query |
//! | `root` | the site's root |
//! | `server` | `kind`: `server`, `federated_server`, `portal`, `silent` (it answers like ArcGIS and says nothing of itself), `unknown`; `current_version`, `full_version`, `token_based_security`, `info_url`, null where the server does not say |
//! | `token_service`, `owning_portal` | URLs the server names, or null |
//! | `source` | `kind` (`generate_token`, `legacy_token`, `portal`, `federated_server`, `ready_token`) and the `url` that gets the credential; null if no login fits |
//! | `source_error` | why no login fits, or null |
//! | `unlisted_origin` | what `--trust` would have to name, or null |
//! | `without_login` | the answer without a token: `kind`, `status`, `says` |
//! | `login` | null without a credential; else `as`, `tried`, `works` (a token was had, and taken if it was given; null where nothing asked for that), `refused`, `says` |
//! | `with_login` | the answer after the login, like `without_login`, or null |
//! | `usable` | whether the URL can be used with what was given |
//! | `advice` | sentences: what to do |
//! | `code`, `proxy` | Rust for this server, and the command line of `arcgis-proxy`, or null |
//! | `environment` | the variables both read |
//!
//! An answer's `kind` is `open`, a challenge's name (`token_required`, `token_invalid`, `login_page`,
//! `login_redirect`), `web_server_login`, `redirect`, `forbidden`, `error`, `page` or `unreachable`.

mod steps;

use std::{env, io, process::ExitCode};

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = env::args_os()
        .skip(1)
        .map(|argument| argument.to_string_lossy().into_owned());
    let variable = |name: &str| env::var(name).ok();
    let (mut out, mut progress) = (io::stdout(), io::stderr());
    // An error is a reader that went away.
    steps::run(arguments, &variable, &mut out, &mut progress)
        .await
        .map_or(ExitCode::FAILURE, ExitCode::from)
}
