//! Orders to a run under way: its faults and the end of its phase through its control socket, its end by the signal that Ctrl-C
//! would send.

use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getppid};

use crate::cli::call::{Call, is_same, present};
use crate::run::control::protocol::{FaultState, Reply, Request as Asked};
use crate::tui::Switch;

/// How long a switch may take; what takes longer is told by the run.
const SWITCHING: Duration = Duration::from_secs(12);

/// Who takes orders for a run.
#[derive(Debug, Clone)]
pub(super) struct Orders {
    directory: PathBuf,
    process: u32,
    /// The screen belongs to the run.
    pub(super) owns: bool,
    /// Its faults when they were last looked at.
    pub(super) switches: Vec<Switch>,
}

impl Orders {
    /// Those of a run that answers.
    pub(super) fn of(call: &Call) -> Self {
        let directory = PathBuf::from(&call.run.directory);
        let switches = switches(&call.faults);
        Self { directory, process: call.run.pid, owns: false, switches }
    }

    /// Those of the run in `directory` that `process` drives, whose screen this is.
    pub(super) fn own(directory: &Path, process: u32) -> Self {
        Self { directory: directory.to_owned(), process, owns: true, switches: Vec::new() }
    }

    fn call(&self) -> Option<Call> {
        present().into_iter().find(|call| is_same(&call.run.directory, &self.directory))
    }

    /// Looks anew which faults are on.
    pub(super) fn look(&mut self) {
        if let Some(call) = self.call() {
            self.switches = switches(&call.faults);
        }
    }

    /// Its faults as they are now; none once it takes no orders any more.
    pub(super) fn present(&self) -> Vec<Switch> {
        self.call().map(|call| switches(&call.faults)).unwrap_or_default()
    }

    /// Asks the run to switch something, or to end its phase; gives what became of it, in words.
    pub(super) fn ask(&self, request: &Asked) -> String {
        let Some(mut call) = self.call() else { return "the run takes no orders any more".to_owned() };
        match call.ask(request, SWITCHING) {
            Ok(reply) => told(&reply),
            Err(error) => format!("the run does not answer: {error}"),
        }
    }

    /// Interrupts the run: the first time it ends in an orderly way, the second time at once.
    pub(super) fn interrupt(&self) -> String {
        let Some(process) = i32::try_from(self.process).ok().filter(|process| *process > 1) else {
            return "the run's process is not known".to_owned();
        };
        // A process that has ended may have left its number to a stranger.
        let is_there = if self.owns {
            getppid().as_raw() == process
        } else {
            self.call().is_some_and(|call| call.run.pid == self.process)
        };
        if !is_there {
            return "the run takes no orders any more".to_owned();
        }
        match kill(Pid::from_raw(process), Signal::SIGINT) {
            Ok(()) => "ending the run: what is open is settled; Ctrl-C again ends it at once".to_owned(),
            Err(error) => format!("cannot end the run: {error}"),
        }
    }
}

fn switches(faults: &[FaultState]) -> Vec<Switch> {
    let of = |fault: &FaultState| Switch {
        name: fault.name.clone(),
        kind: format!("{} {}", fault.layer, fault.kind),
        on: fault.on,
    };
    faults.iter().map(of).collect()
}

/// What a run replied, in a line.
fn told(reply: &Reply) -> String {
    if let Some(error) = &reply.error {
        return error.clone();
    }
    if let Some(phase) = &reply.phase {
        return phase.sentence();
    }
    if reply.switched.is_empty() {
        return "no fault was on".to_owned();
    }
    let one = |one: &crate::run::control::protocol::SwitchResult| {
        let on = if one.on { "on" } else { "off" };
        let remark = one.remark.as_deref().map(|remark| format!(" ({remark})")).unwrap_or_default();
        match one.well {
            Some(true) => format!("{} is {on}{remark}", one.fault),
            Some(false) => format!("{} could not be switched {on}{remark}", one.fault),
            None => format!("{} is being switched {on}{remark}", one.fault),
        }
    };
    reply.switched.iter().map(one).collect::<Vec<_>>().join(", ")
}
