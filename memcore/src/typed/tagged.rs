//! Typed values with tags.

use std::sync::Arc;

use super::{Settings, TypedCache};
use crate::memory::sync::Mutex;
use crate::{Cache, TagError, Tagged};

/// The tags that all values of a typed cache have, from
/// [`TypedBuilder::tags`](super::TypedBuilder::tags).
#[derive(Debug)]
pub(super) struct Common {
    words: Vec<Vec<u8>>,
    /// The tags as they are now, as far as is known.
    current: Mutex<Arc<Tagged>>,
}

impl Common {
    pub(super) fn new(cache: &Cache, words: Vec<Vec<u8>>) -> Result<Self, TagError> {
        let current = Mutex::new(Arc::new(cache.tagged(&words)?));
        Ok(Self { words, current })
    }

    /// The tags as they are now. If there is no memory for them, they are those that were
    /// invalidated, and nobody sees what is stored with them.
    fn current(&self, cache: &Cache) -> Arc<Tagged> {
        let known = Arc::clone(&self.current.lock());
        if known.is_current() {
            return known;
        }
        // With nothing locked: a listener may be called, which may use the typed cache.
        let Ok(renewed) = cache.tagged(&self.words) else { return known };
        let renewed = Arc::new(renewed);
        // Another thread may have renewed them as well; if both were invalidated, so will the next.
        let old = std::mem::replace(&mut *self.current.lock(), Arc::clone(&renewed));
        drop(old);
        renewed
    }
}

impl<K: ?Sized, V, C> TypedCache<K, V, C> {
    /// A handle through which values are stored, or loaded, with these tags, at most eight in all;
    /// those of the [builder](super::TypedBuilder::tags) are among them.
    ///
    /// As [`Cache::tagged`] it stands for the tags as they are when it is made. So it is made
    /// before the data is read that values derive from, and anew for the next value. The same key
    /// should have the same tags wherever it is stored: a load that is under way is shared by all
    /// who ask for the key.
    ///
    /// # Errors
    /// [`TagError`], if there are too many tags, one is empty or has more than 250 bytes, or there
    /// is no memory.
    ///
    /// # Examples
    /// ```
    /// use memcore::Cache;
    /// use memcore::typed::TypedCache;
    ///
    /// let pages: TypedCache<str, String> = TypedCache::new(Cache::new(8 << 20)?);
    /// let draw = || Ok::<_, std::io::Error>("a page about shoes".to_owned());
    /// pages.tagged(&["shoes"])?.get_or_load("/", draw)?;
    /// assert!(pages.contains("/"));
    ///
    /// pages.invalidate_tag("shoes");
    /// assert!(!pages.contains("/"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn tagged<T: AsRef<[u8]>>(&self, tags: &[T]) -> Result<Self, TagError> {
        let mut words: Vec<&[u8]> = tags.iter().map(AsRef::as_ref).collect();
        let common = self.shared.settings.tags.iter().flat_map(|common| &common.words);
        words.extend(common.map(Vec::as_slice));
        words.sort_unstable();
        words.dedup();
        let tags = Some(Arc::new(self.cache.tagged(&words)?));
        Ok(Self { tags, ..self.clone() })
    }

    /// Makes all values invisible that have this tag, at once, however many they are; whether there
    /// may have been any. A value with the tag that is being loaded will not be seen either.
    ///
    /// # Examples
    /// ```
    /// # use memcore::{Cache, typed::TypedCache};
    /// let pages: TypedCache<str, String> = TypedCache::new(Cache::new(8 << 20)?);
    /// pages.tagged(&["shoes"])?.insert("/boots", &"<html>".to_owned())?;
    /// assert!(pages.invalidate_tag("shoes"));
    /// assert!(!pages.contains("/boots"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn invalidate_tag(&self, tag: impl AsRef<[u8]>) -> bool {
        self.cache.invalidate_tag(tag)
    }

    /// The tags that a value has which is made from now on.
    pub(super) fn tags(&self) -> Option<Arc<Tagged>> {
        if let Some(tags) = &self.tags {
            return Some(Arc::clone(tags));
        }
        let Settings { tags, .. } = &self.shared.settings;
        tags.as_ref().map(|common| common.current(&self.cache))
    }
}
