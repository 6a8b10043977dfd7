//! Why the program ends before it serves.

/// One line for standard error, and an exit status.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct StartupError {
    /// The exit status.
    pub(crate) exit: Exit,
    /// What is wrong and what to do instead.
    pub(crate) message: String,
}

/// Exit statuses, with memcached's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// An unknown flag or word, or a number that memcached refuses with this status.
    Illegal = 1,
    /// Any other wrong use.
    Usage = 64,
    /// There is no such user.
    NoUser = 67,
    /// The system refused something.
    System = 71,
}

impl StartupError {
    /// An unknown flag, an unknown word, or a number out of range.
    pub(crate) fn illegal(message: impl Into<String>) -> Self {
        Self { exit: Exit::Illegal, message: message.into() }
    }

    /// Any other wrong use.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, message: message.into() }
    }

    /// The system refused something.
    pub(crate) fn system(message: impl Into<String>) -> Self {
        Self { exit: Exit::System, message: message.into() }
    }
}
