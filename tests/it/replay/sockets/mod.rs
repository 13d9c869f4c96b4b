//! Uploads over real connections, HTTP/1 and HTTP/2: what the server gets when it asks for a token first, asks early,
//! asks and hangs up, or loses its client.

mod cut;
mod server;
mod whole;

use self::server::{Protocol, Server};
use http::{Request, Response};
use http_body::Body;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use tower::{Layer, Service, ServiceExt};
use tower_arcgis_auth::{
    ArcgisAuth, ArcgisAuthLayer, BoxError, ReplayBody, ResponseBody, Site, SiteHandle,
    TokenPlacement,
};

use crate::support::TokenService;

const CLEAN: &str = r#"{"success":true}"#;
const BOTH: [Protocol; 2] = [Protocol::Http1, Protocol::Http2];

/// A client with the layer in front.
struct Connected<B> {
    service: ArcgisAuth<Client<HttpConnector, ReplayBody<B>>>,
    site: SiteHandle,
    logins: TokenService,
}

impl<B> Connected<B>
where
    B: Body + Unpin + Send + 'static,
    B::Error: Into<BoxError>,
{
    fn to(server: &Server, protocol: Protocol) -> Self {
        Self::with(TokenService::new(), server, protocol)
    }

    fn with(logins: TokenService, server: &Server, protocol: Protocol) -> Self {
        let site = Site::new(server.root())
            .token_source(logins.clone())
            .placement(TokenPlacement::EsriHeader);
        let client = Client::builder(TokioExecutor::new())
            .http2_only(protocol == Protocol::Http2)
            .build_http();
        let layer = ArcgisAuthLayer::try_new(site).unwrap();
        Self {
            service: layer.layer(client),
            site: layer.handle().sites().remove(0),
            logins,
        }
    }

    /// Gets a token, `secret-1`, which the server revokes.
    async fn log_in_and_be_revoked(&self, server: &Server) {
        self.site.renew().await.unwrap();
        server.revoke_first_token();
    }

    fn send(
        &self,
        request: Request<B>,
    ) -> impl Future<Output = Result<Response<ResponseBody<Incoming>>, BoxError>> + Send + use<B>
    {
        let mut service = self.service.clone();
        async move { Ok(service.ready().await?.call(request).await?) }
    }
}

async fn assert_sent_again(response: Response<ResponseBody<Incoming>>) {
    assert!(response.body().outcome().resent());
    assert_eq!(text(response).await, CLEAN);
}

async fn text(response: Response<ResponseBody<Incoming>>) -> String {
    let collected = response.into_body().collect().await.unwrap();
    String::from_utf8(collected.to_bytes().to_vec()).unwrap()
}
