//! Loading what is missing: one load of a key at a time, however many ask for it.
//!
//! A load is announced by an item that stands for the value: marked, empty, and with a lease. It is
//! replaced by the value only if it is still there. Whoever writes or removes the key meanwhile
//! replaces or removes it, so that no value is stored that was loaded before the data changed.

use core::borrow::Borrow;
use core::time::Duration;
use std::fmt;
use std::future::Future;
use std::sync::Arc;

use super::flight::{Asker, Flight, Lead, Leader, Outcome, Turn};
use super::stats::{End, Watch};
use super::{
    ABSENT, Codec, CodecError, KeyBytes, Shared, TypedCache, stands_for_absence, stands_for_value,
};
use crate::{Attrs, Cache, Fetch, Fetched, Key, Meta, Moment, Remove, Removed, Store, Tagged};

/// A value can't be had.
///
/// # Examples
/// ```
/// use memcore::Cache;
/// use memcore::typed::{LoadError, TypedCache};
///
/// let names: TypedCache<u64, String> = TypedCache::new(Cache::new(8 << 20)?);
/// let result = names.get_or_load(&7, || Err("the database is down"));
/// assert!(matches!(result, Err(LoadError::Failed(error)) if *error == "the database is down"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum LoadError<E> {
    /// The loader failed: this thread's own, or that of another one that was waited for.
    Failed(Arc<E>),
    /// The codec can't write the value that was loaded.
    Codec(CodecError),
    /// It is known that there is none: a loader of [`TypedCache::get_or_find`] has said so.
    Absent,
    /// The loader asks for the key that it loads.
    Recursive,
}

impl<E> Clone for LoadError<E> {
    fn clone(&self) -> Self {
        match self {
            Self::Failed(error) => Self::Failed(Arc::clone(error)),
            Self::Codec(error) => Self::Codec(error.clone()),
            Self::Absent => Self::Absent,
            Self::Recursive => Self::Recursive,
        }
    }
}

impl<E: fmt::Display> fmt::Display for LoadError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(error) => error.fmt(f),
            Self::Codec(error) => error.fmt(f),
            Self::Absent => f.write_str("there is no value"),
            Self::Recursive => f.write_str("the loader asks for the key that it loads"),
        }
    }
}

impl<E: std::error::Error + 'static> std::error::Error for LoadError<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            // Its words are this one's already.
            Self::Failed(error) => error.source(),
            Self::Codec(_) | Self::Absent | Self::Recursive => None,
        }
    }
}

impl<E> LoadError<E> {
    /// The error for a `?` in functions that return any error. It is for loaders whose error is
    /// none of the standard library's kind, as `Box<dyn Error + Send + Sync>`, `String` and
    /// `anyhow::Error` are; with others `?` alone will do. Who waited for another one's loader gets
    /// its words.
    ///
    /// # Examples
    /// ```
    /// use std::error::Error;
    ///
    /// use memcore::Cache;
    /// use memcore::typed::{LoadError, TypedCache};
    ///
    /// fn query() -> Result<String, Box<dyn Error + Send + Sync>> {
    ///     Ok("7".parse::<u8>()?.to_string())
    /// }
    ///
    /// fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    ///     let names: TypedCache<u64, String> = TypedCache::new(Cache::new(8 << 20)?);
    ///     let name = names.get_or_load(&7, query).map_err(LoadError::into_boxed)?;
    ///     assert_eq!(name, "7");
    ///     Ok(())
    /// }
    /// ```
    #[must_use]
    pub fn into_boxed(self) -> Box<dyn std::error::Error + Send + Sync>
    where
        E: fmt::Display + Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        match self {
            Self::Failed(error) => match Arc::try_unwrap(error) {
                Ok(error) => error.into(),
                Err(shared) => shared.to_string().into(),
            },
            other => other.to_string().into(),
        }
    }
}

/// What a loader returns, `None` if there is no value.
type Loaded<V, E> = Result<Option<V>, E>;
/// What it comes to.
type Answer<V, E> = Result<Option<V>, LoadError<E>>;

/// What a lookup found.
enum Look<V> {
    Found(Option<V>),
    /// The value of this version may be used, but should be renewed.
    Stale(V, u64),
    Missing,
}

/// The duty to load a value. If it is dropped before the value is there, nothing is left of it.
struct Claim<'t, V, C> {
    cache: &'t Cache,
    shared: &'t Shared<V, C>,
    key: &'t [u8],
    /// The tags as they were before the load, which the value will have.
    tags: Option<Arc<Tagged>>,
    watch: Watch<'t>,
    /// Those who wait; nobody has to while an old value is renewed.
    lead: Option<Lead<'t>>,
    /// What has to be there still when the value is stored; `None` if it is not to be stored.
    version: Option<u64>,
    /// Whether that is an old value, which stays if there is no new one.
    renews: bool,
}

/// What there is to do about a key.
enum Step<'t, V, C> {
    Done(Option<V>),
    /// Load; if that fails, this old value is still there.
    Load(Claim<'t, V, C>, Option<V>),
    Wait(Arc<Flight>),
}

impl<K: ?Sized, V, C: Codec<V>> TypedCache<K, V, C> {
    /// The value of a key, loaded if it is missing.
    ///
    /// However many threads and tasks ask for a key that is missing, one of them loads it, and the
    /// others wait. If the loader panics, or its task is cancelled, one of those who wait takes
    /// over. If it takes longer than [`load_timeout`](super::TypedBuilder::load_timeout), one of
    /// the threads that wait takes over as well. If it fails, all get the error, and the next
    /// caller tries again, at once or after
    /// [`error_ttl`](super::TypedBuilder::error_ttl).
    ///
    /// If the key is written or removed while it is loaded, or one of its tags is invalidated, what
    /// was loaded is returned, but not stored: it may be older. Who asks after that does not get
    /// it, but loads anew. Where there is no room, not even for what stands for the value, this is
    /// so only for changes through this typed cache. Nothing is locked while `load` runs.
    ///
    /// A value that is no longer [fresh](super::TypedBuilder::fresh_for) is loaded anew by one of
    /// those who ask; the others get it as it is, and so does that one if the load fails.
    ///
    /// # Errors
    /// [`LoadError`]. That the cache has no room for a value is not an error. The loader's own
    /// error is shared by all who wait, so that it has to be `Send`, `Sync` and `'static`.
    ///
    /// # Examples
    /// ```
    /// use memcore::Cache;
    /// use memcore::typed::TypedCache;
    ///
    /// let squares: TypedCache<u32, String> = TypedCache::new(Cache::new(8 << 20)?);
    /// let load = |n: u32| move || Ok::<_, std::io::Error>((n * n).to_string());
    /// assert_eq!(squares.get_or_load(&7, load(7))?, "49");
    /// let unused = || -> Result<String, std::io::Error> { unreachable!("it is there") };
    /// assert_eq!(squares.get_or_load(&7, unused)?, "49");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn get_or_load<Q, E>(
        &self,
        key: &Q,
        load: impl FnOnce() -> Result<V, E>,
    ) -> Result<V, LoadError<E>>
    where
        K: Borrow<Q>,
        Q: KeyBytes + ?Sized,
        E: Send + Sync + 'static,
    {
        self.get_or_find(key, || load().map(Some))?.ok_or(LoadError::Absent)
    }

    /// The same for what may not exist. With [`absent_ttl`](super::TypedBuilder::absent_ttl) it is
    /// remembered for a while that it does not.
    ///
    /// # Errors
    /// As for [`get_or_load`](Self::get_or_load).
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use memcore::Cache;
    /// use memcore::typed::TypedCache;
    ///
    /// let users: TypedCache<str, String> = TypedCache::builder(Cache::new(8 << 20)?)
    ///     .absent_ttl(Duration::from_secs(10))
    ///     .build();
    /// let mut queries = 0;
    /// for _ in 0..3 {
    ///     let found = users.get_or_find("nobody", || {
    ///         queries += 1;
    ///         Ok::<_, std::io::Error>(None)
    ///     });
    ///     assert_eq!(found?, None);
    /// }
    /// assert_eq!(queries, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn get_or_find<Q, E>(&self, key: &Q, load: impl FnOnce() -> Loaded<V, E>) -> Answer<V, E>
    where
        K: Borrow<Q>,
        Q: KeyBytes + ?Sized,
        E: Send + Sync + 'static,
    {
        key.key_bytes(|key| {
            let mut takes_over = false;
            loop {
                let flight = match self.step(key, Asker::Thread, takes_over) {
                    Step::Done(value) => return Ok(value),
                    Step::Load(claim, old) => return claim.settle(load(), old),
                    Step::Wait(flight) => flight,
                };
                let outcome = match flight.leader() {
                    Leader::ThisThread => return Err(LoadError::Recursive),
                    Leader::TaskOfThisThread => None,
                    Leader::Other => {
                        self.shared.loads.note_wait();
                        flight.wait(self.shared.settings.load_timeout)
                    }
                };
                takes_over |= outcome.is_none();
                if let Some(answer) = outcome.and_then(|outcome| self.answer(outcome)) {
                    return answer;
                }
                self.shared.flights.give_up(&flight);
            }
        })
    }

    /// Whether a key has a value that is no longer [fresh](super::TypedBuilder::fresh_for), without
    /// counting as a use. Who asks for it with a loader renews it; to have that done ahead by
    /// another thread or task, use [`get`](Self::get), and send one to load if this is so.
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
    /// let draw = || Ok::<_, std::io::Error>("<html>".to_owned());
    /// pages.get_or_load("/", draw)?;
    /// assert!(!pages.is_stale("/"));
    ///
    /// clock.advance(Duration::from_secs(61));
    /// let page = pages.get("/");
    /// if pages.is_stale("/") {
    ///     let pages = pages.clone();
    ///     std::thread::spawn(move || pages.get_or_load("/", draw)).join().unwrap()?;
    /// }
    /// assert!(page.is_some() && !pages.is_stale("/"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn is_stale<Q>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: KeyBytes + ?Sized,
    {
        key.key_bytes(|key| {
            let key = self.cache.key(key);
            let Some(meta) = self.cache.peek(key).filter(|meta| !stands_for_value(meta)) else {
                return false;
            };
            let settings = &self.shared.settings;
            if !settings.staleness_needs_value() {
                return self.is_due(&meta, || settings.ttl);
            }
            let read = self.read(key, &Fetch::new().peek(true));
            read.is_some_and(|(value, hit)| self.is_due(&hit.meta, || settings.life(&value)))
        })
    }

    /// [`get_or_load`](Self::get_or_load) for tasks: `load` is a future, and who waits for another
    /// task's load does not block the thread. It needs no particular runtime. There is no timeout;
    /// the runtime's may be put around it, and around `load`. If the thread that polls it is itself
    /// loading the key, in a loader that waits for this future, it loads as well.
    ///
    /// # Errors
    /// As for [`get_or_load`](Self::get_or_load).
    ///
    /// # Examples
    /// ```
    /// # use std::{future::Future, pin::pin, task::{Context, Poll, Waker}};
    /// use memcore::Cache;
    /// use memcore::typed::TypedCache;
    ///
    /// # fn block_on<T>(task: impl Future<Output = T>) -> T {
    /// #     let mut context = Context::from_waker(Waker::noop());
    /// #     match pin!(task).poll(&mut context) {
    /// #         Poll::Ready(done) => done,
    /// #         Poll::Pending => unreachable!("nobody else loads"),
    /// #     }
    /// # }
    /// let pages: TypedCache<str, String> = TypedCache::new(Cache::new(8 << 20)?);
    /// let page = block_on(async {
    ///     let load = async { Ok::<_, std::io::Error>("<html>".to_owned()) };
    ///     pages.get_or_load_async("/", load).await
    /// });
    /// assert_eq!(page?, "<html>");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn get_or_load_async<Q, E>(
        &self,
        key: &Q,
        load: impl Future<Output = Result<V, E>>,
    ) -> Result<V, LoadError<E>>
    where
        K: Borrow<Q>,
        Q: KeyBytes + ?Sized,
        E: Send + Sync + 'static,
    {
        let found = self.get_or_find_async(key, async { load.await.map(Some) });
        found.await?.ok_or(LoadError::Absent)
    }

    /// [`get_or_find`](Self::get_or_find) for tasks, as
    /// [`get_or_load_async`](Self::get_or_load_async).
    ///
    /// # Errors
    /// As for [`get_or_load`](Self::get_or_load).
    ///
    /// # Examples
    /// ```
    /// # use memcore::{Cache, typed::{LoadError, TypedCache}};
    /// # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    /// # runtime.block_on(async {
    /// let users: TypedCache<u64, String> = TypedCache::new(Cache::new(8 << 20)?);
    /// let find = async { Ok::<_, std::io::Error>(None) };
    /// assert_eq!(users.get_or_find_async(&7, find).await?, None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn get_or_find_async<Q, E>(
        &self,
        key: &Q,
        load: impl Future<Output = Loaded<V, E>>,
    ) -> Answer<V, E>
    where
        K: Borrow<Q>,
        Q: KeyBytes + ?Sized,
        E: Send + Sync + 'static,
    {
        let key = key.key_bytes(<[u8]>::to_vec);
        let mut takes_over = false;
        loop {
            let flight = match self.step(&key, Asker::Task, takes_over) {
                Step::Done(value) => return Ok(value),
                Step::Load(claim, old) => {
                    let loaded = load.await;
                    return claim.settle(loaded, old);
                }
                Step::Wait(flight) => flight,
            };
            takes_over = flight.leader() == Leader::ThisThread;
            if !takes_over {
                self.shared.loads.note_wait();
                if let Some(answer) = self.answer(flight.outcome().await) {
                    return answer;
                }
            }
            self.shared.flights.give_up(&flight);
        }
    }

    /// Looks what there is to do. `takes_over`: another load was given up.
    fn step<'t>(&'t self, key: &'t [u8], asker: Asker, takes_over: bool) -> Step<'t, V, C> {
        let hashed = self.cache.key(key);
        self.note_lookup(key);
        loop {
            let stale = match self.look(hashed) {
                Look::Found(value) => return Step::Done(value),
                Look::Stale(value, version) => Some((value, version)),
                Look::Missing => None,
            };
            let turn = self.shared.flights.turn(hashed.hash, key, asker, self.cache.now());
            match (turn, stale) {
                (Turn::Lead(lead), None) => {
                    return self.announce(self.claim(key, lead), hashed, takes_over);
                }
                (Turn::Lead(lead), Some((value, version))) => {
                    // Another one may have renewed it since it was looked at.
                    let known = self.cache.peek(hashed);
                    if known.is_none_or(|known| known.version != version) {
                        continue;
                    }
                    let mut claim = self.claim(key, lead);
                    claim.stand_for(Some(version));
                    (claim.version, claim.renews) = (Some(version), true);
                    return Step::Load(claim, Some(value));
                }
                // Another one renews it, or could not lately.
                (Turn::Wait(flight), Some((value, _))) if !flight.is_outdated() => {
                    return Step::Done(Some(value));
                }
                (Turn::Wait(flight), None) if self.is_under_way(&flight, hashed) => {
                    return Step::Wait(flight);
                }
                // It began before the data changed.
                (Turn::Wait(flight), _) => self.shared.flights.give_up(&flight),
            }
        }
    }

    fn claim<'t>(&'t self, key: &'t [u8], lead: Lead<'t>) -> Claim<'t, V, C> {
        let Self { cache, shared, .. } = self;
        // Before anything is read that the value derives from.
        let tags = self.tags();
        if let Some(tags) = &tags {
            lead.has_tags(tags);
        }
        let watch = Watch::start(&shared.loads);
        Claim { cache, shared, key, tags, watch, lead: Some(lead), version: None, renews: false }
    }

    /// Whether a value with this life should be renewed. A client of a server may have said so.
    fn is_due(&self, meta: &Meta, life: impl FnOnce() -> Option<Duration>) -> bool {
        let is_invalidated = meta.lease.stale && !meta.lease.taken;
        is_invalidated || self.shared.settings.is_stale(meta, life, || self.cache.now())
    }

    /// Whether what stands for the value that another one loads is still there.
    fn is_under_way(&self, flight: &Flight, key: Key<'_>) -> bool {
        if flight.is_outdated() {
            return false;
        }
        flight.claim().is_none_or(|claim| {
            let meta = self.cache.peek(key);
            meta.is_some_and(|meta| stands_for_value(&meta) && meta.version == claim)
        })
    }

    /// Creates what stands for the value while it is loaded.
    fn announce<'t>(
        &'t self,
        mut claim: Claim<'t, V, C>,
        key: Key<'_>,
        takes_over: bool,
    ) -> Step<'t, V, C> {
        let life = self.shared.settings.claim_life();
        let how = Fetch::new().lease(true).create(life).marked(true);
        let mut bytes = Vec::new();
        for attempt in 0..2 {
            bytes.clear();
            let fetched = match &claim.tags {
                Some(tags) => tags.fetch(key, &how, &mut bytes, |_, _| {}),
                None => self.cache.fetch(key, &how, &mut bytes, |_, _| {}),
            };
            let Fetched::Copied(hit) = fetched else {
                // There is no room, not even for what stands for the value.
                claim.go_alone();
                break;
            };
            let version = hit.meta.version;
            if hit.won {
                claim.version = Some(version);
                claim.stand_for(Some(version));
                break;
            }
            match (stands_for_value(&hit.meta), stands_for_absence(&hit.meta)) {
                // It came meanwhile.
                (false, _) => {
                    if let Some(value) = self.decode(key, version, &bytes) {
                        claim.pass(Some(&bytes));
                        return claim.needless(Some(value));
                    }
                }
                (true, true) => {
                    claim.pass(None);
                    return claim.needless(None);
                }
                // Another process, or a thread that was given up, is loading it.
                (true, _) if takes_over && attempt == 0 => {
                    let _ = self.cache.remove_with(key, &Remove::new().expected(version));
                }
                (true, _) => {
                    claim.stand_for(Some(version));
                    break;
                }
            }
        }
        Step::Load(claim, None)
    }

    fn look(&self, key: Key<'_>) -> Look<V> {
        super::with_scratch(|bytes| {
            let fetched = self.cache.fetch(key, &Fetch::new(), bytes, |_, _| {});
            let Fetched::Copied(hit) = fetched else { return Look::Missing };
            let version = hit.meta.version;
            match (stands_for_value(&hit.meta), stands_for_absence(&hit.meta)) {
                (true, true) => Look::Found(None),
                (true, false) => Look::Missing,
                (false, _) => match self.decode(key, version, bytes) {
                    Some(value) => {
                        self.keep_from_idling(key, &hit.meta);
                        let life = || self.shared.settings.life(&value);
                        match self.is_due(&hit.meta, life) {
                            true => Look::Stale(value, version),
                            false => Look::Found(Some(value)),
                        }
                    }
                    None => Look::Missing,
                },
            }
        })
    }

    /// What another one's load comes to here; `None` if this one has to look again.
    fn answer<E: Send + Sync + 'static>(&self, outcome: Outcome) -> Option<Answer<V, E>> {
        match outcome {
            Outcome::Loaded(None) => Some(Ok(None)),
            Outcome::Loaded(Some(bytes)) => {
                let value = self.shared.codec.decode(&bytes);
                Some(value.map(Some).map_err(LoadError::Codec))
            }
            // An error of another type is of no use here.
            Outcome::Failed(error) => {
                let error = error.downcast::<E>().ok()?;
                Some(Err(LoadError::Failed(error)))
            }
            Outcome::Unwritable(error) => Some(Err(LoadError::Codec(error))),
            Outcome::Abandoned => None,
        }
    }
}

impl<V, C: Codec<V>> Claim<'_, V, C> {
    /// Stores what was loaded and tells those who wait.
    fn settle<E: Send + Sync + 'static>(
        mut self,
        loaded: Loaded<V, E>,
        old: Option<V>,
    ) -> Answer<V, E> {
        self.watch.end(End::of(&loaded));
        match loaded {
            Ok(Some(value)) => {
                let mut bytes = Vec::new();
                if let Err(error) = self.shared.codec.encode(&value, &mut bytes) {
                    self.end_without_value();
                    self.land(Outcome::Unwritable(error.clone()), None);
                    return Err(LoadError::Codec(error));
                }
                let attrs = self.shared.settings.attrs_of(&value, || self.cache.now());
                self.store(&bytes, attrs);
                self.pass(Some(&bytes));
                Ok(Some(value))
            }
            Ok(None) => {
                if let Some(ttl) = self.shared.settings.absent_ttl {
                    self.store(&[], Attrs::new().ttl(ttl).flags(ABSENT).marked(true));
                }
                self.withdraw();
                self.pass(None);
                Ok(None)
            }
            Err(error) => {
                // What failed before the data has changed says nothing of what is there now.
                let is_current = self.end_without_value();
                let error = Arc::new(error);
                let error_ttl = self.shared.settings.error_ttl.filter(|_| is_current);
                let until = error_ttl.map(|ttl| self.cache.now() + ttl);
                self.land(Outcome::Failed(Arc::clone(&error) as _), until);
                // Others go on with an old value as well.
                if old.is_some() { Ok(old) } else { Err(LoadError::Failed(error)) }
            }
        }
    }

    /// Puts the value in the place of what stands for it, if that is still there. If there is no
    /// room for it, it is loaded again the next time.
    fn store(&mut self, bytes: &[u8], attrs: Attrs) {
        let Some(version) = self.version else { return };
        let how = Store::new().expected(version);
        let stored = match &self.tags {
            Some(tags) => tags.store(self.key, bytes, attrs, &how),
            None => self.cache.store(self.key, bytes, attrs, &how),
        };
        if stored.is_ok() {
            self.version = None;
        } else if !self.renews {
            // Before others learn of the value, who would find a load that nobody has under way.
            self.withdraw();
        }
    }

    /// Ends a load that has failed: whether nobody has written or removed the key meanwhile, as far
    /// as that is known. Who comes now gets the error, rather than a load that nobody has under
    /// way.
    fn end_without_value(&mut self) -> bool {
        if !self.renews {
            self.stand_for(None);
            return self.version.is_none() || self.withdraw();
        }
        let known = self.cache.peek(self.key);
        known.is_some_and(|known| Some(known.version) == self.version)
    }

    fn pass(&mut self, bytes: Option<&[u8]>) {
        self.land(Outcome::Loaded(bytes.map(Arc::from)), None);
    }
}

impl<'t, V, C> Claim<'t, V, C> {
    fn stand_for(&self, version: Option<u64>) {
        if let Some(lead) = &self.lead {
            lead.stand_for(version);
        }
    }

    fn go_alone(&self) {
        if let Some(lead) = &self.lead {
            lead.go_alone();
        }
    }

    /// Nothing has to be loaded.
    fn needless(mut self, value: Option<V>) -> Step<'t, V, C> {
        self.watch.end(End::Needless);
        Step::Done(value)
    }

    /// Removes what stands for the value; whether it was still there.
    fn withdraw(&mut self) -> bool {
        let Some(version) = self.version.take() else { return false };
        let removed = self.cache.remove_with(self.key, &Remove::new().expected(version));
        matches!(removed, Ok(Removed::Done(_)))
    }

    fn land(&mut self, outcome: Outcome, until: Option<Moment>) {
        if let Some(lead) = self.lead.take() {
            lead.land(outcome, until);
        }
    }
}

impl<V, C> Drop for Claim<'_, V, C> {
    fn drop(&mut self) {
        if !self.renews {
            // Before others learn of it, who would find a load that nobody has under way.
            self.withdraw();
        }
    }
}
