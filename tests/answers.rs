//! Answers as real servers, front ends and identity providers give them: coded bodies, `HEAD`, downloads, error pages.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test says what went wrong by failing"
)]

#[path = "it/support/received.rs"]
mod received;

use std::{
    convert::Infallible,
    io::Write,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use proptest::prelude::*;
use tower::{Layer, Service, service_fn};
use tower_arcgis_auth::{
    ArcgisAuthLayer, IssuedToken, ReplayBody, Site, TokenPlacement, Verdict, token_source_fn,
};

use self::received::{
    CHALLENGE, INVALID, LOGIN_PAGE, LOGIN_REDIRECT, REQUIRED, Received, received,
};

const SIGN_IN: &str = "<html><head><title>ArcGIS Login</title></head><body>\
    <form action=\"/arcgis/rest/login\"><input type=\"password\"></form></body></html>";
/// What a look may allocate.
const MAX_ALLOCATED: u64 = 1 << 20;
const CODINGS: [&str; 4] = ["gzip", "deflate", "br", "zstd"];

/// Bodies in a coding.
trait Coded {
    fn coded(self, coding: &str) -> Self;
}

impl Coded for Received {
    fn coded(mut self, coding: &str) -> Self {
        self.body = coded(coding, &self.body);
        self.header(header::CONTENT_ENCODING, coding)
    }
}

fn page(body: impl AsRef<[u8]>) -> Received {
    received(200, body).header(header::CONTENT_TYPE, "text/html;charset=utf-8")
}

fn coded(coding: &str, body: &[u8]) -> Vec<u8> {
    match coding {
        "gzip" => {
            let level = flate2::Compression::default();
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
            encoder.write_all(body).unwrap();
            encoder.finish().unwrap()
        }
        "deflate" => {
            let level = flate2::Compression::default();
            let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), level);
            encoder.write_all(body).unwrap();
            encoder.finish().unwrap()
        }
        "br" => br(22, body),
        "zstd" => zstd::stream::encode_all(body, 3).unwrap(),
        _ => body.to_vec(),
    }
}

fn br(window: u32, body: &[u8]) -> Vec<u8> {
    let mut coded = Vec::new();
    brotli::CompressorWriter::new(&mut coded, 4096, 5, window)
        .write_all(body)
        .unwrap();
    coded
}

fn features() -> String {
    let mut json = r#"{"objectIdFieldName":"OBJECTID","features":["#.to_owned();
    for id in 0..300 {
        json.push_str(&format!(
            r#"{{"attributes":{{"OBJECTID":{id},"NAME":"Road {}"}}}},"#,
            id * id % 97
        ));
    }
    json.pop();
    json + "]}"
}

// === coded bodies ===

#[test]
fn a_challenge_is_seen_in_every_coding() {
    for coding in CODINGS {
        let json = received(200, CHALLENGE).coded(coding);
        assert_eq!(json.verdict(), REQUIRED, "{coding}");
        let long = format!("{}{SIGN_IN}", "<!-- -->\n".repeat(900));
        assert_eq!(page(long).coded(coding).verdict(), LOGIN_PAGE, "{coding}");
    }
}

#[test]
fn the_name_of_a_coding_may_be_written_in_any_case_and_stand_beside_identity() {
    for (name, coding) in [
        ("GZip", "gzip"),
        ("x-gzip", "gzip"),
        ("Br", "br"),
        ("ZSTD", "zstd"),
        (" identity , zstd", "zstd"),
    ] {
        let named = received(200, coded(coding, CHALLENGE.as_bytes()))
            .header(header::CONTENT_ENCODING, name);
        assert_eq!(named.verdict(), REQUIRED, "{name}");
    }
}

#[test]
fn several_codings_or_an_unknown_one_are_judged_by_status_alone() {
    for coding in ["gzip, br", "compress", "dcz"] {
        let body = coded("br", &coded("gzip", CHALLENGE.as_bytes()));
        let of = |status| received(status, &body).header(header::CONTENT_ENCODING, coding);
        assert_eq!(of(200).verdict(), Verdict::Clean, "{coding}");
        assert_eq!(of(499).verdict(), REQUIRED, "{coding}");
    }
}

#[test]
fn an_ordinary_answer_in_any_coding_is_let_go_before_it_is_complete() {
    for coding in CODINGS {
        let long = received(200, features().repeat(5)).coded(coding);
        assert_eq!(long.verdict(), Verdict::Clean, "{coding}");
        if coding != "zstd" {
            // A block of zstd begins to make sense at its end.
            let needed = long.decided_after();
            assert!(
                needed < 600,
                "{coding} took {needed} of {}",
                long.body.len()
            );
        }
    }
}

#[test]
fn a_body_that_is_not_coded_although_it_says_so_is_looked_at_as_it_is() {
    for coding in ["gzip", "br", "zstd"] {
        let plain = |body: &str| received(200, body).header(header::CONTENT_ENCODING, coding);
        assert_eq!(plain(CHALLENGE).verdict(), REQUIRED, "{coding}");
        assert_eq!(plain(SIGN_IN).verdict(), LOGIN_PAGE, "{coding}");
    }
}

#[test]
fn a_window_above_8_mib_is_not_decoded() {
    for (window, verdict) in [(16, REQUIRED), (23, REQUIRED), (24, Verdict::Clean)] {
        let body = br(window, CHALLENGE.as_bytes());
        let answer = received(200, body).header(header::CONTENT_ENCODING, "br");
        assert_eq!(answer.verdict(), verdict, "br {window}");
    }
    for (window, verdict) in [(17, REQUIRED), (23, REQUIRED), (24, Verdict::Clean)] {
        let mut encoder = zstd::stream::Encoder::new(Vec::new(), 3).unwrap();
        encoder.window_log(window).unwrap();
        // The size of the content is not known beforehand, so that the window is written.
        encoder.write_all(CHALLENGE.as_bytes()).unwrap();
        encoder.flush().unwrap();
        let answer =
            received(200, encoder.finish().unwrap()).header(header::CONTENT_ENCODING, "zstd");
        assert_eq!(answer.verdict(), verdict, "zstd {window}");
    }
}

#[test]
fn frames_of_zstd_are_decoded_one_after_the_other() {
    let mut body = vec![0x5A, 0x2A, 0x4D, 0x18, 3, 0, 0, 0, 1, 2, 3];
    for part in [&CHALLENGE[..9], &CHALLENGE[9..]] {
        body.extend(coded("zstd", part.as_bytes()));
    }
    let answer = received(200, body).header(header::CONTENT_ENCODING, "zstd");
    assert_eq!(answer.verdict(), REQUIRED);
}

/// The verdict of a look on a thread that has no decoder yet, and how much it allocated.
fn first_look(answer: &Received) -> (Verdict, u64) {
    let answer = answer.clone();
    std::thread::spawn(move || {
        let mut verdict = Verdict::More;
        let measured = allocation_counter::measure(|| verdict = answer.verdict());
        (verdict, measured.bytes_total)
    })
    .join()
    .unwrap()
}

/// A block of zstd of a few KiB that says: so many copies of 128 KiB, one after the other.
fn copies_without_end() -> Vec<u8> {
    let mut body = vec![0x28, 0xB5, 0x2F, 0xFD, 0x00, 0x58];
    let raw = *b"        ";
    body.extend(&((raw.len() as u32) << 3).to_le_bytes()[..3]);
    body.extend(raw);
    // No literals; 0x7F00 sequences; one code each for literals, offsets and copies.
    let mut block = vec![0x00, 0xFF, 0x00, 0x00, 0x54, 0, 0, 52];
    block.extend([0xFF; 9000]);
    body.extend(&((block.len() as u32) << 3 | 2 << 1 | 1).to_le_bytes()[..3]);
    body.extend(block);
    body
}

#[test]
fn a_bomb_passes_and_costs_no_more_than_any_look() {
    let blank = vec![b' '; 64 << 20];
    for coding in CODINGS {
        let bomb = received(200, coded(coding, &blank)).header(header::CONTENT_ENCODING, coding);
        let (verdict, allocated) = first_look(&bomb);
        assert_eq!(verdict, Verdict::Clean, "{coding}");
        assert!(allocated <= MAX_ALLOCATED, "{coding}: {allocated}");
    }
    let bomb = received(200, copies_without_end()).header(header::CONTENT_ENCODING, "zstd");
    let (verdict, allocated) = first_look(&bomb);
    assert_eq!(verdict, Verdict::Clean);
    assert!(allocated <= MAX_ALLOCATED, "{allocated}");
}

#[test]
fn a_broken_body_passes() {
    for coding in CODINGS {
        let whole = coded(coding, features().as_bytes());
        for len in 0..40.min(whole.len()) {
            let cut = received(200, &whole[..len]).header(header::CONTENT_ENCODING, coding);
            assert_eq!(cut.verdict(), Verdict::Clean, "{coding} cut at {len}");
        }
        let noise = received(200, [0xA5; 700]).header(header::CONTENT_ENCODING, coding);
        assert_eq!(noise.verdict(), Verdict::Clean, "{coding}");
    }
}

#[test]
fn a_thread_keeps_its_decoders() {
    for coding in CODINGS {
        for answer in [received(200, features()), received(200, CHALLENGE)] {
            let answer = answer.coded(coding);
            let verdict = answer.verdict();
            let measured = allocation_counter::measure(|| assert_eq!(answer.verdict(), verdict));
            assert_eq!(measured.count_total, 0, "{coding}");
        }
    }
}

proptest! {
    #[test]
    fn no_bytes_in_any_coding_are_too_strange(
        coding in prop::sample::select(vec!["gzip", "deflate", "br", "zstd", "gzip, br", "zstd,"]),
        // So that more than the first byte is taken for what it says it is.
        start in prop::sample::select(vec![
            &b""[..],
            b"\x1F\x8B\x08\x00\x00\x00\x00\x00\x00\x00",
            b"\x78\x9C",
            b"\x28\xB5\x2F\xFD\x00\x58",
            b"\x28\xB5\x2F\xFD\x24",
            b"\x1B\xFF\xFF",
        ]),
        noise in prop::collection::vec(any::<u8>(), 0..500),
        breaks in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        real: bool,
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
        status in prop::sample::select(vec![200, 401, 499]),
    ) {
        let mut body = match real {
            true => coded(coding, features().as_bytes()),
            false => [start, &noise].concat(),
        };
        for (at, byte) in breaks {
            if !body.is_empty() {
                let at = at.index(body.len());
                body[at] = byte;
            }
        }
        let answer = received(status, body).header(header::CONTENT_ENCODING, coding);
        let mut whole = Verdict::More;
        let measured = allocation_counter::measure(|| whole = answer.verdict());
        prop_assert_ne!(whole, Verdict::More);
        prop_assert!(measured.bytes_total <= MAX_ALLOCATED, "{}", measured.bytes_total);
        let mut cuts: Vec<_> = cuts.iter().map(|at| at.index(answer.body.len() + 1)).collect();
        cuts.sort_unstable();
        let mut decided = false;
        for len in cuts {
            let verdict = answer.after(len, false);
            prop_assert!(verdict == whole || (verdict == Verdict::More && !decided));
            decided |= verdict != Verdict::More;
        }
    }
}

// === HEAD and downloads ===

#[test]
fn a_head_is_judged_by_status_and_headers() {
    let head = |status| received(status, "").to(Method::HEAD);
    assert_eq!(head(499).verdict(), REQUIRED);
    assert_eq!(head(498).signed().verdict(), INVALID);
    assert_eq!(head(401).verdict(), REQUIRED);
    for status in [301, 302, 303, 307, 308] {
        let redirect = head(status).header(header::LOCATION, "/arcgis/rest/login?redirect=x");
        assert_eq!(redirect.verdict(), LOGIN_REDIRECT, "{status}");
    }
    // Nothing is waited for: no body follows, whatever the headers promise.
    let promised = head(499)
        .header(header::CONTENT_LENGTH, "62")
        .header(header::CONTENT_ENCODING, "br");
    assert_eq!(promised.after(0, false), REQUIRED);

    for status in [200, 204, 304, 400, 403, 404, 500] {
        assert_eq!(head(status).verdict(), Verdict::Clean, "{status}");
    }
    let web_tier = head(401).header(header::WWW_AUTHENTICATE, "Negotiate");
    assert_eq!(web_tier.verdict(), Verdict::Clean);
    let closed = head(499).header(header::SERVER, "nginx");
    assert_eq!(closed.verdict(), Verdict::Clean);
    let elsewhere = head(302).header(header::LOCATION, "/arcgis/rest/services/");
    assert_eq!(elsewhere.verdict(), Verdict::Clean);
}

#[test]
fn a_download_passes_whatever_is_in_it() {
    for disposition in [
        "attachment",
        "attachment; filename=\"error.json\"",
        "Attachment ;filename=login.html",
        " ATTACHMENT;filename*=UTF-8''a",
    ] {
        let file =
            |body: &str| received(200, body).header(header::CONTENT_DISPOSITION, disposition);
        assert_eq!(file(CHALLENGE).verdict(), Verdict::Clean, "{disposition}");
        assert_eq!(
            file(SIGN_IN).after(0, false),
            Verdict::Clean,
            "{disposition}"
        );
        let coded = file(CHALLENGE).coded("br");
        assert_eq!(coded.verdict(), Verdict::Clean, "{disposition}");
    }
    for disposition in ["inline", "inline; filename=\"attachment\"", "attachments"] {
        let shown = received(200, CHALLENGE).header(header::CONTENT_DISPOSITION, disposition);
        assert_eq!(shown.verdict(), REQUIRED, "{disposition}");
    }
    // The status is the server's own.
    let refused = received(499, "").header(header::CONTENT_DISPOSITION, "attachment");
    assert_eq!(refused.verdict(), REQUIRED);
}

// === error pages ===

/// An error page of the Portal Directory.
fn portal(error: &str) -> Received {
    page(format!(
        "<html><head><title>ArcGIS Portal Directory</title></head><body>\
         <div class=\"bar\">ArcGIS Portal Directory</div>{error}</body></html>"
    ))
}

#[test]
fn an_error_page_of_the_portal_directory_is_known_by_its_code() {
    let error = |code: &str| {
        portal(&format!(
            "<h2>Error</h2>\nIt says why.<br/>\nError: {code}\n"
        ))
    };
    assert_eq!(error("499").verdict(), REQUIRED);
    assert_eq!(error("498").verdict(), INVALID);
    assert_eq!(error("498").signed().verdict(), INVALID);
    assert_eq!(error("403").verdict(), REQUIRED);
    assert_eq!(error("403").signed().verdict(), Verdict::Clean);
    for other in ["400", "404", "500", "4990", "soon", ""] {
        assert_eq!(error(other).verdict(), Verdict::Clean, "{other}");
    }
}

#[test]
fn an_error_page_of_the_portal_directory_may_be_written_in_many_ways() {
    for error in [
        "<H2 class='x'>\n  ERROR\n</H2><p>Why.</p><p>error:499</p>",
        "<h1><span>Error</span></h1>Why. Error: 499",
        "<h2>Error</h2>Error: no token\n<br>Error&#58;&nbsp;499",
        "<h3>Error</h3><div>An error.</div><b>Error:</b> <i>499</i>",
        "<h2>Error</h2>Why.<br/>Error : 499",
    ] {
        assert_eq!(portal(error).verdict(), REQUIRED, "{error}");
    }
    let shouted = "<HTML><HEAD><TITLE>\n arcgis  portal directory </TITLE></HEAD>\
        <BODY><H2>Error</H2>Error: 499</BODY></HTML>";
    assert_eq!(page(shouted).verdict(), REQUIRED);
}

#[test]
fn a_page_of_the_portal_directory_that_only_speaks_of_errors_is_none() {
    for content in [
        "Error: 499",
        "<h2>Item</h2>Error: 499",
        "<h2>Errors</h2>Error: 499",
        "<p>Error</p>Error: 499",
        "<h2>Error</h2><!-- Error: 499 -->",
        "<h2>Error</h2>Error: 499 trees",
    ] {
        assert_eq!(portal(content).verdict(), Verdict::Clean, "{content}");
    }
    let elsewhere = "<html><title>My portal</title><h2>Error</h2>Error: 499</html>";
    assert_eq!(page(elsewhere).verdict(), Verdict::Clean);
}

#[test]
fn a_directory_that_is_disabled_wants_no_token() {
    let said = "Services Directory has been disabled.";
    let server = format!(
        "<html><head><title>Error: {said}</title></head>\
         <body><b>Error: </b>{said}<br/><b>Code: </b>403<br/></body></html>"
    );
    for page in [page(&server), received(403, &server)] {
        assert_eq!(page.verdict(), Verdict::Clean);
    }
    let portal = portal(&format!("<h2>Error</h2>{said}<br/>Error: 403"));
    assert_eq!(portal.verdict(), Verdict::Clean);
    for json in [
        format!(r#"{{"error":{{"code":403,"message":"{said}","details":[]}}}}"#),
        format!(r#"{{"error":{{"message":"{said}","code":403}}}}"#),
        format!(r#"{{"status":"error","messages":["{said}"],"code":403}}"#),
    ] {
        assert_eq!(received(403, &json).verdict(), Verdict::Clean, "{json}");
        assert_eq!(received(200, &json).verdict(), Verdict::Clean, "{json}");
    }
    // Another 403 without a token may well be cured by one.
    for other in ["You may not.", "Editing is disabled.", "No such directory."] {
        let json = format!(r#"{{"error":{{"code":403,"message":"{other}"}}}}"#);
        assert_eq!(received(200, json).verdict(), REQUIRED, "{other}");
    }
}

// === identity providers ===

#[test]
fn a_redirect_to_an_identity_provider_is_known_by_its_protocol() {
    let to = |location: &str| {
        received(302, "")
            .header(header::LOCATION, location)
            .verdict()
    };
    for location in [
        "https://idp.example.org/sso?SAMLRequest=fZJ&RelayState=x",
        "https://idp.example.org/any/path?wtrealm=x&wa=wsignin1.0",
        "https://idp.example.org/adfs/ls/",
        "https://idp.example.org/oauth2/authorize?client_id=x",
        "https://idp.example.org/common/oauth2/v2.0/authorize?response_type=code&client_id=x",
        "https://idp.example.org/oauth2/default/v1/authorize?client_id=x",
        "https://idp.example.org/authorize/?client_id=x",
        "https://idp.example.org/connect/authorize?client_id=x",
        "https://idp.example.org/realms/gis/protocol/openid-connect/auth?client_id=gis",
        "https://idp.example.org/o/oauth2/v2/auth?client_id=x",
        "https://idp.example.org/as/authorization.oauth2?client_id=x",
    ] {
        assert_eq!(to(location), LOGIN_REDIRECT, "{location}");
    }
    for location in [
        "https://sso.example.org/login?url=https%3A%2F%2Fgis.example.com%2Farcgis",
        "https://sso.example.org/login",
        "https://sso.example.org/signin?client_id=x",
        "https://sso.example.org/authorize",
        "https://sso.example.org/authorize?client_id=",
        "https://sso.example.org/openid-connect/auth?scope=openid",
        "https://sso.example.org/authorize/help?client_id=x",
        "https://sso.example.org/auth?client_id=x",
        "https://sso.example.org/x?SAMLRequest=",
        "https://sso.example.org/x?wa=wsignout1.0",
        "https://sso.example.org/x?next=/y?SAMLRequest=1",
    ] {
        assert_eq!(to(location), Verdict::Clean, "{location}");
    }
}

#[test]
fn a_form_that_posts_itself_to_an_identity_provider_is_a_login_page() {
    let form = |form: &str| {
        page(format!(
            "<html><body onload=\"document.forms[0].submit()\">{form}</body></html>"
        ))
        .verdict()
    };
    for asking in [
        r#"<form method="post" action="https://idp.example.org/sso"><input type="hidden" name="RelayState" value="x"/><input type="hidden" name="SAMLRequest" value="PHNhbWw"/></form>"#,
        "<FORM ACTION=https://idp.example.org/sso METHOD=POST><INPUT VALUE='PHNhbWw' NAME='samlrequest'>",
        r#"<form action="https://idp.example.org/"><input name=wa value=wsignin1.0>"#,
        r#"<form action="https://idp.example.org/realms/x/protocol/openid-connect/auth"><input name="client_id" value="gis">"#,
    ] {
        assert_eq!(form(asking), LOGIN_PAGE, "{asking}");
    }
    for other in [
        r#"<form action="https://idp.example.org/sso"><input name="SAMLRequest" value=""></form>"#,
        r#"<form action="/x"></form><input name="SAMLRequest" value="x">"#,
        r#"<form action="/search"><input name="client_id" value="x"></form>"#,
        r#"<form action="/sso"><input name="SAMLResponse" value="x"></form>"#,
        "<p>SAMLRequest=x</p><form action='/x'><input name='q' value='SAMLRequest'></form>",
    ] {
        assert_eq!(form(other), Verdict::Clean, "{other}");
    }
}

// === through the layer ===

type Asked = Request<ReplayBody<Full<Bytes>>>;

/// What comes back through the layer of a server that gives `refusal` until it sees a token, and then `data`; and the
/// methods it was asked with.
async fn through_the_layer(
    method: Method,
    refusal: Received,
    data: Received,
) -> (StatusCode, Bytes, Vec<Method>) {
    let source = token_source_fn(|_| async { IssuedToken::try_new("tok1") });
    let site = Site::new("http://gis.example.com/arcgis")
        .token_source(source)
        .placement(TokenPlacement::EsriHeader);
    let layer = ArcgisAuthLayer::try_new(site).unwrap();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&asked);
    let mut service = layer.layer(service_fn(move |request: Asked| {
        seen.lock().unwrap().push(request.method().clone());
        let answer = match request.headers().contains_key("x-esri-authorization") {
            true => &data,
            false => &refusal,
        };
        let body = match *request.method() == Method::HEAD {
            true => Bytes::new(),
            false => answer.body.clone().into(),
        };
        let mut response = Response::new(Full::new(body));
        *response.status_mut() = StatusCode::from_u16(answer.status).unwrap();
        *response.headers_mut() = answer.headers.clone();
        std::future::ready(Ok::<_, Infallible>(response))
    }));
    let request = Request::builder()
        .method(method)
        .uri("http://gis.example.com/arcgis/rest/services/Roads/MapServer?f=json")
        .body(Full::default())
        .unwrap();
    let response = service.call(request).await.unwrap();
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let asked = asked.lock().unwrap().clone();
    (status, body, asked)
}

#[tokio::test]
async fn a_challenge_in_any_coding_is_healed_and_the_data_arrive_as_they_were_coded() {
    for coding in CODINGS {
        let data = received(200, features()).coded(coding);
        let refusal = received(200, CHALLENGE).coded(coding);
        let (status, body, asked) = through_the_layer(Method::GET, refusal, data.clone()).await;
        assert_eq!(status, 200, "{coding}");
        assert!(body == data.body, "{coding}");
        assert_eq!(asked.len(), 2, "{coding}");
    }
}

#[tokio::test]
async fn a_head_that_is_challenged_is_asked_again_with_a_token() {
    let login = received(302, "").header(header::LOCATION, "/arcgis/rest/login");
    for refusal in [received(499, ""), received(498, ""), login] {
        let (status, _, asked) = through_the_layer(Method::HEAD, refusal, received(200, "")).await;
        assert_eq!(status, 200);
        assert_eq!(asked, [Method::HEAD, Method::HEAD]);
    }
}

#[tokio::test]
async fn a_download_of_a_challenge_arrives() {
    let file = received(200, CHALLENGE).header(header::CONTENT_DISPOSITION, "attachment");
    let (status, body, asked) =
        through_the_layer(Method::GET, file.clone(), received(500, "")).await;
    assert_eq!((status.as_u16(), asked.len()), (200, 1));
    assert_eq!(body, CHALLENGE);
}
