//! Judges a response step by step: by status and headers where they decide, and else by the body as it arrives.

use http::{HeaderMap, StatusCode, header};

use crate::challenge::{
    Challenge, LOOK, RequestFacts, Step, Verdict,
    coding::{Coding, Decoder},
    glance::Glance,
    head::Noted,
    redirect,
    situation::Situation,
    sniff::Scan,
    words::Words,
};

/// The first step: status and headers decide, or the body must be looked at.
#[derive(Debug)]
pub(crate) enum Start {
    /// Decided without the body; never [`Verdict::More`].
    Decided(Verdict),
    /// The body decides.
    Look(Detector),
}

/// Looks at a body as it arrives.
#[derive(Debug)]
pub(crate) struct Detector {
    look: Look,
    decoder: Option<Decoder>,
}

/// The look at a body that is not coded, or decoded.
#[derive(Debug)]
struct Look {
    situation: Situation,
    /// Bytes that may still be looked at, as they come.
    coded_left: u16,
    /// Bytes that may still be looked at, decoded.
    left: u16,
    words: Words,
    scan: Scan,
}

impl Detector {
    /// Decides by status and headers alone where that is possible.
    pub(crate) fn start(
        status: StatusCode,
        headers: &HeaderMap,
        noted: Noted,
        facts: RequestFacts,
        body_is_empty: bool,
    ) -> Start {
        if status.is_informational() || matches!(status.as_u16(), 204..=206 | 304) {
            return Start::Decided(Verdict::Clean);
        }
        if matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
            && headers
                .get(header::LOCATION)
                .is_some_and(|location| redirect::is_login(location.as_bytes()))
        {
            return Start::Decided(Verdict::Challenge(Challenge::LoginRedirect));
        }

        let situation = Situation::new(status, headers, noted, facts);
        let has_no_say =
            facts.head || body_is_empty || noted.any(Noted::ATTACHMENT | Noted::STREAM);
        let coding = match noted.any(Noted::CODING) {
            true => Coding::of(headers),
            false => Coding::Identity,
        };
        if has_no_say || coding == Coding::Unknown {
            return Start::Decided(situation.without_body());
        }
        Start::Look(Self::looking(situation, Decoder::start(coding)))
    }

    /// The detector for an answer that a glance did not let go.
    pub(crate) fn of(glance: Glance) -> Self {
        Self::looking(glance.situation(), None)
    }

    fn looking(situation: Situation, decoder: Option<Decoder>) -> Self {
        Self {
            look: Look {
                situation,
                coded_left: LOOK,
                left: LOOK,
                words: Words::default(),
                scan: Scan::default(),
            },
            decoder,
        }
    }

    /// Takes the next bytes of the body. Not to be called again once it has decided.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Verdict {
        let look = &mut self.look;
        let bytes = &bytes[..bytes.len().min(usize::from(look.coded_left))];
        look.coded_left -= bytes.len() as u16;
        let (verdict, over) = match &mut self.decoder {
            None => (look.push(bytes), false),
            Some(decoder) => {
                let verdict = decoder.push(bytes, |plain| look.push(plain));
                (verdict, decoder.is_over())
            }
        };
        match verdict {
            Verdict::More if over || look.coded_left == 0 => self.finish(),
            verdict => verdict,
        }
    }

    /// The body ended, or no more of it will be waited for. Never [`Verdict::More`].
    pub(crate) fn finish(&mut self) -> Verdict {
        let look = &mut self.look;
        if let Some(decoder) = &mut self.decoder {
            match decoder.finish(|plain| look.push(plain)) {
                Verdict::More => {}
                verdict => return verdict,
            }
        }
        look.finish()
    }
}

impl Drop for Detector {
    fn drop(&mut self) {
        if let Some(decoder) = self.decoder.take() {
            decoder.keep();
        }
    }
}

impl Look {
    fn push(&mut self, plain: &[u8]) -> Verdict {
        let plain = &plain[..plain.len().min(usize::from(self.left))];
        self.left -= plain.len() as u16;
        if self.situation.code_status {
            self.words.push(plain);
        }
        match self.scan.push(plain, &self.situation) {
            Step::Decided(challenge) => challenge.into(),
            // Under 498 and 499 every word to the end counts: waiting for the end keeps the verdict
            // the same however the body is cut into frames.
            Step::Silent if !self.situation.code_status => self.situation.base.into(),
            _ if self.left == 0 => self.finish(),
            _ => Verdict::More,
        }
    }

    fn finish(&mut self) -> Verdict {
        match self.scan.finish(&self.situation) {
            Step::Decided(challenge) => challenge.into(),
            Step::More | Step::Silent => self.by_status(),
        }
    }

    /// The body does not decide, so the status does.
    fn by_status(&self) -> Verdict {
        if !self.situation.code_status {
            return self.situation.base.into();
        }
        // "499 client closed request" in any format, and cancelled calls behind gRPC gateways.
        if self.words.closed {
            return Verdict::Clean;
        }
        // 498 is ArcGIS's alone; 499 is nginx's and many an API's.
        let from_arcgis = self.words.token || self.situation.base == Some(Challenge::TokenInvalid);
        if let Scan::Json(json) = &self.scan {
            // Some front ends flatten the envelope; then the code in the body beats the status.
            if let Some(verdict) = json.flat(from_arcgis) {
                return verdict;
            }
        }
        if (self.situation.nginx || self.words.nginx) && !from_arcgis {
            return Verdict::Clean;
        }
        self.situation.base.into()
    }
}

#[cfg(test)]
mod tests {
    use http::Method;
    use proptest::prelude::*;

    use super::*;
    use crate::challenge::coding::tests::coded;

    fn start(status: u16, coding: &str) -> Detector {
        let mut headers = HeaderMap::new();
        headers.insert(
            header::CONTENT_ENCODING,
            header::HeaderValue::from_str(coding).unwrap(),
        );
        let status = StatusCode::from_u16(status).unwrap();
        let facts = RequestFacts::new(&Method::GET, false);
        match Detector::start(status, &headers, Noted::of(&headers), facts, false) {
            Start::Look(detector) => detector,
            Start::Decided(verdict) => panic!("decided {verdict:?} without a look"),
        }
    }

    /// The verdict on a body that comes in such pieces.
    fn in_pieces(mut detector: Detector, mut body: &[u8], sizes: &[usize]) -> Verdict {
        let mut sizes = sizes.iter().cycle();
        while !body.is_empty() {
            let size = sizes.next().map_or(1, |size| *size).min(body.len());
            let (piece, rest) = body.split_at(size);
            match detector.push(piece) {
                Verdict::More => body = rest,
                verdict => return verdict,
            }
        }
        detector.finish()
    }

    fn bodies() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop::sample::select(vec![
            "\u{FEFF}",
            " ",
            "cb(",
            "{",
            "}",
            "\"",
            ":",
            ",",
            "[",
            "]",
            "\"error\":{",
            "\"code\":499,",
            "\"code\":401,",
            "\"code\":498",
            "\"message\":\"ssl\",",
            "\\u0063ode",
            "\"status\":\"error\",",
            "\"messages\":[",
            "\"description\":\"token\"",
            "<html>",
            "<title>Error: Invalid Token</title>",
            "<title>Error: x</title>",
            "<title>ArcGIS Portal Directory</title>",
            "<h2>Error</h2>",
            "Error: 499",
            "<b>Code: </b>",
            "499",
            "<form action='/rest/login'>",
            "<input type=password>",
            "<!--",
            "-->",
            "<script>",
            "</script>",
            "<Envelope><Body>",
            "<Fault>",
            "<faultstring>Token Required</faultstring>",
            "<kml>",
            "<?xml?>",
            "token",
            "nginx",
            "canceled",
            "/*",
            "*/",
            "<textarea>",
            "</textarea>",
        ]);
        let filler = (0..3_usize, prop::sample::select(vec![0, 0, 0, 700, 9000]))
            .prop_map(|(kind, len)| [" ", "x", "<p>"][kind].repeat(len));
        let piece = (piece, filler).prop_map(|(piece, filler)| format!("{piece}{filler}"));
        prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat().into_bytes())
    }

    proptest! {
        #[test]
        fn however_a_body_is_cut_the_verdict_is_the_same(
            status in prop::sample::select(vec![200, 401, 404, 498, 499]),
            coding in prop::sample::select(vec!["", "gzip", "deflate", "br", "zstd"]),
            choice: u32,
            body in bodies(),
            sizes in prop::collection::vec(1_usize..900, 1..5),
            broken in prop::option::weighted(0.3, (any::<prop::sample::Index>(), any::<u8>())),
        ) {
            let mut body = coded(coding, choice, &body);
            if let Some((at, byte)) = broken.filter(|_| !body.is_empty()) {
                let at = at.index(body.len());
                body[at] = byte;
            }
            let whole = in_pieces(start(status, coding), &body, &[usize::MAX]);
            prop_assert_ne!(whole, Verdict::More);
            prop_assert_eq!(in_pieces(start(status, coding), &body, &[1]), whole);
            prop_assert_eq!(in_pieces(start(status, coding), &body, &sizes), whole);
        }
    }

    #[test]
    fn a_bomb_is_no_more_than_its_first_bytes() {
        let blank = vec![b' '; 64 << 20];
        for coding in ["gzip", "deflate", "br", "zstd"] {
            let bomb = coded(coding, 2, &blank);
            let mut detector = start(200, coding);
            assert_eq!(detector.push(&bomb), Verdict::Clean, "{coding}");
            assert_eq!(detector.look.left, 0, "{coding}");
        }
    }

    #[test]
    fn a_detector_is_small_and_goes_anywhere() {
        fn goes_anywhere<T: Send + Sync + Unpin + std::fmt::Debug>() {}
        goes_anywhere::<Detector>();
        assert!(size_of::<Detector>() <= 96, "{}", size_of::<Detector>());
    }
}
