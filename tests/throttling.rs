//! A generator that is given less and less processor time is never believed more, and never holds it against the service.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::alone::{Misfit, alone, measure};
use crate::generator::{Ended, Group, Trial, service};
use crate::skip;

/// What the generator has of every 100 ms, from much to little, milliseconds.
const LEFT_MS: [u32; 5] = [50, 20, 10, 5, 2];

/// Half a thousand readings per second; a budget that the service keeps, and a starved generator breaks.
const SCENARIO: &str = "[scenario]\nname = \"trial\"\n[run]\nwarm_up = \"500ms\"\ndrain = \"1s\"\n[[phase]]\nname = \"steady\"\n\
    duration = \"3s\"\n[fleet.meters]\nprotocol = \"http\"\ndevices = 50\nrate = \"10/s\"\narrival = \"poisson\"\ntimeout = \"2s\"\n\
    [[budget]]\np99 = \"<40ms\"\nerror_rate = \"<1%\"\n";

/// Pacing lag at p99 beyond this is invalid where the service is quick, milliseconds.
const BOUND_MS: f64 = 25.0;

/// What a run with so little must not be, in words.
fn fault(ended: &Ended, left_ms: u32, before: &str) -> Option<String> {
    const WORDS: [&str; 3] = ["valid", "suspect", "invalid"];
    let rank = |word: &str| WORDS.iter().position(|other| *other == word);
    let (verdict, reasons) = ended.judgement();
    let lag_ms = ended.lag_p99_ms();
    println!("{left_ms} ms: {verdict}, exit {:?}, lag p99 {lag_ms:.1} ms {reasons:#?}", ended.exit);
    let wrong = if verdict == "invalid" { ended.exit != Some(12) } else { ended.exit != Some(0) };
    let milder = rank(&verdict) < rank(before);
    let believed = (lag_ms > BOUND_MS || left_ms == 2) && verdict != "invalid";
    (wrong || milder || believed).then(|| format!("{left_ms} ms: {verdict}, exit {:?}", ended.exit))
}

/// Runs with ever less, by `starve`; gives the worst run's directory, or what was not as it should be.
fn descend(trial: &Trial, cause: &str, starve: impl Fn(u32) -> Ended) -> Result<PathBuf, Misfit> {
    let mut before = "valid".to_owned();
    let mut last = None;
    for left_ms in LEFT_MS {
        let ended = starve(left_ms);
        if let Some(what) = fault(&ended, left_ms, &before) {
            return Err(Misfit::new(what, disturbance(trial)));
        }
        before = ended.judgement().0;
        last = Some(ended);
    }
    let worst = last.expect("a run");
    let (_, reasons) = worst.judgement();
    assert!(reasons.iter().any(|reason| reason.contains(cause)), "{reasons:#?}");
    assert!(worst.said.contains("budget     not judged all fleets: p99"), "{}", worst.said);
    Ok(worst.run.expect("a run").0)
}

/// What the machine does to a generator that is left alone.
fn disturbance(trial: &Trial) -> Option<String> {
    let (verdict, reasons) = trial.run("").judgement();
    (verdict != "valid").then(|| format!("left alone: {verdict} {reasons:?}"))
}

#[test]
fn a_throttled_generator_is_never_believed() {
    let _alone = alone();
    let Some(group) = Group::new("cpu") else {
        skip::count("impossible here", "no control group with a quota of processor time can be made here");
        return;
    };
    measure(|| {
        let trial = Trial::new(SCENARIO, service(Duration::ZERO));
        let free = trial.run("");
        let worst = descend(&trial, "by a quota of 0.02 processors", |left_ms| {
            group.leave_processor(left_ms).unwrap();
            trial.run(&group.joining())
        })?;
        // Nor is it compared with one that was free.
        let compared = Command::new(env!("CARGO_BIN_EXE_squall"))
            .args(["compare".into(), free.run.expect("a run").0, worst])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&compared.stderr);
        assert!(compared.status.code() == Some(12) && said.contains("is invalid (throttled in"), "{said}");
        Ok(())
    });
}

#[test]
fn a_generator_that_is_stopped_again_and_again_is_never_believed() {
    let _alone = alone();
    measure(|| {
        let trial = Trial::new(SCENARIO, service(Duration::ZERO));
        descend(&trial, "the whole process stalled", |left_ms| {
            let child = trial.start("");
            let stopper = Stopper::of(child.id(), left_ms);
            let ended = trial.ended(child);
            stopper.stop();
            ended
        })?;
        Ok(())
    });
}

/// Stops a process for most of every 100 ms, as a hypervisor or a debugger may.
struct Stopper {
    over: Arc<AtomicBool>,
    thread: thread::JoinHandle<()>,
}

impl Stopper {
    fn of(process: u32, left_ms: u32) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&over);
        let process = Pid::from_raw(process.try_into().unwrap());
        let thread = thread::spawn(move || {
            // Not before it is itself: the shell it comes from has nothing to lose.
            thread::sleep(Duration::from_millis(300));
            // Until it is waited for the number stays its own, also if it has ended.
            while !ended.load(Ordering::Relaxed) && kill(process, Signal::SIGSTOP).is_ok() {
                thread::sleep(Duration::from_millis(u64::from(100 - left_ms)));
                let _ = kill(process, Signal::SIGCONT);
                thread::sleep(Duration::from_millis(u64::from(left_ms)));
            }
            let _ = kill(process, Signal::SIGCONT);
        });
        Self { over, thread }
    }

    fn stop(self) {
        self.over.store(true, Ordering::Relaxed);
        self.thread.join().unwrap();
    }
}
