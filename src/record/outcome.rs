//! The closed set of ways a planned reading can end.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::ScarceResource;

/// Why a reading or a connection attempt failed. Closed: counted by kind, never by message text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// The connection was refused.
    Refused,
    /// The connection was reset by the peer while a reading was under way.
    Reset,
    /// The peer closed the connection in an orderly way while a reading was under way.
    Closed,
    /// The peer broke its protocol, or refused the handshake.
    Protocol,
    /// The peer answered with a status that is neither success nor shedding.
    Status,
    /// This machine lacks descriptors, ports or memory.
    Resource,
    /// Any other failure of the operating system's network calls.
    Network,
    /// TLS failed: one side did not accept the other, or what came was no TLS.
    Tls,
}

impl ErrorKind {
    /// All kinds, in the order reports list them.
    pub const ALL: [Self; 8] = [
        Self::Refused,
        Self::Reset,
        Self::Closed,
        Self::Protocol,
        Self::Status,
        Self::Resource,
        Self::Network,
        Self::Tls,
    ];

    /// The word used in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Reset => "reset",
            Self::Closed => "closed",
            Self::Protocol => "protocol",
            Self::Status => "status",
            Self::Resource => "resource",
            Self::Network => "network",
            Self::Tls => "tls",
        }
    }

    /// The kind of an operating-system error met while connecting, sending or receiving.
    pub fn of_io(error: &std::io::Error) -> Self {
        use std::io::ErrorKind as Io;
        match error.kind() {
            Io::ConnectionRefused => Self::Refused,
            Io::ConnectionReset | Io::ConnectionAborted | Io::BrokenPipe => Self::Reset,
            Io::UnexpectedEof => Self::Closed,
            _ if ScarceResource::of_io(error).is_some() => Self::Resource,
            _ => Self::Network,
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How a planned reading (or connection attempt) ended: exactly one of these, always.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Closed as the fleet declares, successfully.
    Ok,
    /// The service said no: 429, 503, a shed verdict.
    Shed,
    /// It failed, and the kind says how.
    Error(ErrorKind),
    /// Sent, but not closed within the fleet's time-out.
    Timeout,
    /// Never answered before the drain ended.
    Lost,
    /// Never sent: the device's stated backlog bound was full.
    Dropped,
}

impl Outcome {
    /// The word used in columns and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Shed => "shed",
            Self::Error(_) => "error",
            Self::Timeout => "timeout",
            Self::Lost => "lost",
            Self::Dropped => "dropped",
        }
    }

    /// Whether the response time is known only as a lower bound (everything but [`Outcome::Ok`]).
    pub const fn is_censored(self) -> bool {
        !matches!(self, Self::Ok)
    }
}
