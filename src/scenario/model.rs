//! The checked model of a scenario: what a document means once nothing is wrong with it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use url::Url;

use super::credential::Credentials;
use super::retry::RetryPolicy;
use super::scrape::Scrape;
use crate::arrival::{ArrivalProcess, Load, Shape, Stretch};
use crate::budget::Budget;
use crate::clock::Tick;
use crate::fault::Fault;
use crate::fleet::DeviceModel;
use crate::language::{Location, Text};
use crate::net::{ClientIdentity, TlsSettings};
use crate::protocol::{Exchange, Facts, Identity, Misfit, Rendering, Settings, driver};
use crate::record::{Close, DeliveryGuarantee, MessagePattern, Protocol};
use crate::seed::Seed;
use crate::service::{Setup, Topic};
use crate::units::{Rate, Secret, Span};

/// A scenario without faults, overrides applied.
#[derive(Debug, Clone)]
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
    /// What the target's control is shown.
    pub(crate) control_token: Option<Secret>,
    /// Settings of the bundled reference system.
    pub reference: Setup,
    /// The measured phases, in the order of time; at least one.
    pub phases: Vec<Phase>,
    /// The fleets, sorted by name; at least one.
    pub fleets: Vec<Fleet>,
    /// What goes wrong, in the order of the file; instants count from the beginning of the first measured phase.
    pub faults: Vec<Fault>,
    /// What the figures must keep to, in the order of the file. They judge what was sent: the digest is the same without.
    pub budgets: Vec<Budget>,
    /// Which of the target's own figures are taken, in the order of the file. The digest is the same without.
    pub(crate) scrapes: Vec<Scrape>,
    /// Every value of `[[fault]]` that is not a default, for the digest.
    pub(super) fault_canonical: String,
    /// Every value of `[run]` that is not a default, for the digest.
    pub(super) canonical: String,
    /// What the environment variables that it names stand for.
    pub secrets: Secrets,
}

/// Texts that must not be shown or stored. Printed for debugging they keep to themselves.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Secrets(pub(super) Vec<String>);

impl Secrets {
    /// The texts.
    pub fn reveal(&self) -> &[String] {
        &self.0
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} secrets", self.0.len())
    }
}

impl Scenario {
    /// Whether the devices of `fleet` reach the target that the scenario states over TLS, the bundled system where it states none.
    pub(crate) fn is_tls(&self, fleet: &Fleet) -> bool {
        let Some(text) = self.target.of(fleet.protocol) else { return self.reference.tls.is_some() };
        Url::parse(text.value()).is_ok_and(|url| fleet.facts.target.is_tls(&url))
    }

    /// Devices of all fleets together.
    pub fn devices(&self) -> u32 {
        self.fleets.iter().map(|fleet| fleet.devices).sum()
    }
}

/// Timing around the phases.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RunSettings {
    /// New connections per second of a fleet that names no rate of its own.
    pub connect_rate: Rate,
    /// Sending before the first measured phase, recorded but kept out of the headline.
    pub warm_up: Span,
    /// Longest wait for answers after the last phase.
    pub drain: Span,
    /// Length of a recording interval.
    pub interval: Span,
    /// Longest time one connection attempt may take.
    pub connect_timeout: Span,
    /// The run waits before it begins, so that sending starts at a whole multiple of this on the wall clock (UTC).
    pub align: Option<Span>,
    /// Whether a broken guarantee of delivery fails the run.
    pub demand_delivery: bool,
}

/// URLs of a service that is not the bundled one, by protocol, as they stand in the file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Target(pub Vec<(Protocol, Text)>);

impl Target {
    /// The address for `protocol`, where the scenario states one.
    pub fn of(&self, protocol: Protocol) -> Option<&Text> {
        self.0.iter().find(|(spoken, _)| *spoken == protocol).map(|(_, url)| url)
    }
}

/// A measured phase.
#[derive(Debug, Clone, PartialEq)]
pub struct Phase {
    /// Its name, unique in the scenario, of the same characters as [`Scenario::name`].
    pub name: String,
    /// The phase of the file that it is a step of, where that has steps: they are named after it, `NAME-1`, `NAME-2`, ….
    pub staircase: Option<String>,
    /// Its length, not zero.
    pub duration: Span,
    /// Factor on the rate of every open fleet that has none of its own here.
    pub load: LoadProfile,
    /// Other factors, by fleet.
    pub loads: BTreeMap<String, LoadProfile>,
    /// Every value that is not a default, for the digest.
    pub(super) canonical: String,
}

impl Phase {
    /// Whether `name` means it, by itself or among the steps of a phase.
    pub(super) fn goes_by(&self, name: &str) -> bool {
        self.name == name || self.staircase.as_deref() == Some(name)
    }

    /// The course of the load of the fleet named `fleet`.
    pub fn load_of(&self, fleet: &str) -> LoadProfile {
        self.loads.get(fleet).copied().unwrap_or(self.load)
    }
}

/// How a factor on the rate moves within a phase; finite and not negative.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum LoadProfile {
    /// It does not.
    Flat(f64),
    /// Linearly from the first instant to the last.
    Ramp {
        /// At the beginning.
        from: f64,
        /// At the end.
        to: f64,
    },
    /// Swings around a mean: `mean × (1 + amplitude × sin(2π t ÷ period))`.
    Sine {
        /// In the middle.
        mean: f64,
        /// Share of the mean, 0 to 1.
        amplitude: f64,
        /// Length of a swing; `None`: that of the phase.
        period: Option<Span>,
    },
    /// Again and again at a peak, the first time at the beginning.
    Bursts {
        /// Between bursts.
        base: f64,
        /// During one.
        peak: f64,
        /// From the start of one to the start of the next.
        every: Span,
        /// How long one lasts.
        length: Span,
    },
    /// Linearly up to a peak in the middle of the phase, and down again.
    Spike {
        /// At the beginning and the end.
        base: f64,
        /// In the middle.
        peak: f64,
    },
}

impl LoadProfile {
    /// The largest factor.
    pub fn peak(self) -> f64 {
        match self {
            Self::Flat(level) => level,
            Self::Ramp { from, to } => from.max(to),
            Self::Sine { mean, amplitude, .. } => mean * (1.0 + amplitude),
            Self::Bursts { base, peak, .. } | Self::Spike { base, peak } => base.max(peak),
        }
    }

    /// The course as adjoining stretches from `start` to `end`.
    pub(super) fn stretches(self, start: Tick, end: Tick) -> Vec<Stretch> {
        let whole = |shape| vec![Stretch { start, end, shape }];
        match self {
            Self::Flat(level) => whole(Shape::Flat(level)),
            Self::Ramp { from, to } => whole(Shape::Ramp { from, to }),
            Self::Sine { mean, amplitude, period } => {
                let period = period.unwrap_or_else(|| Span::from_ns(end.since(start)));
                whole(Shape::Sine { mean, amplitude, period, phase: 0.0 })
            }
            Self::Bursts { base, peak, every, length } => whole(Shape::Bursts { base, peak, every, length }),
            Self::Spike { base, peak } => {
                let tip = start.plus_ns(end.since(start) / 2);
                let up = Stretch { start, end: tip, shape: Shape::Ramp { from: base, to: peak } };
                vec![up, Stretch { start: tip, end, shape: Shape::Ramp { from: peak, to: base } }]
            }
        }
    }
}

/// A fleet: devices that are alike.
#[derive(Debug, Clone)]
pub struct Fleet {
    /// Its name, unique in the scenario, of the same characters as [`Scenario::name`].
    pub name: String,
    /// What its devices speak.
    pub protocol: Protocol,
    /// What can be said of that protocol.
    pub facts: &'static Facts,
    /// Number of devices, at least 1.
    pub devices: u32,
    /// When its devices send.
    pub model: Model,
    /// When its devices are there, and how they behave.
    pub behaviour: Behaviour,
    /// Readings a device may have unanswered at once, 1 to 1 024; always 1 where a protocol has one under way at a time.
    pub in_flight: u32,
    /// A reading unanswered for this long ends as a time-out; at most 60 s.
    pub timeout: Span,
    /// The latency budget of a reading.
    pub budget: Option<Span>,
    /// What it expects of the service's delivery.
    pub expects: DeliveryGuarantee,
    /// What closes a reading.
    pub close: Close,
    /// What its devices are to hear of which others, where the scenario states a pattern.
    pub(crate) spread: Option<Spread>,
    /// What the bundled service is to tell them, or to tell others of what they send.
    pub(crate) topic: Option<Topic>,
    /// How its requests and messages look.
    pub(crate) exchange: Arc<dyn Exchange>,
    /// Whether the service is expected to refuse its connections for good: then that does not end the run.
    pub refusal_expected: bool,
    /// Whether samples of what the service replies to failed readings are kept.
    pub failure_body: bool,
    /// What it, or the target, says of TLS; `None` where nothing is said.
    pub(crate) tls: Option<Arc<TlsPlan>>,
    /// What its devices prove by who they are; `None` where they need not.
    pub(crate) credentials: Option<Arc<Credentials>>,
    /// Waits between attempts to reconnect.
    pub backoff: Backoff,
    /// What its devices do about readings that fail; `None`: nothing.
    pub retry: Option<RetryPolicy>,
    /// What its sensors show and how readings are encoded.
    pub device_model: Arc<DeviceModel>,
    /// Every value that is not a default, for the digest. There may be passwords among them.
    pub(super) canonical: Secret,
}

impl Fleet {
    /// The fleet whose hearing ends its readings, where it is not the devices themselves.
    pub fn heard_by(&self) -> Option<&str> {
        self.exchange.heard_by()
    }

    /// Whether its devices only hear.
    pub(crate) fn hears(&self) -> bool {
        self.model == Model::Subscriber
    }

    /// How readings are spread over its devices, where that is stated.
    pub(crate) fn pattern(&self) -> Option<MessagePattern> {
        self.spread.as_ref().map(|spread| spread.pattern)
    }

    /// Whether its devices share a subscription.
    pub(crate) fn shares(&self) -> bool {
        self.exchange.shares()
    }

    /// Whether it is to hear what `other` sends.
    pub(crate) fn is_to_hear(&self, other: &Self) -> bool {
        if other.hears() {
            return false;
        }
        let hears_from = |from: &Option<String>| from.as_ref().is_none_or(|from| *from == other.name);
        match (self.topic, &self.spread) {
            (Some(topic), _) => other.is_told_as(topic),
            (None, Some(spread)) => other.protocol == self.protocol && hears_from(&spread.from),
            (None, None) => false,
        }
    }

    /// Whether all that it sends, and that ends ok, is told by the bundled service as `topic`.
    fn is_told_as(&self, topic: Topic) -> bool {
        let ends_by_verdict = matches!(self.close, Close::Response | Close::Verdict);
        match topic {
            // Which readings become alerts is the service's to decide.
            Topic::Alerts => false,
            Topic::Verdicts => self.topic.is_none() && ends_by_verdict && !self.exchange.is_foreign(),
            Topic::Broadcast => self.topic == Some(Topic::Broadcast),
        }
    }

    /// What a device says of itself when it connects.
    pub(crate) fn identity(&self, rendering: &Rendering<'_>) -> Identity {
        // What is wrong with it was found when the scenario was checked.
        self.presented(rendering).0
    }

    /// The same, and what of its credentials its protocol cannot carry.
    pub(super) fn presented(&self, rendering: &Rendering<'_>) -> (Identity, Option<Misfit>) {
        let mut identity = self.exchange.identity(rendering, Identity::of(rendering.device.id()));
        let misfit = self
            .credentials
            .as_ref()
            .zip(driver(self.protocol))
            .and_then(|(credentials, driver)| driver.present(&credentials.of(rendering), &mut identity));
        (identity, misfit)
    }

    /// A reading, or one attempt at it, unanswered for this long has timed out.
    pub(crate) fn attempt_timeout(&self) -> Span {
        self.retry.map_or(self.timeout, |retry| retry.timeout)
    }

    /// From one turn of a device that asks by the clock to its next; `None`: its devices have no turns.
    pub(crate) fn turn(&self) -> Option<Span> {
        let settings = self.exchange.settings(Settings::default());
        settings.turns.map(|_| Span::from_ns(settings.keep_alive.as_nanos() as u64))
    }

    /// Whether its devices connect only when they have something to send.
    pub fn on_demand(&self) -> bool {
        self.exchange.is_fresh() || self.behaviour.sleepy.is_some()
    }
}

/// What a fleet of subscribers is to hear.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Spread {
    /// How readings are spread over its devices.
    pub(crate) pattern: MessagePattern,
    /// The fleet whose readings those are; `None`: all that send over the same protocol.
    pub(crate) from: Option<String>,
}

/// How the devices of a fleet shake hands, files read.
#[derive(Debug)]
pub(crate) struct TlsPlan {
    /// What they have in common.
    pub(crate) settings: TlsSettings,
    /// What each shows.
    pub(crate) identities: Identities,
    /// Longest time a handshake may take.
    pub(crate) timeout: Option<Span>,
    /// Whether the fleet has a table of its own.
    pub(crate) own: bool,
    /// Where that is, or the table for all fleets.
    pub(crate) place: Location,
}

/// What devices show to a server that asks who they are.
#[derive(Debug)]
pub(crate) enum Identities {
    /// Nothing.
    None,
    /// All the same.
    Shared(ClientIdentity),
    /// Each its own, by its number.
    Each(Box<[ClientIdentity]>),
}

impl Identities {
    /// What device number `index` shows.
    pub(crate) fn of(&self, index: u32) -> Option<&ClientIdentity> {
        match self {
            Self::None => None,
            Self::Shared(identity) => Some(identity),
            Self::Each(identities) => identities.get(index as usize),
        }
    }
}

/// When devices send.
#[derive(Debug, Clone, PartialEq)]
pub enum Model {
    /// Readings come due by a plan that never waits for the service.
    Open {
        /// Readings per second of one device, at a load of 1.
        rate: Rate,
        /// The law of their gaps.
        arrival: ArrivalProcess,
        /// A recorded course of the rate, to which `rate` and the phases' loads are factors.
        recorded_rate: Option<Arc<Load>>,
        /// Readings that may wait in a device before further ones are dropped.
        backlog: u32,
    },
    /// A device sends its next reading after the answer to the last; phase loads do not apply.
    Closed {
        /// Pause between an answer and the next reading.
        think: Span,
    },
    /// A device sends nothing and hears what other fleets publish.
    Subscriber,
}

/// When the devices of a fleet are there, and what they do besides sending. Instants count from the beginning of the
/// first measured phase.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Behaviour {
    /// New connections per second while the fleet connects, and disconnections while it leaves.
    pub connect_rate: Rate,
    /// When the fleet begins to connect; `None`: before anything is sent.
    pub join: Option<Span>,
    /// When it begins to leave; `None`: never.
    pub leave: Option<Span>,
    /// Connections cut by the plan.
    pub cut: Option<Cut>,
    /// A device that connects only when it has something to send, and stays for this long after its last answer.
    pub sleepy: Option<Span>,
    /// Readings that waited through an outage go out no faster than this per device; `None`: at once.
    pub flush: Option<Rate>,
    /// One reading in this many is sent twice; 0: none.
    pub repeat_one_in: u32,
}

/// Connections cut by the plan.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cut {
    /// When the first is cut.
    pub at: Span,
    /// How long a device stays away; zero: it reconnects at once.
    pub away: Span,
    /// Devices cut per second, one after the other in the order of their index; `None`: all at one instant.
    pub pace: Option<Rate>,
    /// Share of the devices, 0 to 1, chosen by the seed.
    pub share: f64,
    /// The schema of a device's readings from its return on; `None`: as before.
    pub schema: Option<u8>,
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
