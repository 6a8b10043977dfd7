//! Who may do what: users, how they prove who they are, and what they may ask for. What a request
//! asks for is not known here, nor how a login is spelled on the wire.

pub(crate) mod account;
pub(crate) mod accounts;
pub(crate) mod audit;
pub(crate) mod file;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
pub(crate) mod guard;
pub(crate) mod hash;
pub(crate) mod lockout;
pub(crate) mod rights;
pub(crate) mod table;
pub(crate) mod users;
pub(crate) mod verifier;
