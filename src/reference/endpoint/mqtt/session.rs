//! What is remembered of a client's side of a session: how it was greeted, and which of its `QoS` 2 messages have been passed on.

use std::collections::HashSet;

use mqtt_proto::v3::{Connect, ConnectReturnCode};

/// `QoS` 2 messages a client may have open, neither released nor forgotten; with one more it is disconnected.
const MOST_OPEN: usize = 4_096;

/// Longest client identifier accepted, bytes.
const LONGEST_CLIENT: usize = 1_024;

/// Capacity, in packet identifiers, that is kept when nothing is open.
const IDLE_CAPACITY: usize = 32;

/// Checks a CONNECT of the right version, as MQTT 3.1.1 §3.1.3.1 wants it: who has no name can have no lasting session.
pub(super) fn greet(connect: &Connect) -> ConnectReturnCode {
    let unnamed = connect.client_id.is_empty() && !connect.clean_session;
    if unnamed || connect.client_id.len() > LONGEST_CLIENT {
        ConnectReturnCode::IdentifierRejected
    } else {
        ConnectReturnCode::Accepted
    }
}

/// Nanoseconds of silence after which a client counts as gone: one and a half times its keep-alive (§3.1.2.10).
pub(super) fn silence_limit(keep_alive_s: u16) -> Option<u64> {
    (keep_alive_s > 0).then(|| u64::from(keep_alive_s) * 1_500_000_000)
}

/// The `QoS` 2 messages a client has published and not yet released.
#[derive(Debug, Default)]
pub(super) struct Inbound {
    open: HashSet<u16>,
}

/// More `QoS` 2 messages are open than are remembered.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Full;

impl Inbound {
    /// Takes note of a `QoS` 2 PUBLISH; whether it is new, and so to be passed on.
    pub(super) fn publish(&mut self, pid: u16) -> Result<bool, Full> {
        if self.open.len() >= MOST_OPEN && !self.open.contains(&pid) {
            return Err(Full);
        }
        Ok(self.open.insert(pid))
    }

    /// Takes note of a PUBREL: the identifier may be used anew.
    pub(super) fn release(&mut self, pid: u16) {
        self.open.remove(&pid);
        if self.open.is_empty() && self.open.capacity() > IDLE_CAPACITY {
            self.open = HashSet::new();
        }
    }

    /// About what it takes in memory, beside itself.
    pub(super) fn most_bytes(&self) -> usize {
        // Tables are at most seven eighths full, and have another byte for every place.
        4 * self.open.capacity()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_without_a_name_needs_a_clean_session() {
        let mut connect = Connect::new("".into(), 0);
        assert_eq!(greet(&connect), ConnectReturnCode::Accepted);
        connect.clean_session = false;
        assert_eq!(greet(&connect), ConnectReturnCode::IdentifierRejected);
        connect.client_id = "x".into();
        assert_eq!(greet(&connect), ConnectReturnCode::Accepted);
        connect.client_id = "x".repeat(1_025).as_str().into();
        assert_eq!(greet(&connect), ConnectReturnCode::IdentifierRejected);
    }

    #[test]
    fn silence_is_allowed_for_one_and_a_half_keep_alives() {
        assert_eq!(silence_limit(0), None);
        assert_eq!(silence_limit(1), Some(1_500_000_000));
        assert_eq!(silence_limit(u16::MAX), Some(98_302_500_000_000));
    }

    #[test]
    fn a_repeated_publish_passes_once_until_it_is_released() {
        let mut inbound = Inbound::default();
        assert_eq!(inbound.publish(7), Ok(true));
        assert_eq!(inbound.publish(7), Ok(false));
        assert_eq!(inbound.publish(8), Ok(true));
        inbound.release(7);
        inbound.release(7);
        assert_eq!(inbound.publish(7), Ok(true));
    }

    #[test]
    fn the_memory_of_open_messages_is_bounded_and_given_back() {
        let mut inbound = Inbound::default();
        for pid in 1..=MOST_OPEN as u16 {
            assert_eq!(inbound.publish(pid), Ok(true));
        }
        assert_eq!(inbound.publish(5_000), Err(Full));
        assert_eq!(inbound.publish(5), Ok(false));
        for pid in 1..=MOST_OPEN as u16 {
            inbound.release(pid);
        }
        assert!(inbound.open.capacity() <= IDLE_CAPACITY);
    }
}
