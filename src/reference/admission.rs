//! How much may be sent: quotas by the generic cell rate algorithm, one word of state for each device, token, address and
//! connection.

use std::cell::Cell;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use quick_cache::unsync::Cache;
use tokio::sync::oneshot;

use super::token::{Class, Grant};
use crate::clock::Tick;
use crate::service::{Admission as Setup, Quota};

/// The generic cell rate algorithm (ITU-T I.371) as a virtual schedule: the state is the instant at which the next event
/// would be due if they came as evenly as the rate says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Gcra {
    /// From one event to the next at the sustained rate, nanoseconds.
    pub(super) interval: u64,
    /// How far ahead of the schedule events may be, nanoseconds.
    pub(super) tolerance: u64,
}

impl Gcra {
    pub(super) fn new(quota: Quota) -> Self {
        let interval = (1e9 / quota.rate.as_per_second()).ceil().max(1.0) as u64;
        Self { interval, tolerance: interval.saturating_mul(u64::from(quota.burst.max(1)) - 1) }
    }

    /// One of `gates` that divide the rate among them.
    const fn divided(self, gates: u64) -> Self {
        Self { interval: self.interval.saturating_mul(gates), ..self }
    }

    /// How many nanoseconds too early an event at `now` is; `None` if it may pass.
    const fn early(self, due: u64, now: Tick) -> Option<u64> {
        let early = due.saturating_sub(now.0);
        if early > self.tolerance { Some(early - self.tolerance) } else { None }
    }

    /// The schedule after an event at `now`. One that has passed elsewhere moves it no further than those that pass here can.
    fn charged(self, due: u64, now: Tick) -> u64 {
        let furthest = now.0.saturating_add(self.tolerance).saturating_add(self.interval);
        due.max(now.0).saturating_add(self.interval).min(furthest)
    }
}

/// A connection as the place that readings come from.
#[derive(Debug)]
pub(super) struct Source {
    /// Tells it from all other connections of this process.
    number: u64,
    /// Its peer's, of IPv6 the 64 bits that are one subscriber's.
    address: IpAddr,
    /// When its next reading would be due.
    due: Cell<u64>,
}

impl Source {
    /// A connection whose peer has this `address`.
    pub(super) fn new(address: IpAddr) -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let address = match address.to_canonical() {
            IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64)),
            ip @ IpAddr::V4(_) => ip,
        };
        Self { number: COUNT.fetch_add(1, Ordering::Relaxed), address, due: Cell::new(0) }
    }

    /// What tells it from all other connections of this process.
    pub(super) const fn number(&self) -> u64 {
        self.number
    }

    /// Its peer's address, as far as it tells senders apart.
    pub(super) const fn address(&self) -> IpAddr {
        self.address
    }
}

/// Who sends a reading, as far as quotas tell senders apart.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sender<'s> {
    pub(super) grant: &'s Grant,
    pub(super) source: &'s Source,
}

/// A quota that a reading counts against at whichever instance it comes in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SharedQuota {
    /// What tells it from others: `device:m-1`.
    pub(super) name: String,
    pub(super) gcra: Gcra,
}

/// Where the answer comes in that all instances give together: whether a reading may pass, or in how many nanoseconds. Without an
/// answer this instance decides alone.
pub(super) type Question = oneshot::Receiver<Result<(), u64>>;

/// The quotas of one reading with their schedules: of all, of its connection, its token, its address and its device.
type Asked = [Option<(Gcra, u64)>; 5];

/// The gate before the queue. One per instance, on the serving thread: nothing is locked.
#[derive(Debug)]
pub(super) struct Gate {
    device: Option<Gcra>,
    anonymous_device: Option<Gcra>,
    total: Option<Gcra>,
    token: Option<Gcra>,
    connection: Option<Gcra>,
    address: Option<Gcra>,
    /// Schedules by device, token and address. They outlive connections: who connects anew starts with no fresh quota.
    devices: Cache<Arc<str>, u64>,
    tokens: Cache<Arc<str>, u64>,
    addresses: Cache<IpAddr, u64>,
    all: u64,
    /// Gates that share the quotas, this one included.
    gates: u64,
    /// Whether there is any quota.
    is_set: bool,
}

impl Gate {
    /// A gate that remembers up to `most` devices, and as many tokens and addresses.
    pub(super) fn new(setup: &Setup, most: usize) -> Self {
        let Setup { device, anonymous_device, total, per_token, per_connection, per_address, .. } = setup;
        let quotas = [device, anonymous_device, total, per_token, per_connection, per_address];
        let most = most.max(1);
        // What is never asked takes no memory.
        let room = |quota: &Option<Quota>| if quota.is_some() { most } else { 1 };
        Self {
            device: device.map(Gcra::new),
            anonymous_device: anonymous_device.map(Gcra::new),
            total: total.map(Gcra::new),
            token: per_token.map(Gcra::new),
            connection: per_connection.map(Gcra::new),
            address: per_address.map(Gcra::new),
            devices: Cache::new(room(if device.is_some() { device } else { anonymous_device })),
            tokens: Cache::new(room(per_token)),
            addresses: Cache::new(room(per_address)),
            all: 0,
            gates: 1,
            is_set: quotas.iter().any(|quota| quota.is_some()),
        }
    }

    /// Divides the quotas by so many gates, at least 1.
    pub(super) const fn share_among(&mut self, gates: u64) {
        self.gates = if gates == 0 { 1 } else { gates };
    }

    /// Lets a reading of `device` pass at `now`, or says in how many nanoseconds it may come.
    pub(super) fn pass(&mut self, device: &Arc<str>, sender: Sender<'_>, now: Tick) -> Result<(), u64> {
        if !self.is_set {
            return Ok(());
        }
        // All are asked before any is charged: who is refused by one must not use up the others.
        let asked = self.asked(device, sender);
        let waits = asked.iter().flatten().filter_map(|(gcra, due)| gcra.early(*due, now));
        if let Some(wait) = waits.max() {
            return Err(wait);
        }
        self.charge(asked, device, sender, now);
        Ok(())
    }

    /// Counts a reading that all instances together have let pass.
    pub(super) fn note(&mut self, device: &Arc<str>, sender: Sender<'_>, now: Tick) {
        self.charge(self.asked(device, sender), device, sender, now);
    }

    /// Whether the quota of its own connection lets a reading pass.
    pub(super) fn is_within_connection(&self, source: &Source, now: Tick) -> bool {
        self.connection.is_none_or(|gcra| gcra.early(source.due.get(), now).is_none())
    }

    /// The quotas that a reading counts against at whichever instance it comes in.
    pub(super) fn shared(&self, device: &str, sender: Sender<'_>) -> Vec<SharedQuota> {
        let quota = |gcra: Option<Gcra>, name: &dyn Fn() -> String| {
            gcra.map(|gcra| SharedQuota { name: name(), gcra })
        };
        let quotas = [
            quota(self.total, &|| "total".to_owned()),
            quota(self.token, &|| format!("token:{}", sender.grant.who())),
            quota(self.address, &|| format!("address:{}", sender.source.address)),
            quota(self.own(sender.grant), &|| format!("device:{device}")),
        ];
        quotas.into_iter().flatten().collect()
    }

    /// The quota of a device whose sender has this `grant`.
    fn own(&self, grant: &Grant) -> Option<Gcra> {
        if grant.class == Class::AnonymousPolicy { self.anonymous_device } else { self.device }
    }

    fn asked(&self, device: &Arc<str>, sender: Sender<'_>) -> Asked {
        let Sender { grant, source } = sender;
        let of = |gcra: Option<Gcra>, due: &dyn Fn() -> Option<u64>| {
            gcra.map(|gcra| (gcra.divided(self.gates), due().unwrap_or(0)))
        };
        [
            of(self.total, &|| Some(self.all)),
            self.connection.map(|gcra| (gcra, source.due.get())),
            of(self.token, &|| self.tokens.get(grant.who()).copied()),
            of(self.address, &|| self.addresses.get(&source.address).copied()),
            of(self.own(grant), &|| self.devices.get(device).copied()),
        ]
    }

    fn charge(&mut self, asked: Asked, device: &Arc<str>, sender: Sender<'_>, now: Tick) {
        let due = asked.map(|quota| quota.map(|(gcra, due)| gcra.charged(due, now)));
        let [total, connection, token, address, own] = due;
        if let Some(due) = total {
            self.all = due;
        }
        if let Some(due) = connection {
            sender.source.due.set(due);
        }
        if let Some(due) = token {
            self.tokens.insert(Arc::clone(sender.grant.who()), due);
        }
        if let Some(due) = address {
            self.addresses.insert(sender.source.address, due);
        }
        if let Some(due) = own {
            self.devices.insert(Arc::clone(device), due);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::units::Rate;

    fn quota(rate: &str, burst: u32) -> Quota {
        Quota { rate: rate.parse::<Rate>().unwrap(), burst }
    }

    /// Lets an event pass and moves the schedule, or says how many nanoseconds it is too early.
    fn pass(gcra: Gcra, due: &mut u64, now: Tick) -> Result<(), u64> {
        gcra.early(*due, now).map_or(Ok(()), Err)?;
        *due = gcra.charged(*due, now);
        Ok(())
    }

    /// A sender of all rights, over a connection of its own.
    struct Alone {
        grant: Grant,
        source: Source,
    }

    impl Alone {
        fn new(who: &str, address: &str) -> Self {
            let token = crate::service::Token { name: Some(who.into()), ..crate::service::Token::of("t") };
            Self { grant: Grant::of(&token, 0), source: Source::new(address.parse().unwrap()) }
        }

        fn sender(&self) -> Sender<'_> {
            Sender { grant: &self.grant, source: &self.source }
        }
    }

    #[test]
    fn who_sends_more_than_it_may_gets_exactly_burst_and_rate() {
        let gcra = Gcra::new(quota("10/s", 5));
        let (mut due, mut passed) = (0, 0);
        for ms in 0..10_000 {
            passed += u32::from(pass(gcra, &mut due, Tick(ms * 1_000_000)).is_ok());
        }
        assert_eq!(passed, 5 - 1 + 100, "burst + rate × time, the first of the rate at the beginning");
    }

    #[test]
    fn the_wait_is_as_long_as_is_said() {
        let gcra = Gcra::new(quota("10/s", 1));
        let mut due = 0;
        assert_eq!(pass(gcra, &mut due, Tick(1_000)), Ok(()));
        let wait = pass(gcra, &mut due, Tick(1_000)).unwrap_err();
        assert_eq!(wait, 100_000_000);
        assert!(pass(gcra, &mut due, Tick(1_000 + wait - 1)).is_err());
        assert_eq!(pass(gcra, &mut due, Tick(1_000 + wait)), Ok(()));
    }

    proptest! {
        /// In any stretch of time no more pass than burst + rate × stretch allow.
        #[test]
        fn no_stretch_passes_more_than_it_may(
            gaps in proptest::collection::vec(0_u64..400_000_000, 2..200),
            burst in 1_u32..8,
        ) {
            let gcra = Gcra::new(quota("10/s", burst));
            let (mut due, mut now, mut passed) = (0, 0, Vec::new());
            for gap in gaps {
                now += gap;
                if pass(gcra, &mut due, Tick(now)).is_ok() {
                    passed.push(now);
                }
            }
            for (index, from) in passed.iter().enumerate() {
                for (count, to) in passed[index..].iter().enumerate() {
                    let most = f64::from(burst) + (to - from) as f64 / 1e8;
                    prop_assert!(count as f64 + 1.0 <= most + 1e-6, "{} in {} ns", count + 1, to - from);
                }
            }
        }
    }

    #[test]
    fn a_refusal_charges_nobody() {
        let setup = Setup { device: Some(quota("1/s", 1)), total: Some(quota("1/s", 2)), ..Setup::default() };
        let mut gate = Gate::new(&setup, 10);
        let alone = Alone::new("ann", "192.0.2.1");
        let mut pass = |device: &str| gate.pass(&device.into(), alone.sender(), Tick(0)).is_ok();
        assert!(pass("one"));
        assert!((0..5).all(|_| !pass("one")));
        assert!(pass("other"), "one's refusals took nothing from other");
        assert!(!pass("third"));
    }

    #[test]
    fn gates_that_share_a_quota_let_as_many_pass_together_as_one_alone() {
        let setup = Setup { total: Some(quota("100/s", 1)), ..Setup::default() };
        let passed = |gates: u64| {
            let (mut gate, alone) = (Gate::new(&setup, 10), Alone::new("ann", "192.0.2.1"));
            gate.share_among(gates);
            let ticks = (0..10_000).map(|ms| Tick(ms * 1_000_000));
            ticks.filter(|now| gate.pass(&"m".into(), alone.sender(), *now).is_ok()).count() as u64
        };
        assert_eq!([passed(1), 2 * passed(2), 4 * passed(4)], [1_000; 3]);
    }

    /// Fifty devices' names, whichever way they come in, pass no more than whoever they come from may send.
    #[test]
    fn names_are_no_way_around_the_quota_of_whoever_sends_them() {
        let five = Some(quota("0.001/s", 5));
        let none = Setup::default();
        let per_token = Setup { per_token: five, ..none.clone() };
        let per_connection = Setup { per_connection: five, ..none.clone() };
        let per_address = Setup { per_address: five, ..none.clone() };
        // Who sends the first fifty, who the next, and how many pass of each.
        for (setup, first, second, expected) in [
            (&none, ("ann", "192.0.2.1"), ("ann", "192.0.2.1"), [50, 50]),
            (&per_token, ("ann", "192.0.2.1"), ("ann", "192.0.2.2"), [5, 0]),
            (&per_token, ("ann", "192.0.2.1"), ("bob", "192.0.2.1"), [5, 5]),
            (&per_connection, ("ann", "192.0.2.1"), ("ann", "192.0.2.1"), [5, 5]),
            (&per_address, ("ann", "192.0.2.1"), ("bob", "192.0.2.1"), [5, 0]),
            (&per_address, ("ann", "192.0.2.1"), ("ann", "192.0.2.2"), [5, 5]),
            (&per_address, ("ann", "192.0.2.1"), ("ann", "::ffff:192.0.2.1"), [5, 0]),
            (&per_address, ("ann", "2001:db8::1"), ("ann", "2001:db8::ffff:1"), [5, 0]),
            (&per_address, ("ann", "2001:db8::1"), ("ann", "2001:db8:0:1::1"), [5, 5]),
        ] {
            let mut gate = Gate::new(setup, 100);
            let passed = [first, second].map(|(who, address)| {
                let alone = Alone::new(who, address);
                let names = (0..50).map(|n| Arc::from(format!("m-{n}")));
                names.filter(|name| gate.pass(name, alone.sender(), Tick(0)).is_ok()).count()
            });
            assert_eq!(passed, expected, "{first:?} {second:?}");
        }
    }

    #[test]
    fn the_wait_is_that_of_the_quota_that_lasts_longest() {
        let setup = Setup {
            device: Some(quota("1/s", 1)),
            per_token: Some(quota("0.1/s", 1)),
            per_connection: Some(quota("10/s", 1)),
            ..Setup::default()
        };
        let (mut gate, alone) = (Gate::new(&setup, 10), Alone::new("ann", "192.0.2.1"));
        assert_eq!(gate.pass(&"m".into(), alone.sender(), Tick(0)), Ok(()));
        assert_eq!(gate.pass(&"m".into(), alone.sender(), Tick(0)), Err(10_000_000_000));
    }

    #[test]
    fn what_all_instances_let_pass_counts_here_and_no_further_than_to_the_bound() {
        let setup =
            Setup { total: Some(quota("1/s", 3)), per_connection: Some(quota("1/s", 9)), ..Setup::default() };
        let (mut gate, alone) = (Gate::new(&setup, 10), Alone::new("ann", "192.0.2.1"));
        for _ in 0..8 {
            assert!(gate.is_within_connection(&alone.source, Tick(0)));
            gate.note(&"m".into(), alone.sender(), Tick(0));
        }
        assert_eq!(gate.pass(&"m".into(), alone.sender(), Tick(0)), Err(1_000_000_000));
        assert_eq!(gate.pass(&"m".into(), alone.sender(), Tick(1_000_000_000)), Ok(()));
        gate.note(&"m".into(), alone.sender(), Tick(1_000_000_000));
        assert!(!gate.is_within_connection(&alone.source, Tick(1_000_000_000)));
    }

    #[test]
    fn a_shared_quota_is_known_by_what_it_is_of() {
        let some = Some(quota("1/s", 1));
        let setup = Setup {
            device: some,
            total: some,
            per_token: some,
            per_connection: some,
            per_address: some,
            ..Setup::default()
        };
        let alone = Alone::new("ann", "2001:db8::1");
        let names = |setup: &Setup| -> Vec<String> {
            Gate::new(setup, 10).shared("m-1", alone.sender()).into_iter().map(|quota| quota.name).collect()
        };
        assert_eq!(names(&setup), ["total", "token:ann", "address:2001:db8::", "device:m-1"]);
        assert_eq!(names(&Setup { per_connection: some, ..Setup::default() }), [""; 0]);
    }
}
