//! Faults the service can be told to have.

use crate::units::word::words;

words! {
    /// Kinds of faults, as `POST /v1/faults` names them.
    FaultKind {
        /// Inferences take so many times as long.
        Slow = "slow",
        /// Workers crash, and are started again.
        Crash = "crash",
        /// No worker takes a reading.
        Stall = "stall",
        /// Readings get an error instead of a verdict.
        Errors = "errors",
        /// Readings are refused as by an overloaded service.
        Overload = "overload",
        /// The cache is emptied.
        CacheFlush = "cache-flush",
        /// The cache is passed by.
        CacheOff = "cache-off",
        /// The queue holds fewer readings.
        QueueShrink = "queue-shrink",
        /// Verdicts vanish.
        VerdictDrop = "verdict-drop",
        /// Verdicts come later.
        VerdictDelay = "verdict-delay",
        /// Verdicts come twice.
        VerdictDuplicate = "verdict-duplicate",
        /// MQTT publishers get no acknowledgement.
        PubackWithheld = "puback-withheld",
        /// New connections are reset.
        Refuse = "refuse",
        /// The process of an instance is killed.
        InstanceKill = "instance-kill",
        /// Instances hear of one another later.
        BusDelay = "bus-delay",
        /// An instance and the others hear nothing of one another.
        BusPartition = "bus-partition",
    }
}
