//! The examples do what they say.

use squall::Overrides;

#[path = "../examples/read_run.rs"]
#[expect(dead_code, reason = "`main` is not called here")]
mod read_run;
#[path = "../examples/run_scenario.rs"]
#[expect(dead_code, reason = "`main` is not called here")]
mod run_scenario;

#[test]
fn a_scenario_is_run_and_its_files_are_read_through_the_library() {
    let out = tempfile::tempdir().unwrap();
    let scenario = out.path().join("short.toml");
    std::fs::write(
        &scenario,
        "[scenario]\nname = \"short\"\n[run]\nwarm_up = \"0s\"\n[[phase]]\nname = \"steady\"\nduration = \"1s\"\n\
         [fleet.meters]\nprotocol = \"http\"\ndevices = 5\nrate = \"20/s\"\n[fleet.pumps]\nprotocol = \"ws\"\ndevices = 5\nrate = \"20/s\"\n",
    )
    .unwrap();
    let directory = run_scenario::run(&scenario, &Overrides::default(), out.path()).unwrap();
    let mut printed = Vec::new();
    read_run::print(&directory, &mut printed).unwrap();
    let printed = String::from_utf8(printed).unwrap();
    let lines: Vec<&str> = printed.lines().collect();
    assert_eq!(lines.len(), 2, "{printed}");
    for (line, fleet) in lines.iter().zip(["steady meters (http): p99 ", "steady pumps (ws): p99 "]) {
        assert!(line.starts_with(fleet) && line.ends_with(" ms"), "{printed}");
    }
}
