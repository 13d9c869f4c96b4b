//! Challenges of these kinds to a request through the layer.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use tower::{Layer, Service, service_fn};
use tower_arcgis_auth::{
    ArcgisAuthLayer, IssuedToken, ReplayBody, Site, TokenPlacement, token_source_fn,
};

use crate::support::received::{CHALLENGE, CODINGS, Received, features, received};

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
        let mut response = http::Response::new(Full::new(body));
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
