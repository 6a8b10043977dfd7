//! Network interfaces of this machine, by their names.

use std::io;
use std::net::{SocketAddr, SocketAddrV4, SocketAddrV6};

use nix::ifaddrs::getifaddrs;
use nix::sys::socket::SockaddrStorage;

/// Where the interface `name` is reached; nowhere if there is none, or it has no address.
pub(super) fn addresses(name: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    let all = getifaddrs()?.filter(|one| one.interface_name == name);
    Ok(all.filter_map(|one| with_port(&one.address?, port)).collect())
}

fn with_port(address: &SockaddrStorage, port: u16) -> Option<SocketAddr> {
    if let Some(v4) = address.as_sockaddr_in() {
        return Some(SocketAddrV4::new(v4.ip(), port).into());
    }
    let v6 = address.as_sockaddr_in6()?;
    // A link-local address means something on its interface only, which the scope names.
    Some(SocketAddrV6::new(v6.ip(), port, 0, v6.scope_id()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_has_its_address() {
        assert!(addresses("lo", 7).unwrap().contains(&"127.0.0.1:7".parse().unwrap()));
        assert_eq!(addresses("nosuch", 7).unwrap(), []);
    }
}
