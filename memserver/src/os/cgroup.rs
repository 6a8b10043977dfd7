//! How many processors this process may use, as its control groups or the machine say.

use std::fs;
use std::path::Path;

/// Whole processors, at least one.
pub(crate) fn processors() -> usize {
    let machine = std::thread::available_parallelism().map_or(1, usize::from);
    quota().map_or(machine, |quota| quota.min(machine)).max(1)
}

/// Processors that a quota pays for, rounded up; none if there is no quota.
pub(crate) fn quota() -> Option<usize> {
    quota_under(Path::new("/"))
}

/// Processors that the quota pays for, rounded up.
fn quota_under(root: &Path) -> Option<usize> {
    let groups = groups(root);
    let unified = groups.iter().filter_map(|group| {
        let text = read(root, &format!("sys/fs/cgroup{group}/cpu.max"))?;
        let (quota, period) = text.trim().split_once(' ')?;
        // `max` instead of a number: no quota.
        Some((quota.parse().ok()?, period.parse().ok()?))
    });
    let legacy = groups.iter().filter_map(|group| {
        let number = |name| {
            let file = format!("sys/fs/cgroup/cpu{group}/{name}");
            read(root, &file)?.trim().parse::<u64>().ok()
        };
        // -1, which does not parse here, stands for no quota.
        Some((number("cpu.cfs_quota_us")?, number("cpu.cfs_period_us")?))
    });
    let whole = |(quota, period): (u64, u64)| (period > 0).then(|| quota.div_ceil(period));
    unified.chain(legacy).filter_map(whole).min().and_then(|count| usize::try_from(count).ok())
}

/// The top of the hierarchy and every group that this process is in.
fn groups(root: &Path) -> Vec<String> {
    let text = read(root, "proc/self/cgroup").unwrap_or_default();
    // A line is `ID:controllers:path`.
    let own = text.lines().filter_map(|line| line.splitn(3, ':').nth(2));
    let own = own.map(|group| group.trim_end_matches('/').to_owned());
    std::iter::once(String::new()).chain(own).collect()
}

fn read(root: &Path, file: &str) -> Option<String> {
    fs::read_to_string(root.join(file)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory tree that goes away with the test.
    struct Tree(std::path::PathBuf);

    impl Tree {
        fn new(name: &str, files: &[(&str, &str)]) -> Self {
            let root = std::env::temp_dir().join(format!("cgroup-{name}-{}", std::process::id()));
            for (file, text) in files {
                let path = root.join(file);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, text).unwrap();
            }
            Self(root)
        }
    }

    impl Drop for Tree {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn without_groups_there_is_no_quota() {
        let tree = Tree::new("none", &[("proc/self/cgroup", "0::/\n")]);
        assert_eq!(quota_under(&tree.0), None);
    }

    #[test]
    fn unified_groups() {
        let files = [
            ("proc/self/cgroup", "0::/a/b\n"),
            ("sys/fs/cgroup/cpu.max", "max 100000\n"),
            ("sys/fs/cgroup/a/b/cpu.max", "150000 100000\n"),
        ];
        assert_eq!(quota_under(&Tree::new("unified", &files).0), Some(2));
    }

    #[test]
    fn legacy_groups() {
        let files = [
            ("proc/self/cgroup", "3:cpu,cpuacct:/c\n"),
            ("sys/fs/cgroup/cpu/c/cpu.cfs_quota_us", "-1\n"),
            ("sys/fs/cgroup/cpu/c/cpu.cfs_period_us", "100000\n"),
        ];
        assert_eq!(quota_under(&Tree::new("legacy", &files).0), None);
    }
}
