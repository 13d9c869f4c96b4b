//! The command line, and what is made of it: settings that can work, or one clear sentence why not.

mod access;
mod defaults;
mod limits;
mod log;

use std::{env, ffi::OsStr, net::SocketAddr, path::PathBuf};

use clap::{
    Command, CommandFactory, FromArgMatches, Parser,
    builder::{BoolishValueParser, Resettable},
    parser::ValueSource,
};
use http::Uri;
use rustls::pki_types::{CertificateDer, ServerName};

use self::defaults::with_defaults;
pub(crate) use self::{
    access::AccessOptions,
    limits::LimitOptions,
    log::{LogFormat, LogOptions},
};
use crate::{
    config::{Config, Defaults, SiteConfig},
    login::{Login, Named},
    origin::Upstream,
    shared_cache::{Sharing, shared_cache},
    signing::{Callers, Placement, name_of},
    upstream::{read_certificates, tls_name},
};

/// A reverse proxy in front of a secured ArcGIS: it logs in, signs what passes, and callers never see a login.
///
/// It logs in as a user (--username) or an application (--client-id), or sends the API key in the environment variable
/// ARCGIS_API_KEY or the token in ARCGIS_TOKEN: one of these. Secrets come from the environment (ARCGIS_PASSWORD,
/// ARCGIS_CLIENT_SECRET) or from files, never from the command line.
///
/// Each option may be given by its environment variable instead; lists are separated by commas.
///
/// RUST_LOG says how much is logged on stderr: `info` unless set, `debug` for a line per request.
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
    #[arg(long, value_name = "URL", group = "served")]
    upstream: Option<String>,

    /// A file of sites, in place of --upstream: TOML, or resource-proxy's proxy.config in XML or JSON
    ///
    /// In TOML, options of this command line come first, and then each site: `[[site]]`, `url = "https://gis.example.com/arcgis"`,
    /// a `mount = "/gis"` for the path that leads there, and the site's own options. Without a mount it is asked for as
    /// `/proxy?https://gis.example.com/arcgis/…`, as is all that a proxy.config lists. Secrets may be `env:NAME` or `file:PATH`.
    #[arg(long, value_name = "FILE", group = "served")]
    pub(crate) config: Option<PathBuf>,

    /// Say what would be done for each site of --config, log in nowhere, and end: with 0, or 2 where it cannot work
    #[arg(long, requires = "config", conflicts_with = "convert")]
    pub(crate) check: bool,

    /// Write --config as TOML to stdout, its secrets as `env:NAME` with the names on stderr, and end
    #[arg(long, requires = "config")]
    pub(crate) convert: bool,

    /// The user to log in as; case counts. Without any credential nothing is signed
    #[arg(long, value_name = "NAME", env = "ARCGIS_USERNAME")]
    username: Option<String>,

    /// File with the user's password, in place of ARCGIS_PASSWORD; a line break at its end is left out
    ///
    /// It is read again for every login.
    #[arg(long, value_name = "FILE", requires = "upstream")]
    password_file: Option<PathBuf>,

    /// The application to log in as at a portal, with its secret in ARCGIS_CLIENT_SECRET
    #[arg(long, value_name = "ID", env = "ARCGIS_CLIENT_ID")]
    client_id: Option<String>,

    /// File with the application's secret, in place of ARCGIS_CLIENT_SECRET; read like the password's
    #[arg(long, value_name = "FILE", requires = "upstream")]
    client_secret_file: Option<PathBuf>,

    /// The portal to log in at, in place of what the server says: `https://portal.example.com/portal`
    #[arg(
        long,
        value_name = "URL",
        requires = "upstream",
        conflicts_with = "token_url"
    )]
    portal: Option<String>,

    /// Where to log in, in place of what the server says: `https://gis.example.com/arcgis/tokens/generateToken`
    #[arg(long, value_name = "URL", requires = "upstream")]
    token_url: Option<String>,

    /// An origin, `https://portal.example.com`, that the server may name as its token service's; repeatable
    ///
    /// Without it the credential goes to the upstream's own origin and --portal's only, whatever the server says.
    #[arg(
        long,
        value_name = "ORIGIN",
        requires = "served",
        value_delimiter = ','
    )]
    trust_token_service: Vec<String>,

    /// A Redis, `redis://host:port` or `rediss://` with TLS, through which proxies share one login; needs a key
    ///
    /// The key that seals what is kept there comes from ARCGIS_CACHE_KEY or --cache-key-file, the same for all. A URL
    /// with a password in it belongs into ARCGIS_REDIS_URL: others can read command lines.
    #[arg(long, value_name = "URL", env = "ARCGIS_REDIS_URL")]
    redis: Option<String>,

    /// File with the key, 64 hexadecimal digits of `openssl rand -hex 32`, in place of ARCGIS_CACHE_KEY
    ///
    /// Several keys, a line each: the first seals, all open.
    #[arg(long, value_name = "FILE", requires = "served")]
    cache_key_file: Option<PathBuf>,

    /// Where the token goes on requests
    #[arg(long, value_enum, value_name = "PLACE", default_value_t = Placement::Query)]
    pub(crate) token_placement: Placement,

    /// What happens to a token the caller sends
    #[arg(long, value_enum, value_name = "WHAT", default_value_t = Callers::Keep)]
    pub(crate) caller_token: Callers,

    /// The Referer that tokens are bound to, sent with logins and signed requests; the site's root and a slash unless set
    ///
    /// Without any credential it is sent with every request, for tokens of the callers' own.
    #[arg(long, value_name = "URL")]
    referer: Option<String>,

    /// Bind tokens to this machine's address, as the server sees it, in place of a Referer
    ///
    /// Callers' addresses are not passed on then, for servers that go by `X-Forwarded-For`.
    #[arg(long, conflicts_with = "referer")]
    bind_to_address: bool,

    /// Let requests wait for the login where there is no token yet, in place of sending them unsigned
    ///
    /// For lists of services and searches: they leave out what needs a token, and never ask for one.
    #[arg(long)]
    login_first: bool,

    /// Pass the callers' `Authorization` headers on; they are left out otherwise
    #[arg(long)]
    forward_authorization: bool,

    /// Send the portal's own token to a server that the portal makes none for
    ///
    /// That token opens all of the portal: only for servers you trust with it, such as the portal's hosting server.
    #[arg(long, requires = "served")]
    send_portal_token: bool,

    /// Send user name and password in the URL where the server is ArcGIS 10.2 or older
    ///
    /// Every log on the way has them then. Needed only where such a server takes no login by POST.
    #[arg(long, requires = "served")]
    credentials_in_url: bool,

    /// Certificates (PEM) to trust besides the platform's, for requests and logins
    ///
    /// Those of CAs, and servers' own: these are trusted as they are, also where they are self-signed, for another name or
    /// have expired.
    #[arg(long, value_name = "PEM", requires = "served")]
    ca_file: Option<PathBuf>,

    /// The name to check the upstream's certificate for, in place of the host in --upstream, and to ask it by (SNI)
    ///
    /// For an upstream given by its address, or by a name that its certificate lacks. It is for logins at that host too, not
    /// for those at another; the `Host` of requests stays that of --upstream.
    #[arg(long, value_name = "NAME", requires = "upstream", value_parser = tls_name)]
    pub(crate) tls_name: Option<ServerName<'static>>,

    /// Let the password or secret travel over plain http, where everyone on the way can read it
    #[arg(long, requires = "served")]
    allow_insecure_http: bool,

    #[command(flatten)]
    pub(crate) access: AccessOptions,

    #[command(flatten)]
    pub(crate) limits: LimitOptions,

    #[command(flatten)]
    pub(crate) log: LogOptions,

    /// Address for those who run the proxy: /healthz, /readyz with each site's login, and /metrics for Prometheus
    ///
    /// All who reach it see the sites, and how much is asked of them; no secret. Off unless set.
    #[arg(long, value_name = "ADDR", value_parser = listen_address)]
    pub(crate) admin_listen: Option<SocketAddr>,

    /// The command line itself names a credential.
    #[arg(skip)]
    names_credential: bool,
}

/// One server to go to, and who to be there.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) upstream: Upstream,
    pub(crate) login: Option<Login>,
    pub(crate) settings: SiteConfig,
}

impl Arguments {
    /// Reads the command line and the environment.
    pub(crate) fn read() -> Self {
        Self::of(Self::described())
    }

    /// The same with the options of a file, where the command line and the environment are silent.
    pub(crate) fn with(defaults: &Defaults) -> Result<Self, String> {
        with_defaults(Self::described(), defaults).map(Self::of)
    }

    fn of(described: Command) -> Self {
        let matches = described.get_matches();
        let is_typed = |id: &str| matches.value_source(id) == Some(ValueSource::CommandLine);
        let names_credential = ["username", "client_id"].into_iter().any(is_typed);
        match Self::from_arg_matches(&matches) {
            Ok(arguments) => Self {
                names_credential,
                ..arguments
            },
            Err(error) => error.exit(),
        }
    }

    /// Fails where a credential is given beside a file; warns where the environment has one that no site uses.
    pub(crate) fn check_beside(&self, config: &Config) -> Result<Option<&'static str>, String> {
        if self.names_credential {
            return Err(
                "a credential beside --config has no site; write it under its [[site]] in the file"
                    .to_owned(),
            );
        }
        let is_used = config
            .sites
            .iter()
            .any(|listed| listed.site.uses_variables());
        let is_set = self.username.is_some() || env::var_os("ARCGIS_PASSWORD").is_some();
        Ok((is_set && !is_used).then_some(
            "ARCGIS_USERNAME and ARCGIS_PASSWORD are set, and no site of the file uses them: they serve those with \
             dynamicToken, or with `env:ARCGIS_USERNAME`",
        ))
    }

    /// The command line's description. Each option has a variable: `ARCGIS_PROXY_…`, but for the few with a name of their
    /// own. An empty variable, and a flag's that says no, are as if they were not set: that is how service managers spell it.
    pub(crate) fn described() -> Command {
        Self::command().mut_args(|argument| {
            let variable = match (argument.get_env(), argument.get_long()) {
                (Some(variable), _) => variable.to_string_lossy().into_owned(),
                (None, Some(long)) => {
                    format!("ARCGIS_PROXY_{}", long.to_uppercase().replace('-', "_"))
                }
                (None, None) => return argument,
            };
            let is_flag = !argument.get_action().takes_values();
            let is_unset = env::var_os(&variable)
                .is_some_and(|value| value.is_empty() || (is_flag && is_no(&value)));
            let mut argument = argument.hide_env_values(true);
            if is_flag {
                argument = argument.value_parser(BoolishValueParser::new());
            }
            if is_unset {
                argument.env(Resettable::Reset)
            } else {
                argument.env(variable)
            }
        })
    }

    /// What the command line says of every site.
    pub(crate) fn site_settings(&self) -> SiteConfig {
        fn list<T: ToString>(values: impl Iterator<Item = T>) -> Option<Vec<String>> {
            let values: Vec<String> = values.map(|value| value.to_string()).collect();
            (!values.is_empty()).then_some(values)
        }

        let flag = |given: bool| given.then_some(true);
        let access = &self.access;
        SiteConfig {
            trust_token_service: Some(self.trust_token_service.clone()),
            token_placement: name_of(&self.token_placement),
            caller_token: name_of(&self.caller_token),
            referer: self.referer.clone(),
            bind_to_address: flag(self.bind_to_address),
            login_first: flag(self.login_first),
            forward_authorization: flag(self.forward_authorization),
            send_portal_token: flag(self.send_portal_token),
            credentials_in_url: flag(self.credentials_in_url),
            allow_insecure_http: flag(self.allow_insecure_http),
            allow_logins: flag(access.allow_logins),
            allow_admin: flag(access.allow_admin),
            portal: self.portal.clone(),
            token_url: self.token_url.clone(),
            allow_path: list(access.allow_path.iter()),
            allow_referer: list(access.allow_referer.iter()),
            ..SiteConfig::default()
        }
    }

    /// The certificates of `--ca-file`.
    pub(crate) fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, String> {
        self.ca_file
            .as_deref()
            .map_or_else(|| Ok(Vec::new()), read_certificates)
    }

    /// The Redis that logins are shared through.
    pub(crate) fn sharing(&self) -> Result<Option<Sharing>, String> {
        shared_cache(self.redis.as_deref(), self.cache_key_file.as_deref())
    }

    /// The upstream and the login there; `None` where the made-up ArcGIS is asked for.
    ///
    /// What is wrong is said without repeating what might be a secret.
    pub(crate) fn target(&self) -> Result<Option<Target>, String> {
        let named = Named {
            username: self.username.as_deref(),
            password_file: self.password_file.as_deref(),
            client_id: self.client_id.as_deref(),
            client_secret_file: self.client_secret_file.as_deref(),
        };
        let Some(upstream) = &self.upstream else {
            let redis = self
                .redis
                .as_ref()
                .map(|_| "a Redis (--redis or ARCGIS_REDIS_URL)");
            return match named.identity()?.or(redis) {
                None => Ok(None),
                Some(named) => Err(format!(
                    "there is {named} and nothing to log in to; add --upstream or --config"
                )),
            };
        };
        let upstream = Upstream::parse(upstream)?;
        let urls = self.token_url.iter().chain(&self.portal);
        for url in urls.chain(&self.trust_token_service) {
            if url.contains('@') {
                return Err(
                    "a URL of --token-url, --portal or --trust-token-service has a user name in it; the user goes \
                     into --username, the password into ARCGIS_PASSWORD or --password-file"
                        .to_owned(),
                );
            }
        }
        if let Some(portal) = &self.portal {
            check_portal(portal)?;
        }
        let login = named.login()?;
        if self.token_url.is_some() && login.as_ref().is_some_and(Login::is_app) {
            return Err(
                "--token-url names where users log in, and --client-id an application; name its portal with --portal"
                    .to_owned(),
            );
        }
        Ok(Some(Target {
            upstream,
            login,
            settings: self.site_settings(),
        }))
    }
}

fn is_no(value: &OsStr) -> bool {
    ["0", "false", "no", "off"]
        .iter()
        .any(|no| value.eq_ignore_ascii_case(no))
}

fn listen_address(text: &str) -> Result<SocketAddr, &'static str> {
    text.parse()
        .map_err(|_| "write an IP address and a port, like 127.0.0.1:8080, 0.0.0.0:80 or [::]:8080")
}

/// What is refused is not repeated: it may hold a secret.
fn check_portal(url: &str) -> Result<(), String> {
    let uri: Option<Uri> = url.parse().ok();
    let is_usable = uri.is_some_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https"))
            && uri.authority().is_some()
            && uri.query().is_none()
            && !uri.path().split('/').any(|segment| segment == "sharing")
    });
    if is_usable && !url.contains('#') {
        return Ok(());
    }
    Err(
        "the URL of --portal cannot be used; write the part before /sharing, like https://portal.example.com/portal"
            .to_owned(),
    )
}
