//! Where a dialogue is between two bytes of its input.

use memproto::GetVerb;

/// What the next byte of input is.
///
/// ```text
///            +------------> Wait ---------+
///            |                            v
///   Command -+-> Keys ... Keys --------> Command
///      |     +-> Body ... Body ---------> ^
///      |     +-> Swallow, SkipLine -----> ^
///      |     +-> Barrier ---------------> ^
///      v                         |
///    Closed <-- Login -> Barrier +----> Login
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// The first of a request.
    Command,
    /// The first of a storage request whose value is not all there: nothing to do before `bytes`
    /// are.
    Wait { bytes: usize },
    /// The first of a key, in a long retrieval line of which `left` bytes remain.
    Keys { verb: RetrievalVerb, left: usize },
    /// Of a value of which `left` bytes remain, then its terminator of `tail` bytes.
    Body { left: usize, tail: usize },
    /// Of something that is skipped.
    Swallow { left: usize },
    /// The first of a request of a client that has to log in first.
    Login,
    /// Of a line that is skipped up to its end.
    SkipLine,
    /// The first of a request, which is not to be read before the last one, whose answer may be
    /// long, is answered.
    Barrier,
    /// Ignored: the connection ends when its replies are sent. `at_fault` says that it ends because
    /// the client broke the protocol.
    Closed { at_fault: bool },
}

/// What a retrieval does with each of its keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RetrievalVerb {
    /// get, gets, gat or gats.
    pub(crate) verb: GetVerb,
    /// For gat and gats, as sent.
    pub(crate) exptime: i64,
}
