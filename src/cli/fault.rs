//! `squall fault`: lists, starts and stops faults in a running test.

use std::path::Path;
use std::time::Duration;

use clap::Subcommand;

use super::CliError;
use super::call::{Call, WhichRun, choose, lost, present};
use super::exit::Exit;
use super::screen;
use crate::run::control::protocol::{FaultState, Reply, Request, RunInfo, SwitchResult};
use crate::units::Span;

/// What it means that no run has faults.
const NONE: &str = "no running test has faults to switch: its scenario needs a [[fault]], it must be started by the same user on \
                    this machine, and with the same XDG_RUNTIME_DIR";

/// How long a run may take to switch.
const SWITCHING: Duration = Duration::from_secs(30);

#[derive(Debug, clap::Args)]
#[command(after_help = Exit::help(Exit::OF_TOOLS))]
pub(super) struct FaultArgs {
    #[command(subcommand)]
    pub(super) command: FaultCommand,
}

#[derive(Debug, Subcommand)]
pub(super) enum FaultCommand {
    /// List every fault: layer, kind, whether it is on, since when, by whom, and its next planned start
    List(FaultListArgs),
    /// Start a fault, until it is stopped, the plan starts it, or the run ends
    Start {
        /// The fault's name in the scenario
        name: String,

        /// Stop it again after this time, such as 10s
        #[arg(long = "for", value_name = "SPAN")]
        length: Option<Span>,

        #[command(flatten)]
        run: WhichRun,
    },
    /// Stop a fault, also one that the plan started; later planned activations still happen
    Stop {
        /// The fault's name in the scenario
        name: String,

        #[command(flatten)]
        run: WhichRun,
    },
    /// Stop all faults that are on
    StopAll {
        #[command(flatten)]
        run: WhichRun,
    },
}

#[derive(Debug, clap::Args)]
pub(super) struct FaultListArgs {
    /// Print JSON instead of a table
    #[arg(long)]
    pub(super) json: bool,

    #[command(flatten)]
    pub(super) run: WhichRun,
}

impl FaultCommand {
    /// The run, where one is named.
    pub(super) fn run(&self) -> Option<&str> {
        let which = match self {
            Self::List(list) => &list.run,
            Self::Start { run, .. } | Self::Stop { run, .. } | Self::StopAll { run } => run,
        };
        which.run.as_deref()
    }
}

/// Lists or switches faults.
pub(super) fn fault(args: &FaultArgs) -> Result<Exit, CliError> {
    let (request, json) = match &args.command {
        FaultCommand::List(list) => (Request::List, list.json),
        FaultCommand::Start { name, length, .. } => {
            let for_ns = length.map(Span::as_ns);
            (Request::Start { fault: name.clone(), for_ns }, false)
        }
        FaultCommand::Stop { name, .. } => (Request::Stop { fault: name.clone() }, false),
        FaultCommand::StopAll { .. } => (Request::StopAll, false),
    };
    let switchable = present().into_iter().filter(Call::has_faults).collect();
    let mut call = choose(switchable, args.command.run(), Path::new("."), NONE)?;
    let reply = call.ask(&request, SWITCHING).map_err(|error| lost(&call.run, &error))?;
    if let Some(error) = reply.error {
        return Err(CliError::usage(error));
    }
    if request != Request::List {
        return tell(&reply.switched);
    }
    let text = if json { screen::json(&reply)? } else { table(&reply) };
    say(&text)?;
    Ok(Exit::Fine)
}

/// Prints what was switched, and fails if a switch failed.
fn tell(switched: &[SwitchResult]) -> Result<Exit, CliError> {
    if switched.is_empty() {
        say("no fault was on")?;
    }
    let mut failed = Vec::new();
    for one in switched {
        let on = if one.on { "on" } else { "off" };
        let remark = one.remark.as_deref().map(|remark| format!(" ({remark})")).unwrap_or_default();
        match one.well {
            Some(true) => say(&format!("{} is {on}{remark}", one.fault))?,
            Some(false) => failed.push(format!("switching {} {on}{remark}", one.fault)),
            None => say(&format!("{} is being switched {on}{remark}", one.fault))?,
        }
    }
    if failed.is_empty() {
        Ok(Exit::Fine)
    } else {
        Err(CliError::failed(format!("failed: {}", failed.join(", "))))
    }
}

fn table(reply: &Reply) -> String {
    let head = ["fault", "layer", "kind", "state", "since", "until", "by", "next"].map(str::to_owned);
    let rows: Vec<[String; 8]> = std::iter::once(head).chain(reply.faults.iter().map(row)).collect();
    let width =
        |column: usize| rows.iter().filter_map(|row| row.get(column)).map(String::len).max().unwrap_or(0);
    let RunInfo { id, scenario, at_s, .. } = &reply.run;
    let mut lines = vec![format!("{id}: {scenario}, {at_s:.1} s into the run")];
    for row in &rows {
        let cells = row.iter().enumerate().map(|(column, cell)| format!("{cell:<0$}", width(column)));
        lines.push(cells.collect::<Vec<_>>().join("  ").trim_end().to_owned());
    }
    lines.join("\n")
}

fn row(state: &FaultState) -> [String; 8] {
    let at = |at_s: Option<f64>| at_s.map_or_else(|| "-".to_owned(), |at_s| format!("{at_s:.1}s"));
    let next = match (state.next_start_s, state.next_end_s) {
        (Some(from), Some(until)) if from < until => format!("{from:.1}s to {until:.1}s"),
        (from, _) => at(from),
    };
    let by = match (state.on, state.by_hand) {
        (false, _) => "-",
        (true, true) => "hand",
        (true, false) => "plan",
    };
    [
        state.name.clone(),
        state.layer.clone(),
        state.kind.clone(),
        if state.on { "on" } else { "off" }.to_owned(),
        at(state.since_s),
        at(state.until_s),
        by.to_owned(),
        next,
    ]
}

fn say(text: &str) -> Result<(), CliError> {
    screen::print(&format!("{text}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_says_what_is_on_since_when_and_what_comes() {
        let state = |name: &str, on: bool| FaultState {
            name: name.into(),
            layer: "service".into(),
            kind: "stall".into(),
            on,
            occurrence: on.then_some(0),
            since_s: on.then_some(3.25),
            until_s: None,
            by_hand: on,
            next_start_s: Some(20.0),
            next_end_s: Some(22.5),
            planned_spells: 1,
            spells_by_hand: 0,
        };
        let run = RunInfo {
            id: "r".into(),
            directory: "/d".into(),
            started_in: "/d".into(),
            scenario: "s".into(),
            pid: 7,
            at_s: 1.0,
        };
        let faults = vec![state("freeze", true), state("b", false)];
        let reply = Reply { error: None, run, switched: Vec::new(), faults, phase: None };
        assert_eq!(
            table(&reply),
            "r: s, 1.0 s into the run\n\
             fault   layer    kind   state  since  until  by    next\n\
             freeze  service  stall  on     3.2s   -      hand  20.0s to 22.5s\n\
             b       service  stall  off    -      -      -     20.0s to 22.5s"
        );
    }
}
