//! Servers as child processes: started from a command line, pinned, and ended with their handle.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::str::FromStr;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// A named command line in which `{port}` and `{mib}` stand for the port to listen on and the
/// memory limit in MiB.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipe {
    /// What tables call the server.
    pub name: String,
    /// Program and arguments.
    pub words: Vec<String>,
}

impl Recipe {
    /// Replaces a placeholder.
    #[must_use]
    pub fn with(&self, placeholder: &str, value: impl ToString) -> Self {
        let value = value.to_string();
        let words = self.words.iter().map(|word| word.replace(placeholder, &value)).collect();
        Self { name: self.name.clone(), words }
    }

    /// Whether a placeholder occurs.
    #[must_use]
    pub fn has(&self, placeholder: &str) -> bool {
        self.words.iter().any(|word| word.contains(placeholder))
    }
}

impl FromStr for Recipe {
    type Err = String;

    /// `NAME=COMMAND`; the command is split at blanks, there is no shell.
    fn from_str(text: &str) -> Result<Self, String> {
        let (name, command) =
            text.split_once('=').ok_or_else(|| format!("`{text}` is not NAME=COMMAND"))?;
        let words: Vec<_> = command.split_whitespace().map(str::to_owned).collect();
        if name.is_empty() || words.is_empty() {
            return Err(format!("`{text}` is not NAME=COMMAND"));
        }
        Ok(Self { name: name.to_owned(), words })
    }
}

/// A running server. Dropping it ends the process.
#[derive(Debug)]
pub struct Server {
    /// What tables call it.
    pub name: String,
    /// Where it listens.
    pub addr: SocketAddr,
    child: Child,
}

impl Server {
    /// Starts a server at `port` of the loopback interface, on processor `core` if one is given,
    /// and waits until it accepts connections.
    ///
    /// # Errors
    /// If it can't be started, ends at once or does not listen within a minute.
    pub fn start(recipe: &Recipe, port: u16, core: Option<usize>) -> io::Result<Self> {
        Self::start_logging_to(recipe, port, core, Stdio::inherit())
    }

    /// Starts a server as [`Server::start`] does, with its standard error connected to `log`. If
    /// that is a pipe, nobody reads from it while the server lives.
    ///
    /// # Errors
    /// As [`Server::start`].
    pub fn start_logging_to(
        recipe: &Recipe,
        port: u16,
        core: Option<usize>,
        log: Stdio,
    ) -> io::Result<Self> {
        let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if TcpStream::connect(addr).is_ok() {
            return Err(io::Error::other(format!("another program listens at {addr} already")));
        }
        let recipe = recipe.with("{port}", port);
        let mut command = Command::new(&recipe.words[0]);
        command.args(&recipe.words[1..]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let child = pinned(core, || command.spawn())?
            .map_err(|error| io::Error::other(format!("{}: {error}", recipe.words[0])))?;
        let mut server = Self { name: recipe.name, addr, child };
        server.wait_until_listening()?;
        Ok(server)
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends SIGTERM and waits until the process has ended. Returns how long that took and how it
    /// ended, or `None` if it still runs after `timeout`.
    ///
    /// # Errors
    /// If the system refuses the signal.
    pub fn terminate(&mut self, timeout: Duration) -> io::Result<Option<(Duration, ExitStatus)>> {
        self.stop(Signal::TERM, timeout)
    }

    /// Asks the process with SIGUSR1 to end as it should, and waits until it has. Returns how long
    /// that took, or `None` if it still runs after `timeout`.
    ///
    /// # Errors
    /// If the system refuses the signal.
    pub fn stop_gracefully(&mut self, timeout: Duration) -> io::Result<Option<Duration>> {
        Ok(self.stop(Signal::USR1, timeout)?.map(|(time, _)| time))
    }

    fn stop(
        &mut self,
        signal: Signal,
        timeout: Duration,
    ) -> io::Result<Option<(Duration, ExitStatus)>> {
        if let Some(status) = self.child.try_wait()? {
            return Ok(Some((Duration::ZERO, status)));
        }
        let began = Instant::now();
        kill_process(Pid::from_child(&self.child), signal)?;
        while began.elapsed() < timeout {
            if let Some(status) = self.child.try_wait()? {
                return Ok(Some((began.elapsed(), status)));
            }
            thread::sleep(Duration::from_millis(1));
        }
        Ok(None)
    }

    fn wait_until_listening(&mut self) -> io::Result<()> {
        let until = Instant::now() + Duration::from_secs(60);
        while TcpStream::connect(self.addr).is_err() {
            if let Some(status) = self.child.try_wait()? {
                return Err(io::Error::other(format!("{} ended: {status}", self.name)));
            }
            if Instant::now() > until {
                return Err(io::Error::other(format!("{} does not listen", self.name)));
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself; either way nothing is left to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Binds the calling thread, and whatever it starts from now on, to one processor.
///
/// # Errors
/// If this process may not run there.
pub fn pin(core: usize) -> io::Result<()> {
    let mut set = CpuSet::new();
    set.set(core);
    Ok(sched_setaffinity(None, &set)?)
}

/// Children inherit where their parent may run, so the parent goes there for a moment.
fn pinned<R>(core: Option<usize>, act: impl FnOnce() -> R) -> io::Result<R> {
    let Some(core) = core else { return Ok(act()) };
    let before = sched_getaffinity(None)?;
    pin(core)?;
    let result = act();
    sched_setaffinity(None, &before)?;
    Ok(result)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recipe_is_a_name_and_words_with_placeholders() {
        let recipe: Recipe = "ours=server -p {port} -m{mib}".parse().unwrap();
        assert_eq!(recipe.name, "ours");
        let words = recipe.with("{port}", 7).with("{mib}", 64).words;
        assert_eq!(words, ["server", "-p", "7", "-m64"]);
        assert!(recipe.has("{mib}") && !recipe.has("{admin}"));
        for bad in ["ours", "=server", "ours= "] {
            assert!(bad.parse::<Recipe>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_server_that_ends_is_an_error() {
        let recipe: Recipe = "nobody=true".parse().unwrap();
        let error = Server::start(&recipe, free_port(), None).unwrap_err();
        assert!(error.to_string().starts_with("nobody ended"), "{error}");
    }

    #[test]
    fn a_port_that_is_taken_is_an_error() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let recipe: Recipe = "nobody=true".parse().unwrap();
        assert!(Server::start(&recipe, port, None).is_err());
    }

    fn free_port() -> u16 {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    }
}
