//! What is measured: requests through this layer, and through others, over a service that does nothing.
//!
//! Cases called `bare_…` send the same requests to the service itself, and get the same answers. The difference is the price of
//! a layer; `instructions.txt` says which belongs to which.

mod answers;
mod layers;
mod peers;
mod requests;

use std::{
    convert::Infallible,
    pin::pin,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http::Response;
use http_body::Body;
use http_body_util::Full;
use tower::Service;
use tower_arcgis_auth::{CallerToken, TokenPlacement};

pub(crate) use self::{
    answers::{Bare, Frames},
    layers::{Settings, layer, runtime, service},
    requests::get,
};

pub(crate) type Request = http::Request<Full<Bytes>>;

/// Sends one request, and reads its answer to the end.
pub(crate) type Sender = Box<dyn FnMut(Request)>;

/// One kind of request, and the service it goes to.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) request: fn() -> Request,
    pub(crate) sender: fn() -> Sender,
}

/// A token in the header, no copy of the request, one site.
pub(crate) const HEADER: Settings = Settings {
    placement: TokenPlacement::EsriHeader,
    copy: false,
    referer: false,
    caller_token: CallerToken::Keep,
    sites: 1,
    identities: 0,
};

const COOKIE: Settings = Settings {
    placement: TokenPlacement::Cookie,
    ..HEADER
};

const QUERY: Settings = Settings {
    placement: TokenPlacement::Query,
    ..HEADER
};

/// What a site has that nothing was set for.
const DEFAULT: Settings = Settings {
    copy: true,
    referer: true,
    ..QUERY
};

/// Sends requests to a service that answers at once.
pub(crate) fn by<S, R>(mut service: S) -> Sender
where
    S: Service<Request, Response = Response<R>, Error = Infallible> + 'static,
    R: Body + Unpin,
{
    Box::new(move |request| {
        let Ok(response) = now(service.call(request));
        drain(response);
    })
}

macro_rules! case {
    ($name:ident, $request:expr, $service:expr) => {
        Case {
            name: stringify!($name),
            request: $request,
            sender: || by($service),
        }
    };
}

/// All cases.
pub(crate) fn cases() -> Vec<Case> {
    use requests::{dot, elsewhere, export, form, one_byte, replaced, space, tile};

    vec![
        case!(bare_get, get, Bare::ordinary()),
        case!(default_get, get, service(DEFAULT, Bare::ordinary())),
        case!(default_get_of_ten_sites, get, {
            service(
                Settings {
                    sites: 10,
                    ..DEFAULT
                },
                Bare::ordinary(),
            )
        }),
        case!(bare_get_tile, tile, Bare::tile()),
        case!(default_get_tile, tile, service(DEFAULT, Bare::tile())),
        case!(bare_get_gzip, get, Bare::coded("gzip")),
        case!(default_get_gzip, get, service(DEFAULT, Bare::coded("gzip"))),
        case!(bare_get_json, get, Bare::json()),
        case!(header_json_copy, get, {
            service(
                Settings {
                    copy: true,
                    ..HEADER
                },
                Bare::json(),
            )
        }),
        case!(query_json_copy_referer, get, service(DEFAULT, Bare::json())),
        case!(bare_json, one_byte, Bare::json()),
        case!(add_authorization, one_byte, peers::add_authorization()),
        case!(tower_retry, one_byte, peers::retry()),
        case!(kube_token_file, one_byte, peers::token_file()),
        case!(header_json, one_byte, service(HEADER, Bare::json())),
        case!(header_json_copy_of_body, one_byte, {
            service(
                Settings {
                    copy: true,
                    ..HEADER
                },
                Bare::json(),
            )
        }),
        case!(cookie_json, one_byte, service(COOKIE, Bare::json())),
        case!(query_json, one_byte, service(QUERY, Bare::json())),
        case!(replace_nothing, one_byte, {
            service(
                Settings {
                    caller_token: CallerToken::Replace,
                    ..HEADER
                },
                Bare::json(),
            )
        }),
        case!(header_json_1000_sites, one_byte, {
            service(
                Settings {
                    sites: 1000,
                    ..HEADER
                },
                Bare::json(),
            )
        }),
        case!(identity_of_1000, one_byte, {
            service(
                Settings {
                    identities: 1000,
                    ..HEADER
                },
                Bare::json(),
            )
        }),
        case!(bare_image, one_byte, Bare::image()),
        case!(header_image, one_byte, service(HEADER, Bare::image())),
        case!(bare_export, export, Bare::image()),
        case!(header_export, export, service(HEADER, Bare::image())),
        case!(bare_replaced, replaced, Bare::json()),
        case!(replace_header, replaced, {
            service(
                Settings {
                    caller_token: CallerToken::Replace,
                    ..HEADER
                },
                Bare::json(),
            )
        }),
        case!(bare_pbf, dot, Bare::json()),
        case!(header_pbf, dot, service(HEADER, Bare::json())),
        case!(bare_space, space, Bare::json()),
        case!(header_space, space, service(HEADER, Bare::json())),
        case!(bare_elsewhere, elsewhere, Bare::json()),
        case!(no_site_of_1, elsewhere, service(HEADER, Bare::json())),
        case!(no_site_of_1000, elsewhere, {
            service(
                Settings {
                    sites: 1000,
                    ..HEADER
                },
                Bare::json(),
            )
        }),
        case!(bare_form, form, Bare::json()),
        case!(header_form, form, service(HEADER, Bare::json())),
        case!(bare_gzip, one_byte, Bare::coded("gzip")),
        case!(header_gzip, one_byte, service(HEADER, Bare::coded("gzip"))),
        case!(bare_deflate, one_byte, Bare::coded("deflate")),
        case!(
            header_deflate,
            one_byte,
            service(HEADER, Bare::coded("deflate"))
        ),
        case!(bare_brotli, one_byte, Bare::coded("br")),
        case!(header_brotli, one_byte, service(HEADER, Bare::coded("br"))),
        case!(bare_zstd, one_byte, Bare::coded("zstd")),
        case!(header_zstd, one_byte, service(HEADER, Bare::coded("zstd"))),
    ]
}

/// Polls a future that is ready at once.
pub(crate) fn now<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => unreachable!("nothing here waits"),
    }
}

fn drain<R: Body + Unpin>(response: Response<R>) {
    let mut body = response.into_body();
    while next_frame(&mut body) {}
}

/// Whether there was another frame.
pub(crate) fn next_frame<R: Body + Unpin>(body: &mut R) -> bool {
    let mut context = Context::from_waker(Waker::noop());
    match pin!(body).poll_frame(&mut context) {
        Poll::Ready(Some(frame)) => std::hint::black_box(frame.is_ok()),
        _ => false,
    }
}

/// A body of many frames behind its head, through the layer or bare; each call reads one frame.
pub(crate) fn frames(is_bare: bool) -> Box<dyn FnMut()> {
    fn reading<R: Body + Unpin + 'static>(response: Response<R>) -> Box<dyn FnMut()> {
        let mut body = response.into_body();
        assert!(next_frame(&mut body), "the first, which the layer looks at");
        Box::new(move || {
            next_frame(&mut body);
        })
    }
    let request = requests::one_byte();
    if is_bare {
        let Ok(response) = now(Frames.call(request));
        reading(response)
    } else {
        let Ok(response) = now(service(HEADER, Frames).call(request));
        reading(response)
    }
}
