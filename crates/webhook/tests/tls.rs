//! The listener as a client meets it: TLS, its certificate's change, and clients that stall.

// Helpers of tests are tests, too.
#![allow(clippy::unwrap_used)]

use std::{
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use axum_server::{Handle, tls_rustls::RustlsConfig};
use jiff::{SignedDuration, Timestamp};
use rustls::{
    ClientConfig, ClientConnection, ProtocolVersion, RootCertStore, StreamOwned, SupportedProtocolVersion,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject as _},
    version::{TLS12, TLS13},
};
use serde_json::{Value, json};
use tektite_webhook::{certs::Bundle, limits::Limits, listen, router};

/// Ten times what anything here may take.
const PATIENCE: Duration = Duration::from_secs(100);
const NAME: &str = "w.ns.svc";

fn bundle(previous: Option<&Bundle>) -> Bundle {
    let life = SignedDuration::from_hours(24);
    Bundle::make(
        &[NAME.to_owned()],
        Timestamp::now(),
        life,
        previous.and_then(Bundle::previous),
    )
    .unwrap()
}

struct Server {
    runtime: tokio::runtime::Runtime,
    address: SocketAddr,
    tls: RustlsConfig,
}

impl Server {
    fn start(served: &Bundle, limits: Limits) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let tls = RustlsConfig::from_config(served.server_config().unwrap());
        let listener = listen::bind(listen::everywhere(0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let routes = router::router(Arc::default(), limits);
        runtime.spawn(listen::serve(
            listener,
            routes,
            tls.clone(),
            limits,
            Handle::new(),
        ));
        Self {
            runtime,
            address: SocketAddr::from(([127, 0, 0, 1], port)),
            tls,
        }
    }

    /// A connection that has been made, but not been used yet.
    fn tcp(&self) -> TcpStream {
        tcp(self.address)
    }
}

fn tcp(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// A client that trusts the CAs of `pem`.
fn client(pem: &str, versions: &[&'static SupportedProtocolVersion]) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for root in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        roots.add(root.unwrap()).unwrap();
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(config)
}

type Connection = BufReader<StreamOwned<ClientConnection, TcpStream>>;

fn connect(address: SocketAddr, client: &Arc<ClientConfig>) -> Connection {
    let session = ClientConnection::new(Arc::clone(client), NAME.try_into().unwrap()).unwrap();
    BufReader::new(StreamOwned::new(session, tcp(address)))
}

fn review() -> String {
    json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
        "uid": "u-1", "kind": {"group": "tekton.dev", "version": "v1", "kind": "TaskRun"},
        "operation": "CREATE", "object": {"metadata": {"name": "r"}, "spec": {"taskRef": {"name": "t"}}}}})
    .to_string()
}

fn send(connection: &mut Connection, announced: usize, body: &str) -> io::Result<()> {
    write!(
        connection.get_mut(),
        "POST /defaulting HTTP/1.1\r\nhost: {NAME}\r\ncontent-length: {announced}\r\n\r\n{body}"
    )?;
    connection.get_mut().flush()
}

/// Status and body of the next answer.
fn receive(connection: &mut Connection) -> io::Result<(u16, String)> {
    let mut line = String::new();
    connection.read_line(&mut line)?;
    let status = line
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .ok_or(io::ErrorKind::UnexpectedEof)?;
    let mut length = 0;
    loop {
        line.clear();
        connection.read_line(&mut line)?;
        match line.trim_end().split_once(": ") {
            Some(("content-length", value)) => length = value.parse().unwrap(),
            Some(_) => {}
            None => break,
        }
    }
    let mut body = vec![0; length];
    connection.read_exact(&mut body)?;
    Ok((status, String::from_utf8(body).unwrap()))
}

fn ask(connection: &mut Connection) -> io::Result<()> {
    let body = review();
    send(connection, body.len(), &body)?;
    let (status, answer) = receive(connection)?;
    let answer: Value = serde_json::from_str(&answer)?;
    assert_eq!((status, &answer["response"]["uid"]), (200, &json!("u-1")));
    Ok(())
}

#[test]
fn both_versions_of_tls_are_spoken() {
    let shown = bundle(None);
    let server = Server::start(&shown, Limits::default());
    for (version, expected) in [
        (&TLS12, ProtocolVersion::TLSv1_2),
        (&TLS13, ProtocolVersion::TLSv1_3),
    ] {
        let mut connection = connect(server.address, &client(shown.ca(), &[version]));
        ask(&mut connection).unwrap();
        ask(&mut connection).unwrap();
        assert_eq!(connection.get_ref().conn.protocol_version(), Some(expected));
    }
    let mut stranger = connect(server.address, &client(bundle(None).ca(), &[&TLS13]));
    ask(&mut stranger).unwrap_err();
}

#[test]
fn a_certificate_changes_under_load_and_nobody_notices() {
    let first = bundle(None);
    let second = bundle(Some(&first));
    let server = Server::start(&first, Limits::default());
    let stop = Arc::new(AtomicBool::new(false));
    let (results, asked) = mpsc::channel();
    let clients: Vec<_> = (0..4)
        .map(|number| {
            // Trusts both CAs, as the API server does meanwhile.
            let client = client(second.ca(), rustls::ALL_VERSIONS);
            let (address, stop, results) = (server.address, Arc::clone(&stop), results.clone());
            thread::spawn(move || {
                let mut connection = connect(address, &client);
                while !stop.load(Ordering::Relaxed) {
                    // One keeps its connection for ever, the others make new ones.
                    if number > 0 {
                        connection = connect(address, &client);
                    }
                    let result = ask(&mut connection).map(|()| {
                        let met = connection.get_ref().conn.peer_certificates();
                        met.unwrap()[0].clone().into_owned()
                    });
                    if results.send(result).is_err() {
                        return;
                    }
                }
            })
        })
        .collect();
    for round in 0..40 {
        let next = if round % 2 == 0 { &second } else { &first };
        let pem = String::from_utf8(next.data()["server-cert.pem"].0.clone()).unwrap();
        let expected = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
        server.tls.reload_from_config(next.server_config().unwrap());
        loop {
            let met = asked.recv_timeout(PATIENCE).unwrap().unwrap();
            if met == expected {
                break;
            }
        }
    }
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        client.join().unwrap();
    }
    drop(results);
    assert!(asked.iter().all(|result| result.is_ok()));
}

#[test]
fn who_stalls_is_dropped_and_the_others_are_served() {
    let shown = bundle(None);
    let limits = Limits {
        handshake: Duration::from_millis(200),
        request: Duration::from_millis(400),
        ..Limits::default()
    };
    let server = Server::start(&shown, limits);
    let client = client(shown.ca(), &[&TLS13]);
    let mut silent = server.tcp();
    let mut idle = connect(server.address, &client);
    let session = idle.get_mut();
    session.conn.complete_io(&mut session.sock).unwrap();
    let mut slow = connect(server.address, &client);
    send(&mut slow, 100, "{").unwrap();

    ask(&mut connect(server.address, &client)).unwrap();
    assert_eq!(silent.read(&mut [0]).unwrap(), 0, "no handshake");
    assert_eq!(receive(&mut slow).unwrap().0, 503, "no end of the body");
    let ended = idle.fill_buf().map(<[u8]>::len);
    let cut = |error: &io::Error| error.kind() == io::ErrorKind::UnexpectedEof;
    assert!(
        matches!(ended, Ok(0)) || ended.as_ref().is_err_and(cut),
        "no request: {ended:?}"
    );
    ask(&mut connect(server.address, &client)).unwrap();
    server.runtime.shutdown_background();
}

#[test]
fn a_body_that_is_too_large_is_not_read() {
    let shown = bundle(None);
    let server = Server::start(&shown, Limits::default());
    let client = client(shown.ca(), &[&TLS13]);
    let mut large = connect(server.address, &client);
    send(&mut large, 100_000_000, "{").unwrap();
    assert_eq!(receive(&mut large).unwrap().0, 413);
}
