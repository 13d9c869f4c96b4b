//! A caller's socket that tells what goes over it.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

use crate::connections::Caller;

/// What is written in one piece, in bytes: copying so much costs less than handing the pieces over one by one.
const SHORT: usize = 4096;

/// The socket of one caller.
pub(super) struct Stream {
    socket: TcpStream,
    caller: Arc<Caller>,
    /// The pieces of a short answer, one behind the other. Kept for the next one.
    joined: Vec<u8>,
}

impl Stream {
    pub(super) fn new(socket: TcpStream, caller: Arc<Caller>) -> Self {
        Self {
            socket,
            caller,
            joined: Vec::new(),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.socket).poll_read(context, buffer))?;
        if buffer.filled().len() > before {
            self.caller.heard();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let socket = Pin::new(&mut this.socket);
        if slices.iter().map(|slice| slice.len()).sum::<usize>() > SHORT {
            return socket.poll_write_vectored(context, slices);
        }
        this.joined.clear();
        for slice in slices {
            this.joined.extend_from_slice(slice);
        }
        socket.poll_write(context, &this.joined)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}
