//! What lies under `contrib` for job engines: pages show the files as they are, and squall takes the command lines in them.

use std::fs;

use crate::markdown::{blocks, pages};
use crate::program::{squall, told};

fn file(path: &str) -> String {
    fs::read_to_string(format!("{}/{path}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

#[test]
fn the_page_shows_the_files() {
    let page =
        pages().into_iter().find_map(|(name, page)| (name == "docs/shards.md").then_some(page)).unwrap();
    let shown: Vec<_> = blocks(&page).into_iter().map(|block| block.text).collect();
    for path in
        ["contrib/slurm/squall.sbatch", "contrib/slurm/squall-merge.sbatch", "contrib/kubernetes/job.yaml"]
    {
        assert!(shown.contains(&file(path)), "docs/shards.md shows {path} as it is");
    }
}

/// The list under `args:` of a manifest, an argument per line.
fn arguments(manifest: &str) -> Vec<String> {
    let list = manifest.split_once("args:\n").unwrap().1;
    list.lines().map_while(|line| line.trim().strip_prefix("- ").map(str::to_owned)).collect()
}

/// All that is left to object to is the instant: everything before it, the scenario too, was taken.
#[test]
fn squall_takes_the_command_lines_of_the_pods() {
    let manifest = file("contrib/kubernetes/job.yaml");
    let arguments = arguments(&manifest);
    assert!(arguments.len() > 5, "{arguments:?}");
    for key in ["completions", "parallelism"] {
        assert!(manifest.contains(&format!("  {key}: 4\n")), "as many {key} as shards");
    }
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("s.toml"), file("contrib/kubernetes/s.toml")).unwrap();
    let typed: Vec<String> = arguments
        .iter()
        .map(|argument| {
            let path = folder.path().display();
            argument
                .replace("/scenario/", &format!("{path}/"))
                .replace("/results", &format!("{path}/results"))
                .replace("START_AT", "2026-01-01T00:00:00Z")
        })
        .collect();
    let typed: Vec<&str> = typed.iter().map(String::as_str).collect();
    let late = "name an instant to come";
    for (index, what) in [("0", late), ("3", late), ("4", "none of the 4 shards 0 to 3")] {
        let mut command = squall(folder.path(), &typed);
        let output =
            command.env_remove("SLURM_ARRAY_TASK_ID").env("JOB_COMPLETION_INDEX", index).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{}", told(&output));
        assert!(told(&output).contains(what), "index {index}: {}", told(&output));
    }
}
