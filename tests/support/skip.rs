//! Why a test did not test: the one place that says it, counts it, and fails where it must not happen.

use std::env;
use std::fs::OpenOptions;
use std::io::Write as _;

/// A peer, or a means of this machine, that the test needs is missing. Where `SQUALL_PEERS` is `required` that is a failure.
#[track_caller]
pub(crate) fn missing(peer: &str) {
    assert!(env::var_os("SQUALL_PEERS").is_none_or(|word| word != "required"), "missing: {peer}");
    println!("skipped: {peer}");
}

/// The machine disturbed every attempt, so that nothing is proved. Counted in the file that `SQUALL_DISTURBED` names; a run of
/// record (`SQUALL_RECORD`) fails on it.
#[track_caller]
pub(crate) fn disturbed(what: &str) {
    assert!(env::var_os("SQUALL_RECORD").is_none(), "disturbed: {what}");
    count("disturbed", what);
}

/// Says that a test did not test for a reason of this `kind`, and counts it.
pub(crate) fn count(kind: &str, what: &str) {
    println!("skipped: {what}");
    let Some(file) = env::var_os("SQUALL_DISTURBED") else { return };
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    let mut file = OpenOptions::new().create(true).append(true).open(file).unwrap();
    // One write, so that the lines of tests that run at once stay whole.
    file.write_all(format!("{kind}: {test}: {what}\n").as_bytes()).unwrap();
}
