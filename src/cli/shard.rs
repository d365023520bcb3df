//! Which part of a plan this process drives, and from when: the forms of `--shard` and `--start-at`.

use std::str::FromStr;

use super::CliError;
use super::args::RunArgs;
use crate::clock::WallTime;
use crate::record::Shard;
use crate::run::Part;
use crate::units::is_steering;

/// The number of the pod in a Kubernetes Indexed Job, from 0.
const KUBERNETES: &str = "JOB_COMPLETION_INDEX";
/// The number of the task in a Slurm job array.
const SLURM: &str = "SLURM_ARRAY_TASK_ID";
/// What Slurm says of the array: the first and last number, the step, and how many there are.
const SLURM_MIN: &str = "SLURM_ARRAY_TASK_MIN";
const SLURM_MAX: &str = "SLURM_ARRAY_TASK_MAX";
const SLURM_STEP: &str = "SLURM_ARRAY_TASK_STEP";
const SLURM_COUNT: &str = "SLURM_ARRAY_TASK_COUNT";

/// What `--shard` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ShardChoice {
    /// `2/4`.
    Given(Shard),
    /// `env` or `env/4`: the number, and perhaps how many, stand in the environment.
    Environment(Option<u32>),
}

impl FromStr for ShardChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let remedy =
            "write K/N with K from 1 to N, such as 2/4; env/N to take K from the environment; or env";
        let count = match text.strip_prefix("env") {
            Some("") => return Ok(Self::Environment(None)),
            Some(rest) => rest.strip_prefix('/').map(|count| format!("1/{count}")),
            None => return text.parse().map(Self::Given).map_err(|_| remedy.to_owned()),
        };
        let shard: Option<Shard> = count.and_then(|count| count.parse().ok());
        shard.map(|shard| Self::Environment(Some(shard.of()))).ok_or_else(|| remedy.to_owned())
    }
}

/// Looks up a variable of the environment.
type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

impl ShardChoice {
    /// The shard that is meant.
    pub(super) fn settle(self, look: Lookup<'_>) -> Result<Shard, String> {
        let count = match self {
            Self::Given(shard) => return Ok(shard),
            Self::Environment(count) => count,
        };
        match (look(KUBERNETES), look(SLURM)) {
            (Some(_), Some(_)) => Err(format!("both {KUBERNETES} and {SLURM} are set; write --shard K/N")),
            (Some(index), None) => of_pod(&index, count),
            (None, Some(_)) => of_task(look, count),
            (None, None) => Err(format!(
                "--shard env, and neither {KUBERNETES} (a Kubernetes Indexed Job) nor {SLURM} (a Slurm job array) is set; write \
                 --shard K/N"
            )),
        }
    }
}

fn of_pod(index: &str, count: Option<u32>) -> Result<Shard, String> {
    let count = count.ok_or_else(|| {
        format!("{KUBERNETES} says which pod this is, but not of how many; write --shard env/N, N being the job's completions")
    })?;
    let number = index.parse::<u32>().ok().and_then(|index| index.checked_add(1));
    number.and_then(|number| Shard::new(number, count)).ok_or_else(|| {
        format!("{KUBERNETES} is `{}`, which is none of the {count} shards 0 to {}", clean(index), count - 1)
    })
}

fn of_task(look: Lookup<'_>, wanted: Option<u32>) -> Result<Shard, String> {
    let number = |name: &str| -> Result<u32, String> {
        let text =
            look(name).ok_or_else(|| format!("{SLURM} is set, and {name} is not; write --shard K/N"))?;
        text.parse()
            .map_err(|_| format!("{name} is `{}`, which is not a number; write --shard K/N", clean(&text)))
    };
    let (task, first, last) = (number(SLURM)?, number(SLURM_MIN)?, number(SLURM_MAX)?);
    let (count, step) =
        (number(SLURM_COUNT)?, if look(SLURM_STEP).is_some() { number(SLURM_STEP)? } else { 1 });
    if let Some(wanted) = wanted.filter(|wanted| *wanted != count) {
        return Err(format!("--shard env/{wanted}, but {SLURM_COUNT} is {count}; write --shard env"));
    }
    // In an array such as 1,3,7 a task cannot tell which of them it is.
    let even =
        step > 0 && last.checked_sub(first) == count.checked_sub(1).and_then(|gaps| gaps.checked_mul(step));
    let place = task.checked_sub(first).filter(|place| even && place % step == 0);
    let shard = place.and_then(|place| Shard::new(place / step + 1, count));
    shard.ok_or_else(|| {
        format!(
            "task {task} of an array from {first} to {last} with {count} tasks and step {step} is not a shard; use --array=1-N, or \
             write --shard K/N"
        )
    })
}

/// What to say where this looks like one of many, and drives everything all the same.
fn overlooked(look: Lookup<'_>) -> Option<String> {
    let name = [KUBERNETES, SLURM].into_iter().find(|name| look(name).is_some())?;
    Some(format!(
        "note: {name} is set, and this run drives the whole plan; with --shard env/N each of the N runs would drive its share"
    ))
}

/// What came from outside, fit to be printed.
fn clean(text: &str) -> String {
    text.chars().filter(|c| !is_steering(*c)).take(40).collect()
}

/// The part that the command line asks for, and a note for the user.
pub(super) fn part(args: &RunArgs) -> Result<(Part, Option<String>), CliError> {
    let look = |name: &str| std::env::var(name).ok();
    let asked = args.shard.map(|choice| choice.settle(&look)).transpose().map_err(CliError::usage)?;
    let note = if asked.is_none() { overlooked(&look) } else { None };
    Ok((Part { asked, start_at: args.start_at }, note))
}

/// Reads `--start-at`.
pub(super) fn parse_start(text: &str) -> Result<WallTime, String> {
    let remedy = "write an RFC 3339 instant such as 2026-11-20T21:45:00Z or 2026-11-20T22:45:00+01:00";
    WallTime::parse(text).ok_or_else(|| remedy.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settle(text: &str, variables: &[(&str, &str)]) -> Result<String, String> {
        let look = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        let choice: ShardChoice = text.parse()?;
        choice.settle(&look).map(|shard| shard.to_string())
    }

    fn array<'a>(
        id: &'a str,
        min: &'a str,
        max: &'a str,
        count: &'a str,
        step: &'a str,
    ) -> [(&'a str, &'a str); 5] {
        [(SLURM, id), (SLURM_MIN, min), (SLURM_MAX, max), (SLURM_COUNT, count), (SLURM_STEP, step)]
    }

    #[test]
    fn a_shard_is_given_or_found_in_the_environment() {
        for (text, variables, shard) in [
            ("2/4", &[][..], "2/4"),
            ("2/4", &[(KUBERNETES, "0")], "2/4"),
            ("env/4", &[(KUBERNETES, "0")], "1/4"),
            ("env/4", &[(KUBERNETES, "3")], "4/4"),
            ("env", &array("1", "1", "8", "8", "1"), "1/8"),
            ("env", &array("8", "1", "8", "8", "1"), "8/8"),
            ("env/8", &array("7", "0", "7", "8", "1"), "8/8"),
            ("env", &array("10", "4", "10", "3", "3"), "3/3"),
            ("env", &array("5", "5", "5", "1", "1"), "1/1"),
        ] {
            assert_eq!(settle(text, variables).as_deref(), Ok(shard), "{text} {variables:?}");
        }
    }

    #[test]
    fn what_names_no_shard_says_what_to_write() {
        for (text, variables, said) in [
            ("4", &[][..], "write K/N"),
            ("0/4", &[], "write K/N"),
            ("5/4", &[], "write K/N"),
            ("env/0", &[], "write K/N"),
            ("env/x", &[], "write K/N"),
            ("environment", &[], "write K/N"),
            ("env/4", &[], "neither JOB_COMPLETION_INDEX"),
            ("env", &[(KUBERNETES, "0")], "write --shard env/N"),
            ("env/4", &[(KUBERNETES, "4")], "`4`, which is none of the 4 shards 0 to 3"),
            ("env/4", &[(KUBERNETES, "-1")], "`-1`, which is none"),
            (
                "env/4",
                &[(KUBERNETES, "0"), (SLURM, "1")],
                "both JOB_COMPLETION_INDEX and SLURM_ARRAY_TASK_ID",
            ),
            ("env/4", &array("1", "1", "8", "8", "1"), "SLURM_ARRAY_TASK_COUNT is 8; write --shard env"),
            ("env", &array("3", "1", "7", "3", "1"), "use --array=1-N"),
            ("env", &array("x", "1", "7", "7", "1"), "is `x`, which is not a number"),
            ("env", &array("0", "1", "7", "7", "1"), "is not a shard"),
            ("env", &array("1", "1", "7", "7", "0"), "is not a shard"),
            ("env", &[(SLURM, "1")], "SLURM_ARRAY_TASK_MIN is not"),
        ] {
            let error = settle(text, variables).unwrap_err();
            assert!(error.contains(said), "{text} {variables:?}: {error}");
        }
    }

    #[test]
    fn one_of_many_that_drives_everything_is_told_so() {
        assert!(overlooked(&|_| None).is_none());
        let note = overlooked(&|name| (name == SLURM).then(|| "3".to_owned())).unwrap();
        assert!(note.contains("SLURM_ARRAY_TASK_ID is set, and this run drives the whole plan"), "{note}");
    }
    #[test]
    fn a_start_is_an_instant_of_the_wall_clock() {
        for wrong in ["", "now", "21:45", "2026-11-20", "2026-11-20T21:45:00", "2026-11-20T21:45:00+25:00"] {
            assert!(parse_start(wrong).unwrap_err().contains("RFC 3339"), "{wrong}");
        }
    }
}
