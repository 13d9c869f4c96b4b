//! The contract of tower's `Service`, kept towards the service below and to the caller above.

mod composition;
mod errors;
mod readiness;

use std::convert::Infallible;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tower::{Service, ServiceExt};
use tower_arcgis_auth::{ArcgisAuth, ReplayBody, ResponseBody};

use crate::support::Answer;

async fn ready_call<S>(
    service: &mut ArcgisAuth<S>,
    request: Request<Full<Bytes>>,
) -> Response<ResponseBody<Full<Bytes>>>
where
    S: Service<Request<ReplayBody<Full<Bytes>>>, Response = Answer, Error = Infallible> + Clone,
{
    let service = ServiceExt::<Request<Full<Bytes>>>::ready(service);
    service.await.unwrap().call(request).await.unwrap()
}
