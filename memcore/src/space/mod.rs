//! Where items lie: the layout of an item, segments, the budget, open segments.

pub(crate) mod append;
pub(crate) mod layout;
pub(crate) mod pool;
pub(crate) mod segments;
