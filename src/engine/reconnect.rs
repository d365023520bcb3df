//! When a device connects again after a connection has ended unasked for. Pure: what happened in, what follows out.

/// What a device has its connection for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// To send its readings, and receive the answers to them.
    Sender,
    /// To receive what others cause: it misses something whenever it is away.
    Listener,
}

/// How a connection went that the peer, or something on the way to it, has ended.
///
/// Whether it closed in order (FIN, a closing frame, an announced end) or reset the connection decides nothing: a proxy that gives
/// up an idle connection ends it in order, a NAT or a load balancer that has forgotten it resets it, and to the device both are
/// the same. What counts is whether anything was under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct EndedConnection {
    /// Readings were under way on it.
    pub(super) in_use: bool,
    /// The role of the device.
    pub(super) role: Role,
    /// Something was answered or delivered on it.
    pub(super) served: bool,
    /// What is due now was due before the connection was made: it was made for that and did not take it.
    pub(super) in_vain: bool,
}

/// What follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reconnect {
    /// A connection as soon as something is due, which may be now. No attempt counts as failed.
    WhenDue,
    /// A pause: number `wait` of the back-off, after which `failures` attempts in a row have been of no use.
    After { wait: u32, failures: u32 },
}

impl EndedConnection {
    /// What follows if the `failures` attempts before were of no use.
    pub(super) const fn again(self, failures: u32) -> Reconnect {
        if !self.in_use && matches!(self.role, Role::Sender) && (self.served || !self.in_vain) {
            // A peer may close what is idle whenever it likes, and a device with nothing to say need not be there.
            Reconnect::WhenDue
        } else if self.served {
            Reconnect::After { wait: 0, failures: 0 }
        } else {
            Reconnect::After { wait: failures, failures: failures.saturating_add(1) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDLE: EndedConnection =
        EndedConnection { in_use: false, role: Role::Sender, served: false, in_vain: false };
    const FIRST: Reconnect = Reconnect::After { wait: 0, failures: 0 };

    #[test]
    fn what_follows_is_as_the_table_says() {
        let pause = |wait, failures| Reconnect::After { wait, failures };
        for (what, ended, failures, again) in [
            ("an idle sender", IDLE, 0, Reconnect::WhenDue),
            ("an idle sender whose attempts failed before", IDLE, 5, Reconnect::WhenDue),
            (
                "an idle sender that was answered",
                EndedConnection { served: true, ..IDLE },
                0,
                Reconnect::WhenDue,
            ),
            (
                "a response that announces the end, with more to send",
                EndedConnection { served: true, in_vain: true, ..IDLE },
                0,
                Reconnect::WhenDue,
            ),
            ("a door that is shut at once", EndedConnection { in_vain: true, ..IDLE }, 0, pause(0, 1)),
            ("a door that is shut at once, again", EndedConnection { in_vain: true, ..IDLE }, 3, pause(3, 4)),
            ("a kick in mid-use", EndedConnection { in_use: true, served: true, ..IDLE }, 0, FIRST),
            (
                "a kick in mid-use, after attempts that failed",
                EndedConnection { in_use: true, served: true, ..IDLE },
                7,
                FIRST,
            ),
            (
                "a service that hangs up on every reading",
                EndedConnection { in_use: true, ..IDLE },
                0,
                pause(0, 1),
            ),
            ("the same, again", EndedConnection { in_use: true, ..IDLE }, 2, pause(2, 3)),
            (
                "a listener that received nothing",
                EndedConnection { role: Role::Listener, ..IDLE },
                0,
                pause(0, 1),
            ),
            (
                "a listener that still hears nothing",
                EndedConnection { role: Role::Listener, ..IDLE },
                4,
                pause(4, 5),
            ),
            (
                "a listener that received something",
                EndedConnection { role: Role::Listener, served: true, ..IDLE },
                4,
                FIRST,
            ),
            (
                "no end to the count",
                EndedConnection { in_use: true, ..IDLE },
                u32::MAX,
                pause(u32::MAX, u32::MAX),
            ),
        ] {
            assert_eq!(ended.again(failures), again, "{what}");
        }
    }

    #[test]
    fn only_a_sender_with_nothing_under_way_is_followed_without_a_pause() {
        for (in_use, listens, served, in_vain) in
            (0..16_u8).map(|n| (n & 1 > 0, n & 2 > 0, n & 4 > 0, n & 8 > 0))
        {
            let role = if listens { Role::Listener } else { Role::Sender };
            let ended = EndedConnection { in_use, role, served, in_vain };
            let at_once = !in_use && !listens && (served || !in_vain);
            for failures in [0, 1, 9] {
                assert_eq!(ended.again(failures) == Reconnect::WhenDue, at_once, "{ended:?}");
            }
        }
    }
}
