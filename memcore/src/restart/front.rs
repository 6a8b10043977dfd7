//! What a cache says of its memory file, and its end.

#[cfg(doc)]
use crate::Builder;
use crate::{Cache, CloseError, Restored};

impl Cache {
    /// What became of the contents of the [memory file](Builder::memory_file), if there is one.
    ///
    /// # Examples
    /// ```
    /// # let cache = memcore::Cache::new(8 << 20)?;
    /// assert_eq!(cache.restored(), None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn restored(&self) -> Option<&Restored> {
        self.engine().restored.as_ref()
    }

    /// Items of the [memory file](Builder::memory_file) that were lost since it was damaged.
    ///
    /// # Examples
    /// ```
    /// # let cache = memcore::Cache::new(8 << 20)?;
    /// // As in the statistics, of which it is the only one that is looked at here.
    /// assert_eq!(cache.lost_items(), cache.stats().lost);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn lost_items(&self) -> u64 {
        self.engine().lost_items()
    }

    /// How often the [memory file](Builder::memory_file) could get no more memory, since its file
    /// system is full. The cache uses what it has then, and tries again now and then.
    ///
    /// # Examples
    /// ```
    /// let cache = memcore::Cache::new(8 << 20)?;
    /// assert_eq!(cache.memory_refused(), 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn memory_refused(&self) -> u64 {
        self.engine().space.pool.refused()
    }

    /// Ends the cache. If its memory lies in a [file](Builder::memory_file), the next cache goes on
    /// with it. A cache that is dropped without this leaves a file that can't be used.
    ///
    /// It takes as long as it takes to read all memory in use once, and to write what changed if
    /// the file lies on a disk.
    ///
    /// # Errors
    /// - [`CloseError::Shared`] if there are other handles to it; the cache comes back.
    /// - [`CloseError::MemoryFile`] if the file could not be completed.
    ///
    /// # Examples
    /// ```
    /// let cache = memcore::Cache::new(8 << 20)?;
    /// let other = cache.clone();
    /// assert!(cache.close().is_err());
    /// other.close()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn close(self) -> Result<(), CloseError> {
        Ok(self.into_engine()?.close()?)
    }

    /// Ends a cache that nobody has used yet, for a host that can't go on with its start: files
    /// that were made for it go away again, and a [memory file](Builder::memory_file) that was
    /// there is [closed](Self::close) with what it held.
    ///
    /// # Errors
    /// As for [`close`](Self::close).
    ///
    /// # Examples
    /// ```
    /// # use memcore::Cache;
    /// # let path = std::env::temp_dir().join(format!("memcore-abandon-{}", std::process::id()));
    /// # if cfg!(target_os = "linux") {
    /// let cache = Cache::builder(8 << 20).memory_file(&path).build()?;
    /// assert!(path.exists());
    /// cache.abandon()?;
    /// assert!(!path.exists());
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn abandon(self) -> Result<(), CloseError> {
        Ok(self.into_engine()?.abandon()?)
    }
}
