//! The command line.

pub(crate) const HELP: &str = "\
Says what an ArcGIS server is, which login it wants, whether yours works, and what to write in code.

probe [URL] [OPTIONS]

  URL                    a service, or the root of a site: https://gis.example.com/arcgis
                         Without one it probes a stand-in of its own, as the stand-in's user.
  --username NAME        the user to log in as
  --portal URL           the portal to log in at, in place of what the server says
  --token-url URL        where to log in, in place of what the server says: https://gis.example.com/arcgis/tokens
  --trust ORIGIN         another origin the server may name as its token service's; repeatable
  --referer URL          what tokens are bound to, where it is not the site's root and a slash
  --send-portal-token    send the portal's own token where the portal makes none for the server; it opens all of it
  --credentials-in-url   send user name and password in the URL to a server of ArcGIS 10.2 or older that reads them
                         nowhere else: every server on the way may log them
  --ca-file PEM          certificates to trust besides the platform's; a server's own is trusted as it is
  --tls-name NAME        the name to check the certificate of the URL's host for, where it is for another
  --allow-insecure-http  let the password travel over plain http
  --json                 one JSON object in place of text
  --help

Secrets come from the environment only: ARCGIS_USERNAME and ARCGIS_PASSWORD, or ARCGIS_CLIENT_ID and
ARCGIS_CLIENT_SECRET, or ARCGIS_API_KEY, or ARCGIS_TOKEN. Without any, there is no login. HTTPS_PROXY and NO_PROXY say
which proxy https servers are reached through.

It ends with 0 if the URL can be used with what was given, 1 if not, 2 for a command line that cannot work.
";

/// What is asked for.
#[derive(Debug)]
pub(crate) enum Wanted {
    Help,
    Probe(Arguments),
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Arguments {
    pub(crate) url: Option<String>,
    pub(crate) username: Option<String>,
    pub(crate) portal: Option<String>,
    pub(crate) token_url: Option<String>,
    pub(crate) trusted: Vec<String>,
    pub(crate) referer: Option<String>,
    pub(crate) ca_file: Option<String>,
    pub(crate) tls_name: Option<String>,
    pub(crate) sends_portal_token: bool,
    pub(crate) credentials_in_url: bool,
    pub(crate) insecure_http: bool,
    pub(crate) json: bool,
}

/// Reads the command line. What is wrong is said without repeating what might be a secret.
pub(crate) fn read(mut given: impl Iterator<Item = String>) -> Result<Wanted, String> {
    let mut read = Arguments::default();
    while let Some(argument) = given.next() {
        let (option, value) = match argument.split_once('=') {
            Some((option, value)) if option.starts_with("--") => (option, Some(value.to_owned())),
            _ => (argument.as_str(), None),
        };
        let is_flag = value.is_none();
        let mut value = || {
            value
                .clone()
                .or_else(|| given.next())
                .filter(|value| !value.is_empty() && !value.starts_with("--"))
                .ok_or_else(|| format!("{option} wants a value behind it"))
        };
        match option {
            "--help" | "-h" if is_flag => return Ok(Wanted::Help),
            "--json" if is_flag => read.json = true,
            "--allow-insecure-http" if is_flag => read.insecure_http = true,
            "--send-portal-token" if is_flag => read.sends_portal_token = true,
            "--credentials-in-url" if is_flag => read.credentials_in_url = true,
            "--username" => read.username = Some(value()?),
            "--portal" => read.portal = Some(value()?),
            "--token-url" => read.token_url = Some(value()?),
            "--trust" => read.trusted.push(value()?),
            "--ca-file" => read.ca_file = Some(value()?),
            "--tls-name" => read.tls_name = Some(value()?),
            "--referer" => read.referer = Some(value()?),
            _ if option.starts_with('-') => {
                // Without two dashes it may be a secret.
                let name = if option.starts_with("--") {
                    option
                } else {
                    "like that"
                };
                return Err(format!(
                    "there is no option {name}; secrets go into the environment, ARCGIS_PASSWORD and the like"
                ));
            }
            _ if read.url.is_some() => return Err("there are two URLs; give one".to_owned()),
            _ => read.url = Some(argument),
        }
    }
    let is_about_a_site = read.username.is_some()
        || read.portal.is_some()
        || read.token_url.is_some()
        || read.sends_portal_token
        || read.credentials_in_url
        || read.referer.is_some()
        || read.ca_file.is_some()
        || read.tls_name.is_some()
        || read.insecure_http
        || !read.trusted.is_empty();
    if read.url.is_none() && is_about_a_site {
        return Err("there are options for a site, and no URL of one".to_owned());
    }
    Ok(Wanted::Probe(read))
}
