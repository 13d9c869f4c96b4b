//! Challenges come in the shape that was set, for a missing and for a bad token.

mod support;

use std::io::Read;

use arcgis_stand_in::{ChallengeShape, StandIn};
use serde_json::Value;
use support::{Got, get, login, parcels, started};

/// Both flavours of a shape: no token, and a bad one.
async fn challenged(shape: ChallengeShape) -> [(Got, u64, &'static str); 2] {
    let arcgis = started().await;
    arcgis.set_challenge("", shape);
    let required = get(&parcels(&arcgis, "/0?f=json&callback=back")).await;
    let invalid = get(&parcels(&arcgis, "/0?f=json&callback=back&token=dead.")).await;
    assert_eq!(arcgis.counters().challenges, 2);
    [
        (required, 499, "Token Required"),
        (invalid, 498, "Invalid Token"),
    ]
}

fn code(json: &[u8]) -> u64 {
    let value: Value = serde_json::from_slice(json).unwrap_or_default();
    value["error"]["code"]
        .as_u64()
        .or(value["code"].as_u64())
        .unwrap_or(0)
}

#[tokio::test]
async fn every_shape_stops_a_request_and_lets_a_good_token_in() {
    let arcgis = StandIn::start().await.unwrap();
    let token = login(&arcgis).await;
    for shape in ChallengeShape::ALL {
        arcgis.set_challenge("Parcels", *shape);
        arcgis.reset_counters();
        let refused = get(&parcels(&arcgis, "?f=json")).await;
        assert!(
            !String::from_utf8_lossy(&refused.body).contains("capabilities"),
            "{shape:?}"
        );
        assert_eq!(arcgis.counters().challenges, 1, "{shape:?}");
        let let_in = get(&parcels(&arcgis, &format!("?f=json&token={token}"))).await;
        assert_eq!(let_in.json()["capabilities"], "Map,Query,Data", "{shape:?}");
    }
}

#[tokio::test]
async fn json_shapes_carry_the_code_under_their_status() {
    for (shape, status) in [
        (ChallengeShape::Json, 200),
        (ChallengeShape::JsonPretty, 200),
        (ChallengeShape::JsonNoDetails, 200),
        (ChallengeShape::PortalJson, 200),
        (ChallengeShape::AdminJson, 200),
        (ChallengeShape::Http401Json, 401),
        (ChallengeShape::JsonAsPng, 200),
        (ChallengeShape::JsonAsPbf, 200),
    ] {
        for (got, expected, _) in challenged(shape).await {
            assert_eq!(
                (got.status.as_u16(), code(&got.body)),
                (status, expected),
                "{shape:?}"
            );
        }
    }
    for (got, expected, _) in challenged(ChallengeShape::HttpStatus).await {
        assert_eq!(
            (u64::from(got.status.as_u16()), code(&got.body)),
            (expected, expected)
        );
    }
    for (got, ..) in challenged(ChallengeShape::Http401Code401).await {
        assert_eq!((got.status.as_u16(), code(&got.body)), (401, 401));
    }
    let [(required, ..), (invalid, ..)] = challenged(ChallengeShape::JsonForbidden).await;
    assert_eq!((code(&required.body), code(&invalid.body)), (403, 498));
}

#[tokio::test]
async fn content_types_are_those_of_arcgis() {
    for (shape, content_type) in [
        (ChallengeShape::Json, "text/plain;charset=utf-8"),
        (ChallengeShape::JsonAsPng, "image/png"),
        (ChallengeShape::JsonAsPbf, "application/x-protobuf"),
        (ChallengeShape::HttpStatusPlain, "text/html"),
        (ChallengeShape::OgcException, "application/vnd.ogc.se_xml"),
    ] {
        for (got, ..) in challenged(shape).await {
            assert_eq!(got.header("content-type"), content_type, "{shape:?}");
        }
    }
}

#[tokio::test]
async fn disguised_json_is_json_underneath() {
    for (got, expected, _) in challenged(ChallengeShape::JsonBom).await {
        assert_eq!(
            code(got.body.strip_prefix(b"\xef\xbb\xbf").unwrap()),
            expected
        );
    }
    for (got, expected, _) in challenged(ChallengeShape::JsonGzip).await {
        assert_eq!(got.header("content-encoding"), "gzip");
        let mut json = Vec::new();
        flate2::read::GzDecoder::new(&got.body[..])
            .read_to_end(&mut json)
            .unwrap();
        assert_eq!(code(&json), expected);
    }
    for (got, expected, _) in challenged(ChallengeShape::JsonDeflate).await {
        assert_eq!(got.header("content-encoding"), "deflate");
        let mut json = Vec::new();
        flate2::read::ZlibDecoder::new(&got.body[..])
            .read_to_end(&mut json)
            .unwrap();
        assert_eq!(code(&json), expected);
    }
    for (shape, start) in [
        (ChallengeShape::Jsonp, "back("),
        (ChallengeShape::JsonpComment, "/**/back("),
    ] {
        for (got, expected, _) in challenged(shape).await {
            let json = got
                .text()
                .strip_prefix(start)
                .and_then(|text| text.strip_suffix(");"))
                .unwrap();
            assert_eq!(code(json.as_bytes()), expected);
        }
    }
}

#[tokio::test]
async fn login_forms_ask_for_a_password() {
    for shape in [ChallengeShape::LoginPage, ChallengeShape::LoginPage100] {
        for (got, ..) in challenged(shape).await {
            let page = got.text().to_lowercase().replace('\'', "\"");
            assert_eq!(got.status, 200);
            assert!(
                page.contains("action=\"/arcgis/rest/login\"")
                    && page.contains("type=\"password\""),
                "{page}"
            );
        }
    }
}

#[tokio::test]
async fn redirects_carry_the_url_asked_for_with_its_token() {
    let arcgis = StandIn::start().await.unwrap();
    let url = parcels(&arcgis, "/0?f=json&token=dead.");
    for (shape, path, parameter) in [
        (
            ChallengeShape::LoginRedirect,
            "/arcgis/rest/login",
            "redirect",
        ),
        (
            ChallengeShape::OAuthRedirect,
            "/arcgis/sharing/rest/oauth2/authorize",
            "redirect_uri",
        ),
    ] {
        arcgis.set_challenge("Parcels/MapServer", shape);
        let got = get(&url).await;
        assert_eq!(got.status, 302);
        let (target, query) = got.header("location").split_once('?').unwrap();
        assert_eq!(target, format!("{}{path}", arcgis.origin()));
        let back = form_urlencoded::parse(query.as_bytes())
            .find(|(name, _)| name == parameter)
            .unwrap()
            .1;
        assert_eq!(back, url);
        assert_eq!(get(got.header("location")).await.status, 200);
    }
}

#[tokio::test]
async fn markup_shapes_say_what_is_wrong() {
    for (shape, status) in [
        (ChallengeShape::ErrorPage, 200),
        (ChallengeShape::SoapFault, 500),
        (ChallengeShape::OgcException, 200),
    ] {
        for (got, _, message) in challenged(shape).await {
            assert_eq!(got.status.as_u16(), status);
            assert!(got.text().contains(message), "{shape:?}");
        }
    }
    for (got, status, message) in challenged(ChallengeShape::HttpStatusPlain).await {
        assert_eq!(
            (u64::from(got.status.as_u16()), got.text()),
            (status, message)
        );
    }
}

#[tokio::test]
async fn the_longest_prefix_gives_the_shape() {
    let arcgis = StandIn::start().await.unwrap();
    arcgis.set_challenge("", ChallengeShape::LoginPage);
    arcgis.set_challenge("Parcels/MapServer/0", ChallengeShape::HttpStatus);
    assert_eq!(
        get(&parcels(&arcgis, "/0/query")).await.status.as_u16(),
        499
    );
    assert_eq!(
        get(&parcels(&arcgis, "/1/query")).await.status.as_u16(),
        200
    );
    assert_eq!(get(&parcels(&arcgis, "/01")).await.status.as_u16(), 200);
}
