//! Any body, cut anywhere.

use bytes::Bytes;
use http::{Method, Response, StatusCode, header};
use proptest::prelude::*;
use proptest::{collection::vec, sample::Index};

use super::{CHALLENGE, CLEAN, PEEKED, ask, json, layer};
use crate::support::bodies::{self, Hint, Observed, Pieces, Scripted, Seen, Step};

const PAGE: &str = "<!DOCTYPE html>\n<html><head><title>Folder: /</title></head>\
    <body class=\"tundra\"><ul><li>Roads</li></ul></body></html>";

const LOGIN_PAGE: &str = "<html><head><title>Login</title></head><body>\
    <form action=\"/arcgis/rest/login\" method=\"post\"><input type=\"text\" name=\"username\"/>\
    <input type=\"password\" name=\"password\"/></form></body></html>";

fn challenge() -> Scripted<Pieces> {
    Scripted::data([Pieces::new([Bytes::from(CHALLENGE)], true)])
}

fn gzip(plain: &str) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(plain.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

/// What a server's answer is made of.
#[derive(Clone, Debug)]
struct Case {
    status: StatusCode,
    content_type: &'static str,
    gzip: bool,
    steps: Vec<Step<Pieces>>,
    hint: Hint,
    reports_end: bool,
    second: bool,
}

impl Case {
    fn body(&self) -> Scripted<Pieces> {
        Scripted::new(self.steps.iter().cloned())
            .hint(self.hint)
            .reports_end(self.reports_end)
    }

    fn response(&self, body: Scripted<Pieces>) -> Response<Scripted<Pieces>> {
        let mut response = Response::builder().status(self.status);
        if !self.content_type.is_empty() {
            response = response.header(header::CONTENT_TYPE, self.content_type);
        }
        if self.gzip {
            response = response.header(header::CONTENT_ENCODING, "gzip");
        }
        response.body(body).unwrap()
    }
}

fn contents() -> impl Strategy<Value = Vec<u8>> {
    let long = format!(
        r#"{{"error":{{"message":"{}","code":499}}}}"#,
        "a".repeat(PEEKED + 500)
    );
    let spaces = " ".repeat(PEEKED + 500);
    prop_oneof![
        6 => prop::sample::select(vec![CHALLENGE, CLEAN, PAGE, LOGIN_PAGE, "", "{", "\u{feff}{}"])
            .prop_map(|text| text.as_bytes().to_vec()),
        2 => vec(any::<u8>(), 0..400),
        1 => prop::sample::select(vec![long, spaces]).prop_map(String::into_bytes),
        2 => prop::sample::select(vec![CHALLENGE, CLEAN, PAGE]).prop_map(gzip),
    ]
}

/// Any content, cut into frames, the frames into pieces, with waits in between and an end of any kind.
fn steps() -> impl Strategy<Value = Vec<Step<Pieces>>> {
    let size = prop_oneof![3 => 0..4_usize, 3 => 4..80_usize, 2 => 80..9000_usize];
    let end = prop_oneof![
        2 => Just(None),
        1 => Just(Some(Step::Error("the line broke"))),
        1 => Just(Some(Step::Trailers(bodies::trailers(&[("x-sum", "1"), ("x-sum", "2")])))),
    ];
    let frames = vec(
        (size, vec(any::<Index>(), 0..4), any::<bool>(), 0..3_u8),
        1..9,
    );
    (contents(), frames, end, any::<bool>()).prop_map(|(content, shapes, end, wait_at_end)| {
        let sizes = shapes.iter().map(|shape| shape.0).collect::<Vec<_>>();
        let frames = bodies::cut(&Bytes::from(content), &sizes);
        let mut steps = Vec::new();
        for (frame, (_, cuts, shows_all, waits)) in frames.into_iter().zip(shapes.iter().cycle()) {
            steps.extend(std::iter::repeat_n(Step::Pending, usize::from(*waits / 2)));
            let mut at = cuts
                .iter()
                .map(|cut| cut.index(frame.len() + 1))
                .collect::<Vec<_>>();
            at.sort_unstable();
            let mut pieces = Vec::new();
            let mut from = 0;
            for to in at.into_iter().chain([frame.len()]) {
                pieces.push(frame.slice(from..to));
                from = to;
            }
            steps.push(Step::Data(Pieces::new(pieces, *shows_all)));
        }
        if wait_at_end {
            steps.push(Step::Pending);
        }
        steps.extend(end);
        steps
    })
}

fn cases() -> impl Strategy<Value = Case> {
    let status = prop::sample::select(vec![200, 200, 200, 401, 403, 404, 498, 499, 500]);
    let content_type = prop::sample::select(vec![
        "application/json",
        "text/html;charset=utf-8",
        "text/plain",
        "image/png",
        "",
    ]);
    let hint = prop::sample::select(vec![
        Hint::Nothing,
        Hint::Exact,
        Hint::Loose,
        Hint::ExactAtTheEnd,
    ]);
    (
        (status, content_type, prop::bool::weighted(0.2)),
        steps(),
        (hint, any::<bool>(), any::<bool>()),
    )
        .prop_map(
            |((status, content_type, gzip), steps, (hint, reports_end, second))| Case {
                status: StatusCode::from_u16(status).unwrap(),
                content_type,
                gzip,
                steps,
                hint,
                reports_end,
                second,
            },
        )
}

/// What the layer lets up of this answer, be it the first or what came after a login.
async fn through_the_layer(case: &Case) -> Result<Vec<Observed>, TestCaseError> {
    let body = case.body();
    let log = body.log();
    let answer = case.response(body);
    let answers = if case.second {
        vec![json(challenge()), answer]
    } else {
        vec![answer]
    };
    let layer = layer(case.second);
    let answer = bodies::drive(ask(&layer, Method::GET, answers), &log).await;
    let (parts, mut body) = answer.unwrap().into_parts();
    prop_assert_eq!(parts.status, case.status);
    prop_assert_eq!(body.outcome().resent(), case.second);
    let observed = bodies::observe(&mut body, &log);
    prop_assert!(
        !log.polled_after_end(),
        "the inner body was polled after its end"
    );
    Ok(observed)
}

fn check(case: &Case, bare: &[Observed], layered: &[Observed]) -> Result<(), TestCaseError> {
    let seen = |all: &[Observed]| all.iter().map(|one| one.seen.clone()).collect::<Vec<_>>();
    prop_assert_eq!(seen(bare), seen(layered));

    let mut remaining = layered.iter().map(Observed::len).sum::<u64>();
    for (bare, layered) in bare.iter().zip(layered) {
        prop_assert!(layered.lower <= remaining);
        prop_assert!(layered.upper.is_none_or(|upper| upper >= remaining));
        prop_assert_eq!((layered.lower, layered.upper), (bare.lower, bare.upper));
        if layered.end_stream {
            prop_assert_eq!(&layered.seen, &Seen::End);
        }
        prop_assert!(layered.end_stream || !bare.end_stream, "{case:?}");
        remaining -= layered.len();
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 400,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_body_is_the_same_with_the_layer_as_without(case in cases()) {
        let mut bare = case.body();
        let log = bare.log();
        let bare = bodies::observe(&mut bare, &log);
        let layered = tokio_test::block_on(through_the_layer(&case))?;
        check(&case, &bare, &layered)?;
    }
}
