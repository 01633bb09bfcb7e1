//! Which addresses are asked: those of registries, and not those that are only near the controller. Does I/O.
//!
//! Whoever may write a TaskRun names registries, and a registry names other places, for tokens and for what it
//! stores. The controller sits where they do not: beside its own ports, the node's services and the cloud's
//! metadata. Private addresses are not among those that are left out: many registries have one.

use std::{
    collections::BTreeSet,
    fmt, io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    task::{Context, Poll},
    vec,
};

use futures::{FutureExt as _, future::BoxFuture};
use http::Uri;
use hyper_util::client::legacy::connect::dns::Name;
use tower::Service;

/// Where Kubernetes tells each Pod what address the API server has.
const API_SERVER: &str = "KUBERNETES_SERVICE_HOST";

/// Hosts, with their port, that the operator has named: they are asked wherever they are.
pub(super) type Named = Arc<BTreeSet<String>>;

/// Which addresses may be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// Those of somebody's registry.
    Registries {
        /// The API server, where it is known.
        api_server: Option<IpAddr>,
    },
    /// All, since the operator has named the host.
    Everything,
}

/// An address that nobody's registry has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{address} is {place}")]
pub(super) struct OutOfReach {
    address: IpAddr,
    place: Place,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Loopback,
    LinkLocal,
    ApiServer,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Loopback => "the controller's own address",
            Self::LinkLocal => "an address of the node's own network",
            Self::ApiServer => "the API server's address",
        })
    }
}

impl Reach {
    /// All but the addresses that are only near this process.
    pub(super) fn registries() -> Self {
        let host = std::env::var(API_SERVER).ok();
        Self::Registries {
            api_server: host.and_then(|host| host.parse().ok()),
        }
    }

    /// Whether `address` may be asked.
    ///
    /// # Errors
    /// It may not.
    fn check(self, address: IpAddr) -> Result<(), OutOfReach> {
        let Self::Registries { api_server } = self else {
            return Ok(());
        };
        let canonical = match address {
            // The same address in another form; `::` and `::1` are none of these.
            IpAddr::V6(v6) => v6.to_canonical(),
            v4 @ IpAddr::V4(_) => v4,
        };
        let place = match canonical {
            _ if api_server == Some(canonical) => Place::ApiServer,
            // 0.0.0.0 leads to oneself, as all of 0/8 does.
            IpAddr::V4(v4) if v4.is_loopback() || v4.octets()[0] == 0 => Place::Loopback,
            IpAddr::V4(v4) if v4.is_link_local() || v4 == Ipv4Addr::BROADCAST => Place::LinkLocal,
            IpAddr::V6(v6) if v6.is_loopback() || v6.is_unspecified() => Place::Loopback,
            IpAddr::V6(v6) if v6.is_unicast_link_local() => Place::LinkLocal,
            _ => return Ok(()),
        };
        Err(OutOfReach { address, place })
    }

    /// Whether `uri` may be asked, as far as it says its address itself.
    ///
    /// # Errors
    /// It may not.
    pub(super) fn check_literal(self, uri: &Uri) -> Result<(), OutOfReach> {
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
        host.parse().map_or(Ok(()), |address| self.check(address))
    }
}

/// Finds the addresses of names, those that may be asked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Resolver(pub(super) Reach);

impl Service<Name> for Resolver {
    type Response = vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Self::Response>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let reach = self.0;
        let find = async move {
            let all = tokio::net::lookup_host((name.as_str(), 0)).await?;
            within(reach, all)
        };
        find.boxed()
    }
}

/// Those of `all` that may be asked.
///
/// # Errors
/// There are some, and none of them may.
fn within(reach: Reach, all: impl Iterator<Item = SocketAddr>) -> io::Result<vec::IntoIter<SocketAddr>> {
    let (mut allowed, mut refused) = (Vec::new(), None);
    for address in all {
        match reach.check(address.ip()) {
            Ok(()) => allowed.push(address),
            Err(error) => refused = Some(error),
        }
    }
    match refused {
        Some(error) if allowed.is_empty() => Err(io::Error::other(error)),
        _ => Ok(allowed.into_iter()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_out_of_reach() {
        let reach = Reach::Registries {
            api_server: Some(IpAddr::V4(Ipv4Addr::new(10, 96, 0, 1))),
        };
        for (host, place) in [
            ("192.0.2.1", None),
            ("10.1.2.3:5000", None),
            ("192.168.1.1", None),
            ("[fd00::1]:5000", None),
            ("[2001:db8::1]", None),
            ("registry.example", None),
            ("127.0.0.1:5000", Some("the controller's own address")),
            ("127.1.2.3", Some("the controller's own address")),
            ("0.0.0.0", Some("the controller's own address")),
            ("[::1]:5000", Some("the controller's own address")),
            ("[::]", Some("the controller's own address")),
            ("[::ffff:127.0.0.1]", Some("the controller's own address")),
            ("169.254.169.254", Some("an address of the node's own network")),
            ("[::ffff:a9fe:a9fe]", Some("an address of the node's own network")),
            ("[fe80::1]", Some("an address of the node's own network")),
            ("10.96.0.1:443", Some("the API server's address")),
        ] {
            let uri: Uri = format!("https://{host}/v2/").parse().unwrap();
            let error = reach.check_literal(&uri).err();
            assert_eq!(
                error.map(|error| error.place.to_string()).as_deref(),
                place,
                "{host}"
            );
            assert_eq!(Reach::Everything.check_literal(&uri), Ok(()), "{host}");
        }
    }

    #[test]
    fn a_name_leads_to_those_of_its_addresses_that_may_be_asked() {
        let reach = Reach::Registries { api_server: None };
        let all = |texts: &[&str]| {
            let parsed: Vec<SocketAddr> = texts.iter().map(|text| text.parse().unwrap()).collect();
            within(reach, parsed.into_iter())
        };
        let found: Vec<SocketAddr> = all(&["127.0.0.1:0", "10.0.0.1:0"]).unwrap().collect();
        assert_eq!(found, ["10.0.0.1:0".parse().unwrap()]);
        assert_eq!(all(&[]).unwrap().count(), 0);
        let error = all(&["[::1]:0"]).unwrap_err();
        let inner = error
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<OutOfReach>());
        assert_eq!(inner.unwrap().to_string(), "::1 is the controller's own address");
    }
}
