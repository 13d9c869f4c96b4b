//! The command line, and what is made of it: settings that can work, or one clear sentence why not.

use std::{env, fs, io, net::SocketAddr, path::Path, path::PathBuf};

use clap::{Parser, ValueEnum};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use tower_arcgis_auth::{CallerToken, TokenPlacement};

use crate::origin::Upstream;

const PASSWORD_VARIABLE: &str = "ARCGIS_PASSWORD";

/// A reverse proxy in front of a secured ArcGIS: it logs in, signs what passes, and callers never see a login.
///
/// The password comes from the environment variable ARCGIS_PASSWORD or from --password-file, never from the command
/// line. RUST_LOG says how much is logged on stderr: `info` unless set, `debug` for a line per request.
#[derive(Debug, Parser)]
#[command(version)]
pub(crate) struct Arguments {
    /// Address to listen on; port 0 takes any free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080", value_parser = listen_address)]
    pub(crate) listen: SocketAddr,

    /// The ArcGIS to stand in front of: `https://gis.example.com/arcgis`
    ///
    /// All paths of this host are passed on. The URL's path is the site's root, the part before /rest: what lies under
    /// it is signed, and its token service is looked up at /rest/info behind it. Without a path the root is /arcgis.
    ///
    /// Without --upstream a made-up ArcGIS is started, to try the proxy on.
    #[arg(long, value_name = "URL")]
    upstream: Option<String>,

    /// The user to log in as; case counts. Without one nothing is signed
    #[arg(
        long,
        value_name = "NAME",
        env = "ARCGIS_USERNAME",
        hide_env_values = true
    )]
    username: Option<String>,

    /// File with the user's password, in place of ARCGIS_PASSWORD; a line break at its end is left out
    #[arg(long, value_name = "FILE", requires = "upstream")]
    password_file: Option<PathBuf>,

    /// Where to log in, in place of what the server says: `https://gis.example.com/arcgis/tokens/generateToken`
    #[arg(long, value_name = "URL", requires = "upstream")]
    token_url: Option<String>,

    /// An origin, `https://portal.example.com`, that the server may name as its token service's; repeatable
    ///
    /// Without it the password goes to the upstream's own origin only, whatever the server says.
    #[arg(long, value_name = "ORIGIN", requires = "upstream")]
    trust_token_service: Vec<String>,

    /// Where the token goes on requests
    #[arg(long, value_enum, value_name = "PLACE", default_value_t = Placement::Query)]
    token_placement: Placement,

    /// What happens to a token the caller sends
    #[arg(long, value_enum, value_name = "WHAT", default_value_t = Callers::Keep)]
    caller_token: Callers,

    /// The Referer that tokens are bound to, sent with logins and signed requests; the site's root unless set
    #[arg(long, value_name = "URL")]
    referer: Option<String>,

    /// Pass the callers' `Authorization` headers on; they are left out otherwise
    #[arg(long)]
    pub(crate) forward_authorization: bool,

    /// Certificates (PEM) to trust besides the platform's, for requests and logins
    #[arg(long, value_name = "PEM", requires = "upstream")]
    ca_file: Option<PathBuf>,

    /// Let the password travel over plain http: whoever listens on the way has it
    #[arg(long, requires = "upstream")]
    allow_insecure_http: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Placement {
    /// `token=` in the query: every version of ArcGIS takes it
    Query,
    /// The cookie `agstoken`
    Cookie,
    /// `X-Esri-Authorization: Bearer`: ArcGIS Enterprise 10.6 and later
    Header,
    /// `Authorization: Bearer`
    Bearer,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Callers {
    /// It is passed on, and nothing is signed
    Keep,
    /// It is taken off, and the proxy's own put in its place
    Replace,
}

/// Where to go and who to be there.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) upstream: Upstream,
    pub(crate) login: Option<Login>,
    pub(crate) token_url: Option<String>,
    pub(crate) trusted_token_services: Vec<String>,
    pub(crate) certificates: Vec<CertificateDer<'static>>,
    pub(crate) insecure_http: bool,
}

/// Who to log in as.
pub(crate) struct Login {
    pub(crate) username: String,
    pub(crate) password: String,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Login")
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

impl Arguments {
    pub(crate) fn placement(&self) -> TokenPlacement {
        match self.token_placement {
            Placement::Query => TokenPlacement::Query,
            Placement::Cookie => TokenPlacement::Cookie,
            Placement::Header => TokenPlacement::EsriHeader,
            Placement::Bearer => TokenPlacement::Bearer,
        }
    }

    pub(crate) fn caller_token(&self) -> CallerToken {
        match self.caller_token {
            Callers::Keep => CallerToken::Keep,
            Callers::Replace => CallerToken::Replace,
        }
    }

    pub(crate) fn referer(&self) -> Option<&str> {
        self.referer.as_deref()
    }

    /// The upstream and the login there; `None` where the made-up ArcGIS is asked for.
    ///
    /// What is wrong is said without repeating what might be a secret.
    pub(crate) fn target(&self) -> Result<Option<Target>, String> {
        // An empty variable is how service managers spell "none".
        let username = self.username.as_deref().filter(|name| !name.is_empty());
        let Some(upstream) = &self.upstream else {
            return match username {
                None => Ok(None),
                Some(_) => Err(
                    "there is a user (--username or ARCGIS_USERNAME) and nothing to log in to; add --upstream"
                        .to_owned(),
                ),
            };
        };
        let upstream = Upstream::parse(upstream)?;
        for url in self.token_url.iter().chain(&self.trust_token_service) {
            if url.contains('@') {
                return Err(
                    "a URL of --token-url or --trust-token-service has a user name in it; the user goes into \
                     --username, the password into ARCGIS_PASSWORD or --password-file"
                        .to_owned(),
                );
            }
        }
        Ok(Some(Target {
            upstream,
            login: self.login(username)?,
            token_url: self.token_url.clone(),
            trusted_token_services: self.trust_token_service.clone(),
            certificates: match &self.ca_file {
                Some(file) => certificates(file)?,
                None => Vec::new(),
            },
            insecure_http: self.allow_insecure_http,
        }))
    }

    fn login(&self, username: Option<&str>) -> Result<Option<Login>, String> {
        let password = match &self.password_file {
            Some(file) => Some(password_from(file)?),
            None => match env::var(PASSWORD_VARIABLE) {
                Ok(password) => Some(password).filter(|password| !password.is_empty()),
                Err(env::VarError::NotPresent) => None,
                Err(env::VarError::NotUnicode(_)) => {
                    return Err(format!(
                        "{PASSWORD_VARIABLE} is not UTF-8; ArcGIS takes passwords in UTF-8"
                    ));
                }
            },
        };
        match (username, password) {
            (Some(username), Some(password)) => Ok(Some(Login {
                username: username.to_owned(),
                password,
            })),
            (None, None) => Ok(None),
            (Some(_), None) => Err(format!(
                "there is a user and no password; put it into the environment variable {PASSWORD_VARIABLE} or name a \
                 file with --password-file"
            )),
            (None, Some(_)) => Err(format!(
                "there is a password ({PASSWORD_VARIABLE} or --password-file) and no user; add --username or \
                 ARCGIS_USERNAME"
            )),
        }
    }
}

fn listen_address(text: &str) -> Result<SocketAddr, &'static str> {
    text.parse()
        .map_err(|_| "write an IP address and a port, like 127.0.0.1:8080, 0.0.0.0:80 or [::]:8080")
}

fn password_from(file: &Path) -> Result<String, String> {
    let shown = file.display();
    let text = fs::read_to_string(file).map_err(|error| match error.kind() {
        io::ErrorKind::InvalidData => {
            format!("the password file {shown} is not UTF-8; ArcGIS takes passwords in UTF-8")
        }
        _ => format!("the password file {shown} cannot be read: {error}"),
    })?;
    let password = text.strip_suffix('\n').unwrap_or(&text);
    let password = password.strip_suffix('\r').unwrap_or(password);
    if password.is_empty() {
        return Err(format!("the password file {shown} is empty"));
    }
    Ok(password.to_owned())
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let shown = file.display();
    let certificates = CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| format!("the certificates in {shown} cannot be read: {error}"))?;
    if certificates.is_empty() {
        return Err(format!(
            "there is no certificate in {shown}; it must be PEM, with lines `-----BEGIN CERTIFICATE-----`"
        ));
    }
    Ok(certificates)
}
