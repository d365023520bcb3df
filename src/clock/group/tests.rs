//! Control groups read from machines made up of files.

use super::*;

const MIB: u64 = 1 << 20;

/// A machine with these files.
fn machine(files: &[(&str, &str)]) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    root
}

const TWO: (&str, &str) =
    ("proc/self/mountinfo", "30 23 0:28 / /sys/fs/cgroup rw,relatime shared:4 - cgroup2 cgroup2 rw\n");
const ONE: (&str, &str) = (
    "proc/self/mountinfo",
    "22 1 0:20 / / rw - ext4 /dev/vda rw\n\
     31 23 0:28 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct\n\
     32 23 0:29 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n\
     33 23 0:30 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n",
);

fn stat(periods: u64, throttled: u64) -> String {
    format!(
        "usage_usec 5\nnr_periods {periods}\nnr_throttled {throttled}\nthrottled_usec {}\n",
        throttled * 1_000
    )
}

fn processors(root: &Path) -> Vec<f64> {
    Quotas::under(root).0.iter().map(|quota| quota.processors).collect()
}

/// What it is, the files of the machine, and the quotas to be found.
type Case<'t> = (&'t str, &'t [(&'t str, &'t str)], &'t [f64]);

#[test]
fn quotas_are_found_on_every_way_up() {
    let stat = stat(10, 2);
    let old = "nr_periods 10\nnr_throttled 2\nthrottled_time 2000000\n";
    let member = |text: &'static str| ("proc/self/cgroup", text);
    let table: &[Case] = &[
        (
            "version 2: the parent has the quota",
            &[
                TWO,
                member("0::/pod/squall\n"),
                ("sys/fs/cgroup/pod/squall/cpu.max", "max 100000\n"),
                ("sys/fs/cgroup/pod/squall/cpu.stat", &stat),
                ("sys/fs/cgroup/pod/cpu.max", "2000 100000\n"),
                ("sys/fs/cgroup/pod/cpu.stat", &stat),
            ],
            &[0.02],
        ),
        (
            "version 1, beside a version 2 without the controller",
            &[
                ONE,
                member("9:name=systemd:/\n2:cpu,cpuacct:/starved\n0::/\n"),
                ("sys/fs/cgroup/cpu,cpuacct/starved/cpu.cfs_quota_us", "50000\n"),
                ("sys/fs/cgroup/cpu,cpuacct/starved/cpu.cfs_period_us", "100000\n"),
                ("sys/fs/cgroup/cpu,cpuacct/starved/cpu.stat", old),
                ("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n"),
                ("sys/fs/cgroup/cpu,cpuacct/cpu.stat", old),
            ],
            &[0.5],
        ),
        (
            "a container that sees its group as the root",
            &[
                ("proc/self/mountinfo", "30 23 0:28 /docker/a /sys/fs/cgroup ro - cgroup2 cgroup rw\n"),
                member("0::/docker/a\n"),
                ("sys/fs/cgroup/cpu.max", "150000 100000\n"),
                ("sys/fs/cgroup/cpu.stat", &stat),
            ],
            &[1.5],
        ),
        (
            "a group outside of what is mounted",
            &[
                TWO,
                member("0::/../../other\n"),
                ("sys/fs/cgroup/cpu.max", "10000 100000\n"),
                ("sys/fs/cgroup/cpu.stat", &stat),
            ],
            &[0.1],
        ),
        ("no quota", &[TWO, member("0::/\n")], &[]),
        ("no groups", &[], &[]),
        ("nonsense", &[TWO, member("x\n"), ("sys/fs/cgroup/cpu.max", "many few\n")], &[]),
    ];
    for (what, files, expected) in table {
        let found = processors(machine(files).path());
        assert_eq!(found, *expected, "{what}");
    }
}

#[test]
fn throttling_is_of_the_quota_that_held_up_most() {
    let at = |outer: u64, inner: u64| {
        let (outer, inner) = (stat(100 + 2 * outer, outer), stat(100 + 2 * inner, inner));
        let root = machine(&[
            TWO,
            ("proc/self/cgroup", "0::/a/b\n"),
            ("sys/fs/cgroup/a/cpu.max", "2000 100000\n"),
            ("sys/fs/cgroup/a/cpu.stat", &outer),
            ("sys/fs/cgroup/a/b/cpu.max", "50000 100000\n"),
            ("sys/fs/cgroup/a/b/cpu.stat", &inner),
        ]);
        // Every machine has a directory of its own; what it shows is the same group.
        let mut quotas = Quotas::under(root.path());
        for quota in &mut quotas.0 {
            quota.group = quota.group.strip_prefix(root.path()).unwrap().to_owned();
        }
        quotas
    };
    let throttling = at(90, 11).since(&at(9, 10)).unwrap();
    assert_eq!((throttling.periods, throttling.throttled), (162, 81));
    assert_eq!((throttling.processors, throttling.stopped), (0.02, Duration::from_millis(81)));
    assert!((throttling.share() - 0.5).abs() < 1e-9);
    assert!(at(9, 9).since(&at(9, 9)).unwrap().share() <= 0.0);
    assert_eq!(at(9, 9).since(&Quotas::default()), None);
}

#[test]
fn memory_is_what_the_tightest_group_leaves() {
    let mib = |number: u64| (number * MIB).to_string();
    let root = machine(&[
        TWO,
        ("proc/self/cgroup", "0::/a/b\n"),
        ("sys/fs/cgroup/a/memory.max", &mib(64)),
        ("sys/fs/cgroup/a/memory.current", &mib(40)),
        ("sys/fs/cgroup/a/memory.stat", &format!("anon 1\ninactive_file {}\n", 10 * MIB)),
        ("sys/fs/cgroup/a/b/memory.max", "max"),
        ("sys/fs/cgroup/a/b/memory.current", &mib(30)),
    ]);
    assert_eq!(left_under(root.path()), Some(34 * MIB));
    let root = machine(&[
        ONE,
        ("proc/self/cgroup", "4:memory:/x\n0::/\n"),
        ("sys/fs/cgroup/memory/x/memory.limit_in_bytes", &mib(64)),
        ("sys/fs/cgroup/memory/x/memory.usage_in_bytes", &mib(70)),
        ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712"),
        ("sys/fs/cgroup/memory/memory.usage_in_bytes", &mib(500)),
    ]);
    assert_eq!(left_under(root.path()), Some(0));
    assert_eq!(left_under(machine(&[TWO, ("proc/self/cgroup", "0::/\n")]).path()), None);
}
