//! What is returned through the layer is what the server sent: frame for frame, and saying of itself what it would say
//! without the layer.

mod peeking;
mod property;
mod unchanged;

use std::{
    collections::VecDeque,
    convert::Infallible,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use http::{Method, Request, Response, header};
use http_body::Body;
use http_body_util::Empty;
use tower::{Layer, Service, service_fn};
use tower_arcgis_auth::{ArcgisAuthLayer, ReplayBody, ResponseBody, Site, TokenPlacement};

use crate::support::{Reply, TokenService};

const CHALLENGE: &str =
    r#"{"error":{"code":499,"message":"Token Required","details":["Token Required"]}}"#;

const CLEAN: &str = r#"{"currentVersion":11.3,"layers":[{"id":0,"name":"Roads, error 499"}]}"#;
/// What an undecided body may hold back.
const PEEKED: usize = 16 * 1024;
type Answer<B> = Response<ResponseBody<B>>;

fn layer(login_works: bool) -> ArcgisAuthLayer {
    let source = TokenService::new();
    if !login_works {
        source.always(Reply::Refused);
    }
    let site = Site::new("http://gis.example.com/arcgis")
        .token_source(source)
        .placement(TokenPlacement::EsriHeader);
    ArcgisAuthLayer::try_new(site).unwrap()
}

/// The answer to one request of a server that gives these, one after the other.
fn ask<B>(
    layer: &ArcgisAuthLayer,
    method: Method,
    answers: impl IntoIterator<Item = Response<B>>,
) -> impl Future<Output = Result<Answer<B>, Infallible>>
where
    B: Body + Unpin,
{
    let uri = "http://gis.example.com/arcgis/rest/services?f=json";
    ask_at(uri, layer, method, answers)
}

/// [`ask`], of any server. It is not the scripted upstream, for that has whole answers, and here each frame counts.
fn ask_at<B>(
    uri: &str,
    layer: &ArcgisAuthLayer,
    method: Method,
    answers: impl IntoIterator<Item = Response<B>>,
) -> impl Future<Output = Result<Answer<B>, Infallible>>
where
    B: Body + Unpin,
{
    let answers = answers.into_iter().collect::<VecDeque<_>>();
    let answers = Arc::new(Mutex::new(answers));
    let mut service =
        layer
            .clone()
            .layer(service_fn(move |_: Request<ReplayBody<Empty<Bytes>>>| {
                let answer = answers.lock().unwrap().pop_front();
                async move { Ok::<_, Infallible>(answer.expect("one request too many")) }
            }));
    let request = Request::builder()
        .method(method)
        .uri(uri)
        .body(Empty::new())
        .unwrap();
    // A `service_fn` is always ready.
    service.call(request)
}

fn json<B>(body: B) -> Response<B> {
    Response::builder()
        .header(header::CONTENT_TYPE, "application/json")
        .body(body)
        .unwrap()
}
