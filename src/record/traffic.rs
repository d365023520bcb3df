//! Bytes that went both ways.

use serde::{Deserialize, Serialize};

/// Bytes sent and received on established connections: what the socket carried, and what of it was payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Traffic {
    /// Handed to the socket, handshakes and framing included.
    pub wire_sent: u64,
    /// Taken from the socket, handshakes and framing included.
    pub wire_received: u64,
    /// Payloads of readings that were handed to a session.
    pub payload_sent: u64,
    /// Bodies and messages that a session received.
    pub payload_received: u64,
    /// Requests and subscriptions by which devices that only hear asked for what others sent.
    pub requests: u64,
}

impl Traffic {
    /// Adds what else went both ways.
    pub const fn add(&mut self, other: Self) {
        self.wire_sent += other.wire_sent;
        self.wire_received += other.wire_received;
        self.payload_sent += other.payload_sent;
        self.payload_received += other.payload_received;
        self.requests += other.requests;
    }
}
