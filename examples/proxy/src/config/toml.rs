//! The form for new users: options of the command line at the top, then a `[[site]]` each.

use serde::{Deserialize, Serialize};
use toml::{Spanned, Table, Value};

use crate::config::{Config, Listed, Place, Problem, SiteConfig};

/// Options of the command line, by their names, with the values that the file has for them.
pub(crate) type Defaults = Vec<(String, Vec<String>)>;

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    site: Vec<Spanned<SiteConfig>>,
    #[serde(flatten)]
    options: Table,
}

pub(super) fn from_toml(text: &str) -> Result<Config, Vec<Problem>> {
    let file: File = toml::from_str(text).map_err(|error| {
        let words = error.message().trim().to_owned();
        vec![match error.span() {
            Some(span) => Problem::at(Place::of(text, span.start), words),
            None => Problem::of_file(words),
        }]
    })?;
    let mut defaults = Defaults::new();
    for (name, value) in file.options {
        match words_of(value) {
            Some(values) => defaults.push((name, values)),
            None => {
                return Err(vec![Problem::of_file(format!(
                    "`{name}` is no option with a value; sites are written as [[site]]"
                ))]);
            }
        }
    }
    let sites = file
        .site
        .into_iter()
        .map(|site| Listed {
            place: Place::of(text, site.span().start),
            site: site.into_inner(),
        })
        .collect();
    Ok(Config {
        sites,
        defaults,
        ..Config::default()
    })
}

/// A value as the command line would have it.
fn words_of(value: Value) -> Option<Vec<String>> {
    match value {
        Value::String(text) => Some(vec![text]),
        Value::Integer(number) => Some(vec![number.to_string()]),
        Value::Boolean(yes) => Some(vec![yes.to_string()]),
        Value::Array(values) => {
            let words: Option<Vec<_>> = values.into_iter().map(words_of).collect();
            Some(words?.into_iter().flatten().collect())
        }
        Value::Float(_) | Value::Datetime(_) | Value::Table(_) => None,
    }
}

#[derive(Serialize)]
struct Written<'a> {
    #[serde(flatten)]
    options: Table,
    site: &'a [SiteConfig],
}

/// The file that says this.
pub(crate) fn to_toml(options: &Defaults, sites: &[SiteConfig]) -> Result<String, String> {
    let options = options
        .iter()
        .map(|(name, values)| (name.clone(), value_of(values)))
        .collect();
    let written = Written {
        options,
        site: sites,
    };
    toml::to_string(&written).map_err(|error| error.to_string())
}

fn value_of(values: &[String]) -> Value {
    match values {
        [one] => match one.parse() {
            Ok(yes) => Value::Boolean(yes),
            Err(_) => Value::String(one.clone()),
        },
        several => Value::Array(several.iter().cloned().map(Value::String).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::SecretText;

    #[test]
    fn a_file_has_options_and_sites() {
        let text = "listen = \"127.0.0.1:0\"\nallow-origin = [\"https://a.test\", \"https://b.test\"]\nallow-admin = true\n\
                    max-connections = 7\n\n[[site]]\nurl = \"https://gis.test/arcgis\"\nmount = \"/gis\"\n\
                    username = \"u\"\npassword = \"env:P\"\n";
        let config = from_toml(text).unwrap();
        let defaults: Vec<_> = config
            .defaults
            .iter()
            .map(|(name, values)| (name.as_str(), values.join(" ")))
            .collect();
        assert_eq!(
            defaults,
            [
                ("allow-admin", "true".to_owned()),
                ("allow-origin", "https://a.test https://b.test".to_owned()),
                ("listen", "127.0.0.1:0".to_owned()),
                ("max-connections", "7".to_owned()),
            ]
        );
        let listed = &config.sites[0];
        assert_eq!(listed.place.line, 6);
        assert_eq!(listed.site.mount.as_deref(), Some("/gis"));
        assert_eq!(listed.site.password, Some(SecretText::new("env:P")));
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        for (text, line, words) in [
            ("listen = ", 1, ""),
            ("[[site]]\nurl = \"https://a\"\nmounted = 1\n", 3, "mounted"),
            ("[[site]]\nmount = \"/a\"\n", 1, "url"),
        ] {
            let problem = &from_toml(text).unwrap_err()[0];
            assert_eq!(
                problem.place.map(|place| place.line),
                Some(line),
                "{problem}"
            );
            assert!(problem.words.contains(words), "{problem}");
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let site = SiteConfig {
            url: "//gis.test/arcgis".to_owned(),
            match_all: Some(false),
            token: Some(SecretText::new("env:T")),
            allow_referer: Some(vec!["*".to_owned()]),
            ..SiteConfig::default()
        };
        let defaults = vec![("login-first".to_owned(), vec!["true".to_owned()])];
        let text = to_toml(&defaults, std::slice::from_ref(&site)).unwrap();
        let config = from_toml(&text).unwrap();
        assert_eq!(config.sites[0].site, site);
        assert_eq!(config.defaults, defaults);
    }
}
