//! What is remembered of a client's side of a session: how it was greeted, and which of its `QoS` 2 messages have been passed on.

use std::collections::HashSet;

use super::codec::packet::{Connect, Version};
use super::codec::reason::ReasonCode;

/// `QoS` 2 messages a client may have open, neither released nor forgotten; with one more it is disconnected.
pub(super) const MOST_OPEN: usize = 4_096;

/// The same by MQTT 5, which tells the client so.
pub(super) const RECEIVE_MAXIMUM: u16 = 1_024;

/// Longest client identifier accepted, bytes.
const LONGEST_CLIENT: usize = 1_024;

/// Capacity, in packet identifiers, that is kept when nothing is open.
const IDLE_CAPACITY: usize = 32;

/// Checks a CONNECT. By MQTT 3.1.1, who has no name can have no lasting session (§3.1.3.1); by MQTT 5 it is given a name.
///
/// # Errors
/// Why the client is not let in.
pub(super) fn greet(connect: &Connect) -> Result<(), ReasonCode> {
    let unnamed = connect.client_id.is_empty() && !connect.is_clean;
    if unnamed && connect.version == Version::V3 || connect.client_id.len() > LONGEST_CLIENT {
        return Err(ReasonCode::ClientIdentifier);
    }
    if connect.wants_method { Err(ReasonCode::AuthenticationMethod) } else { Ok(()) }
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
    /// Takes note of a `QoS` 2 PUBLISH; whether it is new, and so to be passed on. At most `most` may be open.
    pub(super) fn publish(&mut self, pid: u16, most: usize) -> Result<bool, Full> {
        if self.open.len() >= most && !self.open.contains(&pid) {
            return Err(Full);
        }
        Ok(self.open.insert(pid))
    }

    /// Takes note of a PUBREL: the identifier may be used anew. Whether it was in use.
    pub(super) fn release(&mut self, pid: u16) -> bool {
        let known = self.open.remove(&pid);
        if self.open.is_empty() && self.open.capacity() > IDLE_CAPACITY {
            self.open = HashSet::new();
        }
        known
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
    fn who_is_let_in() {
        let long = "x".repeat(1_025);
        for (version, client_id, is_clean, wants_method, expected) in [
            (Version::V3, "", true, false, Ok(())),
            (Version::V3, "", false, false, Err(ReasonCode::ClientIdentifier)),
            (Version::V3, "x", false, false, Ok(())),
            (Version::V3, long.as_str(), true, false, Err(ReasonCode::ClientIdentifier)),
            (Version::V5, "", false, false, Ok(())),
            (Version::V5, long.as_str(), false, false, Err(ReasonCode::ClientIdentifier)),
            (Version::V5, "x", true, true, Err(ReasonCode::AuthenticationMethod)),
        ] {
            let connect = Connect {
                version,
                client_id: client_id.into(),
                is_clean,
                keep_alive_s: 0,
                will: None,
                password: None,
                session_expiry_s: 0,
                receive_maximum: 1,
                maximum_packet: 1,
                wants_method,
            };
            assert_eq!(greet(&connect), expected, "{version:?} {client_id:.3}");
        }
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
        assert_eq!(inbound.publish(7, MOST_OPEN), Ok(true));
        assert_eq!(inbound.publish(7, MOST_OPEN), Ok(false));
        assert_eq!(inbound.publish(8, MOST_OPEN), Ok(true));
        assert!(inbound.release(7) && !inbound.release(7));
        assert_eq!(inbound.publish(7, MOST_OPEN), Ok(true));
    }

    #[test]
    fn the_memory_of_open_messages_is_bounded_and_given_back() {
        let mut inbound = Inbound::default();
        for pid in 1..=MOST_OPEN as u16 {
            assert_eq!(inbound.publish(pid, MOST_OPEN), Ok(true));
        }
        assert_eq!(inbound.publish(5_000, MOST_OPEN), Err(Full));
        assert_eq!(inbound.publish(5, MOST_OPEN), Ok(false));
        for pid in 1..=MOST_OPEN as u16 {
            inbound.release(pid);
        }
        assert!(inbound.open.capacity() <= IDLE_CAPACITY);
    }
}
