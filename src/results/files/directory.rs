//! The directory of a run and its files: unique, flushed every interval, and marked unfinished until complete.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::event::EventTable;
use super::table::{SummaryRow, write_summary};
use crate::clock::WallTime;

/// Attempts to find a free name for runs begun within the same second.
const NAMES_TRIED: u32 = 1_000;

/// A run's own directory, `<out>/<scenario>/<UTC stamp>-<label>`.
#[derive(Debug, Clone)]
pub struct RunDirectory {
    path: PathBuf,
    run_id: String,
}

impl RunDirectory {
    /// Makes the directory of a run begun at `started`. Runs of the same second and label get `-2`, `-3`, … appended.
    /// Characters that file systems or CSV readers trip over become `-` in both names.
    ///
    /// # Errors
    /// If the directory cannot be made.
    pub fn create(out: &Path, scenario: &str, label: &str, started: WallTime) -> io::Result<Self> {
        let parent = out.join(file_name(scenario).unwrap_or_else(|| "scenario".to_owned()));
        fs::create_dir_all(&parent)?;
        let stamp = started.file_stamp();
        let name = file_name(label).map_or_else(|| stamp.clone(), |label| format!("{stamp}-{label}"));
        for number in 1..=NAMES_TRIED {
            let run_id = if number == 1 { name.clone() } else { format!("{name}-{number}") };
            let path = parent.join(&run_id);
            match fs::create_dir(&path) {
                Ok(()) => return Ok(Self { path, run_id }),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            format!("{name} and its {NAMES_TRIED} successors exist"),
        ))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The run's name in its files: the directory's own.
    pub fn run_id(&self) -> &str {
        &self.run_id
    }

    /// Starts `events.csv`, and holds it for as long as the process lives: see [`is_abandoned`].
    ///
    /// # Errors
    /// If the file cannot be made.
    pub fn start_events(&self) -> io::Result<EventTable> {
        let file = File::create_new(self.path.join("events.csv"))?;
        // Elsewhere others could not even read what is held.
        #[cfg(unix)]
        // Where files cannot be held, nobody can tell.
        let _ = file.try_lock();
        EventTable::start(file)
    }

    /// Writes `summary.csv` in one step.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write_summary(&self, rows: &[SummaryRow]) -> io::Result<()> {
        self.replace("summary.csv", |file| write_summary(file, &self.run_id, rows))
    }

    pub(crate) fn replace(&self, name: &str, write: impl FnOnce(File) -> io::Result<()>) -> io::Result<()> {
        replace(&self.path.join(name), write)
    }
}

/// Whether nobody writes the run in `directory` any more: who did held `events.csv`, and the system lets go of it whatever ends the
/// process. A run that is abandoned and has no end was killed. `false` where the system does not tell.
pub(crate) fn is_abandoned(directory: &Path) -> bool {
    let is_free = |file: File| cfg!(unix) && file.try_lock_shared().is_ok();
    File::open(directory.join("events.csv")).is_ok_and(is_free)
}

/// Writes the file at `path` in one step: beside its place, as `<name>.partial`, and then into it. Readers see the old one or the
/// new one, never half of one.
///
/// # Errors
/// If it cannot be written; the old one then still stands.
fn replace(path: &Path, write: impl FnOnce(File) -> io::Result<()>) -> io::Result<()> {
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    let written = File::create(&partial).and_then(write).and_then(|()| fs::rename(&partial, path));
    if written.is_err() {
        // Half a file helps nobody; where even this fails the disk is in a worse state than the run.
        let _ = fs::remove_file(&partial);
    }
    written
}

/// Writes `text` to the file at `path` in one step, on the disk before it takes its place.
///
/// # Errors
/// If it cannot be written; the old one then still stands.
pub(crate) fn replace_text(path: &Path, text: &str) -> io::Result<()> {
    replace(path, |mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    })
}

/// `text` as a file name: letters, digits, `.`, `_` and `-`, not beginning with a dot; `None` if nothing is left.
fn file_name(text: &str) -> Option<String> {
    const LONGEST: usize = 80;
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '-' };
    let name: String = text.trim().chars().map(plain).take(LONGEST).collect();
    let name = name.trim_start_matches('.').trim_matches('-');
    (!name.is_empty()).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::*;
    use crate::clock::Tick;
    use crate::record::{Judgement, Validity};
    use crate::results::{
        BudgetResult, ClockFacts, Host, Manifest, ManifestError, PacerFacts, PacingLag, RunState, SCHEMA,
        ScenarioText, WorkerUse, load_manifest,
    };

    fn started() -> WallTime {
        WallTime::from_epoch(Duration::from_secs(1_790_000_000))
    }

    fn manifest() -> Manifest {
        Manifest {
            schema: SCHEMA,
            tool_version: "0.1.0".into(),
            label: "main".into(),
            run_id: "r".into(),
            state: RunState::Running,
            seed: u64::MAX.to_string(),
            plan_digest: "ab".into(),
            plan: None,
            run_token: None,
            scenario: ScenarioText {
                name: "s".into(),
                text: "a = \"µ\"\n".into(),
                overrides: vec!["a=1".into()],
            },
            started: started().to_string(),
            ended: None,
            host: Host::here(),
            clock: ClockFacts { resolution_ns: 30, moved_ns: None },
            pacer: PacerFacts { kind: "timerfd".into(), slack_ns: 0, awake_ns: 50_000 },
            workers: 2,
            targets: BTreeMap::from([("http".into(), "http://127.0.0.1:1".into())]),
            source_ips: Vec::new(),
            worker_use: vec![WorkerUse {
                wall_s: 10.0,
                cpu_s: Some(2.5),
                waited_s: 0.5,
                starved_share: Some(0.01),
            }],
            pacing_lag: Some(PacingLag { p50_ms: 0.05, p99_ms: 0.2 }),
            calibration: None,
            validity: Some(Validity {
                verdict: Judgement::Suspect,
                reasons: vec!["why".into()],
                causes: vec![crate::record::Cause::Lag],
                covers: None,
            }),
            anomaly_rows_omitted: 3,
            recovery: crate::results::RecoveryRule::default(),
            fault_spells_omitted: 0,
            switches_omitted: 0,
            delivery: Vec::new(),
            failures: Vec::new(),
            refused: None,
            silences: Vec::new(),
            encounters: Vec::new(),
            budgets: vec![BudgetResult {
                demand: "p99 < 250ms".into(),
                fleet: "all".into(),
                measured: None,
                met: false,
                ..BudgetResult::default()
            }],
            plan_altered: Vec::new(),
            faults_by_hand: 0,
            shard: None,
            start_at: None,
            merged: Vec::new(),
            subscribers: Vec::new(),
            lab: None,
            exit_code: None,
            reference: None,
            fleets: Vec::new(),
            files: BTreeMap::new(),
        }
    }

    #[test]
    fn runs_of_the_same_second_get_directories_of_their_own() {
        let out = tempfile::tempdir().unwrap();
        let names: Vec<_> = (0..3)
            .map(|_| RunDirectory::create(out.path(), "s", "main", started()).unwrap().run_id().to_owned())
            .collect();
        let first = "2026-09-21T14-13-20Z-main";
        assert_eq!(names, [first.to_owned(), format!("{first}-2"), format!("{first}-3")]);
    }

    #[test]
    fn names_never_leave_the_results_directory() {
        let out = tempfile::tempdir().unwrap();
        for (scenario, label) in [("../../etc", "../x"), ("/", "a b,c"), ("..", ""), ("\u{e9}", "\0")] {
            let directory = RunDirectory::create(out.path(), scenario, label, started()).unwrap();
            let real = directory.path().canonicalize().unwrap();
            assert!(real.starts_with(out.path().canonicalize().unwrap()), "{real:?}");
            assert_eq!(
                real.components().count(),
                out.path().canonicalize().unwrap().components().count() + 2
            );
            assert!(!directory.run_id().contains([',', ' ']), "{}", directory.run_id());
        }
    }

    #[test]
    fn a_manifest_reads_back_and_leaves_no_partial_file() {
        let out = tempfile::tempdir().unwrap();
        let directory = RunDirectory::create(out.path(), "s", "", started()).unwrap();
        let mut manifest = manifest();
        directory.write_manifest(&manifest).unwrap();
        assert_eq!(load_manifest(directory.path()).unwrap(), manifest);
        manifest.state = RunState::Complete;
        manifest.exit_code = Some(0);
        directory.write_manifest(&manifest).unwrap();
        assert_eq!(load_manifest(directory.path()).unwrap(), manifest);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
        let text = fs::read_to_string(directory.path().join("run.json")).unwrap();
        assert!(text.contains("\"state\": \"complete\""), "{text}");
        let older = text.replace("  \"anomaly_rows_omitted\": 3,\n", "");
        assert!(older.len() < text.len());
        fs::write(directory.path().join("run.json"), older).unwrap();
        manifest.anomaly_rows_omitted = 0;
        assert_eq!(
            load_manifest(directory.path()).unwrap(),
            manifest,
            "an older manifest says nothing of them"
        );
    }

    #[test]
    fn a_manifest_says_failed_without_room_for_another_byte() {
        let out = tempfile::tempdir().unwrap();
        let directory = RunDirectory::create(out.path(), "s", "", started()).unwrap();
        let mut manifest = manifest();
        directory.write_manifest(&manifest).unwrap();
        let length = || fs::metadata(directory.path().join("run.json")).unwrap().len();
        let before = length();
        directory.mark_failed().unwrap();
        assert_eq!(length(), before);
        (manifest.state, manifest.exit_code) = (RunState::Failed, Some(1));
        assert_eq!(load_manifest(directory.path()).unwrap(), manifest);
    }

    #[test]
    fn a_manifest_that_cannot_be_read_says_which_and_why() {
        let out = tempfile::tempdir().unwrap();
        let write = |text: &str| fs::write(out.path().join("run.json"), text).unwrap();
        assert!(matches!(load_manifest(out.path()), Err(ManifestError::Io { .. })));
        for text in ["{}", "[]", "[1]", "3", "{\"schema\": \"1\"}"] {
            write(text);
            let error = load_manifest(out.path()).unwrap_err().to_string();
            assert!(error.ends_with("run.json is not a manifest of squall"), "{text}: {error}");
        }
        write("{\"schema\": 1}");
        assert!(matches!(load_manifest(out.path()), Err(ManifestError::Json { .. })));
        write("{\"schema\": 999}");
        let error = load_manifest(out.path()).unwrap_err().to_string();
        assert!(error.contains("run.json has schema 999"), "{error}");
    }

    #[test]
    fn events_are_quoted_where_they_must_be_and_flushed_at_once() {
        let out = tempfile::tempdir().unwrap();
        let directory = RunDirectory::create(out.path(), "s", "", started()).unwrap();
        let mut events = directory.start_events().unwrap();
        events.append(Tick(1_500_000_000), "phase_start", "steady", "").unwrap();
        events.append(Tick(2_000_000_000), "connection", "meters", "said \"no\", twice").unwrap();
        let text = fs::read_to_string(directory.path().join("events.csv")).unwrap();
        assert_eq!(
            text,
            "t_s,event,name,detail\n1.500,phase_start,steady,\n2.000,connection,meters,\"said \"\"no\"\", twice\"\n"
        );
    }
}
