//! The command on small recordings of its own.

use super::*;

const READINGS: usize = 400;

/// A folder with two recordings of a calm wave, one of which has an outlier, and their windows.
struct Desk(tempfile::TempDir);

impl Desk {
    fn new() -> Self {
        let desk = Self(tempfile::tempdir().unwrap());
        desk.write("calm/a.csv", &recording(None));
        desk.write("loud/b.csv", &recording(Some(300)));
        desk.write("w.json", r#"{"calm/a.csv": [], "loud/b.csv": [["2014-07-01 04:58:00", "2014-07-01 05:10:00"]], "far/c.csv": []}"#);
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn score(&self, names: &[&str]) -> Result<Exit, CliError> {
        let recordings = names.iter().map(|name| self.path(name)).collect();
        score(&ScoreArgs { recordings, windows: self.path("w.json"), threshold: None, json: false })
    }

    /// What is said of the first error, without the folder.
    fn said(&self, names: &[&str]) -> String {
        let error = self.score(names).unwrap_err();
        error.message.replace(&format!("{}/", self.0.path().display()), "")
    }
}

/// A reading a minute; `outlier` is far off.
fn recording(outlier: Option<usize>) -> String {
    let rows = (0..READINGS).map(|n| {
        let value = (n as f64 / 20.0).sin()
            + 0.1 * (n as f64 * 1.7).sin()
            + if outlier == Some(n) { 9.0 } else { 0.0 };
        format!("2014-07-01 {:02}:{:02}:00,{value}\n", n / 60, n % 60)
    });
    "timestamp,value\n".to_owned() + &rows.collect::<String>()
}

#[test]
fn folders_and_files_are_scored_and_summed_by_category() {
    let desk = Desk::new();
    assert_eq!(desk.score(&["."]).unwrap(), Exit::Fine);
    let labels = Labels::read(&read(&desk.path("w.json")).unwrap()).unwrap();
    let (tasks, skipped) =
        tasks(&[desk.path("calm"), desk.path("loud/b.csv")], &labels, Path::new("w.json")).unwrap();
    assert_eq!(skipped, Vec::<PathBuf>::new());
    let scored: Vec<_> = tasks
        .into_iter()
        .map(|(path, recording)| (recording, one(&path, recording, 2.8, Path::new("w.json")).unwrap()))
        .collect();
    let board = Scores { threshold: 2.8, scored: &scored, skipped: &[] };
    let table = board.table(Style::PLAIN);
    let lines: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[1], ["calm", "1", "0", "of", "0", "0", "-", "-", "-", "-", "-", "-"], "{table}");
    assert_eq!(lines[2][..6], ["loud", "1", "1", "of", "1", "0"], "{table}");
    assert_eq!(lines[3][..6], ["all", "2", "1", "of", "1", "0"], "{table}");
    assert_eq!(lines[3][9..], ["100.0", "%", "100.0", "%", "2", "(2", "min)"], "{table}");
    let json = board.json();
    assert_eq!(
        (&json["all"]["windows_found"], &json["categories"][0]["category"]),
        (&1.into(), &"calm".into())
    );
    assert_eq!(
        (&json["recordings"][0]["nab"]["standard"], &json["recordings"][1]["recording"]),
        (&Value::Null, &"loud/b.csv".into())
    );
    assert!(json["all"]["nab"]["reward_low_FP_rate"].as_f64().unwrap() > 90.0);
}

#[test]
fn files_of_folders_without_windows_are_left_out_and_named_ones_are_a_fault() {
    let desk = Desk::new();
    desk.write("loud/other.csv", "not looked at");
    assert_eq!(desk.score(&["loud"]).unwrap(), Exit::Fine);
    let said = desk.said(&["loud/other.csv"]);
    assert!(
        said.starts_with("loud/other.csv: no entry of w.json is what its path ends with; add one, such as"),
        "{said}"
    );
    assert!(said.contains(r#"{"loud/other.csv":[]}"#), "{said}");
    desk.write("empty/x.csv", "");
    let said = desk.said(&["empty"]);
    assert!(
        said.starts_with("none of the files is in w.json; name CSV files that are such as calm/a.csv"),
        "{said}"
    );
    assert_eq!(desk.score(&["absent.csv"]).unwrap_err().exit, Exit::Failed);
}

#[test]
fn all_flaws_are_reported_with_file_and_line() {
    let desk = Desk::new();
    desk.write("calm/a.csv", "timestamp,value\n2014-07-01 00:00:00,n/a\n");
    desk.write("loud/b.csv", "timestamp,value\n2014-07-01 00:00:00,1\n");
    let said = desk.said(&["calm", "loud"]);
    assert!(said.starts_with("calm/a.csv:2: field `value`: `n/a` is not a finite number; write"), "{said}");
    assert!(
        said.contains("error: w.json:1: field `loud/b.csv`: no reading lies in the window from"),
        "{said}"
    );
    assert_eq!(desk.score(&["calm", "loud"]).unwrap_err().exit, Exit::Usage);
    desk.write("w.json", "{\n\"a\": [3]}");
    assert!(desk.said(&["calm"]).starts_with("w.json:2: field `a`, window 1: `3` is not a window; write"));
}

#[test]
fn times_are_said_in_the_unit_that_suits() {
    for (seconds, text) in
        [(0.0, "0 s"), (119.0, "119 s"), (300.0, "5 min"), (9_000.0, "2.5 h"), (259_200.0, "3.0 d")]
    {
        assert_eq!(span(seconds), text);
    }
    let files: Vec<PathBuf> = ["a", "b", "c", "d", "e"].map(PathBuf::from).to_vec();
    assert_eq!((named(&files), named(&files[..2])), ("a, b, c and 2 more".into(), "a, b".into()));
}
