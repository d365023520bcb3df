//! The figures of one row: what `intervals.csv`, `summary.csv` and the JSON report state about a cell, column by column.

use hdrhistogram::{Counter, Histogram};
use serde::Serialize;

use super::millis::Millis;
use crate::record::{Arm, ErrorKind, Kind, Outcomes};
use crate::results::record::cell::{Cell, Percentile, Series};
use crate::results::record::stage::SlowestStages;
use crate::units::Quantile;

/// A value as it stands in a CSV cell; no data is an empty cell.
trait Field: Sized {
    fn write(&self) -> String;
    /// `None` if the text is not such a value.
    fn read(text: &str) -> Option<Self>;
    /// Adds the count of another interval; what is not a count is left as it is.
    fn add(&mut self, _other: &Self) {}
    /// Whether it is a count, or counts nothing.
    const IS_COUNT: bool = false;
}

impl Field for u64 {
    fn write(&self) -> String {
        self.to_string()
    }
    fn read(text: &str) -> Option<Self> {
        text.parse().ok()
    }
    fn add(&mut self, other: &Self) {
        *self = self.saturating_add(*other);
    }
    const IS_COUNT: bool = true;
}

impl Field for f64 {
    fn write(&self) -> String {
        format!("{self:.3}")
    }
    fn read(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

impl Field for String {
    fn write(&self) -> String {
        self.clone()
    }
    fn read(text: &str) -> Option<Self> {
        Some(text.to_owned())
    }
}

impl Field for Option<u64> {
    fn write(&self) -> String {
        self.map(|value| value.to_string()).unwrap_or_default()
    }
    fn read(text: &str) -> Option<Self> {
        if text.is_empty() { Some(None) } else { text.parse().ok().map(Some) }
    }
    fn add(&mut self, other: &Self) {
        if let Some(other) = other {
            *self = Some(self.unwrap_or_default().saturating_add(*other));
        }
    }
    const IS_COUNT: bool = true;
}

impl Field for Option<Millis> {
    fn write(&self) -> String {
        self.map(|value| value.to_string()).unwrap_or_default()
    }
    fn read(text: &str) -> Option<Self> {
        if text.is_empty() { Some(None) } else { text.parse().ok().map(Some) }
    }
}

const fn counted<F: Field>(_: &F) -> bool {
    F::IS_COUNT
}

/// Declares [`Figures`]: the names of its fields are the columns, in their order. Columns are only ever appended.
macro_rules! figures {
    ($($(#[$doc:meta])* $name:ident: $kind:ty,)*) => {
        /// What is stated about a (phase, fleet, kind), over an interval or a whole run.
        ///
        /// Percentiles without a prefix are of the response time of everything that ended, where whatever did not end
        /// ok counts as at least its time-out; see [`Figures::percentile`].
        #[derive(Debug, Clone, PartialEq, Default, Serialize)]
        pub struct Figures {
            $($(#[$doc])* pub $name: $kind,)*
        }

        impl Figures {
            /// The columns, in the order of the files.
            pub const COLUMNS: &'static [&'static str] = &[$(stringify!($name)),*];

            /// The cells of the row, in the order of [`Figures::COLUMNS`].
            pub(crate) fn write(&self) -> Vec<String> {
                vec![$(self.$name.write()),*]
            }

            /// The counts of an interval, and the smallest bound of what was censored.
            pub(super) fn counts(self) -> Self {
                let mut counts = Self { censored_floor_ms: self.censored_floor_ms, ..Self::default() };
                $(if counted(&self.$name) {
                    counts.$name = self.$name;
                })*
                // What is open at the end of an interval is not a count of it.
                (counts.open, counts.overdue) = (None, None);
                counts
            }

            /// Adds the counts of another interval.
            pub(in crate::results) fn add_counts(&mut self, other: &Self) {
                $(Field::add(&mut self.$name, &other.$name);)*
                let floors = [self.censored_floor_ms, other.censored_floor_ms];
                self.censored_floor_ms = floors.into_iter().flatten().min();
            }

            /// Reads a row by column name; a column that `cell` does not know reads as empty.
            /// The error is the name of the column that holds no such value.
            pub(crate) fn read<'a>(cell: impl Fn(&str) -> Option<&'a str>) -> Result<Self, &'static str> {
                Ok(Self {
                    $($name: match cell(stringify!($name)) {
                        Some(text) => Field::read(text).ok_or(stringify!($name))?,
                        None => Default::default(),
                    },)*
                })
            }
        }
    };
}

figures! {
    /// Came due, or connection attempts begun.
    planned: u64,
    /// Whose first byte was handed to the transport.
    sent: u64,
    /// Ended as the fleet declares success.
    ok: u64,
    /// Refused by the service: 429, 503, a shed verdict.
    shed: u64,
    /// Failed otherwise; the `error_` columns say how.
    error: u64,
    /// Not answered within the fleet's time-out.
    timeout: u64,
    /// Never answered before the drain ended.
    lost: u64,
    /// Never sent, because the device's backlog was full.
    dropped: u64,
    /// Answered once more after being answered.
    duplicated: u64,
    /// Answered after a later reading of the same device.
    reordered: u64,
    /// Ended ok per second: goodput.
    rate_per_s: f64,
    /// Shortest response time.
    min_ms: Option<Millis>,
    /// Mean response time.
    mean_ms: Option<Millis>,
    /// Response time, median.
    p50_ms: Option<Millis>,
    /// Response time, 90 %.
    p90_ms: Option<Millis>,
    /// Response time, 95 %.
    p95_ms: Option<Millis>,
    /// Response time, 99 %.
    p99_ms: Option<Millis>,
    /// Response time, 99.9 %.
    p99_9_ms: Option<Millis>,
    /// Response time, 99.99 %.
    p99_99_ms: Option<Millis>,
    /// Longest response time.
    max_ms: Option<Millis>,
    /// How late the generator itself woke, 99 %.
    pacing_lag_p99_ms: Option<Millis>,
    /// Faults active in the interval; empty if there were none.
    fault: String,
    /// Service time (from the actual start) of what ended ok, median.
    service_p50_ms: Option<Millis>,
    /// Service time, 99 %.
    service_p99_ms: Option<Millis>,
    /// Service time, longest.
    service_max_ms: Option<Millis>,
    /// Response time of what ended ok alone, median.
    ok_p50_ms: Option<Millis>,
    /// Response time of what ended ok alone, 99 %.
    ok_p99_ms: Option<Millis>,
    /// How late the generator itself woke, median.
    pacing_lag_p50_ms: Option<Millis>,
    /// Wait for a connection, an in-flight slot or the plan, whoever's doing it is, 99 %.
    backlog_wait_p99_ms: Option<Millis>,
    /// Answers to readings already given up.
    late: u64,
    /// Ended ok within the fleet's latency budget; empty if it has none.
    within_budget: Option<u64>,
    /// Response times known only as lower bounds.
    censored: u64,
    /// The smallest of those bounds: a percentile at or above it is a lower bound itself.
    censored_floor_ms: Option<Millis>,
    /// Times beyond the histograms' upper bound, counted there.
    overflow: u64,
    /// Errors: connection refused.
    error_refused: u64,
    /// Errors: connection reset.
    error_reset: u64,
    /// Errors: connection closed.
    error_closed: u64,
    /// Errors: protocol broken, handshake refused.
    error_protocol: u64,
    /// Errors: status neither success nor shedding.
    error_status: u64,
    /// Errors: this machine's resources.
    error_resource: u64,
    /// Errors: any other failure of the network.
    error_network: u64,
    /// Waiting in the service's queue, median; as are the next three of what ended ok and reported it.
    stage_queue_p50_ms: Option<Millis>,
    /// The service's cache, median.
    stage_cache_p50_ms: Option<Millis>,
    /// The service's model, median.
    stage_inference_p50_ms: Option<Millis>,
    /// Network and reply, median: service time less what the service accounts for.
    stage_network_p50_ms: Option<Millis>,
    /// Seeded anomalies whose first reading ended; empty in a row in which none began and none was found.
    anomalies: Option<u64>,
    /// Seeded anomalies that were flagged for the first time, in whichever reading of theirs; empty as `anomalies` is.
    anomalies_found: Option<u64>,
    /// Readings without an anomaly that the service judged; empty if it judged none.
    judged_normal: Option<u64>,
    /// Of those, flagged all the same; empty if none was judged.
    false_alarms: Option<u64>,
    /// Devices with failed readings, each counted where the first of its measured, or of its other, readings failed.
    failed_devices: u64,
    /// Messages that answered no reading.
    unmatched: u64,
    /// Bytes handed to the sockets of established connections, framing and handshakes included.
    wire_sent_bytes: u64,
    /// Bytes taken from them.
    wire_received_bytes: u64,
    /// Bytes of the payloads of readings.
    payload_sent_bytes: u64,
    /// Bytes of the bodies and messages received.
    payload_received_bytes: u64,
    /// Came due and not ended at the end of the interval; empty in the summary.
    open: Option<u64>,
    /// Of those, the ones whose time-out has passed since their intended start.
    overdue: Option<u64>,
    /// The part of the backlog wait that is the service's: in flight, connecting, pauses until the fleet connects again; 99 %.
    service_wait_p99_ms: Option<Millis>,
    /// Wait by squall's own rule: every other pause before a connection, and the connect rate; 99 %.
    own_wait_p99_ms: Option<Millis>,
    /// Errors: TLS.
    error_tls: u64,
    /// TLS handshakes that took up the device's last session; empty of what is not a handshake.
    resumed: Option<u64>,
    /// How many readings the slowest 1 % are, of those that ended ok and reported their stages; as the next six, empty in intervals.
    tail_readings: Option<u64>,
    /// What the slowest 1 % spent waiting to be sent, on average; with the next five it adds up to their response time.
    tail_wait_ms: Option<Millis>,
    /// On the network and in the reply: their service time less what the service accounts for.
    tail_network_ms: Option<Millis>,
    /// In the service's queue.
    tail_queue_ms: Option<Millis>,
    /// In its cache.
    tail_cache_ms: Option<Millis>,
    /// In its model.
    tail_inference_ms: Option<Millis>,
    /// In whatever else the service accounts for.
    tail_other_ms: Option<Millis>,
    /// How often readings were handed to the transport, retries included; of connections as `sent`. As the next three, empty in runs of
    /// earlier versions.
    attempts: Option<u64>,
    /// Readings that were sent again after an attempt had failed, each counted once.
    retried: Option<u64>,
    /// Retries that the fleet's budget did not allow.
    retries_denied: Option<u64>,
    /// Answered once more after being answered, where the device itself had sent the reading more than once.
    resent: Option<u64>,
    /// Of `judged_normal`, judged by the champion, where the service says which of two models judged; empty where it said so of none,
    /// as are the next three.
    champion_normal: Option<u64>,
    /// Of those, flagged all the same.
    champion_false_alarms: Option<u64>,
    /// Of `judged_normal`, judged by the challenger.
    challenger_normal: Option<u64>,
    /// Of those, flagged all the same.
    challenger_false_alarms: Option<u64>,
    /// Requests and subscriptions by which devices that only hear asked for what others sent; empty of those that send, and in runs of
    /// earlier versions.
    requests: Option<u64>,
}

impl Figures {
    /// The figures of `cell` over `seconds`.
    pub(crate) fn of<C: Counter>(
        cell: &Cell<C>,
        seconds: f64,
        has_budget: bool,
        scratch: &mut Histogram<C>,
    ) -> Self {
        let at = |series: Series, quantile: Quantile| {
            cell.times(series).map(|times| Millis(times.value_at_quantile(quantile.fraction())))
        };
        let mut figures = Self {
            rate_per_s: if seconds > 0.0 { cell.counters.ok as f64 / seconds } else { 0.0 },
            pacing_lag_p99_ms: at(Series::PacingLag, Quantile::P99),
            service_p50_ms: at(Series::Service, Quantile::P50),
            service_p99_ms: at(Series::Service, Quantile::P99),
            service_max_ms: cell.times(Series::Service).map(|times| Millis(times.max())),
            ok_p50_ms: at(Series::Ok, Quantile::P50),
            ok_p99_ms: at(Series::Ok, Quantile::P99),
            pacing_lag_p50_ms: at(Series::PacingLag, Quantile::P50),
            backlog_wait_p99_ms: at(Series::BacklogWait, Quantile::P99),
            stage_queue_p50_ms: at(Series::Queue, Quantile::P50),
            stage_cache_p50_ms: at(Series::Cache, Quantile::P50),
            stage_inference_p50_ms: at(Series::Inference, Quantile::P50),
            stage_network_p50_ms: at(Series::Network, Quantile::P50),
            service_wait_p99_ms: at(Series::ServiceWait, Quantile::P99),
            own_wait_p99_ms: at(Series::OwnWait, Quantile::P99),
            ..Self::of_counts(cell, has_budget)
        };
        if let Some(response) = cell.response(scratch) {
            figures.set_response(response);
        }
        figures
    }

    /// The counts of `cell`, and the smallest bound of what was censored: what [`Figures::add_counts`] adds up.
    pub(in crate::results) fn of_counts<C: Counter>(cell: &Cell<C>, has_budget: bool) -> Self {
        let counters = &cell.counters;
        // A window may begin in one interval and be found in a later one, so either count makes a row.
        let seeded = counters.anomalies + counters.anomalies_found > 0;
        let judged = counters.judged_normal > 0;
        let named = counters.arm_normal.iter().any(|normal| *normal > 0);
        let of_arm = |counts: [u64; Arm::ALL.len()], arm: Arm| named.then_some(counts[arm as usize]);
        let mut figures = Self {
            planned: counters.planned,
            sent: counters.sent,
            ok: counters.ok,
            shed: counters.shed,
            error: counters.error(),
            timeout: counters.timeout,
            lost: counters.lost,
            dropped: counters.dropped,
            duplicated: counters.duplicated,
            reordered: counters.reordered,
            late: counters.late,
            within_budget: has_budget.then_some(counters.within_budget),
            censored: counters.failed(),
            censored_floor_ms: (cell.censored_floor_ns < u64::MAX).then_some(Millis(cell.censored_floor_ns)),
            overflow: counters.overflow,
            anomalies: seeded.then_some(counters.anomalies),
            anomalies_found: seeded.then_some(counters.anomalies_found),
            judged_normal: judged.then_some(counters.judged_normal),
            false_alarms: judged.then_some(counters.false_alarms),
            failed_devices: counters.failed_devices,
            unmatched: counters.unmatched,
            wire_sent_bytes: counters.traffic.wire_sent,
            wire_received_bytes: counters.traffic.wire_received,
            payload_sent_bytes: counters.traffic.payload_sent,
            payload_received_bytes: counters.traffic.payload_received,
            attempts: Some(counters.attempts()),
            retried: Some(counters.retried),
            retries_denied: Some(counters.retries_denied),
            resent: Some(counters.resent),
            champion_normal: of_arm(counters.arm_normal, Arm::Champion),
            champion_false_alarms: of_arm(counters.arm_alarms, Arm::Champion),
            challenger_normal: of_arm(counters.arm_normal, Arm::Challenger),
            challenger_false_alarms: of_arm(counters.arm_alarms, Arm::Challenger),
            requests: (counters.traffic.requests > 0).then_some(counters.traffic.requests),
            ..Self::default()
        };
        figures.set_errors(counters.errors);
        figures
    }

    fn set_errors(&mut self, errors: [u64; ErrorKind::ALL.len()]) {
        [
            self.error_refused,
            self.error_reset,
            self.error_closed,
            self.error_protocol,
            self.error_status,
            self.error_resource,
            self.error_network,
            self.error_tls,
        ] = errors;
    }

    /// The same of a cell of `kind`.
    pub(crate) fn of_kind<C: Counter>(self, kind: Kind, cell: &Cell<C>) -> Self {
        Self { resumed: (kind == Kind::Tls).then_some(cell.counters.resumed), ..self }
    }

    /// The same with what the slowest of a whole run were made of.
    pub(crate) fn with_tail<C: Counter>(mut self, cell: &Cell<C>) -> Self {
        let slowest = cell.stages().and_then(|stages| stages.slowest(Quantile::P99));
        if let Some(SlowestStages { readings, parts }) = slowest {
            self.tail_readings = Some(readings);
            [
                self.tail_wait_ms,
                self.tail_network_ms,
                self.tail_queue_ms,
                self.tail_cache_ms,
                self.tail_inference_ms,
                self.tail_other_ms,
            ] = parts.map(|ns| Some(Millis(ns)));
        }
        self
    }

    pub(super) fn set_response<C: Counter>(&mut self, response: &Histogram<C>) {
        let mut at = response.value_at_quantiles(Quantile::REPORTED.map(Quantile::fraction)).map(Millis);
        self.p50_ms = at.next();
        self.p90_ms = at.next();
        self.p95_ms = at.next();
        self.p99_ms = at.next();
        self.p99_9_ms = at.next();
        self.p99_99_ms = at.next();
        self.min_ms = Some(Millis(response.min()));
        self.mean_ms = Some(Millis(response.mean().round() as u64));
        self.max_ms = Some(Millis(response.max()));
    }

    /// The smallest bound that something censored counts as, nanoseconds; the largest number where nothing is.
    pub(in crate::results) fn floor_ns(&self) -> u64 {
        self.censored_floor_ms.map_or(u64::MAX, |floor| floor.0)
    }

    /// How they ended all together.
    pub(crate) fn outcomes(&self) -> Outcomes {
        let Self { planned, ok, shed, error, timeout, lost, dropped, .. } = *self;
        Outcomes { planned, ok, shed, error, timeout, lost, dropped }
    }

    /// Everything that ended otherwise than ok.
    pub fn failed(&self) -> u64 {
        self.outcomes().failed()
    }

    /// Everything that ended: the number of response times.
    pub fn ended(&self) -> u64 {
        self.outcomes().ended()
    }

    /// Errors of `kind`.
    pub fn errors(&self, kind: ErrorKind) -> u64 {
        match kind {
            ErrorKind::Refused => self.error_refused,
            ErrorKind::Reset => self.error_reset,
            ErrorKind::Closed => self.error_closed,
            ErrorKind::Protocol => self.error_protocol,
            ErrorKind::Status => self.error_status,
            ErrorKind::Resource => self.error_resource,
            ErrorKind::Network => self.error_network,
            ErrorKind::Tls => self.error_tls,
        }
    }

    /// The response time at one of [`Quantile::REPORTED`], and whether it is only a lower bound;
    /// `None` for another quantile or without data.
    pub fn percentile(&self, quantile: Quantile) -> Option<Percentile> {
        let columns = [self.p50_ms, self.p90_ms, self.p95_ms, self.p99_ms, self.p99_9_ms, self.p99_99_ms];
        let place = Quantile::REPORTED.iter().position(|reported| *reported == quantile)?;
        columns[place].map(|time| self.bounded(time))
    }

    /// The longest response time, and whether it is only a lower bound; `None` without data.
    pub fn max(&self) -> Option<Percentile> {
        self.max_ms.map(|time| self.bounded(time))
    }

    fn bounded(&self, time: Millis) -> Percentile {
        Percentile { ns: time.0, censored: self.censored_floor_ms.is_some_and(|floor| time >= floor) }
    }
}
