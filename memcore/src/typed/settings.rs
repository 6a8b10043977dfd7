//! How a typed cache treats its values.

use core::marker::PhantomData;
use core::time::Duration;
use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;

use super::tagged::Common;
use crate::{Attrs, Cache, Expiry, HotKeys, Meta, Moment, TagError};

/// How long a value lives, from the value.
type LifeOf<V> = Arc<dyn Fn(&V) -> Option<Duration> + Send + Sync>;

/// In the flags of a value that has a life of its own, beside its seconds.
const OWN_LIFE: u32 = 1 << 31;

/// How long values live and are fresh, and how they are loaded.
pub(super) struct Settings<V> {
    pub(super) ttl: Option<Duration>,
    life_of: Option<LifeOf<V>>,
    pub(super) idle: Option<Duration>,
    /// The part of each life that is left to chance.
    jitter: f64,
    pub(super) fresh_for: Option<Duration>,
    pub(super) absent_ttl: Option<Duration>,
    pub(super) error_ttl: Option<Duration>,
    pub(super) load_timeout: Duration,
    /// What all values are tagged with.
    pub(super) tags: Option<Common>,
    pub(super) hot_keys: Option<HotKeys>,
}

impl<V> Settings<V> {
    /// How long a value lives, however often it is read; `None` is until it is evicted.
    pub(super) fn life(&self, value: &V) -> Option<Duration> {
        self.life_of.as_ref().map_or(self.ttl, |life_of| life_of(value))
    }

    /// Whether it depends on the value whether it is stale.
    pub(super) fn staleness_needs_value(&self) -> bool {
        self.fresh_for.is_some() && self.life_of.is_some()
    }

    /// What a value is stored with.
    pub(super) fn attrs_of(&self, value: &V, now: impl FnOnce() -> Moment) -> Attrs {
        self.attrs(self.life(value), now)
    }

    /// What a value with this life is stored with. If it may idle as well, the flags keep the
    /// second at which it ends, since reading it moves its expiry.
    fn attrs(&self, life: Option<Duration>, now: impl FnOnce() -> Moment) -> Attrs {
        let life = life.map(|life| self.shorten(life));
        let Some(idle) = self.idle else {
            return Attrs::new().expiry(life.map_or(Expiry::Never, Expiry::After));
        };
        let Some(life) = life else { return Attrs::new().ttl(self.shorten(idle)) };
        let now = now();
        let end = now + life;
        Attrs::new().flags(end.as_secs()).expiry(Expiry::At(end.min(now + idle)))
    }

    /// What a value with a life of its own is stored with: that life, if it has to be known whether
    /// the value is stale.
    pub(super) fn own_attrs(&self, life: Duration, now: impl FnOnce() -> Moment) -> Attrs {
        let attrs = self.attrs(Some(life), now);
        if self.fresh_for.is_none() || self.idle.is_some() {
            return attrs;
        }
        let secs = u32::try_from(life.as_secs()).unwrap_or(u32::MAX);
        attrs.flags(OWN_LIFE | secs)
    }

    /// The life that a value was given when it was stored, if it is not that of the cache.
    fn own_life(&self, meta: &Meta) -> Option<Duration> {
        let is_own = self.idle.is_none() && meta.flags & OWN_LIFE != 0;
        is_own.then(|| Duration::from_secs((meta.flags & !OWN_LIFE).into()))
    }

    /// When a value ends that is read now, if that is another moment than before.
    pub(super) fn idle_expiry(&self, meta: &Meta, now: impl FnOnce() -> Moment) -> Option<Moment> {
        let idle = self.idle?;
        let expiry = now() + idle;
        let expiry = end_of(meta).map_or(expiry, |end| expiry.min(end));
        Some(expiry).filter(|_| meta.expiry != Some(expiry))
    }

    /// A life without the part that is left to chance. Of a value that is renewed before it ends,
    /// only the time for which it is fresh is shortened: it must not be stale from the start.
    fn shorten(&self, life: Duration) -> Duration {
        if self.jitter == 0.0 {
            return life;
        }
        // The standard library's hasher begins anew with other randomness each time.
        let random = RandomState::new().build_hasher().finish() as f64 / u64::MAX as f64;
        let most = Duration::from_secs(u32::MAX.into());
        let life = life.min(most);
        let part = self.fresh_for.map_or(life, |fresh_for| fresh_for.min(life));
        let shortened = life.saturating_sub(part.mul_f64(self.jitter * random));
        // Of less than a second nothing would be left.
        shortened.max(life.min(Duration::from_secs(1)))
    }

    /// How long an item stands for a value that is being loaded, if nobody removes it: long enough
    /// for all but loads that were given up long ago.
    pub(super) fn claim_life(&self) -> Expiry {
        const LEAST: Duration = Duration::from_secs(60);
        Expiry::After(LEAST.saturating_add(self.load_timeout.saturating_mul(2)))
    }

    /// Whether a value with this life has less left of it than a fresh one.
    pub(super) fn is_stale(
        &self,
        meta: &Meta,
        life: impl FnOnce() -> Option<Duration>,
        now: impl FnOnce() -> Moment,
    ) -> bool {
        let Some(fresh_for) = self.fresh_for else { return false };
        let end = if self.idle.is_some() { end_of(meta) } else { meta.expiry };
        let life = self.own_life(meta).or_else(life);
        let (Some(life), Some(end)) = (life, end) else { return false };
        end.saturating_since(now()) < life.saturating_sub(fresh_for)
    }
}

/// When a value ends that may idle until then. The flags of other writers say something else: no
/// value of ours expires later.
fn end_of(meta: &Meta) -> Option<Moment> {
    let end = Moment::from_secs(meta.flags);
    meta.expiry.is_some_and(|expiry| expiry <= end).then_some(end)
}

/// Builds a [`TypedCache`](super::TypedCache), from
/// [`TypedCache::builder`](super::TypedCache::builder).
///
/// Times are those of the cache, in whole seconds: see [`Expiry::After`].
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use memcore::Cache;
/// use memcore::typed::TypedCache;
///
/// let pages: TypedCache<str, String> = TypedCache::builder(Cache::new(8 << 20)?)
///     .ttl(Duration::from_secs(600))
///     .fresh_for(Duration::from_secs(60))
///     .jitter(0.1)
///     .build();
/// pages.insert("/", &"<html>".to_owned())?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct TypedBuilder<K: ?Sized, V, C> {
    cache: Cache,
    codec: C,
    settings: Settings<V>,
    types: PhantomData<fn(&K)>,
}

impl<K: ?Sized, V, C> TypedBuilder<K, V, C> {
    pub(super) fn new(cache: Cache, codec: C) -> Self {
        let settings = Settings {
            ttl: None,
            life_of: None,
            idle: None,
            jitter: 0.0,
            fresh_for: None,
            absent_ttl: None,
            error_ttl: None,
            load_timeout: Duration::from_secs(30),
            tags: None,
            hot_keys: None,
        };
        Self { cache, codec, settings, types: PhantomData }
    }

    /// Values live so long. Default until they are evicted. The time is cut to whole seconds, and
    /// with less than one nothing is kept: see [`Expiry::After`].
    ///
    /// # Examples
    /// ```
    /// # use std::time::Duration;
    /// # use memcore::{Cache, typed::TypedCache};
    /// # let cache = Cache::new(8 << 20)?;
    /// let pages: TypedCache<str, String> =
    ///     TypedCache::builder(cache).ttl(Duration::from_secs(60)).build();
    /// pages.insert("/", &"<html>".to_owned())?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.settings.ttl = Some(ttl);
        self
    }

    /// Each value lives as long as `life_of` says, and not as [`ttl`](Self::ttl) says; `None` is
    /// until it is evicted.
    ///
    /// # Examples
    /// ```
    /// # use std::time::Duration;
    /// # use memcore::{Cache, typed::TypedCache};
    /// # let cache = Cache::new(8 << 20)?;
    /// let answers: TypedCache<str, String> = TypedCache::builder(cache.clone())
    ///     .expire_after(|answer: &String| Some(Duration::from_secs(answer.len() as u64)))
    ///     .build();
    /// answers.insert("k", &"four".to_owned())?;
    /// let left = cache.peek("k").and_then(|meta| meta.expiry).map(|end| end.as_secs());
    /// assert!(left <= Some(cache.now().as_secs() + 4));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn expire_after(
        mut self,
        life_of: impl Fn(&V) -> Option<Duration> + Send + Sync + 'static,
    ) -> Self {
        self.settings.life_of = Some(Arc::new(life_of));
        self
    }

    /// Values end when they were not read for so long, in whole seconds. With [`ttl`](Self::ttl) or
    /// [`expire_after`](Self::expire_after) they end at what comes first; their items take four
    /// bytes more then. The first lookup of a value in a second takes the lock of its part of the
    /// cache.
    ///
    /// # Examples
    /// ```
    /// # use std::time::Duration;
    /// # use memcore::{Cache, typed::TypedCache};
    /// # let cache = Cache::new(8 << 20)?;
    /// // A session ends after ten idle minutes, and after a day in any case.
    /// let sessions: TypedCache<str, String> = TypedCache::builder(cache)
    ///     .time_to_idle(Duration::from_secs(600))
    ///     .ttl(Duration::from_secs(86_400))
    ///     .build();
    /// sessions.insert("3f2a", &"ann".to_owned())?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn time_to_idle(mut self, idle: Duration) -> Self {
        self.settings.idle = Some(idle);
        self
    }

    /// Shortens each life by a random part of at most this share, from 0 to 1, so that values that
    /// were stored together are not all loaded again at once. With [`fresh_for`](Self::fresh_for)
    /// it is that time which is shortened. A second is left in any case. Default 0.
    ///
    /// # Examples
    /// ```
    /// # use std::time::Duration;
    /// # use memcore::{Cache, typed::TypedCache};
    /// # let cache = Cache::new(8 << 20)?;
    /// // Between 540 and 600 seconds.
    /// let pages: TypedCache<str, String> =
    ///     TypedCache::builder(cache).ttl(Duration::from_secs(600)).jitter(0.1).build();
    /// # pages.insert("/", &"<html>".to_owned())?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn jitter(mut self, share: f64) -> Self {
        // NaN is not a share.
        self.settings.jitter = if share > 0.0 { share.min(1.0) } else { 0.0 };
        self
    }

    /// With [`ttl`](Self::ttl) or [`expire_after`](Self::expire_after): values are fresh for so
    /// long. After that one of those who ask for one with a loader is sent to load it anew, and all
    /// others get the old one meanwhile. If that fails, the old one stays, and the next caller
    /// tries, at once or after [`error_ttl`](Self::error_ttl).
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use memcore::typed::TypedCache;
    /// use memcore::{Cache, ManualClock, Moment};
    ///
    /// let clock = ManualClock::new(Moment::from_secs(1_000));
    /// let cache = Cache::builder(8 << 20).clock(clock.clone()).build()?;
    /// let pages: TypedCache<str, String> = TypedCache::builder(cache)
    ///     .ttl(Duration::from_secs(600))
    ///     .fresh_for(Duration::from_secs(60))
    ///     .build();
    /// pages.insert("/", &"old".to_owned())?;
    /// clock.advance(Duration::from_secs(61));
    /// // The database is down, but the page is good enough.
    /// assert_eq!(pages.get_or_load("/", || Err("down")).ok().as_deref(), Some("old"));
    /// assert_eq!(pages.get_or_load("/", || Ok::<_, &str>("new".to_owned())).unwrap(), "new");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn fresh_for(mut self, time: Duration) -> Self {
        self.settings.fresh_for = Some(time);
        self
    }

    /// That there is no value is remembered for so long: see
    /// [`TypedCache::get_or_find`](super::TypedCache::get_or_find). Default not at all. Times are
    /// cut to whole seconds here as well. To those who look at the bytes, clients of a server for
    /// example, it is an empty value with the flags 1.
    ///
    /// # Examples
    /// ```
    /// # use std::time::Duration;
    /// # use memcore::{Cache, typed::TypedCache};
    /// # let cache = Cache::new(8 << 20)?;
    /// let users: TypedCache<u64, String> =
    ///     TypedCache::builder(cache).absent_ttl(Duration::from_secs(10)).build();
    /// assert_eq!(users.get_or_find(&7, || Ok::<_, &str>(None)).unwrap(), None);
    /// // For ten seconds nobody asks the database.
    /// assert_eq!(users.get_or_find(&7, || Err("not called")).unwrap(), None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn absent_ttl(mut self, ttl: Duration) -> Self {
        self.settings.absent_ttl = Some(ttl);
        self
    }

    /// A failed load is not tried again for so long: others get its error, unless the key is
    /// inserted or removed meanwhile, through this typed cache or while the load was under way, or
    /// one of its tags is invalidated. Of every 64th of the keys the last 64 errors are remembered.
    /// Default not at all.
    ///
    /// # Examples
    /// ```
    /// # use std::time::Duration;
    /// # use memcore::{Cache, typed::TypedCache};
    /// # let cache = Cache::new(8 << 20)?;
    /// let users: TypedCache<u64, String> =
    ///     TypedCache::builder(cache).error_ttl(Duration::from_secs(5)).build();
    /// assert!(users.get_or_load(&7, || Err("down")).is_err());
    /// assert!(users.get_or_load(&7, || Ok::<_, &str>("not called".to_owned())).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn error_ttl(mut self, ttl: Duration) -> Self {
        self.settings.error_ttl = Some(ttl);
        self
    }

    /// Threads that wait for another one's load wait so long, and then one of them loads. Default
    /// 30 seconds. A load that takes a minute and twice that time returns its value, but does not
    /// store it any more.
    ///
    /// # Examples
    /// ```
    /// # use std::time::Duration;
    /// # use memcore::{Cache, typed::TypedCache};
    /// # let cache = Cache::new(8 << 20)?;
    /// let users: TypedCache<u64, String> =
    ///     TypedCache::builder(cache).load_timeout(Duration::from_millis(200)).build();
    /// # users.insert(&7, &"ann".to_owned())?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn load_timeout(mut self, time: Duration) -> Self {
        self.settings.load_timeout = time;
        self
    }

    /// All values have these tags, at most eight. A single one is a name space: the values of one
    /// of several typed caches that share a [`Cache`] end together with
    /// [`invalidate_tag`](super::TypedCache::invalidate_tag), and what is stored after that is
    /// seen. Each write takes a lock for it.
    ///
    /// What is [loaded](super::TypedCache::get_or_load) gets the tags as they were before the load.
    /// What is inserted gets those of the moment: if the data may have changed since the value was
    /// made, use [`TypedCache::tagged`](super::TypedCache::tagged).
    ///
    /// # Errors
    /// [`TagError`], if there are too many tags, one is empty or has more than 250 bytes, or there
    /// is no memory.
    ///
    /// # Examples
    /// ```
    /// # use memcore::{Cache, typed::TypedCache};
    /// let cache = Cache::new(8 << 20)?;
    /// let users: TypedCache<u64, String> =
    ///     TypedCache::builder(cache.clone()).tags(&["users"])?.build();
    /// let pages: TypedCache<str, String> = TypedCache::new(cache);
    /// pages.insert("/", &"<html>".to_owned())?;
    /// for round in ["Ann", "Bob"] {
    ///     users.insert(&7, &round.to_owned())?;
    ///     assert_eq!(users.get(&7).as_deref(), Some(round));
    ///     users.invalidate_tag("users");
    ///     assert_eq!(users.get(&7), None);
    /// }
    /// assert!(pages.contains("/"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn tags<T: AsRef<[u8]>>(mut self, tags: &[T]) -> Result<Self, TagError> {
        let words = tags.iter().map(|tag| tag.as_ref().to_vec()).collect();
        self.settings.tags = Some(Common::new(&self.cache, words)?);
        Ok(self)
    }

    /// Finds out which keys are looked up most: see
    /// [`TypedCache::hot_keys`](super::TypedCache::hot_keys). Default no.
    ///
    /// # Examples
    /// ```
    /// # use memcore::{Cache, typed::TypedCache};
    /// # let cache = Cache::new(8 << 20)?;
    /// let users: TypedCache<str, String> = TypedCache::builder(cache).hot_keys(true).build();
    /// (0..1_000).for_each(|_| _ = users.get("ann"));
    /// assert!(users.hot_keys(10)[0].share > 0.9);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn hot_keys(mut self, on: bool) -> Self {
        self.settings.hot_keys = on.then(HotKeys::new);
        self
    }

    /// Writes and reads values with this codec.
    ///
    /// # Examples
    /// ```
    /// # use memcore::{Cache, typed::{Plain, TypedCache}};
    /// # let cache = Cache::new(8 << 20)?;
    /// let pages = TypedCache::<str, String>::builder(cache).codec(Plain).build();
    /// # pages.insert("k", &"v".to_owned())?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn codec<D>(self, codec: D) -> TypedBuilder<K, V, D> {
        let Self { cache, settings, .. } = self;
        TypedBuilder { cache, codec, settings, types: PhantomData }
    }

    /// The cache.
    ///
    /// # Examples
    /// ```
    /// # use memcore::{Cache, typed::TypedCache};
    /// let words: TypedCache<str, String> = TypedCache::builder(Cache::new(8 << 20)?).build();
    /// # words.insert("k", &"v".to_owned())?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn build(self) -> super::TypedCache<K, V, C> {
        super::TypedCache::from_parts(self.cache, self.codec, self.settings)
    }
}

impl<K: ?Sized, V, C> fmt::Debug for TypedBuilder<K, V, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TypedBuilder").field("cache", &self.cache).finish_non_exhaustive()
    }
}
