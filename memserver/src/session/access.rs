//! Who a client says to be, and what came of it.

use std::sync::Arc;

use memproto::binary::write::ReplyTo;

use crate::auth::verifier::PendingLogin;

/// Whether a client has to log in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// The server has no users.
    Open,
    /// It has, and this client is none of them yet.
    Unknown,
    /// It has, and this client is one of them.
    Granted,
}

/// What a client says to prove who it is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Login<'a> {
    /// In text: a data block with its end.
    Text(&'a [u8]),
    /// In the binary protocol.
    Sasl {
        /// What the reply repeats.
        to: ReplyTo,
        /// The name of the mechanism.
        mechanism: &'a [u8],
        /// The message, in the form of that mechanism.
        message: &'a [u8],
        /// Whether it goes on with a login that has begun, and if so, whether one has.
        step: Option<bool>,
    },
}

/// A login whose password is being compared with a hash.
#[derive(Debug)]
pub(crate) struct Verifying {
    /// The way to the answer.
    pub(crate) login: Arc<PendingLogin>,
    /// The name, for log lines.
    pub(crate) user: Box<[u8]>,
    /// How it is answered.
    pub(crate) reply: LoginReply,
}

/// How a login is answered.
#[derive(Clone, Copy, Debug)]
pub(crate) enum LoginReply {
    /// In text.
    Text,
    /// In the binary protocol.
    Sasl {
        /// What the reply repeats.
        to: ReplyTo,
        /// Whether a further step may follow one that fails.
        goes_on: bool,
    },
}

/// What came of a login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// Whether the client is one of the users now.
    pub(crate) granted: bool,
    /// Whether the client may go on with another step.
    pub(crate) goes_on: bool,
}
