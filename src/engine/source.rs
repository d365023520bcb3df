//! Local addresses that connections come from: each has only so many ports.

use std::net::{IpAddr, Ipv4Addr};

use crate::units::figure::count;

/// Ports left for others on every source address, a share of them: a run that takes the last one makes other processes fail.
const SPARE: u64 = 10;

/// Addresses after 127.0.0.1 that a run takes by itself.
const MOST: u64 = 200;

/// There are not enough ports for the connections to one target.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{} connections to one target need as many local ports, but {addresses} source address(es) have {}; give \
     further addresses of this machine with --source-ip, widen net.ipv4.ip_local_port_range, or use fewer devices",
    count(*.needed),
    count(*.available)
)]
pub(crate) struct PortError {
    /// Connections to the target.
    pub needed: u64,
    /// Source addresses there are.
    pub addresses: u64,
    /// Ports they have together.
    pub available: u64,
}

/// The addresses that `needed` connections to `target` come from: those `given`, or none where the system's choice will do, or
/// as many of 127.0.0.2 and following as it takes where the target is on this machine. `per_source` is the size of the range of
/// ephemeral ports.
///
/// # Errors
/// If there are not enough ports.
pub(crate) fn sources(
    needed: u64,
    per_source: u64,
    target: IpAddr,
    given: &[IpAddr],
) -> Result<Vec<IpAddr>, PortError> {
    let usable = (per_source - per_source / SPARE).max(1);
    if !given.is_empty() {
        let (addresses, available) = (given.len() as u64, per_source.saturating_mul(given.len() as u64));
        return if needed <= available {
            Ok(given.to_vec())
        } else {
            Err(PortError { needed, addresses, available })
        };
    }
    let wanted = needed.div_ceil(usable);
    match target {
        _ if needed <= usable => Ok(Vec::new()),
        IpAddr::V4(target) if target.is_loopback() && wanted <= MOST => {
            Ok((2..2 + wanted).map(|host| IpAddr::V4(Ipv4Addr::new(127, 0, 0, host as u8))).collect())
        }
        _ if needed <= per_source => Ok(Vec::new()),
        _ => Err(PortError { needed, addresses: 1, available: per_source }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_chosen_as_the_table_says() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let ips = |texts: &[&str]| texts.iter().map(|text| ip(text)).collect::<Vec<_>>();
        let own = ["127.0.0.2", "127.0.0.3"];
        // (needed, target, given) → sources, or the ports there are
        for (needed, target, given, expected) in [
            (900, "127.0.0.1", &[][..], Ok(&[][..])),
            (901, "127.0.0.1", &[], Ok(&own[..])),
            (1_801, "127.0.0.1", &[], Ok(&["127.0.0.2", "127.0.0.3", "127.0.0.4"])),
            (1_000, "192.0.2.7", &[], Ok(&[])),
            (1_001, "192.0.2.7", &[], Err(1_000)),
            (1_001, "::1", &[], Err(1_000)),
            (10, "192.0.2.7", &["192.0.2.1"], Ok(&["192.0.2.1"])),
            (2_000, "192.0.2.7", &["192.0.2.1", "192.0.2.2"], Ok(&["192.0.2.1", "192.0.2.2"])),
            (2_001, "192.0.2.7", &["192.0.2.1", "192.0.2.2"], Err(2_000)),
            (1_000_000, "127.0.0.1", &[], Err(1_000)),
        ] {
            let found = sources(needed, 1_000, ip(target), &ips(given));
            assert_eq!(found.map_err(|error| error.available), expected.map(ips), "{needed} to {target}");
        }
        let error = sources(70_000, 28_232, ip("192.0.2.7"), &[]).unwrap_err();
        assert!(
            error.to_string().contains("70,000 connections") && error.to_string().contains("--source-ip")
        );
    }
}
