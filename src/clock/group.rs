//! The control groups that this process is in: what processor time they leave it, and how much memory.
//!
//! A limit holds for everything below the group that has it, so every group from the process's own up to the root counts.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The quota of processor time that a group has, and how often it was used up so far.
#[derive(Debug, Clone, PartialEq)]
struct Quota {
    group: PathBuf,
    /// Processors: the quota ÷ its period.
    processors: f64,
    periods: u64,
    throttled: u64,
    throttled_for: Duration,
}

/// The state of all quotas that hold for this process, at one instant.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Quotas(Vec<Quota>);

/// How a quota held this process up between two instants.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Throttling {
    /// Periods in which the group ran.
    pub periods: u64,
    /// Those in which it used up its quota, and was stopped for the rest.
    pub throttled: u64,
    /// For how long its threads were stopped, all together.
    pub stopped: Duration,
    /// The quota, processors.
    pub processors: f64,
}

impl Throttling {
    /// The share of the periods in which the quota was used up, 0 to 1.
    pub fn share(&self) -> f64 {
        if self.periods == 0 { 0.0 } else { (self.throttled as f64 / self.periods as f64).min(1.0) }
    }
}

impl Quotas {
    /// Those of this process; empty where there is none, or the system does not tell.
    pub(crate) fn read() -> Self {
        Self::under(Path::new("/"))
    }

    fn under(root: &Path) -> Self {
        Self(groups(root, "cpu").iter().filter_map(|group| quota(group)).collect())
    }

    /// What happened from `earlier` until now, of the quota that held this process up in most of its periods; `None` if there is
    /// no quota.
    pub(crate) fn since(&self, earlier: &Self) -> Option<Throttling> {
        let of = |now: &Quota| {
            let before = earlier.0.iter().find(|before| before.group == now.group)?;
            Some(Throttling {
                periods: now.periods.saturating_sub(before.periods),
                throttled: now.throttled.saturating_sub(before.throttled),
                stopped: now.throttled_for.saturating_sub(before.throttled_for),
                processors: now.processors,
            })
        };
        self.0.iter().filter_map(of).max_by(|a, b| a.share().total_cmp(&b.share()))
    }
}

/// Memory that the groups of this process leave it, bytes: pages of files that could be dropped at once count as free. `None` if
/// no group has a limit, or the system does not tell.
pub(crate) fn memory_left() -> Option<u64> {
    left_under(Path::new("/"))
}

fn left_under(root: &Path) -> Option<u64> {
    groups(root, "memory").iter().filter_map(|group| left(group)).min()
}

/// Version 2: `cpu.max`, `cpu.stat` in microseconds. Version 1: `cpu.cfs_quota_us`, `cpu.stat` in nanoseconds
/// (Documentation/admin-guide/cgroup-v2, Documentation/scheduler/sched-bwc).
fn quota(group: &Path) -> Option<Quota> {
    let number = |name: &str| text(group, name)?.parse::<f64>().ok();
    let processors = match text(group, "cpu.max") {
        Some(limit) => {
            let (quota, period) = limit.split_once(' ')?;
            quota.parse::<f64>().ok()? / period.parse::<f64>().ok()?
        }
        None => number("cpu.cfs_quota_us").filter(|quota| *quota > 0.0)? / number("cpu.cfs_period_us")?,
    };
    let stat = text(group, "cpu.stat")?;
    let entry = |key: &str| entry(&stat, key);
    let micros = || entry("throttled_usec").map(Duration::from_micros);
    Some(Quota {
        group: group.to_owned(),
        processors,
        periods: entry("nr_periods")?,
        throttled: entry("nr_throttled")?,
        throttled_for: micros().or_else(|| entry("throttled_time").map(Duration::from_nanos))?,
    })
}

/// Version 2: `memory.max` and `memory.current`. Version 1: `memory.limit_in_bytes`, without a limit an absurd number, and
/// `memory.usage_in_bytes`.
fn left(group: &Path) -> Option<u64> {
    const ABSURD: u64 = 1 << 60;
    let number = |name: &str| text(group, name)?.parse::<u64>().ok();
    let (limit, used, droppable) = match number("memory.max") {
        Some(limit) => (limit, number("memory.current")?, "inactive_file"),
        None => (
            number("memory.limit_in_bytes").filter(|limit| *limit < ABSURD)?,
            number("memory.usage_in_bytes")?,
            "total_inactive_file",
        ),
    };
    let droppable = text(group, "memory.stat").and_then(|stat| entry(&stat, droppable)).unwrap_or(0);
    Some(limit.saturating_sub(used.saturating_sub(droppable)))
}

fn text(group: &Path, name: &str) -> Option<String> {
    fs::read_to_string(group.join(name)).ok().map(|text| text.trim().to_owned())
}

/// The figure of the line `key figure`.
fn entry(stat: &str, key: &str) -> Option<u64> {
    stat.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')?.trim().parse().ok())
}

/// The directories of the groups that this process is in for `controller`, its own first, as far up as they can be seen: of both
/// versions, since a machine may have both mounted.
fn groups(root: &Path, controller: &str) -> Vec<PathBuf> {
    let read = |path: &str| fs::read_to_string(root.join(path)).unwrap_or_default();
    let (own, mounts) = (read("proc/self/cgroup"), read("proc/self/mountinfo"));
    let mut found = Vec::new();
    for mount in mounts.lines().filter_map(|line| GroupMount::read(line, controller)) {
        let Some(group) = own.lines().find_map(|line| membership(line, mount.unified, controller)) else {
            continue;
        };
        let top = root.join(mount.point.trim_start_matches('/'));
        // A group outside what is mounted, as in some containers: the mount shows the container's own.
        let inner = Path::new(group).strip_prefix(&mount.root).unwrap_or(Path::new(""));
        let inner = if inner.is_absolute() || inner.starts_with("..") { Path::new("") } else { inner };
        found.extend(inner.ancestors().map(|part| top.join(part)));
    }
    found
}

/// The group that a line of `/proc/self/cgroup` names (cgroups(7)), if the line is of the hierarchy asked for.
fn membership<'l>(line: &'l str, unified: bool, controller: &str) -> Option<&'l str> {
    let mut parts = line.splitn(3, ':');
    let (number, controllers, group) = (parts.next()?, parts.next()?, parts.next()?);
    let is_asked_for = if unified {
        number == "0" && controllers.is_empty()
    } else {
        controllers.split(',').any(|name| name == controller)
    };
    is_asked_for.then_some(group)
}

/// Where a hierarchy of groups is mounted.
struct GroupMount {
    unified: bool,
    /// The group that is seen at the mount.
    root: String,
    point: String,
}

impl GroupMount {
    /// A line of `/proc/self/mountinfo` (proc(5)); `None` if it is not a hierarchy of groups with `controller`.
    fn read(line: &str, controller: &str) -> Option<Self> {
        let (mount, system) = line.split_once(" - ")?;
        let mut mount = mount.split(' ').skip(3);
        let (root, point) = (unescaped(mount.next()?), unescaped(mount.next()?));
        let mut system = system.split(' ');
        let (kind, options) = (system.next()?, system.nth(1).unwrap_or_default());
        match kind {
            "cgroup2" => Some(Self { unified: true, root, point }),
            "cgroup" if options.split(',').any(|name| name == controller) => {
                Some(Self { unified: false, root, point })
            }
            _ => None,
        }
    }
}

/// Blanks in paths stand as octal numbers.
fn unescaped(text: &str) -> String {
    text.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\")
}

#[cfg(test)]
mod tests;
