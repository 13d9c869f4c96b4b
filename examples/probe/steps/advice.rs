//! What to do about it: in words, in Rust, and as a command line of the proxy.

use tower_arcgis_auth::Challenge;

use super::{
    answer::{Answer, Kind},
    report::{Report, Server},
};

pub(crate) struct Advice {
    pub(crate) sentences: Vec<String>,
    /// None where there is no ArcGIS to write it for.
    pub(crate) code: Option<String>,
    pub(crate) proxy: Option<String>,
    /// What both read.
    pub(crate) variables: Vec<&'static str>,
}

pub(crate) fn of(report: &Report) -> Advice {
    let is_arcgis = report.server() != Server::Unknown;
    Advice {
        sentences: sentences(report),
        code: is_arcgis.then(|| code(report)),
        proxy: is_arcgis.then(|| proxy(report)).flatten(),
        variables: match &report.who {
            _ if !is_arcgis => Vec::new(),
            Some(who) => who.variables.clone(),
            None => vec!["ARCGIS_USERNAME", "ARCGIS_PASSWORD"],
        },
    }
}

fn sentences(report: &Report) -> Vec<String> {
    let mut all = Vec::new();
    let site_report = &report.site_report;
    if let Some(origin) = site_report.unlisted_origin() {
        all.push(if needs_listing(report) {
            format!(
                "The server sends logins to {origin}. If you know that to be right, add `--trust {origin}`; the code below \
                 has it."
            )
        } else {
            format!(
                "The server names a token service at {origin}, which is not listed: the one below the site's own root is \
                 asked in its place. Add `--trust {origin}` only if that one is wrong, and {origin} can be reached from here."
            )
        });
    }
    if let Some(error) = report.source_error() {
        if error.contains("--allow-insecure-http") {
            all.push("Ask at https, or add `--allow-insecure-http`.".to_owned());
        }
        if error.contains("--portal URL") {
            all.push("Name the portal with `--portal URL`.".to_owned());
        }
    }
    if site_report.token_based_security() == Some(false) {
        all.push(
            "The server says that it does not go by tokens: its web server logs people in."
                .to_owned(),
        );
    }
    let answer = report.with_login.as_ref().unwrap_or(&report.without_login);
    all.extend(about(answer, report).map(str::to_owned));
    let refused = report.login.as_ref().is_some_and(|login| login.refused);
    if refused && !has_ready_token(report) {
        let locks = if report.who.as_ref().is_some_and(|who| who.is_user) {
            ": ArcGIS locks an account after five failures in 15 minutes"
        } else {
            ""
        };
        all.push(format!(
            "The token service refused the login. It was tried once and is not tried again{locks}. Correct it before you \
             run this again."
        ));
    }
    let has_failed = report.login.as_ref().is_some_and(|login| !login.works);
    if has_failed && !refused && report.arguments.portal.is_some() {
        all.push(
            "Check `--portal`: it is the part of the portal's URL before `/home` and `/sharing`, web adaptor's name \
             (mostly `portal`) and all."
                .to_owned(),
        );
    }
    all.extend(about_certificates(report));
    if report.login.is_some() && report.works().is_none() {
        all.push(
            "Nothing here asks for a token, so that yours was not looked at. Give the URL of a secured service."
                .to_owned(),
        );
    }
    all
}

fn says_of_certificate(answer: &Answer) -> bool {
    let says = answer.says.as_deref().unwrap_or_default();
    says.contains("--ca-file") || says.contains("--tls-name")
}

/// What the words of an error say of certificates, and what follows from the options that are given for them.
fn about_certificates(report: &Report) -> Vec<String> {
    let mut all = Vec::new();
    let login = report.login.as_ref().filter(|login| !login.works);
    let unreachable = Some(&report.without_login).filter(|answer| answer.kind == Kind::Unreachable);
    let words = [
        unreachable.and_then(|answer| answer.says.as_deref()),
        login.map(|login| login.says.as_str()),
    ];
    let names = |option: &str| words.iter().flatten().any(|words| words.contains(option));
    if names("--tls-name") {
        all.push(
            "The server's certificate is for another name than the URL's host. If it is the right server, add \
             `--tls-name NAME` with a name of the certificate's."
                .to_owned(),
        );
    }
    if names("--ca-file") {
        all.push(
            "The server's certificate is not trusted. If it is the right server, add `--ca-file PEM` with the certificate of \
             the CA that signed it, or with its own."
                .to_owned(),
        );
    }
    let arguments = &report.arguments;
    let are_given = arguments.ca_file.is_some() || arguments.tls_name.is_some();
    if are_given && report.server() != Server::Unknown {
        all.push(
            "The code below trusts whom the platform trusts, and by the URL's host. Give the layer's builder a client of your \
             own with the certificates and the name given here, as its `token_client`; \
             `TokenClient::from_rustls_config` makes one. Put the layer over a client that trusts the same."
                .to_owned(),
        );
    }
    all
}

fn has_ready_token(report: &Report) -> bool {
    report.who.as_ref().is_some_and(|who| who.is_ready_token)
}

fn about(answer: &Answer, report: &Report) -> Option<&'static str> {
    let logged_in = report.with_login.is_some();
    match answer.kind {
        Kind::Challenge(_) if logged_in && has_ready_token(report) => Some(
            "The key or token is not taken here. It is past its end, made for another site, or limited to another `Referer` \
             (`--referer`).",
        ),
        Kind::Challenge(_) if logged_in => Some(
            "A fresh token was not enough. The account may not use this service; or the token does not arrive, where a \
             proxy on the way drops the query or the `Referer`.",
        ),
        Kind::Challenge(
            Challenge::TokenRequired | Challenge::LoginPage | Challenge::LoginRedirect,
        ) if report.who.is_none() => Some(
            "To see whether a login works, set ARCGIS_USERNAME and ARCGIS_PASSWORD (or ARCGIS_CLIENT_ID and \
                 ARCGIS_CLIENT_SECRET, ARCGIS_API_KEY, ARCGIS_TOKEN).",
        ),
        Kind::Open if report.server() == Server::Unknown => Some(
            "There is an answer, and nothing that looks like an ArcGIS behind it. The root of one looks like \
             https://gis.example.com/arcgis.",
        ),
        Kind::Open if report.who.is_none() => {
            Some("This needs no login. The code below is for the site's services that do.")
        }
        Kind::WebServerLogin => Some(
            "A token does not help where the web server itself logs people in (IWA, PKI, Basic). Use the server's own \
             port or another web adaptor, or a client that can log in there.",
        ),
        Kind::Redirect => Some("Probe the URL it redirects to; the layer follows no redirects."),
        Kind::Forbidden if logged_in && has_ready_token(report) => Some(
            "The key or token may not be used for this, or not from here: it may be limited to another `Referer` \
             (`--referer`).",
        ),
        Kind::Forbidden => Some(
            "This account may not use this, or no account may. See what the service is shared with.",
        ),
        Kind::Error | Kind::Page => Some(
            "Check the URL: a service's is like https://gis.example.com/arcgis/rest/services/Roads/MapServer?f=json, with \
             the web adaptor's name, mostly `arcgis`, behind the host.",
        ),
        // Of that there is more to say.
        Kind::Unreachable if says_of_certificate(answer) => None,
        Kind::Unreachable => Some("Check the URL, the network, and the server's certificate."),
        Kind::Challenge(_) | Kind::Open => None,
    }
}

/// Rust for the site, with the settings it takes.
fn code(report: &Report) -> String {
    let who = report.who.as_ref().map_or(
        "Credential::user(Secret::env(\"ARCGIS_USERNAME\"), Secret::env(\"ARCGIS_PASSWORD\"))",
        |who| &who.code,
    );
    let mut settings = Vec::new();
    if let Some(portal) = &report.arguments.portal {
        settings.push(format!(".portal({portal:?})"));
    }
    if let Some(url) = &report.arguments.token_url {
        settings.push(format!(".token_url({url:?})"));
    }
    for origin in trusted(report) {
        settings.push(format!(".trust_token_service({origin:?})"));
    }
    if let Some(referer) = &report.arguments.referer {
        settings.push(format!(".referer({referer:?})"));
    }
    if report.arguments.sends_portal_token {
        settings.push(".send_portal_token()".to_owned());
    }
    if report.arguments.credentials_in_url {
        settings.push(".credentials_in_url()".to_owned());
    }
    if report.arguments.insecure_http {
        settings.push(".allow_insecure_http()".to_owned());
    }
    settings.push(format!(".credential({who})"));
    format!(
        "use tower_arcgis_auth::{{ArcgisAuthLayer, Credential, Secret, Site}};\n\n\
         let site = Site::new({:?})\n    {};\n\
         let layer = ArcgisAuthLayer::try_new(site)?;",
        report.site_report.root(),
        settings.join("\n    ")
    )
}

/// The proxy's command line. None for a root without a path, which the proxy takes for `/arcgis`.
fn proxy(report: &Report) -> Option<String> {
    let root = report.site_report.root();
    root.split_once("://")?.1.split_once('/')?;
    let mut words = vec![
        "arcgis-proxy".to_owned(),
        "--upstream".to_owned(),
        root.to_owned(),
    ];
    if let Some(portal) = &report.arguments.portal {
        words.extend(["--portal".to_owned(), portal.clone()]);
    }
    if let Some(url) = &report.arguments.token_url {
        words.extend(["--token-url".to_owned(), url.clone()]);
    }
    for origin in trusted(report) {
        words.extend(["--trust-token-service".to_owned(), origin]);
    }
    if let Some(referer) = &report.arguments.referer {
        words.extend(["--referer".to_owned(), referer.clone()]);
    }
    if let Some(file) = &report.arguments.ca_file {
        words.extend(["--ca-file".to_owned(), file.clone()]);
    }
    if let Some(name) = &report.arguments.tls_name {
        words.extend(["--tls-name".to_owned(), name.clone()]);
    }
    if report.arguments.sends_portal_token {
        words.push("--send-portal-token".to_owned());
    }
    if report.arguments.credentials_in_url {
        words.push("--credentials-in-url".to_owned());
    }
    if report.arguments.insecure_http {
        words.push("--allow-insecure-http".to_owned());
    }
    if let Some(who) = &report.who {
        words.extend(who.options.iter().cloned());
    }
    let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
    Some(words.join(" "))
}

/// Without the origin that the server names no login fits. One that fits goes below the site's own root.
fn needs_listing(report: &Report) -> bool {
    report.site_report.source().is_err()
}

/// The origins listed, and the one that has to be.
fn trusted(report: &Report) -> Vec<String> {
    let unlisted = report.site_report.unlisted_origin();
    let mut all = report.arguments.trusted.clone();
    all.extend(
        unlisted
            .filter(|_| needs_listing(report))
            .map(str::to_owned),
    );
    all
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let is_plain = |char: char| char.is_ascii_alphanumeric() || "-_./:@=,+[]".contains(char);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}
