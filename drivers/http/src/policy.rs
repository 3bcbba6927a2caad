use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Where connections may go: to public addresses, and to what is allowed by name.
///
/// ```
/// let policy = conveyor_driver_http::Policy::default()
///     .allow_host("intranet.example")
///     .and_then(|policy| policy.allow_net("10.20.0.0/16"));
/// assert!(policy.is_ok());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Host names, lower-case, with a port or for any.
    hosts: BTreeSet<(String, Option<u16>)>,
    nets: Vec<Net>,
}

/// Why something cannot be allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyError(String);

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for PolicyError {}

/// A range of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Net {
    address: IpAddr,
    prefix: u32,
}

impl Policy {
    /// A host, `NAME` or `NAME:PORT`, may be anywhere.
    ///
    /// # Errors
    /// When the text is no such thing.
    pub fn allow_host(mut self, text: &str) -> Result<Policy, PolicyError> {
        let wrong = || PolicyError(format!("`{text}` is no NAME or NAME:PORT of a host"));
        let bracketed = text.strip_prefix('[').and_then(|rest| rest.split_once(']'));
        let (name, port) = match bracketed {
            Some((name, "")) => (name, None),
            Some((name, port)) => (name, Some(port.strip_prefix(':').ok_or_else(wrong)?)),
            // An IPv6 address has colons of its own.
            None if text.parse::<Ipv6Addr>().is_ok() => (text, None),
            None => match text.split_once(':') {
                Some((name, port)) => (name, Some(port)),
                None => (text, None),
            },
        };
        let port = port.map(|port| port.parse().map_err(|_| wrong()));
        if name.is_empty() || name.contains(['/', '@', '*']) {
            return Err(wrong());
        }
        let name = name.to_ascii_lowercase();
        self.hosts.insert((name, port.transpose()?));
        Ok(self)
    }

    /// A range of addresses, `ADDRESS/BITS`, or one address.
    ///
    /// # Errors
    /// When the text is no such thing.
    pub fn allow_net(mut self, text: &str) -> Result<Policy, PolicyError> {
        let wrong = || PolicyError(format!("`{text}` is no range of addresses: 10.20.0.0/16"));
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            None => most,
            Some(prefix) => prefix.parse().map_err(|_| wrong())?,
        };
        if prefix > most {
            return Err(wrong());
        }
        self.nets.push(Net { address, prefix });
        Ok(self)
    }

    /// Whether a connection to a host may go to this address of it.
    ///
    /// # Errors
    /// What kind of address it is.
    pub(crate) fn permits(
        &self,
        host: &str,
        port: u16,
        address: IpAddr,
    ) -> Result<(), &'static str> {
        let Some(kind) = closed(address) else {
            return Ok(());
        };
        let address = plain(address);
        let by_name = [None, Some(port)]
            .into_iter()
            .any(|port| self.hosts.contains(&(host.to_ascii_lowercase(), port)));
        match by_name || self.nets.iter().any(|net| net.has(address)) {
            true => Ok(()),
            false => Err(kind),
        }
    }
}

impl Net {
    fn has(&self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(net), IpAddr::V4(one)) => {
                begins_with(net.to_bits().into(), one.to_bits().into(), self.prefix + 96)
            }
            (IpAddr::V6(net), IpAddr::V6(one)) => {
                begins_with(net.to_bits(), one.to_bits(), self.prefix)
            }
            _ => false,
        }
    }
}

fn begins_with(net: u128, one: u128, bits: u32) -> bool {
    // A shift by all bits is none at all.
    bits == 0 || (net ^ one) >> (128 - bits) == 0
}

/// An IPv4 address that is written as IPv6.
fn plain(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(address) => match address.to_ipv4_mapped() {
            Some(mapped) => IpAddr::V4(mapped),
            None => IpAddr::V6(address),
        },
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// What keeps an address closed; `None` for a public one.
fn closed(address: IpAddr) -> Option<&'static str> {
    match plain(address) {
        IpAddr::V4(address) => closed_v4(address),
        IpAddr::V6(address) => closed_v6(address),
    }
}

fn closed_v4(address: Ipv4Addr) -> Option<&'static str> {
    let [a, b, c, _] = address.octets();
    Some(match (a, b, c) {
        (0, ..) => "an address of this machine",
        (127, ..) => "a loopback address",
        (10, ..) | (172, 16..=31, _) | (192, 168, _) => "a private address",
        // The metadata services of clouds among them.
        (169, 254, _) => "a link-local address",
        (100, 64..=127, _) => "an address of a carrier's network",
        (192, 0, 0) => "an address for protocols",
        (192, 0, 2) | (198, 51, 100) | (203, 0, 113) => "an address for documentation",
        (198, 18..=19, _) => "an address for benchmarks",
        (192, 88, 99) => "an address of a relay",
        (224..=239, ..) => "a multicast address",
        (240.., ..) => "a reserved address",
        _ => return None,
    })
}

fn closed_v6(address: Ipv6Addr) -> Option<&'static str> {
    let words = address.segments();
    // Addresses that stand for one of IPv4 are as closed as that one.
    let within = |high: u16, low: u16| {
        let bits = (u32::from(high) << 16) | u32::from(low);
        closed_v4(Ipv4Addr::from_bits(bits))
    };
    Some(match words {
        [0, 0, 0, 0, 0, 0, 0, 0] => "an address of this machine",
        [0, 0, 0, 0, 0, 0, 0, 1] => "a loopback address",
        [0, 0, 0, 0, 0, 0, high, low] => return within(high, low).or(Some("a reserved address")),
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => return within(high, low),
        [0x64, 0xff9b, ..] => "an address of a translator",
        [0x100, 0, 0, 0, ..] => "an address that leads nowhere",
        [0x2002, high, low, ..] => return within(high, low),
        [0x2001, 0x0..=0x1ff, ..] => "an address for protocols",
        [0x2001, 0xdb8, ..] => "an address for documentation",
        [0x3fff, 0x0..=0xfff, ..] => "an address for documentation",
        [0x5f00, ..] => "an address for protocols",
        [0xfc00..=0xfdff, ..] => "a private address",
        [0xfe80..=0xfebf, ..] => "a link-local address",
        [0xfec0..=0xfeff, ..] => "a private address",
        [0xff00..=0xffff, ..] => "a multicast address",
        // What is public begins with the bits 001.
        [0x2000..=0x3fff, ..] => return None,
        _ => "a reserved address",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(address: &str) -> Option<&'static str> {
        closed(address.parse().expect("an address"))
    }

    #[test]
    fn addresses_that_are_not_public_are_closed_however_they_are_written() {
        for (address, of) in [
            ("127.0.0.1", "loopback"),
            ("127.255.255.254", "loopback"),
            ("0.0.0.0", "this machine"),
            ("10.1.2.3", "private"),
            ("172.16.0.1", "private"),
            ("172.31.255.255", "private"),
            ("192.168.1.1", "private"),
            ("169.254.169.254", "link-local"),
            ("100.64.0.1", "carrier"),
            ("100.100.100.200", "carrier"),
            ("198.18.0.1", "benchmarks"),
            ("203.0.113.9", "documentation"),
            ("224.0.0.1", "multicast"),
            ("255.255.255.255", "reserved"),
            ("::", "this machine"),
            ("::1", "loopback"),
            ("::127.0.0.1", "loopback"),
            ("::ffff:127.0.0.1", "loopback"),
            ("::ffff:169.254.169.254", "link-local"),
            ("64:ff9b::10.0.0.1", "private"),
            ("64:ff9b:1::1", "translator"),
            ("2002:7f00:1::", "loopback"),
            ("2001:0:1::1", "protocols"),
            ("fc00::1", "private"),
            ("fd00:ec2::254", "private"),
            ("fe80::1", "link-local"),
            ("fec0::1", "private"),
            ("ff02::1", "multicast"),
            ("2001:db8::1", "documentation"),
            ("4000::1", "reserved"),
        ] {
            let found = kind(address).unwrap_or("open");
            assert!(found.contains(of), "{address}: {found}");
        }
    }

    #[test]
    fn public_addresses_are_open() {
        for address in [
            "1.1.1.1",
            "172.32.0.1",
            "100.128.0.1",
            "192.169.0.1",
            "223.255.255.255",
            "2606:4700::1111",
            "2a00:1450::1",
            "::ffff:8.8.8.8",
            "64:ff9b::8.8.8.8",
        ] {
            assert_eq!(kind(address), None, "{address}");
        }
    }

    #[test]
    fn what_is_allowed_by_name_is_open_and_nothing_else() {
        let policy = Policy::default()
            .allow_host("Intranet.example:8080")
            .and_then(|policy| policy.allow_net("10.20.0.0/16"))
            .and_then(|policy| policy.allow_net("fd00::/8"))
            .expect("they are ranges");
        let permits = |host: &str, port, address: &str| {
            let address = address.parse().expect("an address");
            policy.permits(host, port, address).is_ok()
        };
        assert!(permits("intranet.EXAMPLE", 8080, "192.168.0.1"));
        assert!(!permits("intranet.example", 80, "192.168.0.1"));
        assert!(!permits("other.example", 8080, "192.168.0.1"));
        assert!(permits("any.example", 80, "10.20.255.1"));
        assert!(permits("any.example", 80, "::ffff:10.20.0.1"));
        assert!(!permits("any.example", 80, "10.21.0.1"));
        assert!(permits("any.example", 80, "fd12::1"));
    }

    #[test]
    fn what_is_no_host_or_range_is_refused_with_its_text() {
        for text in ["", "http://x", "a@b", "*.example", "x:port"] {
            assert!(Policy::default().allow_host(text).is_err(), "{text}");
        }
        for text in ["10.0.0.0/33", "10.0.0/8", "::/129", "example", "1.1.1.1/x"] {
            let error = Policy::default().allow_net(text).expect_err("it is none");
            assert!(error.to_string().contains(text), "{error}");
        }
        assert!(Policy::default().allow_host("[::1]:80").is_ok());
        assert!(Policy::default().allow_net("0.0.0.0/0").is_ok());
    }
}
