//! An upload that is cut short never looks complete.

use http::{Request, header};

use super::{
    BOTH, CLEAN, Connected, assert_sent_again,
    server::{Manner, Protocol, Server},
    text,
};
use crate::{
    replay::letters,
    support::bodies::{self, Fed},
};

#[tokio::test]
async fn a_cut_upload_never_looks_complete_to_the_server() {
    for protocol in BOTH {
        let mut server = Server::start(protocol, Manner::AsksFirst).await;
        let client = Connected::to(&server, protocol);
        client.log_in_and_be_revoked(&server).await;
        let (feeder, body) = bodies::fed();
        feeder.data("begin,");
        let request = Request::post(server.url("/Roads/FeatureServer/0/x"));
        let call = tokio::spawn(client.send(request.body(body).unwrap()));

        // The first sending is given up while the caller has more to say.
        let first = server.next().await;
        assert_eq!(first.token(), Some("secret-1"));
        assert!(!first.complete, "{protocol:?}");
        feeder.data("middle,");
        feeder.data("end");
        drop(feeder);
        let second = server.next().await;
        assert_eq!(second.token(), Some("secret-2"));
        assert_eq!(second.data, b"begin,middle,end", "{protocol:?}");
        assert!(second.complete);
        assert_sent_again(call.await.unwrap().unwrap()).await;
    }
}

#[tokio::test]
async fn a_cut_upload_of_known_length_never_looks_complete_to_the_server() {
    for protocol in BOTH {
        let mut server = Server::start(protocol, Manner::AsksFirst).await;
        let client = Connected::to(&server, protocol);
        let (feeder, body) = bodies::fed();
        feeder.data("begin,");
        let request = Request::post(server.url("/Roads/FeatureServer/0/x"));
        // The client says how long it is, the body does not.
        let request = request.header(header::CONTENT_LENGTH, 16);
        let call = tokio::spawn(client.send(request.body(body).unwrap()));
        assert!(!server.next().await.complete, "{protocol:?}");
        feeder.data("middle,");
        feeder.data("end");
        drop(feeder);
        let second = server.next().await;
        assert_eq!(second.data, b"begin,middle,end");
        assert!(second.complete);
        assert_eq!(text(call.await.unwrap().unwrap()).await, CLEAN);
    }
}

#[tokio::test]
async fn an_early_answer_costs_no_byte_whatever_becomes_of_the_connection() {
    for protocol in BOTH {
        for manner in [Manner::AsksFirst, Manner::Ignores, Manner::HangsUp] {
            let mut server = Server::start(protocol, manner).await;
            let client = Connected::to(&server, protocol);
            client.log_in_and_be_revoked(&server).await;
            let (feeder, body) = bodies::fed();
            let request = Request::post(server.url("/Roads/FeatureServer/0/x"));
            let call = tokio::spawn(client.send(request.body(body).unwrap()));
            let data = letters(300_000);
            let mut frames = data.chunks(10_000);
            if manner == Manner::AsksFirst {
                // Of the first sending, this much arrives.
                feeder.data(frames.next().unwrap().to_vec());
                server.upload_begun().await;
            }
            while client.logins.attempts() == 1 {
                tokio::task::yield_now().await;
            }
            for frame in frames {
                feeder.data(frame.to_vec());
                tokio::task::yield_now().await;
            }
            drop(feeder);

            let second = loop {
                let arrived = server.next().await;
                if arrived.token() == Some("secret-2") {
                    break arrived;
                }
                assert!(!arrived.complete, "{protocol:?} {manner:?}");
            };
            assert!(second.complete);
            assert!(second.data == data, "{protocol:?} {manner:?}");
            assert_sent_again(call.await.unwrap().unwrap()).await;
        }
    }
}

#[tokio::test]
async fn a_caller_that_hangs_up_cuts_its_upload_and_nothing_is_sent_again() {
    for protocol in BOTH {
        let mut server = Server::start(protocol, Manner::Reads).await;
        let client = Connected::<Fed>::to(&server, protocol);
        client.log_in_and_be_revoked(&server).await;
        let (feeder, body) = bodies::fed();
        let request = Request::post(server.url("/Roads/FeatureServer/0/x"));
        let call = tokio::spawn(client.send(request.body(body).unwrap()));
        feeder.data("begin,");
        server.upload_begun().await;
        call.abort();
        assert!(call.await.unwrap_err().is_cancelled());
        let cut = server.next().await;
        assert!(!cut.complete, "{protocol:?}");
        feeder.unwanted().await;
        assert_eq!(client.logins.attempts(), 1);

        // The next request is not the worse for it.
        let (feeder, body) = bodies::fed();
        feeder.data("f=json");
        drop(feeder);
        let request = Request::post(server.url("/Roads/FeatureServer/0/x"));
        let response = client.send(request.body(body).unwrap()).await.unwrap();
        assert_eq!(text(response).await, CLEAN);
        assert_eq!(server.next().await.token(), Some("secret-1"));
        let second = server.next().await;
        assert_eq!(second.token(), Some("secret-2"));
        assert_eq!(second.data, b"f=json");
        server.assert_nothing_more();
    }
}

#[tokio::test]
async fn a_caller_whose_body_breaks_cuts_its_upload_and_nothing_is_sent_again() {
    for protocol in BOTH {
        let mut server = Server::start(protocol, Manner::Reads).await;
        let client = Connected::to(&server, protocol);
        client.log_in_and_be_revoked(&server).await;
        let (feeder, body) = bodies::fed();
        let request = Request::post(server.url("/Roads/FeatureServer/0/x"));
        let call = tokio::spawn(client.send(request.body(body).unwrap()));
        feeder.data("begin,");
        server.upload_begun().await;
        feeder.fail("the file is gone");
        assert!(!server.next().await.complete, "{protocol:?}");
        let error = call.await.unwrap().unwrap_err();
        // hyper tells the cause on HTTP/1 only.
        if protocol == Protocol::Http1 {
            let mut causes = std::iter::successors(error.source(), |error| error.source());
            assert!(causes.any(|cause| cause.to_string() == "the file is gone"));
        }
        assert_eq!(client.logins.attempts(), 1);
        server.assert_nothing_more();
    }
}
