//! Running in the background (`-d`). A process with threads can't be forked safely, so the program
//! starts itself once more: the parent waits until the child serves or ends, and ends likewise.
//!
//! ```text
//!   parent: run -- spawn --> child: setsid, open sockets, start threads, run
//!              <-- "ready" on the child's standard output --'
//!   parent: exit 0, or the child's exit status if it ends before it is ready
//! ```

use std::env;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

/// Set for the child, so that it does not start a child of its own. It is not a setting, and is not
/// named like one.
const CHILD: &str = "_MEMSERVER_DAEMON_CHILD";
/// What the child says once it serves.
const READY: &[u8] = b"ready";

/// Whether this process was started by [`start`].
pub(crate) fn is_child() -> bool {
    env::var_os(CHILD).is_some()
}

/// Starts the program again with the same arguments, in the background, and waits until it serves.
/// Returns its exit status if it ends before.
///
/// # Errors
/// The system refused a process.
pub(crate) fn start() -> io::Result<Result<(), u8>> {
    let mut args = env::args_os();
    let name = args.next().unwrap_or_default();
    let mut child = Command::new(env::current_exe()?)
        .arg0(name)
        .args(args)
        .env(CHILD, "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut said = Vec::new();
    if let Some(mut stdout) = child.stdout.take() {
        // Ends when the child closes its output: in `ready`, or because it has ended.
        stdout.read_to_end(&mut said)?;
    }
    if said == READY {
        return Ok(Ok(()));
    }
    let code = child.wait()?.code().unwrap_or(1);
    Ok(Err(u8::try_from(code).unwrap_or(1)))
}

/// Leaves the terminal's session, so that its end does not reach this process.
///
/// # Errors
/// The process leads a group already.
pub(crate) fn leave_session() -> io::Result<()> {
    rustix::process::setsid()?;
    Ok(())
}

/// Tells the parent that this process serves, and lets go of what belonged to the terminal: the
/// standard output, the folder, and the standard error unless it is wanted.
///
/// # Errors
/// There is no `/dev/null`.
pub(crate) fn ready(keep_stderr: bool) -> io::Result<()> {
    // What can fail comes before the word to the parent, who then hears of it by the exit status.
    let null = File::options().read(true).write(true).open("/dev/null")?;
    env::set_current_dir("/")?;
    if !keep_stderr {
        rustix::stdio::dup2_stderr(&null)?;
    }
    // A parent that was killed does not read it.
    let _ = io::stdout().write_all(READY).and_then(|()| io::stdout().flush());
    // The parent reads until the last descriptor of the pipe is closed, which is this one.
    rustix::stdio::dup2_stdout(&null)?;
    Ok(())
}
