//! The runs that are to be merged, and whether they are the shards of one plan.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::budget::Budget;
use crate::cli::CliError;
use crate::cli::args::MergeArgs;
use crate::cli::exit::Exit;
use crate::clock::WallTime;
use crate::engine::Descriptors;
use crate::record::Shard;
use crate::results::{
    Demand, Manifest, MergedShard, RecordEnd, RunState, ShardFile, StartSkew, load_manifest, verify_file,
};
use crate::units::Span;

/// Shards named one by one; of more only the number is told.
const NAMED: usize = 12;
/// What makes shards begin at the same instant.
const TOGETHER: &str = "give all shards the same --start-at, and keep the clocks of their machines in step";

/// What the merged run must keep to.
pub(super) struct Demanded {
    pub(super) budgets: Vec<Budget>,
    /// Whether a broken promise of delivery fails it.
    pub(super) delivery: bool,
}

/// A run that is to be merged.
pub(super) struct Source {
    pub(super) path: PathBuf,
    pub(super) manifest: Manifest,
    pub(super) file: ShardFile,
    end: RecordEnd,
}

impl Source {
    fn open(path: &Path) -> Result<Self, String> {
        let shown = path.display();
        let manifest = load_manifest(path).map_err(|error| format!("{shown} is not a run: {error}"))?;
        if !manifest.merged.is_empty() {
            return Err(format!("{shown} was merged itself; name the runs that it was merged from"));
        }
        let Some(facts) = &manifest.shard else {
            return Err(format!(
                "{shown} is not a shard: it drove the whole plan; shards are made by squall run --shard K/N"
            ));
        };
        let file = ShardFile::open(path).map_err(|error| error.to_string())?;
        let (header, end) = (file.header(), ShardFile::end_of(path).map_err(|error| error.to_string())?);
        let ours = |manifest: &Manifest| {
            (&header.run_id, header.shard, &header.plan_digest)
                == (&manifest.run_id, facts.shard, &manifest.plan_digest)
        };
        if !ours(&manifest) {
            return Err(format!("{shown}: run.json and shard.ndjson are not of the same run"));
        }
        Ok(Self { path: path.to_owned(), manifest, file, end })
    }

    /// What all of it must keep to.
    pub(super) fn demanded(&self) -> Result<Demanded, CliError> {
        let facts = self.manifest.shard.as_ref();
        let budgets = facts.map(|facts| facts.budgets.as_slice()).unwrap_or_default();
        let budgets: Result<_, _> = budgets.iter().map(Demand::budget).collect();
        let place = self.path.join("run.json");
        let budgets = budgets
            .map_err(|error| CliError::usage(format!("{}: shard.budgets: {error}", place.display())))?;
        Ok(Demanded { budgets, delivery: facts.is_some_and(|facts| facts.demand_delivery) })
    }

    fn demands(&self) -> Option<(&[Demand], bool)> {
        self.manifest.shard.as_ref().map(|facts| (facts.budgets.as_slice(), facts.demand_delivery))
    }

    pub(super) fn shard(&self) -> Shard {
        self.file.header().shard
    }

    /// Its part in the merged run, the first shard having begun at `first_ns`.
    fn merged_part(&self, first_ns: u64) -> MergedShard {
        let (run, began_ns) = (&self.manifest, self.file.header().began_ns);
        MergedShard {
            run_id: run.run_id.clone(),
            shard: self.shard(),
            host: run.host.clone(),
            tool_version: run.tool_version.clone(),
            state: run.state,
            began: WallTime::from_epoch(Duration::from_nanos(began_ns)).to_string(),
            after_first_ms: began_ns.saturating_sub(first_ns) as f64 / 1e6,
            clock_moved_ms: run.clock.moved_ns.map(|ns| ns as f64 / 1e6),
            validity: run.validity.clone(),
        }
    }

    /// Why it is not all of its shard; `None` if it is.
    fn gap(&self) -> Option<&'static str> {
        match (self.manifest.state, self.end) {
            (RunState::Complete, RecordEnd::Whole) => None,
            (RunState::Complete, _) => Some("is complete, but its shard.ndjson was cut short"),
            (RunState::Interrupted, _) => Some("was interrupted"),
            (RunState::Aborted, _) => Some("was ended early by a budget"),
            (RunState::Failed, _) => Some("was ended by an error"),
            (RunState::Running, RecordEnd::Torn) => {
                Some("was killed in the middle of a line, or is still on")
            }
            (RunState::Running, _) => Some("was killed, or is still on"),
        }
    }
}

/// Opens the runs, in the order of their shards.
///
/// # Errors
/// One error that names everything that is not a shard.
pub(super) fn open(paths: &[PathBuf]) -> Result<Vec<Source>, CliError> {
    // Two files of each are open at a time.
    Descriptors::ensure(2 * paths.len() as u64 + Descriptors::OVERHEAD).map_err(|error| {
        CliError::failed(format!("{} shards are too many to be merged at once: {error}", paths.len()))
    })?;
    let (mut sources, mut faults) = (Vec::new(), Vec::new());
    for path in paths {
        match Source::open(path) {
            Ok(source) => sources.push(source),
            Err(error) => faults.push(error),
        }
    }
    sources.sort_by_key(|source| source.shard().number());
    if faults.is_empty() { Ok(sources) } else { Err(CliError::usage(faults.join("\n       "))) }
}

/// When the first shard began, Unix time in nanoseconds.
pub(super) fn earliest(sources: &[Source]) -> u64 {
    sources.iter().map(|source| source.file.header().began_ns).min().unwrap_or_default()
}

/// The parts of the shards in the merged run.
pub(super) fn merged_parts(sources: &[Source]) -> Vec<MergedShard> {
    let first_ns = earliest(sources);
    sources.iter().map(|source| source.merged_part(first_ns)).collect()
}

/// Refuses whole records, and events, that are not what their runs left.
pub(super) fn sealed(sources: &[Source]) -> Result<(), CliError> {
    let found = sources.iter().flat_map(|source| {
        let record = (source.end == RecordEnd::Whole).then_some("shard.ndjson");
        let files = record.into_iter().chain(["events.csv"]);
        files.filter_map(|name| verify_file(&source.path, &source.manifest.files, name, true).err())
    });
    let faults: Vec<_> = found.map(|error| error.to_string()).collect();
    if faults.is_empty() { Ok(()) } else { Err(CliError::failed(faults.join("\n       "))) }
}

/// Refuses runs that are not the shards of one plan, each once and whole, as far as that is not allowed.
pub(super) fn judge(sources: &[Source], args: &MergeArgs) -> Result<(), CliError> {
    let mut faults = foreign(sources);
    if faults.is_empty() {
        faults.extend(overlapping(sources));
        if !args.allow_missing {
            let sentence =
                missing(sources).map(|sentence| format!("{sentence}; --allow-missing merges the others"));
            faults.extend(sentence);
        }
        let gaps = sources.iter().filter_map(|source| {
            let (path, shard) = (source.path.display(), source.shard());
            let gap = source.gap()?;
            // What a complete run left is whole: nobody knows what else was done to it.
            let hope = if source.manifest.state == RunState::Complete {
                "restore it from a copy, or run the shard again"
            } else if args.allow_incomplete {
                return None;
            } else {
                "--allow-incomplete merges it as far as it got"
            };
            Some(format!("{path} (shard {shard}) {gap}; {hope}"))
        });
        faults.extend(gaps);
        faults.extend(args.max_skew.and_then(|most| scattered(&merged_parts(sources), most)));
    }
    if faults.is_empty() { Ok(()) } else { Err(CliError::new(Exit::Invalid, &faults.join("\n       "))) }
}

/// What differs from the first run that must not.
fn foreign(sources: &[Source]) -> Vec<String> {
    let Some((first, others)) = sources.split_first() else { return Vec::new() };
    let differences = others.iter().filter_map(|other| {
        let (one, another) = (&first.manifest, &other.manifest);
        let layouts = (&first.file.header().layout, &other.file.header().layout);
        let what = if one.seed != another.seed {
            format!("has seed {} instead of {}", another.seed, one.seed)
        } else if one.plan_digest != another.plan_digest {
            "drove another plan (the digests differ)".to_owned()
        } else if one.run_token != another.run_token {
            let shown =
                |run: &Manifest| run.run_token.map_or_else(|| "none".to_owned(), |token| token.to_string());
            format!("has the run token {} instead of {}", shown(another), shown(one))
        } else if first.shard().of() != other.shard().of() {
            format!("is one of {} shards instead of {}", other.shard().of(), first.shard().of())
        } else if one.schema != another.schema {
            format!("has schema {} instead of {}", another.schema, one.schema)
        } else if layouts.0.interval_ns != layouts.1.interval_ns {
            "has recording intervals of another length".to_owned()
        } else if first.demands() != other.demands() {
            "was given other budgets to keep to".to_owned()
        } else if layouts.0 != layouts.1 {
            "has other time-outs, budgets or promises".to_owned()
        } else {
            return None;
        };
        Some(format!("{} does not belong to {}: it {what}", other.path.display(), first.path.display()))
    });
    differences.collect()
}

fn overlapping(sources: &[Source]) -> Vec<String> {
    let mut by_shard: BTreeMap<u32, Vec<String>> = BTreeMap::new();
    for source in sources {
        by_shard.entry(source.shard().number()).or_default().push(source.path.display().to_string());
    }
    let twice = by_shard.iter().filter(|(_, paths)| paths.len() > 1);
    twice
        .map(|(number, paths)| format!("shard {number} is there more than once: {}", paths.join(", ")))
        .collect()
}

/// The shards that are not there; `None` if all are.
fn missing(sources: &[Source]) -> Option<String> {
    let of = sources.first()?.shard().of();
    let missing =
        || (1..=of).filter(|number| sources.iter().all(|source| source.shard().number() != *number));
    let number = missing().count();
    if number == 0 {
        return None;
    }
    let names: Vec<String> = missing().take(NAMED).map(|number| number.to_string()).collect();
    let more = if number > NAMED { format!(" and {} more", number - NAMED) } else { String::new() };
    let (noun, verb) = if number == 1 { ("shard", "is") } else { ("shards", "are") };
    Some(format!("{noun} {}{more} of {of} {verb} missing", names.join(", ")))
}

/// What is wrong with the shards seen together, one sentence each.
pub(super) fn together(sources: &[Source], merged: &[MergedShard]) -> Vec<String> {
    let mut reasons = Vec::new();
    reasons.extend(
        missing(sources)
            .map(|sentence| format!("{sentence}: the service had less to bear than the plan says")),
    );
    reasons.extend(sources.iter().filter_map(|source| {
        Some(format!(
            "shard {} {}: what it would still have sent is not there",
            source.shard().number(),
            source.gap()?
        ))
    }));
    let interval_ns = sources.first().map(|first| first.file.header().layout.interval_ns);
    reasons.extend(interval_ns.and_then(|interval_ns| apart(merged, interval_ns)));
    let versions: std::collections::BTreeSet<_> =
        sources.iter().map(|source| source.manifest.tool_version.as_str()).collect();
    if versions.len() > 1 {
        let versions: Vec<_> = versions.into_iter().collect();
        reasons.push(format!("the shards were run by different versions of squall: {}", versions.join(", ")));
    }
    reasons
}

/// Whether the shards began further apart than `most`.
fn scattered(shards: &[MergedShard], most: Span) -> Option<String> {
    let skew = StartSkew::of(shards).filter(|skew| skew.ns() > most.as_ns())?;
    Some(format!("{skew}, further than the {most} of --max-skew; {TOGETHER}, or allow more"))
}

/// Whether the shards began so far apart that they did not load the service together.
fn apart(shards: &[MergedShard], interval_ns: u64) -> Option<String> {
    let skew = StartSkew::of(shards).filter(|skew| skew.ns() > interval_ns)?;
    Some(format!("{skew}, more than an interval: they did not load the service as one; {TOGETHER}"))
}
