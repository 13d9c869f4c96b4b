//! Challenges of these kinds to a request through the layer.

use bytes::Bytes;
use http::{Method, StatusCode, header};
use tower::Layer;
use tower_arcgis_auth::{ArcgisAuthLayer, Site, TokenPlacement};

use crate::support::{
    ROADS, ROOT, TokenService, Upstream, answer, get,
    received::{CHALLENGE, CODINGS, Received, features, received},
    send, token_of,
};

/// What comes back through the layer of a server that gives `refusal` until it sees a token, and then `data`; and the
/// methods it was asked with.
async fn through_the_layer(
    method: Method,
    refusal: Received,
    data: Received,
) -> (StatusCode, Bytes, Vec<Method>) {
    let site = Site::new(ROOT)
        .token_source(TokenService::new())
        .placement(TokenPlacement::EsriHeader);
    let upstream = Upstream::new(move |request| {
        let sent = match token_of(request) {
            Some(_) => &data,
            None => &refusal,
        };
        let mut response = match request.method == Method::HEAD {
            true => answer(""),
            false => answer(sent.body.clone()),
        };
        *response.status_mut() = StatusCode::from_u16(sent.status).unwrap();
        *response.headers_mut() = sent.headers.clone();
        response
    });
    let layer = ArcgisAuthLayer::try_new(site).unwrap();
    let mut request = get(ROADS);
    *request.method_mut() = method;
    let got = send(&layer.layer(upstream.clone()), request).await;
    let asked = upstream.requests().into_iter().map(|asked| asked.method);
    (got.parts.status, got.body, asked.collect())
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
