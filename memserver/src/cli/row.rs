//! What the rows of flags and `-o` words have in common.

use super::error::StartupError;
use super::options::Options;
use super::value::Value;

/// What a row does.
#[derive(Clone, Copy, Debug)]
pub(super) enum Policy {
    /// It has its effect.
    Act,
    /// It has its effect, as far as this build has the feature: the help leaves it out.
    Unlisted,
    /// It asks for something else than a server, and only arguments can.
    ConfigAction,
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

    /// Whether the help names it.
    pub(super) fn is_listed(self) -> bool {
        !matches!(self, Self::Refuse(_) | Self::Unlisted)
    }
}

/// Whether a value follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Takes {
    /// None.
    Nothing,
    /// None, and it counts how often it is given.
    Count,
    /// One, shown like this in the help.
    Value(&'static str),
    /// One, and further ones add to it.
    List(&'static str),
    /// Perhaps one.
    Maybe(&'static str),
}

impl Takes {
    /// Whether a value follows the flag on the command line.
    pub(super) fn has_value(self) -> bool {
        !matches!(self, Self::Nothing | Self::Count)
    }

    /// What the help calls the value.
    pub(super) fn placeholder(self) -> Option<&'static str> {
        match self {
            Self::Nothing | Self::Count => None,
            Self::Value(value) | Self::List(value) | Self::Maybe(value) => Some(value),
        }
    }
}

/// Puts a value into the settings.
pub(super) type Set = fn(&mut Options, Value<'_>) -> Result<(), StartupError>;

/// Applies one row. Messages call it `label`.
pub(super) fn apply(
    options: &mut Options,
    label: &str,
    policy: Policy,
    set: Set,
    value: Value<'_>,
) -> Result<(), StartupError> {
    match policy {
        Policy::Refuse(why) => Err(StartupError::usage(format!("{label}: {why}"))),
        Policy::Ignore(why) => {
            // Checked and kept all the same, so that typing errors are found and `stats settings`
            // shows it.
            set(options, value)?;
            options.warn(format!("{label} has no effect: {why}"));
            Ok(())
        }
        Policy::Act | Policy::Unlisted | Policy::ConfigAction => set(options, value),
    }
}
