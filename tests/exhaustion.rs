//! What a generator runs out of is its own doing, and never the service's: source ports, descriptors, memory.

use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use crate::alone::{Misfit, alone, measure};
use crate::generator::{Ended, Group, Trial, service};
use crate::skip;

/// Connections that serve one reading each.
fn fresh(devices: u32, rate: &str) -> String {
    format!(
        "[scenario]\nname = \"trial\"\n[run]\nwarm_up = \"0s\"\ndrain = \"1s\"\n[[phase]]\nname = \"steady\"\nduration = \"3s\"\n\
         [fleet.meters]\nprotocol = \"http\"\ndevices = {devices}\nrate = \"{rate}\"\narrival = \"poisson\"\ntimeout = \"1s\"\n\
         http = {{ fresh = true }}\n[[budget]]\nerror_rate = \"<1%\"\np99 = \"<100ms\"\n"
    )
}

fn assert_invalid(ended: &Ended, reason: &str) {
    let (verdict, reasons) = ended.judgement();
    assert_eq!((verdict.as_str(), ended.exit), ("invalid", Some(12)), "{reasons:#?} {}", ended.said);
    assert!(reasons.iter().any(|text| text.contains(reason)), "{reasons:#?}");
    assert!(!ended.said.contains("right target"), "{}", ended.said);
}

/// Has two runs in a network of their own with 20 source ports; the second is looked at.
const NARROW: &str =
    "ip link set lo up && echo '40000 40019' > /proc/sys/net/ipv4/ip_local_port_range || exit 77
echo 0 > /proc/sys/net/ipv4/tcp_tw_reuse
\"$1\" serve --http-port 8080 --mqtt-port 1883 > serve.txt & served=$!
while ! grep -q 'Ctrl-C' serve.txt; do sleep 0.05; done
for nth in 1 2; do
  \"$1\" run --workers 1 --source-ip 127.0.0.1 --target http=http://127.0.0.1:8080 --out $nth trial.toml > $nth.txt 2>&1
  echo $? > $nth.exit
done
kill $served
wait $served
";

#[test]
fn a_generator_without_source_ports_is_invalid_and_its_target_is_not_called_down() {
    let _alone = alone();
    // Devices that sleep after each reading close their connections themselves: the ports rest on their side.
    let sleepy = fresh(10, "20/s")
        .replace("http = { fresh = true }", "behaviour = { preset = \"sleepy\", awake = \"1ms\" }")
        .replace("p99", "p90");
    let trial = Trial::new(&sleepy, 0);
    let status = Command::new("unshare")
        .args(["-rn", "sh", "-c", NARROW, "sh", env!("CARGO_BIN_EXE_squall")])
        .current_dir(trial.folder())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if !status.is_ok_and(|status| status.code() != Some(77) && trial.folder().join("1.exit").exists()) {
        skip::count("impossible here", "no network of its own with fewer ports can be made here");
        return;
    }
    let read = |name: &str| std::fs::read_to_string(trial.folder().join(name)).unwrap();
    let (first, second) = (read("1.txt"), read("2.txt"));
    assert_eq!(read("1.exit").trim(), "12", "{first}");
    // It was foreseen, and it is said what happened.
    assert!(first.contains("20 are there: name further addresses"), "{first}");
    let flat = first.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(flat.contains("the generator ran out of source ports: "), "{first}");
    assert!(flat.contains("not judged all fleets: error rate"), "{first}");
    assert!(matches!(read("2.exit").trim(), "1" | "12"), "{second}");
    assert!(second.contains("ran out of source ports"), "{second}");
    assert!(!second.contains("nothing answers"), "{second}");
}

#[test]
fn a_generator_without_descriptors_is_invalid() {
    let _alone = alone();
    if Command::new("prlimit").arg("--version").stdout(Stdio::null()).status().is_err() {
        skip::missing("prlimit is not installed");
        return;
    }
    let limit = |process: u32, most: u32| {
        let limit = format!("--nofile={most}:");
        let process = process.to_string();
        Command::new("prlimit").args(["--pid", &process, &limit]).status().unwrap().success()
    };
    let trial = Trial::new(&fresh(100, "10/s"), service(Duration::from_millis(100)));
    let child = trial.start("");
    trial.wait_until_it_sends();
    if !limit(child.id(), 30) {
        skip::count("impossible here", "the limit of a process cannot be changed here");
        let _ = trial.ended(child);
        return;
    }
    thread::sleep(Duration::from_secs(1));
    limit(child.id(), 1_000);
    assert_invalid(&trial.ended(child), "the generator ran out of file descriptors: ");
}

#[test]
fn a_run_that_does_not_fit_into_the_memory_it_may_take_is_not_begun() {
    let _alone = alone();
    let text = "[scenario]\nname = \"trial\"\n[[phase]]\nname = \"steady\"\nduration = \"1s\"\n[fleet.meters]\nprotocol = \"ws\"\n\
        devices = 12000\nrate = \"1/s\"\n";
    let trial = Trial::new(text, service(Duration::ZERO));
    let group = Group::new("memory").filter(|group| group.leave_memory(64).is_ok());
    let mut limits = vec!["ulimit -v 98304 &&".to_owned()];
    match &group {
        Some(group) => limits.push(group.joining()),
        None => skip::count("impossible here", "no control group with a limit of memory can be made here"),
    }
    for limit in limits {
        let ended = trial.judged(&trial.command(&limit, "ws").output().unwrap());
        assert!(ended.exit == Some(1) && ended.run.is_none(), "{limit}: {}", ended.said);
        assert!(
            ended.said.contains("the run takes about") && ended.said.contains("MiB are free"),
            "{limit}: {}",
            ended.said
        );
    }
}

#[test]
fn a_service_that_fails_under_a_free_generator_is_never_taken_for_it() {
    let _alone = alone();
    // Slow beyond the time-out: every reading fails, and by the service alone.
    let trial = Trial::new(&fresh(20, "20/s"), service(Duration::from_secs(2)));
    measure(|| {
        let ended = trial.run("");
        let (verdict, reasons) = ended.judgement();
        if verdict == "valid" && matches!(ended.exit, Some(1 | 99)) {
            return Ok(());
        }
        let still = reasons.iter().find(|text| text.contains("stalled")).cloned();
        Err(Misfit::new(format!("{verdict} {:?} {reasons:?}", ended.exit), still))
    });
}
