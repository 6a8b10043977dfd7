//! What the kernel tells about another process: processor time and memory. Linux only.

use std::fs;
use std::io;

/// Processor time of all living threads of the process, in nanoseconds, user and system together.
///
/// The scheduler's own accounting is exact to the last switch of each thread; `utime` and `stime`
/// would only count ticks.
///
/// # Errors
/// If the process is gone or the kernel keeps no such accounts.
pub fn cpu_ns(pid: u32) -> io::Result<u64> {
    let mut sum = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        let Ok(text) = fs::read_to_string(task?.path().join("schedstat")) else {
            continue; // The thread ended while we looked.
        };
        let on_cpu = text.split_whitespace().next().and_then(|word| word.parse::<u64>().ok());
        sum += on_cpu.ok_or_else(|| io::Error::other("no scheduler accounts in /proc"))?;
    }
    Ok(sum)
}

/// Memory of a process in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Memory {
    /// Resident now.
    pub resident: u64,
    /// Resident at most, ever.
    pub peak: u64,
}

/// Reads the memory of a process.
///
/// # Errors
/// If the process is gone.
pub fn memory(pid: u32) -> io::Result<Memory> {
    let text = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let field = |name: &str| {
        text.lines()
            .find_map(|line| {
                line.strip_prefix(name)?.split_whitespace().next()?.parse::<u64>().ok()
            })
            .map(|kib| kib * 1024)
            .ok_or_else(|| io::Error::other(format!("no {name} in /proc")))
    };
    Ok(Memory { resident: field("VmRSS:")?, peak: field("VmHWM:")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_time_grows_with_work() {
        let pid = std::process::id();
        let before = cpu_ns(pid).unwrap();
        let until = std::time::Instant::now() + std::time::Duration::from_millis(50);
        while std::time::Instant::now() < until {
            std::hint::spin_loop();
        }
        std::thread::yield_now();
        assert!(cpu_ns(pid).unwrap() > before);
    }

    #[test]
    fn own_memory_is_plausible() {
        let memory = memory(std::process::id()).unwrap();
        assert!(memory.resident > 100_000 && memory.peak >= memory.resident);
    }
}
