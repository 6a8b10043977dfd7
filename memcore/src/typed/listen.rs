//! Removals as a typed cache knows its items.

use super::{Codec, DecodeKey};
use crate::{Cache, Cause, Removal};

/// A listener for [`Builder::on_removal`](crate::Builder::on_removal) that is told of typed keys
/// and values. The value is there if [`Builder::removed_values`](crate::Builder::removed_values)
/// asks for it and the codec can read it.
///
/// Keys that are none of `K` are left out, and so is what stands for a value while it is loaded, of
/// which a listener to the bytes is told as well.
///
/// # Examples
/// ```
/// use std::sync::mpsc::channel;
///
/// use memcore::typed::{Plain, TypedCache, listener};
/// use memcore::{Cache, Cause};
///
/// let (sender, removals) = channel();
/// let told = listener(Plain, move |key: u64, name: Option<String>, cause| {
///     let _ = sender.send((key, name, cause));
/// });
/// let cache = Cache::builder(8 << 20).removed_values(true).on_removal(told).build()?;
/// let names: TypedCache<u64, String> = TypedCache::new(cache);
/// names.get_or_load(&7, || Ok::<_, std::io::Error>("Ann".to_owned()))?;
/// names.remove(&7);
/// assert_eq!(removals.recv()?, (7, Some("Ann".to_owned()), Cause::Deleted));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn listener<K: DecodeKey, V, C: Codec<V>>(
    codec: C,
    told: impl Fn(K, Option<V>, Cause),
) -> impl Fn(&Cache, &Removal<'_>) {
    move |_, removal| {
        if super::stands_for_value(&removal.meta) {
            return;
        }
        if let Some(key) = K::from_key_bytes(removal.key) {
            let value = removal.value.and_then(|bytes| codec.decode(bytes).ok());
            told(key, value, removal.cause);
        }
    }
}
