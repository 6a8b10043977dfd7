//! Datagrams in a build without them: the same name, of which there is no value.

use std::io::{Error, ErrorKind, Result};
use std::sync::Arc;

use crate::state::shared::Shared;

/// The thread that there is not.
#[derive(Debug)]
pub(crate) enum Udp {}

impl Udp {
    pub(crate) fn start<S>(_: Vec<S>, _: Arc<Shared>) -> Result<Self> {
        Err(Error::new(ErrorKind::Unsupported, "this build has no UDP"))
    }
}
