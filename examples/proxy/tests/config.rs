//! Many sites from one file: TOML, and resource-proxy's own.

mod support;

use arcgis_stand_in::{PASSWORD, StandIn, USERNAME};
use bytes::Bytes;
use http::{Method, Request};
use http_body_util::Full;
use support::{CAPABILITIES, File, Parrot, Proxy, program};

const PARCELS: &str = "/arcgis/rest/services/Parcels/MapServer";
const ECHO: &str = "/arcgis/rest/services/Parcels/MapServer/echo";

fn xml(attributes: &str, rules: &str) -> Vec<u8> {
    format!("<ProxyConfig mustMatch=\"true\" {attributes}><serverUrls>{rules}</serverUrls></ProxyConfig>").into_bytes()
}

fn rule(url: &str, attributes: &str) -> String {
    format!("<serverUrl url=\"{url}\" matchAll=\"true\" {attributes}/>\n")
}

fn user() -> String {
    let password = PASSWORD
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('"', "&quot;");
    format!("username=\"{USERNAME}\" password=\"{password}\"")
}

async fn start(file: &File) -> Proxy {
    Proxy::start(&["--config", file.path()], &[]).await
}

struct Said {
    code: Option<i32>,
    out: String,
    errors: String,
}

async fn run(arguments: &[&str], variables: &[(&str, &str)]) -> Said {
    let output = program(arguments, variables).output().await.unwrap();
    Said {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).unwrap(),
        errors: String::from_utf8(output.stderr).unwrap(),
    }
}

#[tokio::test]
async fn a_page_written_for_resource_proxy_goes_on_working() {
    let arcgis = StandIn::start().await.unwrap();
    let file = File::new(
        "page.config",
        &xml(
            "",
            &rule(
                &arcgis.origin(),
                &format!("{} tokenServiceUri=\"{}/tokens\"", user(), arcgis.root()),
            ),
        ),
    );
    let proxy = start(&file).await;
    let url = format!("{}{PARCELS}?f=json", arcgis.origin());
    let encoded = url
        .replace(':', "%3A")
        .replace('/', "%2F")
        .replace('?', "%3F")
        .replace('=', "%3D");
    for page in [
        "/proxy",
        "/proxy.ashx",
        "/DotNet/proxy.ashx",
        "/php/proxy.php",
        "/java/proxy.jsp",
    ] {
        for target in [&url, &encoded] {
            let got = proxy.get(&format!("{page}?{target}")).await;
            assert!(got.is_the_service(), "{page}?{target}: {got:?}");
        }
    }
    assert_eq!(arcgis.counters().logins, 1);
    assert_eq!(arcgis.counters().challenges, 0, "the login comes first");

    let query = Request::post(proxy.url(&format!("/proxy.ashx?{}{ECHO}", arcgis.origin())))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Full::<Bytes>::from("where=1%3D1&f=json"))
        .unwrap();
    let echo = proxy.send(query).await.json();
    assert_eq!(echo["method"], "POST");
    assert_eq!(echo["body"], "where=1%3D1&f=json");
    for method in [Method::HEAD, Method::OPTIONS] {
        let request = Request::builder()
            .method(method)
            .uri(proxy.url(&format!("/proxy?{url}")));
        assert_eq!(
            proxy
                .send(request.body(Full::default()).unwrap())
                .await
                .status,
            200
        );
    }
    let ping = proxy.get("/DotNet/proxy.ashx?ping").await;
    assert_eq!(ping.status, 200);
    assert_eq!(ping.json()["Configuration File"], "OK");
}

#[tokio::test]
async fn only_what_is_listed_may_be_asked_for() {
    let arcgis = StandIn::start().await.unwrap();
    let other = StandIn::start().await.unwrap();
    let rules = rule(&format!("{}{PARCELS}", arcgis.origin()), "")
        + &format!(
            "<serverUrl url=\"{}/arcgis/rest/services\" matchAll=\"false\"/>",
            arcgis.origin()
        );
    let file = File::new("listed.config", &xml("", &rules));
    let proxy = start(&file).await;
    let origin = arcgis.origin();
    for path in [
        PARCELS,
        "/arcgis/rest/services/Parcels/MapServer/0",
        "/arcgis/rest/services?f=json",
        "/arcgis/rest/services/Parcel%73/MapServer",
    ] {
        assert_eq!(
            proxy.get(&format!("/proxy?{origin}{path}")).await.status,
            200,
            "{path}"
        );
    }
    let before = arcgis.counters().requests;
    for target in [
        format!("{origin}/arcgis/rest/services/Basemap/MapServer"),
        format!("{origin}/arcgis/rest/services/Parcels/MapServer2"),
        format!("{origin}/arcgis/rest/services/Parcels/MapServer/../../Basemap/MapServer"),
        format!("{origin}/arcgis/rest/services/Parcels/MapServer/%2e%2e%2f%2e%2e%2fBasemap"),
        format!("{origin}.evil.example/arcgis/rest/services"),
        format!("{}{PARCELS}", other.origin()),
        "http://169.254.169.254/latest/meta-data".to_owned(),
    ] {
        let got = proxy.get(&format!("/proxy?{target}")).await;
        assert_eq!(got.status, 403, "{target}");
        assert!(
            got.json()["error"]["details"][0]
                .as_str()
                .unwrap()
                .contains("--config")
        );
    }
    for asked in [
        "/proxy",
        "/proxy?",
        "/proxy?file:///etc/passwd",
        "/proxy?gis.example.com",
    ] {
        assert_eq!(proxy.get(asked).await.status, 400, "{asked}");
    }
    assert_eq!(proxy.get(PARCELS).await.status, 403, "nothing is mounted");
    assert_eq!(arcgis.counters().requests, before);
    assert_eq!(other.counters().requests, 0);
}

#[tokio::test]
async fn a_mounted_site_is_reached_below_its_path() {
    let arcgis = StandIn::start().await.unwrap();
    let upstream = Parrot::start(
        "HTTP/1.1 302 Found\r\nLocation: /server/login?a=b\r\nContent-Length: 0\r\n\r\n",
    )
    .await;
    let text = format!(
        "token-placement = \"header\"\n\n[[site]]\nurl = \"{}\"\nmount = \"/gis\"\nusername = \"{USERNAME}\"\npassword = \"env:GIS\"\n\n\
         [[site]]\nurl = \"http://{}/server\"\nmount = \"/water/\"\n",
        arcgis.root(),
        upstream.address
    );
    let file = File::new("mounted.toml", text.as_bytes());
    let proxy = Proxy::start(&["--config", file.path()], &[("GIS", PASSWORD)]).await;
    let got = proxy
        .get("/gis/rest/services/Parcels/MapServer?f=json")
        .await;
    assert!(got.is_the_service());
    let echo = proxy
        .get("/gis/rest/services/Parcels/MapServer/echo?f=json")
        .await;
    assert!(echo.echoed("x-esri-authorization").is_some());
    assert_eq!(echo.echoed_target(), format!("{ECHO}?f=json"));
    let redirected = proxy.get("/water/a").await;
    assert_eq!(redirected.header("location"), "/water/login?a=b");
    let through_page = proxy
        .get(&format!("/x/proxy?http://{}/server/a", upstream.address))
        .await;
    let location = format!("/x/proxy?http://{}/server/login?a=b", upstream.address);
    assert_eq!(through_page.header("location"), location);
    assert_eq!(proxy.get("/gisx/rest/services").await.status, 403);
    assert_eq!(proxy.get("/gis/tokens/generateToken").await.status, 403);
}

#[tokio::test]
async fn sites_of_one_server_with_one_credential_share_a_session() {
    let arcgis = StandIn::start().await.unwrap();
    let services = format!("{}/arcgis/rest/services", arcgis.origin());
    let rules = rule(&format!("{services}/Parcels"), &user())
        + &rule(&format!("{services}/Zoning"), &user());
    let file = File::new("session.config", &xml("", &rules));
    let proxy = start(&file).await;
    for service in ["Parcels", "Zoning"] {
        let got = proxy
            .get(&format!("/proxy?{services}/{service}/MapServer?f=json"))
            .await;
        assert_eq!(got.status, 200);
        assert!(
            !String::from_utf8_lossy(&got.body).contains("499"),
            "{service}"
        );
    }
    assert_eq!(arcgis.counters().logins, 1);
}

#[tokio::test]
async fn a_site_without_a_login_below_one_that_has_one_is_not_signed() {
    let arcgis = StandIn::start().await.unwrap();
    let services = format!("{}/arcgis/rest/services", arcgis.origin());
    let rules = rule(&services, &user()) + &rule(&format!("{services}/Basemap"), "");
    let file = File::new("unsigned.config", &xml("", &rules));
    let proxy = start(&file).await;
    assert!(
        proxy
            .get(&format!("/proxy?{services}/Parcels/MapServer?f=json"))
            .await
            .is_the_service()
    );
    let echo = proxy
        .get(&format!("/proxy?{services}/Basemap/MapServer/echo?f=json"))
        .await;
    assert!(!echo.echoed_target().contains("token="));
}

#[tokio::test]
async fn a_redirected_host_gets_the_requests() {
    let arcgis = StandIn::start().await.unwrap();
    let rules = rule(
        "https://maps.example.com/arcgis",
        &format!("{} hostRedirect=\"{}\"", user(), arcgis.origin()),
    );
    let file = File::new("redirect.config", &xml("", &rules));
    let proxy = start(&file).await;
    let got = proxy
        .get(&format!("/proxy?https://maps.example.com{PARCELS}?f=json"))
        .await;
    assert!(got.is_the_service(), "{got:?}");
    assert_eq!(
        proxy
            .get(&format!("/proxy?{}{PARCELS}", arcgis.origin()))
            .await
            .status,
        403
    );
}

#[tokio::test]
async fn each_rule_has_its_rate_and_its_pages() {
    let arcgis = StandIn::start().await.unwrap();
    let services = format!("{}/arcgis/rest/services", arcgis.origin());
    let rules = rule(
        &format!("{services}/Parcels"),
        "rateLimit=\"2\" rateLimitPeriod=\"60\"",
    ) + &rule(&format!("{services}/Basemap"), "");
    let file = File::new(
        "rates.config",
        &xml(
            "allowedReferers=\"https://maps.example.com/app, https://*.example.org\"",
            &rules,
        ),
    );
    let proxy = start(&file).await;
    let page = [
        ("referer", "https://maps.example.com/app/"),
        ("origin", "https://maps.example.com"),
        ("sec-fetch-site", "cross-site"),
    ];
    let parcels = format!("/proxy?{services}/Parcels/MapServer");
    for _ in 0..2 {
        let got = proxy.get_with(&parcels, &page).await;
        assert_eq!(got.status, 200);
        assert_eq!(
            got.header("access-control-allow-origin"),
            "https://maps.example.com"
        );
    }
    let got = proxy.get_with(&parcels, &page).await;
    assert_eq!(got.status, 429);
    assert_ne!(got.header("retry-after"), "");
    let basemap = format!("/proxy?{services}/Basemap/MapServer");
    assert_eq!(proxy.get_with(&basemap, &page).await.status, 200);
    assert_eq!(proxy.get(&basemap).await.status, 403, "no Referer");
    let evil = [
        ("referer", "https://evil.example/"),
        ("origin", "https://evil.example"),
    ];
    assert_eq!(proxy.get_with(&basemap, &evil).await.status, 403);
}

#[tokio::test]
async fn users_of_the_environment_serve_dynamic_tokens_only() {
    let arcgis = StandIn::start().await.unwrap();
    let variables = [("ARCGIS_USERNAME", USERNAME), ("ARCGIS_PASSWORD", PASSWORD)];
    let dynamic = File::new(
        "dynamic.config",
        &xml("", &rule(&arcgis.root(), "dynamicToken=\"true\"")),
    );
    let proxy = Proxy::start(&["--config", dynamic.path()], &variables).await;
    let target = format!("/proxy?{}{PARCELS}?f=json", arcgis.origin());
    assert!(proxy.get(&target).await.is_the_service());
    assert!(
        !proxy
            .terminate()
            .await
            .log
            .contains("no site of the file uses them")
    );

    let open = File::new("open.config", &xml("", &rule(&arcgis.root(), "")));
    let proxy = Proxy::start(&["--config", open.path()], &variables).await;
    assert!(!proxy.get(&target).await.is_the_service());
    let log = proxy.terminate().await.log;
    assert_eq!(log.matches("no site of the file uses them").count(), 1);

    let said = run(&["--config", dynamic.path(), "--check"], &[]).await;
    assert_eq!(said.code, Some(2));
    assert!(
        said.errors.contains("ARCGIS_USERNAME is not set"),
        "{}",
        said.errors
    );
    let said = run(&["--config", open.path(), "--username", "u"], &[]).await;
    assert_eq!(said.code, Some(2));
    assert!(said.errors.contains("[[site]]"), "{}", said.errors);
}

#[tokio::test]
async fn what_cannot_be_served_ends_the_start_with_its_line() {
    for (number, (text, place, words)) in [
        ("<ProxyConfig mustMatch=\"false\">\n<serverUrl url=\"https://a.test\"/></ProxyConfig>", "line 1", "mustMatch=\"true\""),
        ("<ProxyConfig>\n<serverUrl url=\"http://a.test\" username=\"u\" password=\"p\"/></ProxyConfig>", "line 2", "--allow-insecure-http"),
        ("<ProxyConfig>\n<serverUrl url=\"https://a.test\" domain=\"d\"/></ProxyConfig>", "line 2", "Windows"),
        ("<ProxyConfig>\n<serverUrl url=\"https://a.test\" tokenParamName=\"t\"/></ProxyConfig>", "line 2", "tokenParamName"),
        ("<ProxyConfig>\n<serverUrl></ProxyConfig>", "line 2", "XML"),
        ("[[site]]\nurl = 7", "line 2", "string"),
        ("colour = \"red\"\n[[site]]\nurl = \"https://a.test\"", "", "colour"),
        ("rate-limit = \"often\"\n[[site]]\nurl = \"https://a.test\"", "", "50/10m"),
        ("[[site]]\nurl = \"https://a.test\"\nrate-limit = \"often\"", "line 1", "50/10m"),
        ("[[site]]\nurl = \"https://a.test\"\nusername = \"u\"\npassword = \"env:UNSET\"", "line 1", "UNSET is not set"),
        ("listen = \"127.0.0.1:0\"", "", "[[site]]"),
    ].into_iter().enumerate() {
        let file = File::new(&format!("refused-{number}"), text.as_bytes());
        let said = run(&["--config", file.path()], &[]).await;
        assert_eq!(said.code, Some(2), "{text}: {}", said.errors);
        assert!(said.errors.contains(place) && said.errors.contains(words), "{text}: {}", said.errors);
    }
}

#[tokio::test]
async fn any_page_beyond_this_machine_has_to_be_allowed_twice() {
    let file = File::new(
        "any-page.config",
        &xml("allowedReferers=\"*\"", &rule("https://gis.test", "")),
    );
    let check = |more: &'static [&'static str]| {
        let arguments = [&["--config", file.path(), "--check"], more].concat();
        async move { run(&arguments, &[]).await }
    };
    assert_eq!(check(&[]).await.code, Some(0));
    let said = check(&["--listen", "0.0.0.0:0"]).await;
    assert_eq!(said.code, Some(2));
    assert!(
        said.errors.contains("--allow-referer '*'"),
        "{}",
        said.errors
    );
    assert_eq!(
        check(&["--listen", "0.0.0.0:0", "--allow-referer", "*"])
            .await
            .code,
        Some(0)
    );
}

#[tokio::test]
async fn a_check_logs_in_nowhere_and_shows_no_secret() {
    let arcgis = StandIn::start().await.unwrap();
    let rules = rule(&arcgis.root(), &user())
        + &rule(
            "https://gis.test/server",
            "clientId=\"i\" clientSecret=\"hunter2\"",
        );
    let file = File::new("check.config", &xml("", &rules));
    let said = run(&["--config", file.path(), "--check"], &[]).await;
    assert_eq!(said.code, Some(0), "{}", said.errors);
    for words in [
        &arcgis.root(),
        "user gis",
        "application i",
        "https://www.arcgis.com",
    ] {
        assert!(said.out.contains(words), "{words}: {}", said.out);
    }
    for secret in [PASSWORD, "hunter2"] {
        assert!(!said.out.contains(secret) && !said.errors.contains(secret));
    }
    assert_eq!(arcgis.counters().requests, 0);
}

#[tokio::test]
async fn a_converted_file_serves_the_same_and_has_no_secret() {
    let arcgis = StandIn::start().await.unwrap();
    let rules = rule(&arcgis.root(), &user());
    let file = File::new(
        "convert.config",
        &xml(
            "logLevel=\"FINE\" allowedReferers=\"https://maps.example.com\"",
            &rules,
        ),
    );
    let said = run(&["--config", file.path(), "--convert"], &[]).await;
    assert_eq!(said.code, Some(0), "{}", said.errors);
    assert!(!said.out.contains(PASSWORD));
    assert!(said.errors.contains("ARCGIS_PASSWORD_1"), "{}", said.errors);
    let converted = File::new("converted.toml", said.out.as_bytes());
    let proxy = Proxy::start(
        &["--config", converted.path()],
        &[("ARCGIS_PASSWORD_1", PASSWORD)],
    )
    .await;
    let target = format!("/proxy?{}{PARCELS}?f=json", arcgis.origin());
    let page = [("referer", "https://maps.example.com/")];
    let got = proxy.get_with(&target, &page).await;
    assert_eq!(got.json()["capabilities"], CAPABILITIES);
    assert_eq!(proxy.get(&target).await.status, 403);
    assert_eq!(arcgis.counters().challenges, 0, "the login comes first");
}

#[tokio::test]
async fn what_lies_below_a_url_alone_is_another_sites_and_has_its_login() {
    let arcgis = StandIn::start().await.unwrap();
    let services = format!("{}/arcgis/rest/services", arcgis.origin());
    let zoning = format!("{services}/Zoning/MapServer");
    let alone =
        |attributes: &str| format!("<serverUrl url=\"{zoning}\" matchAll=\"false\" {attributes}/>");
    let below = format!("/proxy?{zoning}/0?f=json");
    let itself = format!("/proxy?{zoning}?f=json");
    let is_challenge = |got: &support::Got| String::from_utf8_lossy(&got.body).contains("499");

    let rules = rule(&services, "") + &alone(&user());
    let file = File::new("alone-signed.config", &xml("", &rules));
    let proxy = start(&file).await;
    assert!(!is_challenge(&proxy.get(&itself).await));
    assert!(is_challenge(&proxy.get(&below).await));

    let rules = rule(&services, &user()) + &alone("");
    let file = File::new("alone-open.config", &xml("", &rules));
    let proxy = start(&file).await;
    assert!(is_challenge(&proxy.get(&itself).await));
    assert!(!is_challenge(&proxy.get(&below).await));
}

#[tokio::test]
async fn loopback_needs_no_tls_by_any_of_its_names() {
    for (number, host) in ["127.0.0.1", "localhost", "[::1]"].into_iter().enumerate() {
        let file = File::new(
            &format!("loopback-{number}.config"),
            &xml("", &rule(&format!("http://{host}:9/arcgis"), &user())),
        );
        let said = run(&["--config", file.path(), "--check"], &[]).await;
        assert_eq!(said.code, Some(0), "{host}: {}", said.errors);
    }
}
