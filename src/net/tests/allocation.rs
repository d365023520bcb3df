//! What is allocated, counted in a process of its own: allocations are the process's, and other tests run beside.

use std::alloc::System;
use std::ffi::OsStr;
use std::process::Command;

use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static GLOBAL: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Set in the process that counts.
const ALONE: &str = "SQUALL_COUNTS_ALLOCATIONS";

/// Whether this process is one that counts.
pub(crate) fn is_alone() -> bool {
    std::env::var_os(ALONE).is_some()
}

/// Runs the test of this name in `module` where it is alone, with `variables` in its environment.
pub(crate) fn run_alone(module: &str, test: &str, variables: &[(&str, &OsStr)]) {
    let name = format!("{}::{test}", module.split_once("::").unwrap().1);
    let output = Command::new(std::env::current_exe().unwrap())
        .args([&name, "--exact", "--nocapture", "--test-threads=1"])
        .env(ALONE, "1")
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("1 passed"), "{said}");
    print!("{said}");
}

/// Bytes that are allocated now.
pub(crate) fn held() -> usize {
    let stats = GLOBAL.stats();
    stats.bytes_allocated.saturating_sub(stats.bytes_deallocated)
}
