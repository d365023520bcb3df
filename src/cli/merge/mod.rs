//! `squall merge`: adds the shards of one plan up to one run.

mod source;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use self::source::{Demanded, Source};
use super::args::{MergeArgs, ReportScreenArgs};
use super::exit::Exit;
use super::{CliError, report, settle, unanswered};
use crate::clock::WallTime;
use crate::record::{Cause, Encounters, Judgement, RunToken, Shard, Validity};
use crate::results::{
    self, ClockFacts, EventError, FleetEncounters, FleetTarget, Manifest, MergeError, MergedShard,
    RunDirectory, RunState, ShardFile, Silence, SummaryRow, Totals, merge_events,
};
use crate::run::Conclusion;
use crate::units::plural;

/// Reasons told of all shards together.
const REASONS: usize = 20;

/// Merges the runs and reports.
pub(super) fn merge(args: &MergeArgs) -> Result<Exit, CliError> {
    let sources = source::open(&args.runs)?;
    source::judge(&sources, args)?;
    source::sealed(&sources)?;
    let Some(first) = sources.first() else { return Err(CliError::usage("no run is given")) };
    let demanded = first.demanded()?;
    let began = WallTime::from_epoch(Duration::from_nanos(source::earliest(&sources)));
    let label = args.label.clone().unwrap_or_else(|| first.manifest.label.clone());
    let name = if label.is_empty() { "merged".to_owned() } else { format!("{label}-merged") };
    let unwritable = |error: &io::Error, place: &dyn std::fmt::Display| {
        CliError::failed(format!("cannot write under {place}: {error}; choose another place with --out DIR"))
    };
    let directory = RunDirectory::create(&args.out, &first.manifest.scenario.name, &name, began)
        .map_err(|error| unwritable(&error, &args.out.display()))?;
    let shown = directory.path().display().to_string();
    let mut manifest = manifest(first, &sources, label, directory.run_id(), began);
    directory.write_manifest(&manifest).map_err(|error| unwritable(&error, &shown))?;
    let merged = add_up(sources, &directory, began, manifest.run_token);
    let totals = match merged {
        Ok(totals) => totals,
        Err(error) => {
            manifest.state = RunState::Failed;
            manifest.exit_code = Some(Exit::Failed.code());
            // If this fails too, the manifest still says that the merge is under way.
            let _ = directory.write_manifest(&manifest);
            return Err(match error {
                MergeError::Io(error) | MergeError::Event(EventError::Write(error)) => {
                    unwritable(&error, &shown)
                }
                error => CliError::failed(error),
            });
        }
    };
    let rows = totals.rows();
    let exit = conclude(&mut manifest, &totals, &rows, &demanded);
    directory
        .write_replaced(&totals)
        .and_then(|()| directory.write_summary(&rows))
        .and_then(|()| directory.seal(&mut manifest))
        .map_err(|error| unwritable(&error, &shown))?;
    let printed = print(&directory, args.screen);
    let why = printed.as_ref().map(unanswered).unwrap_or_default();
    match settle(exit, printed.map(drop)) {
        Ok(Exit::Failed) => Err(CliError::failed(why)),
        settled => settled,
    }
}

/// Writes the files of the merged run but for its summary and manifest.
fn add_up(
    sources: Vec<Source>,
    directory: &RunDirectory,
    began: WallTime,
    token: Option<RunToken>,
) -> Result<Totals, MergeError> {
    let places: Vec<(Shard, PathBuf)> =
        sources.iter().map(|source| (source.shard(), source.path.clone())).collect();
    let mut events = directory.start_events()?;
    merge_events(&places, &mut events)?;
    let mut shards: Vec<ShardFile> = sources.into_iter().map(|source| source.file).collect();
    let Some(first) = shards.first() else { return Err(MergeError::Foreign) };
    let mut files = directory.start_files(&first.header().layout, began)?;
    results::merge(&mut shards, token, &mut files, |_| {})
}

/// What the fleets of all shards met of other runs.
fn encounters(sources: &[Source]) -> Vec<FleetEncounters> {
    let mut sums: BTreeMap<&str, Encounters> = BTreeMap::new();
    for FleetEncounters { fleet, met } in sources.iter().flat_map(|source| &source.manifest.encounters) {
        sums.entry(fleet).or_default().add(*met);
    }
    sums.into_iter().map(|(fleet, met)| FleetEncounters { fleet: fleet.to_owned(), met }).collect()
}

/// What is known of the merged run before it is.
fn manifest(first: &Source, sources: &[Source], label: String, run_id: &str, began: WallTime) -> Manifest {
    let manifests = || sources.iter().map(|source| &source.manifest);
    let merged = source::merged_parts(sources);
    let mut source_ips: Vec<String> = manifests().flat_map(|run| run.source_ips.clone()).collect();
    source_ips.sort_unstable();
    source_ips.dedup();
    let mut whole = first.manifest.clone();
    whole.label = label;
    run_id.clone_into(&mut whole.run_id);
    whole.state = RunState::Running;
    env!("CARGO_PKG_VERSION").clone_into(&mut whole.tool_version);
    whole.started = began.to_string();
    whole.ended = manifests().filter_map(|run| run.ended.clone()).max();
    let resolution_ns = manifests().map(|run| run.clock.resolution_ns).max().unwrap_or_default();
    // Each shard under `merged` says it of its own.
    whole.clock = ClockFacts { resolution_ns, moved_ns: None };
    whole.workers = manifests().map(|run| run.workers).sum();
    whole.targets = targets(sources);
    whole.fleets = fleets(sources);
    whole.source_ips = source_ips;
    whole.worker_use = manifests().flat_map(|run| run.worker_use.clone()).collect();
    whole
        .silences
        .retain(|own| manifests().all(|run| run.silences.iter().any(|other| other.fleet == own.fleet)));
    whole.faults_by_hand = manifests().map(|run| run.faults_by_hand).sum();
    whole.start_at = whole.start_at.filter(|start| {
        manifests().all(|run| run.start_at.as_ref().is_some_and(|other| other.at == start.at))
    });
    if let Some(start) = &mut whole.start_at {
        let late = manifests().filter_map(|run| run.start_at.as_ref()?.late_ms);
        start.late_ms = late.reduce(f64::max);
    }
    (whole.pacing_lag, whole.calibration, whole.shard, whole.exit_code) = (None, None, None, None);
    whole.budgets = Vec::new();
    whole.encounters = encounters(sources);
    whole.validity = Some(validity(sources, &merged));
    whole.merged = merged;
    whole
}

/// What every fleet sent, and where; different places of different shards stand side by side.
fn fleets(sources: &[Source]) -> Vec<FleetTarget> {
    let mut fleets: Vec<FleetTarget> = Vec::new();
    for own in sources.iter().flat_map(|source| &source.manifest.fleets) {
        match fleets.iter_mut().find(|fleet| fleet.name == own.name) {
            Some(fleet) if fleet.target.split(' ').any(|known| known == own.target) => {}
            Some(fleet) => {
                let _ = write!(fleet.target, " {}", own.target);
            }
            None => fleets.push(own.clone()),
        }
    }
    fleets
}

/// The targets of all shards, by protocol; different addresses stand side by side.
fn targets(sources: &[Source]) -> BTreeMap<String, String> {
    let mut targets: BTreeMap<String, String> = BTreeMap::new();
    for (protocol, url) in sources.iter().flat_map(|source| &source.manifest.targets) {
        let all = targets.entry(protocol.clone()).or_default();
        if !all.split(' ').any(|known| known == url) {
            let gap = if all.is_empty() { "" } else { " " };
            let _ = write!(all, "{gap}{url}");
        }
    }
    targets
}

/// The worst of the shards, and what only shows when they are seen together.
fn validity(sources: &[Source], merged: &[MergedShard]) -> Validity {
    let mut whole = Validity::new();
    for reason in source::together(sources, merged) {
        whole.add(Judgement::Suspect, Cause::Shard, reason);
    }
    for part in merged {
        let (number, host) = (part.shard.number(), &part.host.name);
        let Some(validity) = &part.validity else {
            let reason = format!("shard {number} on {host} was cut off before it could judge itself");
            whole.add(Judgement::Suspect, Cause::Shard, reason);
            continue;
        };
        whole.verdict = whole.verdict.max(validity.verdict);
        for (reason, cause) in validity.causes() {
            whole.add(validity.verdict, cause, format!("shard {number} on {host}: {reason}"));
        }
    }
    let omitted = whole.reasons.len().saturating_sub(REASONS);
    whole.reasons.truncate(REASONS);
    whole.causes.truncate(REASONS);
    if omitted > 0 {
        let more =
            format!("and {}, which the shards' own reports name", plural(omitted as u64, "more reason"));
        whole.add(whole.verdict, Cause::Shard, more);
    }
    Validity { covers: covers(merged), ..whole }
}

/// The percentiles that hold in every shard; `None` if one of them does not say.
fn covers(merged: &[MergedShard]) -> Option<Vec<String>> {
    let all: Option<Vec<_>> = merged.iter().map(|part| part.validity.as_ref()?.covers.as_ref()).collect();
    let all = all?;
    let (first, others) = all.split_first()?;
    Some(first.iter().filter(|name| others.iter().all(|other| other.contains(name))).cloned().collect())
}

/// Completes the manifest, and says how the process exits.
fn conclude(manifest: &mut Manifest, totals: &Totals, rows: &[SummaryRow], demanded: &Demanded) -> Exit {
    let readings = totals.readings(None);
    manifest.pacing_lag = readings.pacing_lag();
    manifest.anomaly_rows_omitted = totals.anomaly_rows_omitted;
    manifest.fault_spells_omitted = totals.fault_spells_omitted;
    manifest.switches_omitted = totals.switches_omitted;
    manifest.delivery = totals.deliveries();
    manifest.failures = totals.reasons();
    // Each shard has counted its own readings.
    for unanswered in Silence::unanswered(rows) {
        let same = manifest.silences.iter_mut().find(|own| own.fleet == unanswered.fleet);
        if let Some(own) = same {
            *own = unanswered;
        }
    }
    let whole = manifest.merged.iter().all(|part| part.state == RunState::Complete);
    manifest.state = if whole { RunState::Complete } else { RunState::Interrupted };
    manifest.budgets = results::judge(totals, &demanded.budgets, None);
    if !whole {
        results::cut_short(&mut manifest.budgets);
    }
    let broken = demanded.delivery && !totals.unkept_promises().is_empty();
    let failed = broken || manifest.budgets.iter().any(|budget| !budget.met);
    if let Some(validity) = &mut manifest.validity {
        results::confine(validity, &mut manifest.budgets);
    }
    let verdict = manifest.validity.as_ref().map_or(Judgement::Valid, |validity| validity.verdict);
    // The merge itself was not interrupted, and shards that were are here only because that was allowed.
    let reproached = (failed, !manifest.silences.is_empty());
    let exit = Exit::from(Conclusion::of_run(RunState::Complete, verdict, readings.ok(), reproached));
    manifest.exit_code = Some(exit.code());
    exit
}

fn print(directory: &RunDirectory, screen: ReportScreenArgs) -> Result<results::Report, CliError> {
    let report = results::Report::load(directory.path()).map_err(CliError::failed)?;
    report::print(&report, &results::LazyHistory::of(directory.path()), screen)?;
    Ok(report)
}
