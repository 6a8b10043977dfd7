//! The operations, one family a file.

pub(crate) mod handle;
pub(crate) mod read;
pub(crate) mod reserve;
pub(crate) mod scan;
pub(crate) mod update;
pub(crate) mod write;
