//! Sizes as people say them, and as the machine has them.

use std::fs;
use std::path::Path;

use crate::ConfigError;

/// So many mebibytes, in bytes.
///
/// # Examples
/// ```
/// use memcore::{Cache, gib, mib};
///
/// let cache = Cache::builder(mib(64)).max_limit(gib(1)).build()?;
/// assert_eq!(cache.stats().limit, 67_108_864);
/// # Ok::<(), memcore::ConfigError>(())
/// ```
#[must_use]
pub const fn mib(count: usize) -> usize {
    count.saturating_mul(1 << 20)
}

/// So many gibibytes, in bytes. Where addresses have 32 bits, at most as many as there can be.
///
/// # Examples
/// ```
/// assert_eq!(memcore::gib(2), 2_147_483_648);
/// assert_eq!(memcore::gib(usize::MAX), usize::MAX);
/// ```
#[must_use]
pub const fn gib(count: usize) -> usize {
    count.saturating_mul(1 << 30)
}

/// Bytes of memory that this process may use: the limit of its control group, a container's for
/// example, or the memory of the machine. `None` where nothing says so, as on systems other than
/// Linux.
///
/// # Examples
/// ```
/// let bytes = memcore::available_memory();
/// assert!(bytes.is_none_or(|bytes| bytes > 1 << 20));
/// ```
#[must_use]
pub fn available_memory() -> Option<usize> {
    memory_under(Path::new("/"))
}

/// So many per cent of the memory that this process may use, in bytes: see [`available_memory`].
///
/// # Errors
/// [`ConfigError`], if it is not 1 to 100 per cent, or if nothing says how much memory there is.
///
/// # Examples
/// ```
/// use memcore::{Cache, percent_of_memory};
///
/// # if !cfg!(target_os = "linux") { return Ok(()) }
/// let cache = Cache::new(percent_of_memory(25)?)?;
/// assert!(percent_of_memory(0).is_err());
/// # Ok::<(), memcore::ConfigError>(())
/// ```
pub fn percent_of_memory(percent: u32) -> Result<usize, ConfigError> {
    if !(1..=100).contains(&percent) {
        return Err(ConfigError::BadPercentage { percent });
    }
    let unknown = || ConfigError::System {
        what: "to say how much memory there is",
        reason: "no control group and no /proc/meminfo".to_owned(),
    };
    let all = available_memory().ok_or_else(unknown)?;
    // In hundredths first, so that nothing overflows.
    Ok(all / 100 * percent as usize + all % 100 * percent as usize / 100)
}

/// The smallest of all limits. Limits of a parent group bind as well, but a container sees its
/// own group as the root of the hierarchy, so that the files at the top and those of the
/// process's own group are all there is to look at.
fn memory_under(root: &Path) -> Option<usize> {
    let groups = groups(root);
    let unified = groups.iter().map(|group| format!("sys/fs/cgroup{group}/memory.max"));
    let legacy =
        groups.iter().map(|group| format!("sys/fs/cgroup/memory{group}/memory.limit_in_bytes"));
    // `max` is not a number: such a group has no limit. A legacy group without one names a number
    // beyond any machine, which the machine's memory then undercuts.
    let limits = unified.chain(legacy).filter_map(|file| read(root, &file)?.trim().parse().ok());
    let least: u64 = limits.chain(machine_memory_under(root)).min()?;
    Some(usize::try_from(least).unwrap_or(usize::MAX))
}

fn machine_memory_under(root: &Path) -> Option<u64> {
    let text = read(root, "proc/meminfo")?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    // The unit is always kB, by which the system means KiB.
    line.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
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
            let name = format!("memcore-{name}-{}", std::process::id());
            let root = std::env::temp_dir().join(name);
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

    const MACHINE: (&str, &str) = ("proc/meminfo", "MemTotal:  4096 kB\nMemFree: 1 kB\n");

    #[test]
    fn without_groups_the_machine_counts() {
        let tree = Tree::new("none", &[MACHINE]);
        assert_eq!(memory_under(&tree.0), Some(4 << 20));
        let nothing = Tree::new("nothing", &[("proc/self/cgroup", "0::/\n")]);
        assert_eq!(memory_under(&nothing.0), None);
    }

    #[test]
    fn groups_of_both_kinds_count() {
        let unified = [
            MACHINE,
            ("proc/self/cgroup", "0::/a/b\n"),
            ("sys/fs/cgroup/memory.max", "max\n"),
            ("sys/fs/cgroup/a/b/memory.max", "1048576\n"),
        ];
        assert_eq!(memory_under(&Tree::new("unified", &unified).0), Some(1 << 20));
        let legacy = [
            MACHINE,
            ("proc/self/cgroup", "4:memory:/c\n"),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"),
            ("sys/fs/cgroup/memory/c/memory.limit_in_bytes", "2097152\n"),
        ];
        assert_eq!(memory_under(&Tree::new("legacy", &legacy).0), Some(2 << 20));
    }

    #[test]
    fn a_percentage_is_of_what_there_is() {
        for percent in [0, 101, u32::MAX] {
            let words = percent_of_memory(percent).unwrap_err().to_string();
            assert!(words.contains("1 to 100"), "{words}");
        }
        let Some(all) = available_memory() else { return };
        assert_eq!(percent_of_memory(100), Ok(all));
        let half = percent_of_memory(50).unwrap();
        assert!(half.abs_diff(all / 2) <= 1, "{half} of {all}");
    }
}
