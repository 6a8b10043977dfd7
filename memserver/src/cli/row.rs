//! What the rows of flags and `-o` words have in common.

use super::error::StartupError;
use super::options::Options;
use super::value::Value;

/// What a row does.
#[derive(Clone, Copy, Debug)]
pub(super) enum Policy {
    /// It has its effect.
    Act,
    /// Its value is checked, and one warning says why nothing changes.
    Ignore(&'static str),
    /// The server does not start, and one line says why.
    Refuse(&'static str),
}

impl Policy {
    /// Whether the server does not start with it.
    pub(super) fn refuses(self) -> bool {
        matches!(self, Self::Refuse(_))
    }
}

/// Whether a value follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Takes {
    /// None.
    Nothing,
    /// One, shown like this in the help.
    Value(&'static str),
    /// Perhaps one.
    Maybe(&'static str),
}

/// Puts a value into the settings.
pub(super) type Set = fn(&mut Options, Value<'_>) -> Result<(), StartupError>;

/// What became of a row.
#[derive(Debug)]
pub(super) enum Applied {
    /// The settings are complete again.
    Done,
    /// This build lacks the feature. The caller decides when to say so.
    Lacking(StartupError),
}

/// Applies one row. Messages call it `label`.
pub(super) fn apply(
    options: &mut Options,
    label: &str,
    policy: Policy,
    set: Set,
    value: Value<'_>,
) -> Result<Applied, StartupError> {
    match policy {
        Policy::Refuse(why) => {
            return Ok(Applied::Lacking(StartupError::usage(format!("{label}: {why}"))));
        }
        Policy::Ignore(why) => {
            // Checked and kept all the same: errors of typing are found, and `stats settings` shows
            // it.
            set(options, value)?;
            options.warn(format!("{label} has no effect: {why}"));
        }
        Policy::Act => set(options, value)?,
    }
    Ok(Applied::Done)
}
