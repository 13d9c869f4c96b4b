//! The report, for people and for machines.

use std::fmt;

use http::Uri;
use serde_json::{Value, json};
use tower_arcgis_auth::SiteReport;

use super::{
    advice::{self, Advice},
    answer::{Answer, Kind},
    arguments::Arguments,
    ask::{self, Login},
    option_names::in_options,
    who::Who,
};

pub(crate) struct Report {
    pub(crate) site_report: SiteReport,
    url: String,
    pub(crate) without_login: Answer,
    pub(crate) who: Option<Who>,
    pub(crate) login: Option<Login>,
    pub(crate) with_login: Option<Answer>,
    pub(crate) arguments: Arguments,
}

/// What kind of server it is, by what it says of itself and how it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Server {
    Alone,
    Federated,
    Portal,
    /// It answers like ArcGIS and says nothing of itself.
    Silent,
    Unknown,
}

impl Report {
    pub(crate) fn new(
        site_report: SiteReport,
        url: &Uri,
        without_login: Answer,
        who: Option<Who>,
        arguments: Arguments,
    ) -> Self {
        Self {
            site_report,
            url: ask::shown(url),
            without_login,
            who,
            login: None,
            with_login: None,
            arguments,
        }
    }

    pub(crate) fn logged_in(&mut self, login: Login, answer: Option<Answer>) {
        self.login = Some(login);
        self.with_login = answer;
    }

    /// Who to log in, if a login fits.
    pub(crate) fn who_logs_in(&self) -> Option<&Who> {
        self.who.as_ref().filter(|_| self.why_no_login().is_none())
    }

    /// Why there is no login. Five logins that fail lock an account, and a password is not for servers that are no
    /// ArcGIS.
    fn why_no_login(&self) -> Option<&'static str> {
        if self.without_login.kind == Kind::Unreachable {
            Some("it cannot be reached")
        } else if self.site_report.source().is_err() {
            Some("no login fits")
        } else if self.server() == Server::Unknown {
            Some("a password is not sent to what does not look like an ArcGIS")
        } else {
            None
        }
    }

    /// Why no login fits, or none where one does.
    pub(crate) fn source_error(&self) -> Option<String> {
        let error = self.site_report.source().err()?;
        Some(in_options(&error.to_string()))
    }

    /// Whether the login works, where that is known: a token made elsewhere proves itself only where one is asked for.
    pub(crate) fn works(&self) -> Option<bool> {
        let login = self.login.as_ref()?;
        let has_ready_token = self.who.as_ref().is_some_and(|who| who.is_ready_token);
        if !login.works || !has_ready_token {
            return Some(login.works);
        }
        match self.with_login.as_ref()?.kind {
            Kind::Challenge(_) => Some(false),
            // The server has looked at more than the token.
            Kind::Open | Kind::Error | Kind::Page if !self.is_open_without_login() => Some(true),
            _ if !self.is_open_without_login() => Some(false),
            _ => None,
        }
    }

    pub(crate) fn is_open_without_login(&self) -> bool {
        !matches!(self.without_login.kind, Kind::Challenge(_))
    }

    pub(crate) fn is_usable(&self) -> bool {
        match (&self.who, &self.with_login) {
            (Some(_), Some(answer)) => answer.kind == Kind::Open,
            (Some(_), None) => false,
            (None, _) => self.without_login.kind == Kind::Open && self.server() != Server::Unknown,
        }
    }

    pub(crate) fn server(&self) -> Server {
        if ask::is_portal(&self.site_report) {
            Server::Portal
        } else if self.site_report.owning_portal().is_some() {
            Server::Federated
        } else if self.site_report.info_url().is_some() {
            Server::Alone
        } else if self.without_login.is_arcgis {
            Server::Silent
        } else {
            Server::Unknown
        }
    }

    pub(crate) fn to_json(&self) -> Value {
        let site_report = &self.site_report;
        let Advice {
            sentences,
            code,
            proxy,
            variables,
        } = advice::of(self);
        let login = self.who.as_ref().map(|who| {
            let login = self.login.as_ref();
            json!({
                "as": who.to_string(),
                "tried": login.is_some(),
                "works": login.map_or(Some(false), |_| self.works()),
                "refused": login.is_some_and(|login| login.refused),
                "says": login.map_or(self.why_no_login(), |login| Some(&login.says)),
            })
        });
        json!({
            "url": self.url,
            "root": site_report.root(),
            "server": {
                "kind": self.server().as_str(),
                "current_version": site_report.current_version(),
                "full_version": site_report.full_version(),
                "token_based_security": site_report.token_based_security(),
                "info_url": site_report.info_url(),
            },
            "token_service": site_report.token_service(),
            "owning_portal": site_report.owning_portal(),
            "source": site_report.source().ok().map(|source| json!({
                "kind": source.as_str(),
                "url": source.url(),
            })),
            "source_error": self.source_error(),
            "unlisted_origin": site_report.unlisted_origin(),
            "without_login": self.without_login.to_json(),
            "login": login,
            "with_login": self.with_login.as_ref().map(Answer::to_json),
            "usable": self.is_usable(),
            "advice": sentences,
            "code": code,
            "proxy": proxy,
            "environment": variables,
        })
    }

    fn login_in_words(&self) -> Option<String> {
        let who = self.who.as_ref()?;
        Some(match (&self.login, self.works()) {
            (Some(login), Some(true)) => format!("works, as {who}: {}", login.says),
            (Some(login), Some(false)) => login.says.clone(),
            (Some(login), None) => format!("not proven: {}", login.says),
            (None, _) => {
                let why = self.why_no_login().unwrap_or_default();
                format!("not tried: {why}; nothing secret was sent")
            }
        })
    }
}

impl Server {
    fn as_str(self) -> &'static str {
        match self {
            Self::Alone => "server",
            Self::Federated => "federated_server",
            Self::Portal => "portal",
            Self::Silent => "silent",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let site_report = &self.site_report;
        let version = site_report.full_version().or(site_report.current_version());
        let version = version.map_or_else(String::new, |version| format!(" {version}"));
        let server = match self.server() {
            Server::Alone => format!("ArcGIS Server{version}, on its own"),
            Server::Federated => format!("ArcGIS Server{version}, federated with a portal"),
            Server::Portal => format!("a portal{version}"),
            Server::Silent => "an ArcGIS that says nothing of itself: before 10.1?".to_owned(),
            Server::Unknown => "nothing that looks like an ArcGIS".to_owned(),
        };
        let source = match site_report.source() {
            Ok(source) => source.to_string(),
            Err(_) => format!("none: {}", self.source_error().unwrap_or_default()),
        };
        let lines = [
            ("asked", Some(self.url.clone())),
            ("site's root", Some(site_report.root().to_owned())),
            ("server", Some(server)),
            (
                "token service",
                site_report.token_service().map(str::to_owned),
            ),
            ("portal", site_report.owning_portal().map(str::to_owned)),
            ("without login", Some(self.without_login.in_words())),
            ("login method", Some(source)),
            ("login", self.login_in_words()),
            ("with login", self.with_login.as_ref().map(Answer::in_words)),
        ];
        for (name, line) in lines {
            if let Some(line) = line {
                writeln!(f, "{name:<15} {line}")?;
            }
        }
        let Advice {
            sentences,
            code,
            proxy,
            variables,
        } = advice::of(self);
        let verdict = if self.is_usable() { "yes" } else { "not yet" };
        writeln!(f, "{:<15} {verdict}", "usable")?;
        for sentence in sentences {
            writeln!(f, "\n→ {sentence}")?;
        }
        if let Some(code) = code {
            writeln!(f, "\nIn Rust:\n")?;
            for line in code.lines() {
                let indent = if line.is_empty() { "" } else { "    " };
                writeln!(f, "{indent}{line}")?;
            }
        }
        if let Some(proxy) = proxy {
            writeln!(f, "\nWithout code:\n\n    {proxy}")?;
        }
        if !variables.is_empty() {
            let variables = variables.join(" and ");
            writeln!(f, "\nSet in the environment: {variables}.")?;
        }
        Ok(())
    }
}
