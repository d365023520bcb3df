//! Labs as a student types them: from the first command to the page, in runs that last as long as they do for
//! students.

use std::fs;
use std::path::{Path, PathBuf};

use crate::program::{Desk, text, told};
use crate::skip;

/// The exit code of `squall lab …`, and all that it said.
fn lab(desk: &Desk, words: &str) -> (i32, String) {
    let words: Vec<_> = ["lab"].into_iter().chain(words.split_whitespace()).collect();
    let output = desk.run(&words);
    (output.status.code().unwrap(), told(&output))
}

fn edit(desk: &Desk, file: &str, from: &str, to: &str) {
    let path = desk.path(&format!("lab/{file}"));
    let before = fs::read_to_string(&path).unwrap();
    assert!(before.contains(from), "{file} holds no `{from}`");
    fs::write(path, before.replacen(from, to, 1)).unwrap();
}

/// A lab that is run as it is given, mended, and run again.
struct Story {
    lab: &'static str,
    /// Answers, the last of which are far off.
    answers: &'static [(&'static str, &'static str)],
    /// What is said of the broken one: a law on a count or a share, which can always be judged.
    broken: &'static str,
    mend: (&'static str, &'static str),
}

/// Whether the run could be judged, and ended with this code.
#[track_caller]
fn is_judged(code: i32, expected: i32, said: &str) -> bool {
    if code == 12 {
        skip::disturbed("a lab that could not be judged");
        return false;
    }
    assert_eq!(code, expected, "{said}");
    true
}

/// Plays a story, and gives the desk on which both runs lie; `None` if the machine kept one of them from
/// being judged.
fn play(story: &Story) -> Option<Desk> {
    let (desk, name) = (Desk::with(""), story.lab);
    let (code, said) = lab(&desk, &format!("start {name}"));
    assert!(code == 0 && said.contains(&format!("next: squall lab run {name}")), "{said}");
    let (code, said) = lab(&desk, &format!("run {name}"));
    assert!(code == 2 && said.contains("is still blank; write what you expect before you run"), "{said}");
    let answers = format!("{name}/answer.toml");
    for (key, value) in story.answers {
        edit(&desk, &answers, &format!("{key} = \"\""), &format!("{key} = \"{value}\""));
    }
    edit(&desk, &answers, "why = \"\"", "why = \"I <b>think</b> so\"");
    let (code, said) = lab(&desk, &format!("run {name}"));
    if !is_judged(code, 99, &said) {
        return None;
    }
    assert!(said.contains(story.broken) && said.contains("look at: ") && said.contains("next: "), "{said}");
    edit(&desk, &format!("{name}/scenario.toml"), story.mend.0, story.mend.1);
    let (code, said) = lab(&desk, &format!("run {name}"));
    if !is_judged(code, 0, &said) {
        return None;
    }
    assert!(said.contains(": passed, 1 of 2 predictions right"), "{said}");
    Some(desk)
}

fn runs(desk: &Desk, lab: &str) -> Vec<PathBuf> {
    let folder = desk.path(&format!("lab/{lab}/runs/lab-{lab}"));
    let mut runs: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    runs.sort();
    runs
}

fn manifest(run: &Path) -> serde_json::Value {
    serde_json::from_str(&fs::read_to_string(run.join("run.json")).unwrap()).unwrap()
}

#[test]
fn what_was_predicted_and_mended_is_kept_judged_again_and_shown() {
    let story = Story {
        lab: "delivered",
        answers: &[("breaks", "147"), ("at_risk", "2")],
        broken: "[no] no more than one reading in a thousand is lost",
        mend: ("qos = 0", "qos = 2, clean_session = false"),
    };
    let Some(desk) = play(&story) else { return };
    let runs = runs(&desk, "delivered");
    let facts = manifest(&runs[0])["lab"].clone();
    let answers = fs::read_to_string(desk.path("lab/delivered/answer.toml")).unwrap();
    assert_eq!(
        (facts["name"].as_str(), facts["prediction"].as_str()),
        (Some("delivered"), Some(answers.as_str()))
    );
    assert_eq!(facts["prediction_sha256"].as_str().map(str::len), Some(64));
    // The judgement again, of either run, for programs and with an answer that came too late.
    edit(&desk, "delivered/answer.toml", "\"2\"", "\"147\"");
    let (code, said) = lab(&desk, "check delivered");
    assert!(code == 0 && said.contains("answer.toml was changed after the run began"), "{said}");
    assert!(said.contains(": passed, 1 of 2 predictions right"), "{said}");
    let first = runs[0].to_str().unwrap();
    let words = ["lab", "check", "delivered", "--json", "--run", first];
    let output = desk.run(&words);
    assert_eq!(output.status.code(), Some(99));
    let judged: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (judged["verdict"].as_str(), judged["laws"][0]["standing"].as_str()),
        (Some("failed"), Some("broken"))
    );
    let (code, said) = lab(&desk, "report");
    assert!(code == 0, "{said}");
    let page = fs::read_to_string(desk.path("labs.html")).unwrap();
    assert!(
        page.contains("I &lt;b&gt;think&lt;/b&gt; so")
            && page.contains("<svg")
            && page.contains("Delivered how often?")
            && page.contains("delivered: passed")
    );
    let output = desk.run(&["lab", "grade", "lab"]);
    assert!(text(&output.stdout).contains(",delivered,passed,1,2,2,0,"), "{}", told(&output));
    // A manifest that says something else than the run that was made.
    let path = runs[1].join("run.json");
    let forged = fs::read_to_string(&path).unwrap().replace("at_risk = \\\"2\\\"", "at_risk = \\\"147\\\"");
    fs::write(&path, forged).unwrap();
    let (code, said) = lab(&desk, "check delivered");
    assert!(code == 1 && said.contains("its answers are not those that it began with"), "{said}");
}

#[cfg(unix)]
#[test]
fn an_interrupted_proof_tells_of_the_tries_that_it_was_asked_for() {
    use crate::program::{signal, under_way};
    let desk = Desk::with("");
    fs::create_dir(desk.path("verify")).unwrap();
    // Of another student, another lab, and one try more than is asked for.
    let table = "lab,variant,number,student,verdict,right,run\nclock,broken,1,ada,failed,true,a\n\
                 knee,broken,1,,failed,true,b\nclock,broken,2,,failed,true,c\n";
    fs::write(desk.path("verify/verify.csv"), table).unwrap();
    let child = desk.begin(&["lab", "verify", "clock", "--tries", "1"]);
    under_way(&desk.path("verify/runs/lab-clock"));
    signal(child.id(), "INT");
    let output = child.wait_with_output().unwrap();
    let said = told(&output);
    assert_eq!(output.status.code(), Some(130), "{said}");
    assert!(said.contains("interrupted; the same command goes on"), "{said}");
    assert!(said.contains("\n| clock | broken | fail | 0 | 0 | 0 |\n"), "{said}");
    assert_eq!(fs::read_to_string(desk.path("verify/verify.csv")).unwrap(), table, "no try is lost");
}

#[test]
fn a_cache_that_asks_once_for_all_passes() {
    let story = Story {
        lab: "stampede",
        answers: &[("missed", "100"), ("per_hour", "1")],
        broken: "[no] of the readings that find nothing no more than a third call the model",
        mend: ("single_flight = false", "single_flight = true"),
    };
    play(&story);
}

#[test]
fn a_monitor_with_an_honest_clock_passes() {
    let story = Story {
        lab: "clock",
        answers: &[("p99_open", "1.8s"), ("share_closed", "100%")],
        broken: "[no] the monitor goes on asking while the service stands still",
        mend: ("model = \"closed\"\nthink = \"100ms\"", "rate = \"10/s\""),
    };
    play(&story);
}
