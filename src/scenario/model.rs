//! The checked model of a scenario: what a document means once nothing is wrong with it.

use url::Url;

use crate::arrival::Law;
use crate::fleet::SignalSpec;
use crate::record::{Close, Protocol, Qos};
use crate::seed::Seed;
use crate::units::{Rate, Span};

/// A scenario without faults, overrides applied.
#[derive(Debug, Clone, PartialEq)]
pub struct Scenario {
    /// Its name: 1 to 64 of `a`–`z`, `0`–`9` and `-`; safe as a directory's name.
    pub name: String,
    /// What it is for, in the author's words.
    pub about: Option<String>,
    /// Fixes everything random.
    pub seed: Seed,
    /// Where the text came from, as the user gave it.
    pub source: String,
    /// The document, verbatim, without overrides.
    pub text: String,
    /// Overrides as given on the command line, in their order: `--set fleet.meters.rate=2/s`, `--seed 7`.
    pub overrides: Vec<String>,
    /// Timing around the phases.
    pub run: RunSettings,
    /// Where to send; protocols without an address go to the bundled reference system.
    pub target: Target,
    /// Settings of the bundled reference system.
    pub reference: ReferenceSettings,
    /// The measured phases, in the order of time; at least one.
    pub phases: Vec<Phase>,
    /// The fleets, sorted by name; at least one.
    pub fleets: Vec<Fleet>,
}

impl Scenario {
    /// Devices of all fleets together.
    pub fn devices(&self) -> u32 {
        self.fleets.iter().map(|fleet| fleet.devices).sum()
    }

    /// The measured phases' length together.
    pub fn measured(&self) -> Span {
        Span::from_ns(self.phases.iter().map(|phase| phase.duration.as_ns()).sum())
    }
}

/// Timing around the phases.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RunSettings {
    /// New connections per second while the fleets connect.
    pub connect_rate: Rate,
    /// Sending before the first measured phase, recorded but kept out of the headline.
    pub warm_up: Span,
    /// Longest wait for answers after the last phase.
    pub drain: Span,
    /// Length of a recording interval.
    pub interval: Span,
    /// Longest time one connection attempt may take.
    pub connect_timeout: Span,
}

/// Addresses of a service that is not the bundled one. Schemes are `http`, `ws` and `mqtt`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Target {
    /// Where HTTP fleets POST.
    pub http: Option<Url>,
    /// Where WebSocket fleets connect.
    pub ws: Option<Url>,
    /// The broker of MQTT fleets.
    pub mqtt: Option<Url>,
}

impl Target {
    /// The address for `protocol`, where the scenario states one.
    pub const fn of(&self, protocol: Protocol) -> Option<&Url> {
        match protocol {
            Protocol::Http => self.http.as_ref(),
            Protocol::Ws => self.ws.as_ref(),
            Protocol::Mqtt => self.mqtt.as_ref(),
        }
    }
}

/// Settings of the bundled reference system; `None` leaves its own default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReferenceSettings {
    /// Worker threads of its pool.
    pub workers: Option<u32>,
    /// Readings its queue holds before it sheds.
    pub queue: Option<u32>,
    /// Verdicts its cache holds; 0 turns it off.
    pub cache: Option<u32>,
    /// Extra cost of one inference, standing in for a heavy model.
    pub inference: Option<Span>,
}

/// A measured phase.
#[derive(Debug, Clone, PartialEq)]
pub struct Phase {
    /// Its name, unique in the scenario, of the same characters as [`Scenario::name`].
    pub name: String,
    /// Its length, not zero.
    pub duration: Span,
    /// Factor on the rate of every open fleet; finite, 0 sends nothing.
    pub load: f64,
}

/// A fleet: devices that are alike.
#[derive(Debug, Clone, PartialEq)]
pub struct Fleet {
    /// Its name, unique in the scenario, of the same characters as [`Scenario::name`].
    pub name: String,
    /// What its devices speak.
    pub protocol: Protocol,
    /// Number of devices, at least 1.
    pub devices: u32,
    /// When its devices send.
    pub model: Model,
    /// Readings a device may have unanswered at once, 1 to 1 024; always 1 for HTTP.
    pub in_flight: u32,
    /// A reading unanswered for this long ends as a time-out; at most 60 s.
    pub timeout: Span,
    /// The latency budget of a reading.
    pub budget: Option<Span>,
    /// What closes a reading.
    pub close: Close,
    /// Settings of MQTT; `Some` exactly for MQTT fleets.
    pub mqtt: Option<Mqtt>,
    /// Waits between attempts to reconnect.
    pub backoff: Backoff,
    /// What its sensors show.
    pub signal: SignalSpec,
}

/// When devices send.
#[derive(Debug, Clone, PartialEq)]
pub enum Model {
    /// Readings come due by a plan that never waits for the service.
    Open {
        /// Readings per second of one device, at a load of 1.
        rate: Rate,
        /// The law of their gaps.
        arrival: Law,
        /// Readings that may wait in a device before further ones are dropped.
        backlog: u32,
    },
    /// A device sends its next reading after the answer to the last; phase loads do not apply.
    Closed {
        /// Pause between an answer and the next reading.
        think: Span,
    },
}

/// Settings of an MQTT fleet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mqtt {
    /// Quality of service of messages published and of subscriptions.
    pub qos: Qos,
    /// Keep-alive interval sent in CONNECT, whole seconds; zero turns it off.
    pub keep_alive: Span,
}

/// Exponential back-off: attempt `n` (from 0) waits up to `min(first × 2ⁿ, max)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Backoff {
    /// Wait before the first attempt to reconnect.
    pub first: Span,
    /// No wait is longer.
    pub max: Span,
    /// Share of each wait, 0 to 1, that is drawn at random: 0 waits exactly, 1 anything from nothing to the whole.
    pub jitter: f64,
}
