//! What the settings depend on besides the arguments: environment variables, files, and the
//! memory and processors of the machine.

use std::env;
use std::io;
use std::path::Path;

use super::error::StartupError;
use crate::os::{cgroup, files, limits};

/// A larger file of settings, or of a password, is not read.
const FILE_MAX: u64 = 1 << 20;
/// Variables that may concern a server begin so.
const PREFIXES: [&str; 2] = ["MEMSERVER_", "MEMCACHED_"];

/// What the settings depend on besides the arguments. By default that is nothing.
#[derive(Debug)]
pub(crate) struct ParseContext {
    /// The variables that may concern a server.
    pub(super) variables: Vec<(String, String)>,
    /// Bytes of memory that there are, if that is known.
    pub(super) memory: Option<u64>,
    /// Processors that a quota pays for, if there is one.
    pub(super) quota: Option<usize>,
    /// Reads a file.
    pub(super) read: fn(&Path) -> io::Result<Vec<u8>>,
}

impl Default for ParseContext {
    fn default() -> Self {
        let read = |_: &Path| Err(io::ErrorKind::NotFound.into());
        Self { variables: Vec::new(), memory: None, quota: None, read }
    }
}

impl ParseContext {
    /// Those of this process.
    ///
    /// # Errors
    /// A variable is not UTF-8.
    pub(crate) fn of_process() -> Result<Self, StartupError> {
        let mut variables = Vec::new();
        for (name, value) in env::vars_os() {
            let Ok(name) = name.into_string() else { continue };
            if PREFIXES.iter().any(|prefix| name.starts_with(prefix)) {
                let value = value.into_string().map_err(|_| {
                    StartupError::usage(format!("the variable {name} is not UTF-8"))
                })?;
                variables.push((name, value));
            }
        }
        // The environment has no order, but messages are to be the same at each start.
        variables.sort();
        Ok(Self {
            variables,
            memory: memory(),
            quota: cgroup::quota(),
            read: |path| files::read(path, FILE_MAX),
        })
    }
}

/// Bytes of memory that this process may use, if that is known.
fn memory() -> Option<u64> {
    let machine = memcore::available_memory().map(|bytes| bytes as u64);
    machine.into_iter().chain(limits::address_space()).min()
}
