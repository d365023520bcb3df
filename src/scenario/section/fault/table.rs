//! The tables of `[[fault]]`.

use std::sync::LazyLock;

use crate::fault::{Direction, Ending, MessageKind, PRESETS};
use crate::language::{Field, Kind, Section};
use crate::protocol::words;
use crate::units::{ByteSize, Span};

const NONE: Span = Span::ZERO;
const TICK: Span = Span::from_ms(1);
const MINUTE: Span = Span::from_ms(60_000);
/// The longest time line.
pub(in crate::scenario) const LONGEST: Span = Span::from_ms(720 * 3_600_000);
const BYTE: ByteSize = ByteSize(1);
const GIB: ByteSize = ByteSize(1 << 30);

/// Words of known links.
static LINKS: [&str; PRESETS.len()] = {
    let mut words = [""; PRESETS.len()];
    let mut nth = 0;
    while nth < words.len() {
        words[nth] = PRESETS[nth].0;
        nth += 1;
    }
    words
};

/// Defines the kinds of faults by where they act: each word stands once.
macro_rules! kinds {
    (network: [$($network:literal),*], message: [$($message:literal),*], device: [$($device:literal),*],
     beyond: [$($beyond:literal),*]) => {
        /// Kinds that act on bytes of whatever protocol.
        pub(in crate::scenario) const NETWORK: &[&str] = &[$($network),*];
        const MESSAGE: &[&str] = &[$($message),*];
        /// Kinds that act on single devices.
        const BY_DEVICE: &[&str] = &[$($network,)* $($message,)* $($device),*];
        const KINDS: &[&str] = &[$($network,)* $($message,)* $($device,)* $($beyond),*];
    };
}

kinds! {
    network: ["link", "latency", "loss", "bandwidth", "slicer", "limit", "reset", "half-close", "slow-close", "partition", "blackhole", "refuse", "slow-connect", "hang", "corrupt", "slow-reader"],
    message: ["message-drop", "message-duplicate", "message-delay", "message-reorder"],
    device: ["disconnect", "offline", "clock-skew", "malformed", "truncated", "oversized", "spike", "stuck", "drift", "shift", "noise"],
    beyond: ["slow-worker", "worker-crash", "stall", "errors", "overload", "cache-flush", "cache-off", "queue-shrink", "verdict-drop", "verdict-delay", "verdict-duplicate", "puback-withheld", "refuse-service", "instance-kill", "bus-delay", "bus-partition", "exec"]
}

const DIRECTED: &[&str] =
    &["latency", "loss", "bandwidth", "slicer", "limit", "partition", "blackhole", "corrupt"];

pub(in crate::scenario) static FAULT: LazyLock<Section> = LazyLock::new(|| {
    Section {
    title: "[[fault]]",
    about: "something that goes wrong, and when. Instants count from the beginning of the first phase; faults may overlap: \
            delays add, rates take the minimum, probabilities combine as 1 − ∏(1 − p), any partition wins",
    by: Some("kind"),
    fields: vec![
        Field::required("name", Kind::Name, "names the fault in every report; unique"),
        Field::required(
            "kind",
            Kind::Word(KINDS),
            "what goes wrong: on the devices' connections (link to slow-reader), to whole messages (message-…), in the \
             devices (disconnect to noise), in the bundled reference system (slow-worker to bus-partition), or a command \
             of yours (exec)",
        ),
        Field::optional(
            "start",
            Kind::Span(NONE, LONGEST),
            "when it begins; left out: only by hand, with `squall fault`",
        ),
        Field::optional(
            "duration",
            Kind::Span(TICK, LONGEST),
            "how long it lasts; left out: to the end. Not valid for faults that happen at an instant: disconnect, \
             worker-crash, cache-flush",
        ),
        Field::optional(
            "every",
            Kind::Span(TICK, LONGEST),
            "it begins again each time so long after its last start",
        ),
        Field::optional("times", Kind::Integer(1, 1_000), "how often; left out: as often as fits"),
        Field::with(
            "share",
            Kind::Number(1e-6, 1.0),
            "1",
            "share of the devices that it hits, chosen by the seed",
        )
        .only(BY_DEVICE),
        Field::with(
            "ramp",
            Kind::Span(NONE, LONGEST),
            "0s",
            "time from its start until the last device is hit: one after the other, evenly",
        )
        .only(BY_DEVICE),
        Field::optional(
            "fleets",
            Kind::List(&Kind::Name),
            "fleets whose devices it may hit; all unless stated",
        )
        .only(BY_DEVICE),
        Field::optional(
            "endpoint",
            Kind::Word(words()),
            "only fleets that speak this protocol",
        )
        .only(BY_DEVICE),
        Field::with(
            "connections",
            Kind::Word(&["all", "new"]),
            "all",
            "all also hits established connections; new only those made while it is on",
        )
        .only(NETWORK),
        Field::with(
            "direction",
            Kind::Word(Direction::WORDS),
            "both",
            "up: to the service; down: to the device",
        )
        .only(DIRECTED),
        Field::required("preset", Kind::Word(&LINKS), "a known kind of link: its delay, rate and loss")
            .only(&["link"]),
        Field::required("delay", Kind::Short(&DELAY), "how much later; each message for itself, in order")
            .only(&["latency", "slow-connect", "slow-close", "message-delay", "verdict-delay", "bus-delay"]),
        Field::required("loss", Kind::Short(&LOSS), "share of segments that are lost and sent again")
            .only(&["loss"]),
        Field::required("rate", Kind::Size(BYTE, GIB), "bytes that pass per second")
            .only(&["bandwidth", "slow-reader"]),
        Field::with("burst", Kind::Size(BYTE, GIB), "4KiB", "bytes that may pass at once after a pause")
            .only(&["bandwidth"]),
        Field::required("piece", Kind::Size(BYTE, ByteSize(1 << 20)), "mean size of a piece")
            .only(&["slicer"]),
        Field::with(
            "spread",
            Kind::Size(ByteSize(0), ByteSize(1 << 20)),
            "0B",
            "pieces differ by up to this",
        )
        .only(&["slicer"]),
        Field::with("gap", Kind::Span(NONE, MINUTE), "0s", "pause between two pieces").only(&["slicer"]),
        Field::required("size", Kind::Size(ByteSize(0), GIB), "bytes that pass before the connection ends")
            .only(&["limit"]),
        Field::with(
            "ending",
            Kind::Word(Ending::WORDS),
            "reset",
            "how connections end: fin with the protocol's goodbye, reset without one, died as when the process dies: FIN without a goodbye, so that an MQTT broker publishes the will",
        )
        .only(&["limit", "disconnect", "offline"]),
        Field::optional(
            "after",
            Kind::Span(NONE, LONGEST),
            "so long after it reached the connection; at once unless stated",
        )
        .only(&["reset", "half-close"]),
        Field::with(
            "chance",
            Kind::Number(0.0, 1.0),
            "1",
            "of each message, payload or verdict to be hit, or of each byte (corrupt)",
        )
        .only(&[
            "corrupt",
            "message-drop",
            "message-duplicate",
            "message-delay",
            "message-reorder",
            "malformed",
            "truncated",
            "oversized",
            "errors",
            "overload",
            "verdict-drop",
            "verdict-duplicate",
        ]),
        Field::with("per_message", Kind::Number(0.0, 1.0), "0", "probability of a reset at each message")
            .only(&["reset"]),
        Field::with("message", Kind::Word(MessageKind::WORDS), "verdict", "which kind of message")
            .only(MESSAGE),
        Field::with(
            "skip",
            Kind::Integer(0, 1_000_000_000),
            "0",
            "messages of each device left alone at first",
        )
        .only(MESSAGE),
        Field::with("nth", Kind::Integer(1, 1_000_000_000), "1", "one in so many").only(MESSAGE),
        Field::optional("most", Kind::Integer(1, 1_000_000_000), "no more than so many per device each time")
            .only(MESSAGE),
        Field::with("depth", Kind::Integer(1, 32), "1", "how many later messages overtake one")
            .only(&["message-reorder"]),
        Field::with(
            "offset",
            Kind::Number(-86_400.0, 86_400.0),
            "5",
            "seconds by which the clock is ahead, or behind if negative",
        )
        .only(&["clock-skew"]),
        Field::with(
            "drift_ppm",
            Kind::Number(-100_000.0, 100_000.0),
            "0",
            "and further with time, parts per million",
        )
        .only(&["clock-skew"]),
        Field::with("payload", Kind::Size(BYTE, ByteSize(4 << 20)), "256KiB", "size of an oversized payload")
            .only(&["oversized"]),
        Field::required(
            "factor",
            Kind::Number(1.0, 1_000.0),
            "times as many readings, or as long an inference",
        )
        .only(&["spike", "slow-worker"]),
        Field::with(
            "amount",
            Kind::Number(-1e9, 1e9),
            "1",
            "in the units of the signal; per second where it drifts",
        )
        .only(&["drift", "shift", "noise"]),
        Field::with("workers", Kind::Integer(1, 1_024), "1", "workers that crash").only(&["worker-crash"]),
        Field::with("instance", Kind::Integer(1, 64), "1", "which of the instances of `squall serve --instances`")
            .only(&["instance-kill", "bus-partition"]),
        Field::with("retry_after", Kind::Span(NONE, MINUTE), "1s", "what devices are told to wait")
            .only(&["overload"]),
        Field::required("capacity", Kind::Integer(1, 1_000_000), "readings the queue holds")
            .only(&["queue-shrink"]),
        Field::required("begin", Kind::Text, "run by the shell when it begins").only(&["exec"]),
        Field::optional("end", Kind::Text, "run when it ends, also when the run is interrupted")
            .only(&["exec"]),
        Field::with("timeout", Kind::Span(Span::from_ms(100), MINUTE), "10s", "either is killed after this")
            .only(&["exec"]),
    ]
    .leak(),
}
});

pub(in crate::scenario) static DELAY: Section = Section {
    title: "delay = { … }",
    about: "a law of delays; a bare span is always the same",
    by: Some("law"),
    fields: &[
        Field::with("mean", Kind::Span(NONE, MINUTE), "100ms", "the mean; of pareto, the shortest delay"),
        Field::with(
            "law",
            Kind::Word(&["constant", "uniform", "normal", "log-normal", "pareto", "table"]),
            "constant",
            "how single delays scatter",
        ),
        Field::with(
            "jitter",
            Kind::Span(NONE, MINUTE),
            "10ms",
            "to either side (uniform), or the standard deviation",
        )
        .only(&["uniform", "normal", "log-normal"]),
        Field::with("shape", Kind::Number(1.01, 100.0), "2.5", "the smaller, the heavier the tail")
            .only(&["pareto"]),
        Field::required(
            "quantiles",
            Kind::List(&Kind::Span(NONE, MINUTE)),
            "measured delays at evenly spaced quantiles from 0 to 1, not falling, at least two",
        )
        .only(&["table"]),
        Field::with("correlation", Kind::Number(0.0, 0.99), "0", "how much a delay resembles the one before"),
    ],
};

pub(in crate::scenario) static LOSS: Section = Section {
    title: "loss = { … }",
    about: "lost segments, which TCP sends again while later ones wait; a bare number is the share that is lost",
    by: None,
    fields: &[
        Field::required("share", Kind::Number(0.0, 0.9), "share of segments that are lost, in the long run"),
        Field::with(
            "burst",
            Kind::Number(1.0, 1_000.0),
            "1",
            "mean length of a burst of losses, segments; 1: each is lost independently",
        ),
        Field::with("good", Kind::Number(0.0, 0.9), "0", "share that is lost outside bursts"),
        Field::with("bad", Kind::Number(0.01, 1.0), "1", "share that is lost within bursts"),
        Field::with("rtt", Kind::Span(NONE, MINUTE), "100ms", "round trip time of the link"),
        Field::with(
            "rto",
            Kind::Span(TICK, MINUTE),
            "200ms",
            "first wait before a segment is sent again, then doubled",
        ),
    ],
};
