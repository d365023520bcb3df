//! What a fault does, as plain data: the scenario that states it and the parts that obey it meet here.

use std::sync::Arc;

use super::delay::{Delay, Loss};
use crate::units::{ByteSize, Span, word};

/// The effect of a fault, by the layer at which it acts.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// On the bytes of a device's connection. A preset of a whole link stands for several toxics.
    Network(Vec<Toxic>),
    /// On whole messages, framing intact.
    Message(Tampering),
    /// In the simulated device.
    Device(DeviceFault),
    /// In the bundled reference system, over its control API.
    Service(ServiceFault),
    /// A command of the user's, for any other target.
    Command(Command),
}

impl Effect {
    /// The layer, in the word that files and screens use.
    pub const fn layer(&self) -> &'static str {
        match self {
            Self::Network(_) => "network",
            Self::Message(_) => "message",
            Self::Device(_) => "device",
            Self::Service(_) => "service",
            Self::Command(_) => "command",
        }
    }

    /// Whether it happens at an instant, so that it has no length and leaves nothing to be undone.
    pub const fn is_instant(&self) -> bool {
        match self {
            Self::Device(device_fault) => matches!(device_fault, DeviceFault::Disconnect { .. }),
            Self::Service(trouble) => trouble.is_instant(),
            Self::Network(_) | Self::Message(_) | Self::Command(_) => false,
        }
    }

    /// Whether it cuts connections, which then have to be made again.
    pub const fn cuts(&self) -> bool {
        matches!(self, Self::Device(DeviceFault::Disconnect { .. } | DeviceFault::Offline { .. }))
    }

    /// Whether it can be counted how often it acts. What cuts or misleads a device does so once.
    pub const fn is_counted(&self) -> bool {
        match self {
            Self::Network(_) | Self::Message(_) | Self::Service(_) => true,
            Self::Device(device_fault) => matches!(device_fault, DeviceFault::Payload { .. }),
            Self::Command(_) => false,
        }
    }

    /// Whether it acts on connections or on messages.
    pub const fn on_connections(&self) -> bool {
        matches!(self, Self::Network(_) | Self::Message(_))
    }

    /// Whether it ends connections, or keeps them from being made or from being of use.
    pub fn severs(&self) -> bool {
        match self {
            Self::Network(toxics) => toxics.iter().any(|toxic| toxic.kind.severs()),
            Self::Message(tampering) => {
                matches!(tampering.message, MessageKind::Connack | MessageKind::Pingresp)
            }
            Self::Device(_) => self.cuts(),
            Self::Service(_) | Self::Command(_) => false,
        }
    }

    /// Whether it acts on readings: on what sensors show, on clocks, on payloads.
    pub const fn on_readings(&self) -> bool {
        matches!(
            self,
            Self::Device(
                DeviceFault::Sensor { .. } | DeviceFault::Payload { .. } | DeviceFault::ClockSkew { .. }
            )
        )
    }

    /// Whether it acts on single devices, and so on a share of them.
    pub const fn by_device(&self) -> bool {
        matches!(self, Self::Network(_) | Self::Message(_) | Self::Device(_))
    }
}

word::words! {
    /// Which way bytes travel, seen from the device.
    Direction {
        /// Both ways.
        Both = "both",
        /// From the device to the service.
        Up = "up",
        /// From the service to the device.
        Down = "down",
    }
}

impl Direction {
    /// Whether this takes in `way`, which is [`Direction::Up`] or [`Direction::Down`].
    pub fn covers(self, way: Self) -> bool {
        self == Self::Both || self == way
    }
}

/// Something that happens to the bytes of a connection.
#[derive(Debug, Clone, PartialEq)]
pub struct Toxic {
    /// Which way.
    pub direction: Direction,
    /// What happens.
    pub kind: ToxicKind,
}

/// An effect on the bytes of a connection. Unless its text says so, no byte is lost, changed or reordered.
#[derive(Debug, Clone, PartialEq)]
pub enum ToxicKind {
    /// Bytes arrive later: a delay line, `due = max(previous due, arrival + delay)`.
    Latency(Delay),
    /// Lost segments hold up all that follows until they are sent again.
    Loss(Loss),
    /// No more than this passes.
    Bandwidth {
        /// Bytes per second, above 0.
        rate: f64,
        /// What may pass at once after a pause.
        burst: ByteSize,
    },
    /// Bytes arrive in small pieces.
    Slicer {
        /// Mean size of a piece, at least 1 byte.
        mean: u32,
        /// Pieces are from `mean − spread` to `mean + spread` bytes, at least 1.
        spread: u32,
        /// Pause between two pieces.
        gap: Span,
    },
    /// The connection ends after so many bytes.
    Limit {
        /// Bytes that pass; the first of the next one does not.
        size: ByteSize,
        /// How it ends.
        ending: Ending,
    },
    /// The connection is reset (RST): once after a while, and at each message with a probability.
    Reset {
        /// So long after the fault reached the connection.
        after: Option<Span>,
        /// At each message, 0 to 1.
        chance: f64,
    },
    /// The device's sending half is closed (FIN) so long after the fault reached the connection; it still listens.
    HalfClose {
        /// The wait.
        after: Span,
    },
    /// Closing takes longer.
    SlowClose {
        /// By this much.
        delay: Span,
    },
    /// Bytes are held, and delivered in order when it ends.
    Partition,
    /// Bytes are lost silently; a connection that lost any is reset when it ends.
    Blackhole,
    /// New connections are refused.
    Refuse,
    /// New connections take longer.
    SlowConnect(Delay),
    /// New connections are accepted and then silent, as with [`ToxicKind::Blackhole`].
    Hang,
    /// Bits are flipped.
    Corrupt {
        /// Probability per byte, 0 to 1.
        chance: f64,
    },
}

impl ToxicKind {
    /// Whether it ends connections, or keeps them from being made or from being of use.
    const fn severs(&self) -> bool {
        match self {
            Self::Limit { .. }
            | Self::Reset { .. }
            | Self::HalfClose { .. }
            | Self::Partition
            | Self::Blackhole
            | Self::Refuse
            | Self::Hang
            | Self::Corrupt { .. } => true,
            Self::Latency(_)
            | Self::Loss(_)
            | Self::Bandwidth { .. }
            | Self::Slicer { .. }
            | Self::SlowClose { .. }
            | Self::SlowConnect(_) => false,
        }
    }
}

word::words! {
    /// How a connection ends.
    Ending {
        /// Orderly: FIN.
        Fin = "fin",
        /// At once: RST.
        Reset = "reset",
        /// As when the process died: the system closes the socket, and no goodbye of the protocol is said.
        Died = "died",
    }
}

word::words! {
    /// Kinds of messages that can be tampered with.
    MessageKind {
        /// A reading on its way to the service: an HTTP request, a WebSocket message, a PUBLISH of the device.
        Reading = "reading",
        /// What closes a reading: an HTTP response, a verdict, a reply, a delivery.
        Verdict = "verdict",
        /// Any PUBLISH from the broker.
        Publish = "publish",
        /// PUBACK from the broker.
        Puback = "puback",
        /// PUBREC from the broker.
        Pubrec = "pubrec",
        /// PUBCOMP from the broker.
        Pubcomp = "pubcomp",
        /// PINGRESP from the broker, or a WebSocket pong.
        Pingresp = "pingresp",
        /// CONNACK from the broker.
        Connack = "connack",
    }
}

/// An action on messages of one kind. Messages are chosen one by one: the first `skip` are left alone, then
/// every `nth`, then each with `chance`; and no more than `most`.
#[derive(Debug, Clone, PartialEq)]
pub struct Tampering {
    /// The kind.
    pub message: MessageKind,
    /// What is done.
    pub act: Action,
    /// Messages of a device left alone at first.
    pub skip: u64,
    /// One in so many, at least 1; 1: all.
    pub nth: u64,
    /// Probability of each, 0 to 1.
    pub chance: f64,
    /// Messages per device and activation; `None`: no bound.
    pub most: Option<u64>,
}

/// What is done to a message.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// It vanishes.
    Drop,
    /// It comes twice.
    Duplicate,
    /// It comes later, and may be overtaken.
    Delay(Delay),
    /// It comes after this many later ones of its kind, at least 1, or when the fault ends.
    Reorder {
        /// How many overtake it.
        depth: u32,
    },
}

/// A fault of a simulated device.
#[derive(Debug, Clone, PartialEq)]
pub enum DeviceFault {
    /// Its connection is cut at the start; it connects again by its back-off.
    Disconnect {
        /// Orderly or not.
        ending: Ending,
    },
    /// It is away from start to end, and connects again by its back-off.
    Offline {
        /// How its connection ends.
        ending: Ending,
    },
    /// Its clock is off.
    ClockSkew {
        /// At the start, nanoseconds; negative: behind.
        offset_ns: i64,
        /// And further with time, parts per million.
        drift_ppm: f64,
    },
    /// Payloads are damaged.
    Payload {
        /// In which way.
        damage: Damage,
        /// Each with this probability, 0 to 1.
        chance: f64,
        /// Size of oversized payloads.
        size: ByteSize,
    },
    /// It sends more readings than planned: more of the same arrival process.
    Spike {
        /// Times as many, at least 1.
        factor: f64,
    },
    /// Its sensor misbehaves.
    Sensor {
        /// In which way.
        trouble: Sensor,
        /// How much, in the units of the signal: per second where it drifts.
        size: f64,
    },
}

word::words! {
    /// How a payload is damaged.
    Damage {
        /// Its syntax is broken.
        Malformed = "malformed",
        /// Its second half is missing.
        Truncated = "truncated",
        /// It is far too long.
        Oversized = "oversized",
    }
}

word::words! {
    /// How a sensor misbehaves.
    Sensor {
        /// It shows the same value again and again.
        Stuck = "stuck",
        /// Its level creeps away.
        Drift = "drift",
        /// Its level is off.
        Shift = "shift",
        /// It scatters, normally distributed.
        Noise = "noise",
    }
}

/// A fault of the bundled reference system.
#[derive(Debug, Clone, PartialEq)]
pub enum ServiceFault {
    /// Inference takes so many times as long.
    Slow {
        /// The factor, at least 1.
        factor: f64,
    },
    /// So many workers crash at the start; they are started again.
    Crash {
        /// How many.
        workers: u32,
    },
    /// No worker works.
    Stall,
    /// Readings are answered with an error instead of a verdict.
    Errors {
        /// Each with this probability, 0 to 1.
        chance: f64,
    },
    /// Readings are refused as by an overloaded service: 429 with `Retry-After`, a shed verdict.
    Overload {
        /// Each with this probability, 0 to 1.
        chance: f64,
        /// What `Retry-After` says.
        retry_after: Span,
    },
    /// The cache is emptied at the start.
    CacheFlush,
    /// The cache is passed by.
    CacheOff,
    /// The queue holds no more than this.
    QueueShrink {
        /// Readings.
        capacity: u32,
    },
    /// Verdicts vanish.
    VerdictDrop {
        /// Each with this probability, 0 to 1.
        chance: f64,
    },
    /// Verdicts come later.
    VerdictDelay {
        /// By this much.
        delay: Span,
    },
    /// Verdicts come twice.
    VerdictDuplicate {
        /// Each with this probability, 0 to 1.
        chance: f64,
    },
    /// MQTT publishers get no PUBACK.
    PubackWithheld,
    /// New connections are refused.
    Refuse,
    /// The process of an instance is killed; it stays dead.
    InstanceKill {
        /// Which of several, from 1.
        instance: u32,
    },
    /// Instances hear of one another later.
    BusDelay {
        /// By this much.
        delay: Span,
    },
    /// An instance and the others hear nothing of one another.
    BusPartition {
        /// Which of several, from 1.
        instance: u32,
    },
}

impl ServiceFault {
    /// Whether it happens at an instant, so that nothing is left to be undone.
    pub const fn is_instant(&self) -> bool {
        matches!(self, Self::Crash { .. } | Self::CacheFlush | Self::InstanceKill { .. })
    }

    /// Whether it acts on one of several instances, or between them.
    pub const fn is_of_instances(&self) -> bool {
        matches!(self, Self::InstanceKill { .. } | Self::BusDelay { .. } | Self::BusPartition { .. })
    }
}

/// A command of the user's, run by the shell, and the one that undoes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// Run at the start.
    pub begin: Arc<str>,
    /// Run at the end, also when the run is interrupted or fails.
    pub end: Option<Arc<str>>,
    /// Either is killed after so long.
    pub timeout: Span,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_lead_back_to_their_choices() {
        for choice in MessageKind::ALL {
            assert_eq!(MessageKind::of(choice.name()), Some(*choice));
        }
        assert_eq!(MessageKind::of("suback"), None);
        assert_eq!(Direction::WORDS, ["both", "up", "down"]);
    }
}
