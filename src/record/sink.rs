//! Where a worker hands what happened. The engine knows only this trait; the cli brings the implementation.

use super::{Code, Detection, FleetId, Gauge, Kind, PhaseId, Reason, Retry, Sample, Traffic};
use crate::clock::Tick;

/// What the delivery audit found by a device's sequence numbers. Where subscribers hear its readings, each is judged by what it
/// heard itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AuditFinding {
    /// A reading was answered once more after it had already been answered.
    Duplicated,
    /// A reading that its device had sent more than once was answered more than once: the device's own doing.
    Resent,
    /// A reading was answered after one with a higher sequence number.
    Reordered,
    /// An answer arrived after its reading had been given up.
    Late,
    /// A subscriber heard a reading, and the audit had no room to remember what that subscriber has heard of the device.
    Unaudited,
}

/// Why a message answered no reading of the device that received it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stray {
    /// It is unreadable, unasked for, or another device's.
    Unasked,
    /// It names this run and another device.
    OtherDevice,
    /// It names another run.
    OtherRun,
}

impl Stray {
    /// Why it was not taken, for a person to read.
    pub fn reason(self) -> Reason {
        match self {
            Self::Unasked => {
                Reason::new(Code::word("unmatched"), "messages that name none of the device's readings")
            }
            Self::OtherDevice => Reason::new(
                Code::word(Self::OTHER_DEVICE),
                "messages of other devices of this run: they share a topic, or the service sends to all",
            ),
            Self::OtherRun => Reason::new(Code::word(Self::OTHER_RUN), "messages of another run"),
        }
    }

    /// The code of [`Stray::OtherDevice`].
    pub const OTHER_DEVICE: &str = "other device";

    /// The code of [`Stray::OtherRun`].
    pub const OTHER_RUN: &str = "stranger";
}

/// One worker's recorder. Calls come from that worker's thread only, and must neither block nor allocate per call.
pub trait Sink: Send + 'static {
    /// A reading came due, or a connection attempt began. Each such call is followed by exactly one
    /// [`Sink::completed`] of the same phase, fleet and kind, before [`Sink::finish`].
    fn planned(&mut self, phase: PhaseId, fleet: FleetId, kind: Kind);

    /// A TLS handshake that is under way took up the device's last session.
    fn resumed(&mut self, phase: PhaseId, fleet: FleetId);

    /// Its first byte was handed to the transport.
    fn sent(&mut self, phase: PhaseId, fleet: FleetId, kind: Kind);

    /// What became of a further attempt at a reading, which is planned and sent once all the same.
    fn retry(&mut self, phase: PhaseId, fleet: FleetId, retry: Retry<'_>);

    /// Its outcome is known.
    fn completed(&mut self, sample: &Sample);

    /// Why the reading or attempt did not end ok. Follows its [`Sink::completed`].
    fn failed(&mut self, sample: &Sample, reason: &Reason);

    /// The fleet's device number `device` received messages, up to `at`, that answered none of its readings, for what `stray` says;
    /// `heard` is how many, and the beginning of the first of them.
    fn unmatched(&mut self, fleet: FleetId, at: Tick, device: u32, stray: Stray, heard: (u64, Option<&str>));

    /// The peer of the fleet's device number `device` did other than it was asked to, `count` times up to `at`, and readings go on.
    fn remark(&mut self, fleet: FleetId, at: Tick, device: u32, remark: &Reason, count: u64);

    /// Bytes went both ways since the last call, up to `at`.
    fn traffic(&mut self, fleet: FleetId, at: Tick, traffic: Traffic);

    /// What the fleet has open at the interval boundary that [`Sink::rotate`] is about to be called for.
    fn gauge(&mut self, fleet: FleetId, gauge: &Gauge);

    /// The delivery audit found something in the current phase, about reading `seq` of the fleet's device number `device`.
    /// `about` says of which phase, fleet and kind it is: of a reading of that fleet, or of a delivery to a device of a fleet that only hears.
    fn finding(&mut self, about: (PhaseId, FleetId, Kind), finding: AuditFinding, device: u32, seq: u64);

    /// A device of a fleet that shares a subscription has had so many of its deliveries since the run began, this one included.
    fn part(&mut self, fleet: FleetId, deliveries: u64);

    /// A reading in which a seeded anomaly shows has ended. Follows its [`Sink::completed`].
    fn detection(&mut self, detection: &Detection<'_>);

    /// An interval ended: hand over what was recorded since the last boundary.
    fn rotate(&mut self, boundary: Tick);

    /// The run ended: hand over the rest. No call follows.
    fn finish(&mut self, end: Tick);
}
