//! Writes `events.csv` as the run goes on: phases as they begin and end, what the plan does to fleets, faults as they are
//! switched, and what ended the run.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use super::observer::Observers;
use super::outside::OutsideAct;
use crate::clock::Tick;
use crate::record::{FaultInfo, Layout, Omission, PhaseRole, SwitchEvent};
use crate::results::EventTable;
use crate::scenario::FleetEvent;
use crate::units::figure::{instant, plural, time, times};

/// Something that a watcher of the run noted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Notice {
    /// When, on the clock of the run.
    pub(super) at: Tick,
    /// Its kind, as `events.csv` has it.
    pub(super) event: &'static str,
    /// What it is about.
    pub(super) name: String,
    pub(super) detail: String,
}

/// The events of a run. Phases are written once the run has passed them, so that a killed run holds none of the future.
#[derive(Debug)]
pub(crate) struct Journal {
    layout: Arc<Layout>,
    events: EventTable,
    /// What the plan still does to whole fleets, in the order of time.
    planned: VecDeque<FleetEvent>,
    /// How much of what the run leaves out of its plan has been written.
    altered: usize,
    /// Switched faults that are still to be written, in the order of time.
    switched: VecDeque<SwitchEvent>,
    /// What watchers of the run noted, likewise.
    noticed: VecDeque<Notice>,
    /// Phases whose beginning has been written, and whose end has.
    begun: usize,
    ended: usize,
}

impl Journal {
    pub(crate) fn new(layout: Arc<Layout>, planned: Vec<FleetEvent>, events: EventTable) -> Self {
        let (switched, noticed) = (VecDeque::new(), VecDeque::new());
        Self { layout, events, planned: planned.into(), altered: 0, switched, noticed, begun: 0, ended: 0 }
    }

    /// Writes what happened up to `now`, in the order of time.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(crate) fn advance(&mut self, now: Tick) -> io::Result<()> {
        loop {
            // At the same instant in this order: a fault that begins with a phase is in it.
            let next = [
                self.next_alteration().map(|omission| omission.skip.at),
                self.next_edge(),
                self.next_event().map(|event| event.at),
                self.switched.front().map(|switch| switch.at),
                self.noticed.front().map(|notice| notice.at),
            ];
            let due = |(kind, at): (usize, Option<Tick>)| at.filter(|at| *at <= now).map(|at| (at, kind));
            match next.into_iter().enumerate().filter_map(due).min() {
                Some((_, 0)) => self.write_alteration()?,
                Some((_, 1)) => self.write_edge()?,
                Some((_, 2)) => self.write_event()?,
                Some((_, 3)) => self.write_switch()?,
                Some(_) => self.write_notice()?,
                None => return Ok(()),
            }
        }
    }

    /// Takes in switched faults, in the order of time, to be written in their turn.
    pub(crate) fn switched(&mut self, switches: &[SwitchEvent]) {
        self.switched.extend(switches.iter().cloned());
    }

    /// Takes in what others told the service, to be written in its turn, and shows it.
    pub(crate) fn note_acts(&mut self, acts: Vec<OutsideAct>, observers: &Observers) {
        let notice = |OutsideAct { at, what }: OutsideAct| {
            observers.note(&format!("from outside: {what} at {}", instant(at.0)));
            Notice { at, event: "outside", name: String::new(), detail: format!("from outside: {what}") }
        };
        self.take_in(acts.into_iter().map(notice).collect());
    }

    /// Takes in what became of the sources of the target's own figures, likewise.
    pub(super) fn note_scrapes(&mut self, notices: Vec<Notice>, observers: &Observers) {
        for Notice { at, event, name, detail } in &notices {
            observers.note(&format!("{} {name} at {}: {detail}", event.replace('_', " "), instant(at.0)));
        }
        self.take_in(notices);
    }

    fn take_in(&mut self, notices: Vec<Notice>) {
        self.noticed.extend(notices);
        self.noticed.make_contiguous().sort_by_key(|notice| notice.at);
    }

    /// Writes what was switched or told after everything else.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        loop {
            match (self.switched.front(), self.noticed.front()) {
                (None, None) => return Ok(()),
                (Some(switch), Some(notice)) if switch.at > notice.at => self.write_notice()?,
                (None, Some(_)) => self.write_notice()?,
                (Some(_), _) => self.write_switch()?,
            }
        }
    }

    /// When the next phase begins or the present one ends.
    fn next_edge(&self) -> Option<Tick> {
        let phase = self.layout.phases.get(self.ended)?;
        Some(if self.begun == self.ended { self.layout.begins(phase) } else { self.layout.ends(phase) })
    }

    /// What of the plan is left out next.
    fn next_alteration(&self) -> Option<Omission> {
        self.layout.omissions().nth(self.altered)
    }

    /// What happens to a whole fleet next, when the run comes to it. Who is to come or go in a part of the plan that is left out
    /// does so at once; a cut in it never happens.
    fn next_event(&mut self) -> Option<FleetEvent> {
        let course = &self.layout.course;
        let placed = |event: &FleetEvent| match event.what {
            "cut" => course.shortened((event.at, event.until)),
            _ => Some((course.moved(event.at), course.moved(event.until))),
        };
        while let Some(event) = self.planned.front() {
            if let Some((at, until)) = placed(event) {
                return Some(FleetEvent { at, until, ..event.clone() });
            }
            self.planned.pop_front();
        }
        None
    }

    fn write_alteration(&mut self) -> io::Result<()> {
        let Some(Omission { phase, skip, faults }) = self.next_alteration() else { return Ok(()) };
        self.altered += 1;
        let never = if faults.is_empty() {
            String::new()
        } else {
            let names: Vec<_> = faults.iter().map(|fault| self.layout.fault(*fault).name.as_str()).collect();
            format!("; faults left out: {}", names.join(", "))
        };
        let detail = format!("ended by hand, {} early{never}", time(skip.length_ns));
        self.events.append(skip.at, "plan_altered", &self.layout.phase(phase).name, &detail)
    }

    fn write_edge(&mut self) -> io::Result<()> {
        let Some(phase) = self.layout.phases.get(self.ended) else { return Ok(()) };
        if self.begun == self.ended {
            self.begun += 1;
            self.events.append(self.layout.begins(phase), "phase_start", &phase.name, role(phase.role))
        } else {
            self.ended += 1;
            self.events.append(self.layout.ends(phase), "phase_end", &phase.name, "")
        }
    }

    fn write_event(&mut self) -> io::Result<()> {
        let Some(event) = self.next_event() else { return Ok(()) };
        self.planned.pop_front();
        let devices = plural(event.devices.into(), "device");
        let detail = format!("{devices} until {}", instant(event.until.0));
        self.events.append(event.at, &format!("fleet_{}", event.what), &event.fleet, &detail)
    }

    fn write_switch(&mut self) -> io::Result<()> {
        let Some(switch) = self.switched.pop_front() else { return Ok(()) };
        let Some(info) = self.layout.faults.get(usize::from(switch.fault.0)) else { return Ok(()) };
        let event = if switch.on { "fault_on" } else { "fault_off" };
        let planned = switch
            .planned
            .map_or_else(|| "by hand: squall fault".to_owned(), |at| format!("planned {}", instant(at.0)));
        let counted = !switch.on && info.counted;
        let acted = if counted { format!(", acted {}", times(switch.acted)) } else { String::new() };
        let devices = match switch.devices {
            0 => String::new(),
            devices => format!(", {}", plural(devices.into(), "device")),
        };
        let remark = switch.remark.as_ref().map_or_else(String::new, |remark| format!(": {remark}"));
        let FaultInfo { layer, kind, .. } = info;
        let detail = format!("{planned}, {layer} {kind}{devices}{acted}{remark}");
        self.events.append(switch.at, event, &info.name, &detail)
    }

    fn write_notice(&mut self) -> io::Result<()> {
        let Some(Notice { at, event, name, detail }) = self.noticed.pop_front() else { return Ok(()) };
        self.events.append(at, event, &name, &detail)
    }

    /// Writes one more event.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(crate) fn note(&mut self, at: Tick, event: &str, detail: &str) -> io::Result<()> {
        self.event(at, event, "", detail)
    }

    /// Writes one more event that is about `name`.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(crate) fn event(&mut self, at: Tick, event: &str, name: &str, detail: &str) -> io::Result<()> {
        self.advance(at)?;
        self.events.append(at, event, name, detail)
    }
}

const fn role(role: PhaseRole) -> &'static str {
    match role {
        PhaseRole::Connect => "connect",
        PhaseRole::WarmUp => "warm-up",
        PhaseRole::Measured => "measured",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Course, Skip, WallTime};
    use crate::record::{FaultId, PhaseInfo};
    use crate::results::RunDirectory;

    const fn second(s: u64) -> Tick {
        Tick(s * 1_000_000_000)
    }

    /// A fault that is on between these seconds.
    fn slow(from: u64, until: u64) -> FaultInfo {
        FaultInfo {
            fleets: Vec::new(),
            cuts: false,
            counted: true,
            name: "slow".into(),
            layer: "network".into(),
            kind: "latency".into(),
            devices: 30,
            activations: vec![(second(from), second(until))],
        }
    }

    #[test]
    fn switched_faults_stand_among_the_other_events_in_the_order_of_time() {
        let out = tempfile::tempdir().unwrap();
        let directory = RunDirectory::create(out.path(), "s", "", WallTime::now()).unwrap();
        let phase = |name: &str, role, from, to| PhaseInfo { name: name.into(), role, start: from, end: to };
        let layout = Layout {
            phases: vec![
                phase("warm-up", PhaseRole::WarmUp, second(0), second(10)),
                phase("steady", PhaseRole::Measured, second(10), second(30)),
            ],
            fleets: Vec::new(),
            interval_ns: 1_000_000_000,
            faults: vec![slow(10, 20)],
            course: Course::default(),
        };
        let switch = |on, planned: Option<u64>, at: u64| SwitchEvent {
            fault: FaultId(0),
            occurrence: 0,
            on,
            planned: planned.map(second),
            at: second(at).plus_ns(1_000_000),
            devices: 30,
            acted: 12,
            remark: (!on).then(|| "said \"no\"".to_owned()),
        };
        let mut journal = Journal::new(Arc::new(layout), Vec::new(), directory.start_events().unwrap());
        journal.advance(second(10)).unwrap();
        journal.switched(&[switch(true, Some(10), 10)]);
        journal.advance(second(11)).unwrap();
        journal.switched(&[switch(false, None, 31)]);
        journal.note(second(30), "end", "drained").unwrap();
        journal.finish().unwrap();
        let text = std::fs::read_to_string(directory.path().join("events.csv")).unwrap();
        let rows: Vec<_> = text.lines().skip(1).collect();
        assert_eq!(
            rows,
            [
                "0.000,phase_start,warm-up,warm-up",
                "10.000,phase_end,warm-up,",
                "10.000,phase_start,steady,measured",
                "10.001,fault_on,slow,\"planned 10.0 s, network latency, 30 devices\"",
                "30.000,phase_end,steady,",
                "30.000,end,,drained",
                "31.001,fault_off,slow,\"by hand: squall fault, network latency, 30 devices, acted 12 times: said \"\"no\"\"\"",
            ]
        );
    }

    #[test]
    fn what_is_left_out_of_the_plan_is_told_and_what_follows_comes_earlier() {
        let out = tempfile::tempdir().unwrap();
        let directory = RunDirectory::create(out.path(), "s", "", WallTime::now()).unwrap();
        let phase = |name: &str, from, to| PhaseInfo {
            name: name.into(),
            role: PhaseRole::Measured,
            start: second(from),
            end: second(to),
        };
        let layout = Layout {
            phases: vec![phase("calm", 0, 10), phase("storm", 10, 30), phase("after", 30, 40)],
            fleets: Vec::new(),
            interval_ns: 1_000_000_000,
            faults: vec![slow(20, 25)],
            course: Course::default(),
        };
        let event = |at, until, what| FleetEvent {
            at: second(at),
            until: second(until),
            what,
            fleet: "meters".into(),
            devices: 3,
        };
        let planned =
            vec![event(12, 14, "join"), event(21, 28, "cut"), event(22, 24, "leave"), event(33, 34, "cut")];
        let course = layout.course.clone();
        let mut journal = Journal::new(Arc::new(layout), planned, directory.start_events().unwrap());
        journal.advance(second(12)).unwrap();
        course.leave_out(Skip { at: second(13), length_ns: second(17).0 });
        journal.advance(second(40)).unwrap();
        let text = std::fs::read_to_string(directory.path().join("events.csv")).unwrap();
        let rows: Vec<_> = text.lines().skip(1).collect();
        assert_eq!(
            rows,
            [
                "0.000,phase_start,calm,measured",
                "10.000,phase_end,calm,",
                "10.000,phase_start,storm,measured",
                "12.000,fleet_join,meters,3 devices until 14.0 s",
                "13.000,plan_altered,storm,\"ended by hand, 17.0 s early; faults left out: slow\"",
                "13.000,phase_end,storm,",
                "13.000,phase_start,after,measured",
                "13.000,fleet_leave,meters,3 devices until 13.0 s",
                "16.000,fleet_cut,meters,3 devices until 17.0 s",
                "23.000,phase_end,after,",
            ]
        );
    }
}
