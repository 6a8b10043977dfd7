//! Tests of the whole cache that recount what it keeps as sums, which is not public.

pub(crate) mod common {
    pub(super) mod model;
    pub(super) mod ops;
    pub(super) mod pair;
    pub(super) mod snapshots;
    // Shared with the tests of the public face.
    #[cfg(all(target_os = "linux", not(any(miri, memcore_fallback))))]
    #[path = "../../../tests/common/damage.rs"]
    pub(crate) mod damage;
    #[path = "../../../tests/common/values.rs"]
    pub(crate) mod values;
}
mod abuse;
mod cost;
#[cfg(feature = "flash")]
mod flash;
mod long_keys;
mod model;
mod races;
#[cfg(all(target_os = "linux", not(any(miri, memcore_fallback))))]
mod restart;
mod small;
mod snapshot;
mod stress;
mod tags;
mod uses;
