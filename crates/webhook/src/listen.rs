//! The ports: where they listen, and TLS on them.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener},
    time::Duration,
};

use axum::Router;
use axum_server::{
    Handle,
    accept::NoDelayAcceptor,
    tls_rustls::{RustlsAcceptor, RustlsConfig},
};

use crate::limits::Limits;

/// How often a silent API server is asked whether it is there yet.
const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// How many requests one connection may send before it has answers; all together are limited besides.
const STREAMS: u32 = 256;
/// How much a connection may send ahead of being read, all its requests together: there is no limit to
/// how many connections there are.
const WINDOW: u32 = 256 * 1024;

/// Every address of the machine.
pub fn everywhere(port: u16) -> [SocketAddr; 2] {
    [
        // Takes IPv4, too; fails where the kernel has no IPv6.
        SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)),
        SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)),
    ]
}

/// Listens on the first of `addresses` that is to be had.
///
/// # Errors
/// What was wrong with the first, if none is.
pub fn bind(addresses: [SocketAddr; 2]) -> io::Result<TcpListener> {
    let [first, second] = addresses;
    TcpListener::bind(first).or_else(|error| {
        let listener = TcpListener::bind(second).map_err(|_| error)?;
        tracing::info!(address = %second, "not listening on {first}");
        Ok(listener)
    })
}

/// Serves `router` over TLS until `handle` says otherwise.
///
/// # Errors
/// The listener is of no use.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    tls: RustlsConfig,
    limits: Limits,
    handle: Handle<SocketAddr>,
) -> io::Result<()> {
    // An answer is small and leaves in more than one write. Without this, the last one waits until the
    // API server's kernel has confirmed the first, which takes up to 40 ms.
    let acceptor = RustlsAcceptor::new(tls)
        .handshake_timeout(limits.handshake)
        .acceptor(NoDelayAcceptor::new());
    let mut server = axum_server::from_tcp(listener)?
        .acceptor(acceptor)
        .handle(handle)
        // Whoever connects and says nothing goes; later silence is normal, the API server keeps its
        // connections.
        .first_request_timeout(limits.request)
        .accept_error_handler(|peer, error| tracing::debug!(?peer, %error, "a connection failed"));
    let builder = server.http_builder();
    builder
        .http2()
        .max_concurrent_streams(STREAMS)
        .initial_connection_window_size(WINDOW)
        .initial_stream_window_size(WINDOW)
        .keep_alive_interval(KEEP_ALIVE);
    server.serve(router.into_make_service()).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_ipv6_there_is_ipv4() {
        // An address for documentation, which no machine has.
        let nowhere = SocketAddr::from(([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1], 0));
        let [_, any] = everywhere(0);
        let address = bind([nowhere, any]).unwrap().local_addr().unwrap();
        assert!(address.is_ipv4() && address.port() != 0);
        bind([nowhere, nowhere]).unwrap_err();
    }

    #[test]
    fn an_ipv4_client_is_served_either_way() {
        let port = bind(everywhere(0)).unwrap();
        let port = port.local_addr().map(|address| (port, address.port())).unwrap();
        std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port.1)).unwrap();
    }
}
