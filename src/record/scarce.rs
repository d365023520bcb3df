//! What a machine that generates load can run out of.

use std::fmt;
use std::io;

/// What this machine had no more of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ScarceResource {
    /// Local ports for connections to one target.
    Ports,
    /// File descriptors.
    Descriptors,
    /// Memory.
    Memory,
}

impl ScarceResource {
    /// All of them, in the order reports list them.
    pub const ALL: [Self; 3] = [Self::Ports, Self::Descriptors, Self::Memory];

    /// What the operating system had no more of, if that is what an error of a network call says.
    pub fn of_io(error: &io::Error) -> Option<Self> {
        use io::ErrorKind as Io;
        match error.kind() {
            Io::AddrNotAvailable | Io::AddrInUse => return Some(Self::Ports),
            Io::OutOfMemory => return Some(Self::Memory),
            _ => {}
        }
        match error.raw_os_error()? {
            // ENFILE and EMFILE are the same numbers on every Unix.
            23 | 24 => Some(Self::Descriptors),
            // ENOBUFS: Linux, and the BSDs.
            105 if cfg!(target_os = "linux") => Some(Self::Memory),
            55 if cfg!(any(target_os = "macos", target_os = "freebsd")) => Some(Self::Memory),
            _ => None,
        }
    }

    /// What to do about it.
    pub const fn remedy(self) -> &'static str {
        match self {
            Self::Ports => {
                "a port is free again up to 60 s after its connection: use fewer or lasting connections, name further \
                 addresses of this machine with --source-ip, or widen net.ipv4.ip_local_port_range"
            }
            Self::Descriptors => {
                "raise the limit (ulimit -n, or LimitNOFILE in a service) or use fewer devices"
            }
            Self::Memory => "use fewer devices, or a larger limit",
        }
    }
}

impl fmt::Display for ScarceResource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ports => "source ports",
            Self::Descriptors => "file descriptors",
            Self::Memory => "memory",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::ErrorKind;

    #[test]
    #[cfg(target_os = "linux")]
    fn what_ran_out_is_told_apart() {
        // EADDRNOTAVAIL, EADDRINUSE, EMFILE, ENFILE, ENOMEM, ENOBUFS
        for (number, expected) in [
            (99, ScarceResource::Ports),
            (98, ScarceResource::Ports),
            (24, ScarceResource::Descriptors),
            (23, ScarceResource::Descriptors),
            (12, ScarceResource::Memory),
            (105, ScarceResource::Memory),
        ] {
            let error = io::Error::from_raw_os_error(number);
            assert_eq!(ScarceResource::of_io(&error), Some(expected), "{error}");
            assert_eq!(ErrorKind::of_io(&error), ErrorKind::Resource, "{error}");
        }
        // ECONNREFUSED, ECONNRESET, EHOSTUNREACH
        for number in [111, 104, 113] {
            assert_eq!(ScarceResource::of_io(&io::Error::from_raw_os_error(number)), None);
        }
    }
}
