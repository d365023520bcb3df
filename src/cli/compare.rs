//! `squall compare`: stored runs against each other, a stored comparison judged again, and the rules put to the test.

use std::io;
use std::path::{Path, PathBuf};

use super::CliError;
use super::ab::args::JudgeArgs;
use super::ab::record::{self, Record, evidence, refused};
use super::ab::{exit, print};
use super::exit::Exit;
use super::export::{ExportArgs, Subject, comparison_outputs};
use super::screen;
use crate::compare::{self, Comparison, Evidence, Pair, Settings};
use crate::display;
use crate::page::comparison::{Origin, Trial};
use crate::seed::Seed;
use crate::units::plural;

/// Width of the table where the terminal does not say.
const WIDTH: usize = 110;
/// How deep runs are looked for in a folder: the scenario's own folder lies between.
const DEPTH: u32 = 2;
/// Runs that are taken from one folder.
const MOST_RUNS: usize = 10_000;

#[derive(Debug, clap::Args)]
#[command(after_help = Exit::help(Exit::OF_COMPARE))]
pub(super) struct CompareArgs {
    /// Runs of the base build: directories of runs, or folders of such; or one directory of `squall ab`
    #[arg(required_unless_present = "self_test", value_name = "BASE")]
    base: Vec<PathBuf>,

    /// Runs of the candidate build, after `--`; with one of each, the `--` may be left out
    #[arg(last = true, value_name = "CANDIDATE")]
    candidate: Vec<PathBuf>,

    /// Take the runs as pairs, in the given order: each was made right before or after its counterpart
    #[arg(long)]
    paired: bool,

    /// Let the decision set the exit code although the runs are not paired
    #[arg(long, conflicts_with = "paired")]
    gate_unpaired: bool,

    /// Seed of the permutations where there are too many to try all [default: 1]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,

    #[command(flatten)]
    judge: JudgeArgs,

    #[command(flatten)]
    outputs: ExportArgs,

    /// Try the rules on simulated builds: how often they raise a false alarm, and how often they miss a
    /// change
    #[arg(long, conflicts_with_all = ["base", "candidate", "paired", "gate_unpaired"])]
    self_test: bool,

    /// Comparisons simulated for every row of the self-test
    #[arg(long, value_name = "N", default_value_t = 5_000, requires = "self_test", conflicts_with_all = ["base", "candidate"], value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    trials: u32,
}

/// Compares stored runs.
pub(super) fn compare(args: &CompareArgs) -> Result<Exit, CliError> {
    if args.self_test {
        return self_test(args);
    }
    args.outputs.prepare(Subject::Comparison)?;
    let (comparison, origin) = compared(args)?;
    print(&comparison, None, &args.judge)?;
    comparison_outputs(&args.outputs, (&comparison, &origin), args.judge.json)?;
    exit(&comparison, &args.judge)
}

fn compared(args: &CompareArgs) -> Result<(Comparison, Origin), CliError> {
    let (base, candidate): (&[PathBuf], &[PathBuf]) = match (args.base.as_slice(), args.candidate.as_slice())
    {
        ([folder], []) if folder.join(record::FILE).is_file() => return again(folder, args),
        ([base, candidate], []) => (std::slice::from_ref(base), std::slice::from_ref(candidate)),
        (_, []) => {
            return Err(CliError::usage(
                "there is nothing to compare with: write `squall compare BASE… -- CANDIDATE…`, or give one directory of `squall ab`",
            ));
        }
        sides => sides,
    };
    let settings = args.judge.settings(&[], Seed(args.seed.unwrap_or(1)))?;
    let places = [runs(base)?, runs(candidate)?];
    let origin = Origin { trials: trials(&places, args.paired), ..Origin::default() };
    let read = |places: &[PathBuf]| places.iter().map(|run| evidence(run)).collect::<Result<Vec<_>, _>>();
    let (base, candidate) = (read(&places[0])?, read(&places[1])?);
    if args.paired {
        return Ok((paired(base, candidate, &settings)?, origin));
    }
    let mut comparison = compare::unpaired(&base, &candidate, &settings).map_err(refused)?;
    comparison.gates = args.gate_unpaired && base.len() + candidate.len() > 2;
    Ok((comparison, origin))
}

/// Runs of base and candidate as they belong together.
fn trials([base, candidate]: &[Vec<PathBuf>; 2], paired: bool) -> Vec<Trial> {
    let trial = |index: usize, runs| Trial { number: index as u32 + 1, runs, ..Trial::default() };
    if paired {
        let pairs = base.iter().zip(candidate).enumerate();
        return pairs.map(|(index, (a, b))| trial(index, [Some(a.clone()), Some(b.clone())])).collect();
    }
    let bases = base.iter().enumerate().map(|(index, run)| trial(index, [Some(run.clone()), None]));
    let candidates = candidate.iter().enumerate().map(|(index, run)| trial(index, [None, Some(run.clone())]));
    bases.chain(candidates).collect()
}

fn paired(
    base: Vec<Evidence>,
    candidate: Vec<Evidence>,
    settings: &Settings,
) -> Result<Comparison, CliError> {
    if base.len() != candidate.len() {
        return Err(CliError::usage(format!(
            "--paired: {} of the base and {} of the candidate are not pairs",
            plural(base.len() as u64, "run"),
            candidate.len()
        )));
    }
    let zip = base.into_iter().zip(candidate);
    let pairs: Vec<_> = zip.map(|(base, candidate)| Pair { base, candidate, base_first: None }).collect();
    compare::paired(&pairs, settings).map_err(refused)
}

/// Judges a stored comparison by its runs.
fn again(folder: &Path, args: &CompareArgs) -> Result<(Comparison, Origin), CliError> {
    let record = Record::load(folder)?;
    if let Some(option) =
        [(args.paired, "--paired"), (args.gate_unpaired, "--gate-unpaired"), (args.seed.is_some(), "--seed")]
            .iter()
            .find_map(|(given, option)| given.then_some(*option))
    {
        return Err(CliError::usage(format!(
            "{option} does not go with a comparison of `squall ab`: it says itself how it was made"
        )));
    }
    let settings = args.judge.overlay(record.looks(), &record.settings())?;
    Ok((record.judge(folder, &settings)?, record.origin(folder)))
}

/// The directories of the runs in `places`, each a run or a folder of such.
fn runs(places: &[PathBuf]) -> Result<Vec<PathBuf>, CliError> {
    let mut found = Vec::new();
    for place in places {
        let mut own = Vec::new();
        search(place, DEPTH, &mut own)
            .map_err(|error| CliError::usage(format!("cannot read {}: {error}", place.display())))?;
        if own.is_empty() {
            return Err(CliError::usage(format!(
                "{} is not a run and has none in it: give the directory of a run, the one with run.json",
                place.display()
            )));
        }
        own.sort();
        found.extend(own);
    }
    if found.len() > MOST_RUNS {
        return Err(CliError::usage(format!(
            "these are {} runs, more than the {MOST_RUNS} that are compared",
            found.len()
        )));
    }
    Ok(found)
}

fn search(place: &Path, depth: u32, found: &mut Vec<PathBuf>) -> io::Result<()> {
    if place.join("run.json").is_file() {
        found.push(place.to_owned());
        return Ok(());
    }
    for entry in std::fs::read_dir(place)? {
        let path = entry?.path();
        if depth > 0 && path.is_dir() && found.len() <= MOST_RUNS {
            search(&path, depth - 1, found)?;
        }
    }
    Ok(())
}

fn self_test(args: &CompareArgs) -> Result<Exit, CliError> {
    let table = compare::self_test(args.trials, Seed(args.seed.unwrap_or(1)));
    let text = if args.judge.json {
        screen::json(&table)?
    } else {
        display::self_test(&table, screen::width(WIDTH), screen::style())
    };
    screen::print_line(&text)?;
    if table.met() {
        Ok(Exit::Fine)
    } else {
        Err(CliError::failed("the rules do not hold what they promise in every row"))
    }
}
