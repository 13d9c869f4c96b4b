//! What becomes of a `proxy.config`.

use crate::config::{Config, SecretText, SiteConfig};

fn xml(top: &str, rules: &str) -> String {
    format!(
        "<?xml version=\"1.0\"?>\n<ProxyConfig {top}>\n<serverUrls>\n{rules}\n</serverUrls>\n</ProxyConfig>\n"
    )
}

fn read(rules: &str) -> Config {
    Config::parse(&xml("mustMatch=\"true\"", rules)).unwrap()
}

fn site(rule: &str) -> SiteConfig {
    let config = read(rule);
    assert_eq!(config.warnings, []);
    config.sites.into_iter().next().unwrap().site
}

fn problem(top: &str, rules: &str) -> String {
    let problems = Config::parse(&xml(top, rules)).unwrap_err();
    let words: Vec<String> = problems.iter().map(ToString::to_string).collect();
    words.join("\n")
}

#[test]
fn a_user_of_one_service() {
    let site = site(
        r#"<serverUrl url="https://gis.test/arcgis/rest/services/A/MapServer" matchAll="true" username="u" password="p&amp;w"/>"#,
    );
    assert_eq!(
        site.url,
        "https://gis.test/arcgis/rest/services/A/MapServer"
    );
    assert_eq!(site.match_all, Some(true));
    assert_eq!(site.username.as_deref(), Some("u"));
    assert_eq!(site.password, Some(SecretText::new("p&w")));
}

#[test]
fn an_application_has_its_portal_in_three_spellings() {
    for (endpoint, portal) in [
        (
            r#"oauth2Endpoint="https://org.test/sharing/oauth2/""#,
            "https://org.test",
        ),
        (
            r#"oauth2Endpoint="https://org.test/portal/sharing/rest/oauth2/token""#,
            "https://org.test/portal",
        ),
        (
            r#"oauth2Endpoint="https://org.test/portal""#,
            "https://org.test/portal",
        ),
        ("", "https://www.arcgis.com"),
    ] {
        let site = site(&format!(
            r#"<serverUrl url="https://gis.test/a" clientId="i" clientSecret="s" {endpoint}/>"#
        ));
        assert_eq!(site.portal.as_deref(), Some(portal), "{endpoint}");
        assert_eq!(site.match_all, Some(false));
    }
}

#[test]
fn a_token_service_is_a_servers_or_a_portals() {
    let rule = |url: &str, uri: &str| {
        site(&format!(
            r#"<serverUrl url="{url}" tokenServiceUri="{uri}" username="u" password="p"/>"#
        ))
    };
    let server = rule(
        "https://gis.test/server/rest/services",
        "https://gis.test/server/tokens",
    );
    assert_eq!(
        server.token_url.as_deref(),
        Some("https://gis.test/server/tokens")
    );
    let federated = rule(
        "https://gis.test/server",
        "https://gis.test/portal/sharing/rest/generateToken",
    );
    assert_eq!(federated.portal.as_deref(), Some("https://gis.test/portal"));
    let whole = rule(
        "https://gis.test",
        "https://gis.test/portal/sharing/rest/generateToken",
    );
    assert_eq!(
        whole.token_url.as_deref(),
        Some("https://gis.test/portal/sharing/rest/generateToken")
    );
}

#[test]
fn tokens_have_three_names_and_may_be_those_of_the_environment() {
    for name in ["token", "accessToken"] {
        let site = site(&format!(
            r#"<serverUrl url="https://gis.test" {name}="t"/>"#
        ));
        assert_eq!(site.token, Some(SecretText::new("t")));
    }
    assert_eq!(
        site(r#"<serverUrl url="https://gis.test" token=""/>"#).token,
        None
    );
    let dynamic = site(r#"<serverUrl url="https://gis.test" dynamicToken="true"/>"#);
    assert_eq!(dynamic.username.as_deref(), Some("env:ARCGIS_USERNAME"));
    assert_eq!(
        dynamic.password,
        Some(SecretText::new("env:ARCGIS_PASSWORD"))
    );
}

#[test]
fn a_rate_is_for_a_period_of_minutes() {
    let rate = |attributes: &str| {
        site(&format!(
            r#"<serverUrl url="https://gis.test" {attributes}/>"#
        ))
        .rate_limit
    };
    assert_eq!(
        rate(r#"rateLimit="600" rateLimitPeriod="60""#).as_deref(),
        Some("600/60m")
    );
    assert_eq!(rate(r#"rateLimit="50""#).as_deref(), Some("50/60m"));
    assert_eq!(rate(""), None);
}

#[test]
fn a_redirected_host_is_checked_for_the_name_people_know() {
    let site =
        site(r#"<serverUrl url="https://maps.test:443/a" hostRedirect="https://10.0.0.5:6443"/>"#);
    assert_eq!(site.host_redirect.as_deref(), Some("https://10.0.0.5:6443"));
    assert_eq!(site.tls_name.as_deref(), Some("maps.test"));
}

#[test]
fn guesses_are_warned_of() {
    for (rule, url, warnings) in [
        (
            r#"<serverUrl url=" http://gis.test/a/ "/>"#,
            "http://gis.test/a",
            0,
        ),
        (r#"<serverUrl url="//gis.test"/>"#, "//gis.test", 0),
        (r#"<serverUrl url="gis.test/a"/>"#, "//gis.test/a", 1),
        (
            r#"<serverUrl url="http://GIS.test/Wms?"/>"#,
            "http://gis.test/Wms",
            0,
        ),
        (
            r#"<serverUrl url="http://gis.test/wms?a=b"/>"#,
            "http://gis.test/wms",
            1,
        ),
        (
            r#"<serverUrl url="http://gis.test" colour="red"/>"#,
            "http://gis.test",
            1,
        ),
        (
            r#"<serverUrl url="http://gis.test" tokenServiceUri="http://gis.test/tokens"/>"#,
            "http://gis.test",
            1,
        ),
        (
            r#"<serverUrl url="https://gis.test" username="u" password="p" token="t"/>"#,
            "https://gis.test",
            1,
        ),
    ] {
        let config = read(rule);
        assert_eq!(config.sites[0].site.url, url);
        assert_eq!(
            config.warnings.len(),
            warnings,
            "{rule} {:?}",
            config.warnings
        );
    }
}

#[test]
fn what_cannot_be_served_is_refused_with_its_line_and_what_to_write() {
    let open = r#"<serverUrl url="https://gis.test"/>"#;
    let words = problem("mustMatch=\"False\"", open);
    assert!(
        words.starts_with("line 2, column 1: ") && words.contains("mustMatch=\"true\""),
        "{words}"
    );
    for (rule, contains) in [
        (
            r#"<serverUrl url="https://gis.test" domain="D" username="u" password="p"/>"#,
            "Windows",
        ),
        (
            r#"<serverUrl url="https://gis.test" useAppPoolIdentity="true"/>"#,
            "Windows",
        ),
        (r#"<serverUrl url="https://http://gis.test"/>"#, "no host"),
        (
            r#"<serverUrl url="https://gis.test" tokenParamName="key" accessToken="t"/>"#,
            "tokenParamName",
        ),
        (
            r#"<serverUrl url="https://gis.test" username="u"/>"#,
            "one is missing",
        ),
        (
            r#"<serverUrl url="https://gis.test" clientId="u"/>"#,
            "one is missing",
        ),
        (
            r#"<serverUrl url="https://gis.test" matchAll="perhaps"/>"#,
            "matchAll",
        ),
        (
            r#"<serverUrl url="https://gis.test" rateLimit="0"/>"#,
            "rateLimit",
        ),
        (r#"<serverUrl url="https://*.test"/>"#, "each host"),
        (
            r#"<serverUrl url="ftp://gis.test"/>"#,
            "neither http nor https",
        ),
        (r#"<serverUrl matchAll="true"/>"#, "no url"),
    ] {
        let words = problem("mustMatch=\"true\"", &format!("{open}\n  {rule}"));
        assert!(words.starts_with("line 5, column 3: "), "{words}");
        assert!(words.contains(contains), "{words}");
    }
    let both = problem("mustMatch=\"false\"", r#"<serverUrl url="ftp://a"/>"#);
    assert_eq!(both.lines().count(), 2, "{both}");
}

#[test]
fn a_secret_is_in_no_problem() {
    let words = problem(
        "mustMatch=\"true\"",
        r#"<serverUrl url="https://u:hunter2@gis.test"/><serverUrl url="ftp://a" password="hunter2"/>"#,
    );
    assert!(!words.contains("hunter2"), "{words}");
}

#[test]
fn malformed_files_are_refused_with_line_and_column() {
    for (text, place) in [
        (
            "<ProxyConfig>\n<serverUrls>\n</serverUrl>\n",
            "line 3, column ",
        ),
        (
            "<ProxyConfig>\n  <serverUrl url=\"a\" url=\"b\"/></ProxyConfig>",
            "line 2, column 3",
        ),
        ("<ProxyConfig>\n<serverUrls>", "line 2, column 13"),
        ("{\"proxyConfig\": [\n{]}", "line 2, column "),
    ] {
        let problem = Config::parse(text).unwrap_err()[0].to_string();
        assert!(problem.starts_with(place), "{problem}");
    }
    for text in ["", "  \n", "<html/>", "{}", "<ProxyConfig/>"] {
        assert!(Config::parse(text).is_err(), "{text}");
    }
}

#[test]
fn forks_and_json_have_the_same_rules_in_other_shapes() {
    let rule = r#"url="https://gis.test/arcgis" matchAll="True" token="t""#;
    let first = read(&format!("<serverUrl {rule}/>")).sites.remove(0).site;
    for text in [
        format!("<ProxyConfig xmlns=\"urn:x\"><serverItems><serverItem {rule}></serverItem></serverItems></ProxyConfig>"),
        format!("<p:ProxyConfig xmlns:p=\"urn:x\"><serverUrls/><serverUrls><p:serverUrl {rule}/></serverUrls></p:ProxyConfig>"),
        r#"{"proxyConfig":[{"mustMatch":true}],"serverUrls":[{"serverUrl":[{"url":"https://gis.test/arcgis","matchAll":true,"token":"t"}]}]}"#.to_owned(),
        r#"{"proxyConfig":{"mustMatch":"true"},"serverUrls":[{"url":"https://gis.test/arcgis","matchAll":"true","token":"t"}]}"#.to_owned(),
    ] {
        assert_eq!(Config::parse(&text).unwrap().sites[0].site, first, "{text}");
    }
}

#[test]
fn the_files_own_attributes_are_read() {
    let top = r#"mustMatch="true" allowedReferers="http://a.test/app1, http://*.b.test" logFile="proxy.log" logLevel="FINE""#;
    let config = Config::parse(&xml(top, r#"<serverUrl url="https://gis.test"/>"#)).unwrap();
    assert_eq!(
        config.allowed_referers,
        ["http://a.test/app1", "http://*.b.test"]
    );
    let defaults: Vec<_> = config
        .defaults
        .iter()
        .map(|(name, values)| (name.as_str(), values.concat()))
        .collect();
    assert_eq!(defaults[0], ("log-file", "proxy.log".to_owned()));
    assert_eq!(defaults[1].0, "log-level");
}

#[test]
fn a_page_without_a_scheme_is_read_as_both() {
    let top = r#"mustMatch="true" allowedReferers="maps.test/app;//b.test""#;
    let config = Config::parse(&xml(top, r#"<serverUrl url="https://gis.test"/>"#)).unwrap();
    assert_eq!(
        config.allowed_referers,
        [
            "http://maps.test/app",
            "https://maps.test/app",
            "http://b.test",
            "https://b.test"
        ]
    );
    assert_eq!(config.warnings.len(), 2);
    let words = problem(
        r#"allowedReferers="ftp://a.test""#,
        r#"<serverUrl url="https://gis.test"/>"#,
    );
    assert!(
        words.starts_with("line 2, column 1: `ftp://a.test`"),
        "{words}"
    );
}
