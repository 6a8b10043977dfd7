//! From flash to memory.

use std::io;
use std::sync::Arc;

use super::record::{self, BLOCK, Head};
use super::table::Word;
use super::{FAILURES_MAX, Tier, device};
use crate::engine::Engine;
use crate::engine::probe::Probe;
use crate::ops::write::{NewItem, PutError};
use crate::space::item::Part;
use crate::space::layout::{Header, State};
use crate::tags::{Group, Issue};
use crate::{Attrs, Key, Moment, Reservation, StoreError};

/// Where an item is.
///
/// # Examples
/// ```
/// use memcore::flash::Located;
/// use memcore::{Attrs, Cache};
///
/// let cache = Cache::new(8 << 20)?;
/// cache.set("k", b"v", Attrs::new())?;
/// assert!(matches!(cache.locate("k"), Located::InMemory));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub enum Located {
    /// In memory, or it has ended.
    InMemory,
    /// On flash: something is there whose key may be the right one.
    OnFlash(Ticket),
    /// There is none.
    Nowhere,
}

/// What became of an item that was to be brought to memory.
///
/// # Examples
/// ```
/// use memcore::flash::{Brought, Located};
///
/// let cache = memcore::Cache::new(8 << 20)?;
/// let is_there = match cache.locate("k") {
///     Located::InMemory => true,
///     Located::OnFlash(ticket) => ticket.bring_in() == Brought::InMemory,
///     Located::Nowhere => false,
/// };
/// assert!(!is_there);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Brought {
    /// The key has an item in memory: this one, or a newer one.
    InMemory,
    /// There is none: another key's item lay there, or it has ended or was overwritten meanwhile.
    Nothing,
    /// It could not be read.
    Unreadable,
    /// There is no memory for it.
    NoRoom,
}

/// The right to bring an item from flash to memory. It holds nothing: whatever happens to the key
/// meanwhile, nothing but the key's item of the moment gets there.
///
/// # Examples
/// ```
/// use memcore::flash::{Brought, Flash, Located};
/// use memcore::{Attrs, Cache};
///
/// let path = std::env::temp_dir().join(format!("memcore-ticket-{}", std::process::id()));
/// let flash = Flash::new().file(&path, 16 << 20)?.region_size(1 << 20).buffer_size(64 << 10);
/// // The host waits for the device, operations don't.
/// let cache = Cache::builder(8 << 20).flash(flash.waits(false)).build()?;
/// for number in 0..2_000_u32 {
///     cache.set(number.to_le_bytes(), &[b'v'; 5_000], Attrs::new())?;
///     cache.flash_work().map(|job| job.run());
/// }
/// let tickets = (0..2_000_u32).filter_map(|number| match cache.locate(number.to_le_bytes()) {
///     Located::OnFlash(ticket) => Some((number, ticket)),
///     _ => None,
/// });
/// let (number, ticket) = tickets.last().ok_or("all is in memory")?;
/// assert_eq!(cache.get(number.to_le_bytes()), None);
/// assert_eq!(ticket.bring_in(), Brought::InMemory);
/// assert_eq!(cache.get(number.to_le_bytes()).ok_or("a miss")?, [b'v'; 5_000]);
/// # std::fs::remove_file(path)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[must_use = "the item is not brought in before `bring_in` is called"]
pub struct Ticket {
    engine: Arc<Engine>,
    claim: Claim,
}

/// What is to be brought in.
#[derive(Debug)]
pub(crate) struct Claim {
    key: Box<[u8]>,
    hash: u64,
    word: Word,
    pos: u64,
}

/// Bytes for a read, which go back to the others.
struct Buffer<'t> {
    tier: &'t Tier,
    bytes: Box<[u8]>,
}

/// A reference to a group, until the item that has it is in memory.
struct Held<'e> {
    engine: &'e Engine,
    group: Group,
}

impl Ticket {
    /// Reads the item and puts it into memory. It may take as long as the device does. Nothing is
    /// locked while the device is waited for.
    pub fn bring_in(self) -> Brought {
        let _report = self.engine.report_at_end();
        self.engine.bring_in(&self.claim)
    }

    /// Gives up instead, as if the item had been evicted, and counts that.
    pub fn give_up(self) {
        if let Some(tier) = &self.engine.flash {
            tier.counts.gave_up();
        }
    }

    /// The key.
    #[must_use]
    pub fn key(&self) -> &[u8] {
        &self.claim.key
    }
}

impl Engine {
    /// Where the key's item is.
    pub(crate) fn locate(self: &Arc<Self>, key: &Key<'_>) -> Located {
        if let Ok(Some(_)) = self.look(key, &self.approach(key)) {
            return Located::InMemory;
        }
        let Some(tier) = self.flash.as_ref().filter(|tier| tier.is_on()) else {
            return match self.peek(key) {
                Some(_) => Located::InMemory,
                None => Located::Nowhere,
            };
        };
        let position = self.position(key);
        let lock = self.index.lock(position);
        if self.find(key, &lock).is_some() {
            return Located::InMemory;
        }
        let Some(word) = tier.table.find(position, &lock) else { return Located::Nowhere };
        let Some(pos) = tier.position_of(word) else {
            tier.table.remove_overwritten(position, &lock);
            return Located::Nowhere;
        };
        let claim = Claim { key: key.bytes.into(), hash: key.hash, word, pos };
        Located::OnFlash(Ticket { engine: Arc::clone(self), claim })
    }

    /// Brings in what is on flash of a key, if operations do so.
    #[inline(always)]
    pub(crate) fn settle(self: &Arc<Self>, key: &Key<'_>) {
        if self.waits_for_flash() {
            self.settle_now(key);
        }
    }

    #[cold]
    #[inline(never)]
    fn settle_now(self: &Arc<Self>, key: &Key<'_>) {
        if let Located::OnFlash(ticket) = self.locate(key) {
            ticket.bring_in();
        }
    }

    fn bring_in(self: &Arc<Self>, claim: &Claim) -> Brought {
        let Some(tier) = self.flash.as_ref().filter(|tier| tier.is_on()) else {
            return Brought::Unreadable;
        };
        let mut buffer = tier.buffer();
        let first = claim.word.size().min(BLOCK);
        let brought = match tier.read_record(claim, &mut buffer.bytes[..first]) {
            Err(brought) => {
                self.drop_claim(tier, claim, brought);
                brought
            }
            Ok((head, len)) => match self.hold_issue(head.issue) {
                None => {
                    self.drop_ended(tier, claim);
                    Brought::Nothing
                }
                Some(_held) if head.blocks() == 1 => {
                    let start = head.value_at();
                    self.bring_whole(tier, claim, &head, &buffer.bytes[start..start + len])
                }
                Some(_held) => self.bring_pieces(tier, claim, &head, &mut buffer.bytes),
            },
        };
        tier.counts.brought(brought);
        drop(buffer);
        if brought == Brought::InMemory {
            self.assist();
        }
        brought
    }

    /// A reference to the group of a record; `None` if a tag of it was invalidated since.
    fn hold_issue(&self, issue: Issue) -> Option<Held<'_>> {
        let is_usable = issue.group == Group::NONE || self.tags.hold_again(issue);
        is_usable.then(|| Held { engine: self, group: issue.group })
    }

    /// Forgets a record that is none.
    fn drop_claim(&self, tier: &Tier, claim: &Claim, why: Brought) {
        // Where another key's record lies nothing is wrong.
        if why == Brought::Unreadable {
            self.forget_claim(tier, claim);
        }
    }

    /// Forgets a record whose item has ended.
    fn drop_ended(&self, tier: &Tier, claim: &Claim) {
        tier.counts.ended();
        self.forget_claim(tier, claim);
    }

    fn forget_claim(&self, tier: &Tier, claim: &Claim) {
        let position = self.index.position(claim.hash);
        let lock = self.index.lock(position);
        if tier.table.find(position, &lock) == Some(claim.word) {
            tier.table.remove(position, &lock);
        }
    }

    /// Brings in an item whose value is here.
    fn bring_whole(&self, tier: &Tier, claim: &Claim, head: &Head, value: &[u8]) -> Brought {
        let key = claim.key(self);
        loop {
            let mut at = self.probe_unchanged(&key);
            if let Some(brought) = self.is_settled(tier, claim, head, &at) {
                return brought;
            }
            let header = self.header_of_record(head);
            let parts = [Part::Bytes(value), Part::Bytes(&[])];
            let new =
                NewItem { header, state: state_of(head, claim.word), parts, version: head.version };
            match self.put_brought(&mut at, &new, head.epoch) {
                Ok(true) => return Brought::InMemory,
                Ok(false) => return Brought::Nothing,
                Err(error) => {
                    drop(at);
                    if self.recover(error, &header).is_err() {
                        return Brought::NoRoom;
                    }
                }
            }
        }
    }

    /// Brings in an item whose value is read piece by piece. The first block is in `buffer`.
    fn bring_pieces(
        self: &Arc<Self>,
        tier: &Tier,
        claim: &Claim,
        head: &Head,
        buffer: &mut [u8],
    ) -> Brought {
        let key = claim.key(self);
        let now = Moment::from_secs(self.now());
        let expiry = head.expiry.filter(|&expiry| expiry != 0).map(Moment::from_secs);
        if expiry.is_some_and(|expiry| expiry <= now) {
            return Brought::Nothing;
        }
        let attrs = Attrs::new().flags(head.flags).expiry(expiry.into());
        let header = self.header_of_record(head);
        let Ok(mut place) = self.reserve_brought(&key, header, attrs) else {
            return Brought::NoRoom;
        };
        place.write(&buffer[head.value_at()..head.payload_of(0)]);
        for block in 1..head.blocks() {
            let pos = head.pos + (block * BLOCK) as u64;
            let bad = match tier.read(pos, buffer) {
                Err(error) => tier.judge(claim, Some(error)),
                Ok(len) => {
                    match record::read_block(tier.names.of(head.pos), head, block, &buffer[..len]) {
                        Err(record::Bad) => tier.judge(claim, None),
                        Ok(value) => {
                            place.write(value);
                            continue;
                        }
                    }
                }
            };
            self.drop_claim(tier, claim, bad);
            return bad;
        }
        self.finish_pieces(place, tier, claim, head)
    }

    fn finish_pieces(
        &self,
        place: Reservation,
        tier: &Tier,
        claim: &Claim,
        head: &Head,
    ) -> Brought {
        let mut settled = None;
        let committed =
            place.commit_brought(state_of(head, claim.word), head.version, |at, epoch| {
                settled = self.is_settled(tier, claim, head, at);
                if settled.is_none() && epoch != head.epoch {
                    settled = Some(Brought::Nothing);
                }
                settled.is_none()
            });
        match (settled, committed) {
            (Some(brought), _) => brought,
            (None, Ok(_)) => Brought::InMemory,
            (None, Err(_)) => Brought::NoRoom,
        }
    }

    /// Whether there is nothing to bring in any more, and what became of it then.
    fn is_settled(
        &self,
        tier: &Tier,
        claim: &Claim,
        head: &Head,
        at: &Probe<'_, '_>,
    ) -> Option<Brought> {
        if at.item().is_some() {
            return Some(Brought::InMemory);
        }
        // Whoever changed or removed the item meanwhile has made sure of this.
        let word = tier.table.find(at.position, &at.lock);
        if word != Some(claim.word) || tier.position_of(claim.word) != Some(claim.pos) {
            return Some(Brought::Nothing);
        }
        let expired = head.expiry.is_some_and(|expiry| expiry != 0 && expiry <= at.now);
        if expired || head.epoch != self.hot.epoch() {
            tier.counts.ended();
            tier.table.remove(at.position, &at.lock);
            return Some(Brought::Nothing);
        }
        None
    }

    /// Makes an item of a record the key's; false if a flush came in between.
    fn put_brought(
        &self,
        at: &mut Probe<'_, '_>,
        new: &NewItem<'_>,
        epoch: u32,
    ) -> Result<bool, PutError> {
        let ghost = self.index.take_ghost(at.position, &mut at.lock);
        let mut head = self.head_of(new, at.key.bytes, at.item());
        head.state = head.state.with_uses(ghost.map_or(0, |uses| uses + 1));
        let room = match self.room_for(&head, at.now, None) {
            Ok(room) => room,
            Err(error) => {
                if let Some(uses) = ghost {
                    self.index.insert_ghost(at.position, uses, &mut at.lock);
                }
                return Err(error);
            }
        };
        if self.space.stamp_at(room.slot().loc).epoch() != epoch {
            self.space.free_room(&room);
            return Ok(false);
        }
        self.fill(&room, new, None)?;
        self.publish(at, &room, new.version)?;
        Ok(true)
    }

    fn header_of_record(&self, head: &Head) -> Header {
        Header {
            key_len: head.key_len,
            value_len: head.value_len,
            flags: head.flags,
            group: head.issue.group,
            expiry: head.expiry.or(self.settings.never),
            version: self.is_far(head.version).then_some(head.version),
        }
    }

    fn reserve_brought(
        self: &Arc<Self>,
        key: &Key<'_>,
        header: Header,
        attrs: Attrs,
    ) -> Result<Reservation, StoreError> {
        if header.words() * 4 > self.item_max() {
            return Err(StoreError::TooLarge);
        }
        self.reserve_for(key, header, attrs)
    }
}

impl Claim {
    fn key<'k>(&'k self, engine: &Engine) -> Key<'k> {
        Key { bytes: &self.key, hash: self.hash, tag: engine.hot.tag() }
    }
}

impl Tier {
    fn buffer(&self) -> Buffer<'_> {
        let mut readers = self.readers.lock();
        loop {
            match readers.pop() {
                Some(bytes) => return Buffer { tier: self, bytes },
                None => self.reader_back.wait(&mut readers),
            }
        }
    }

    /// Reads the record and checks it: its head, and how much of the value lies in its first block,
    /// which is in `into` then.
    fn read_record(&self, claim: &Claim, into: &mut [u8]) -> Result<(Head, usize), Brought> {
        let len = self.read(claim.pos, into).map_err(|error| self.judge(claim, Some(error)))?;
        let (head, key, value) = record::read(self.names.of(claim.pos), claim.pos, &into[..len])
            .map_err(|record::Bad| self.judge(claim, None))?;
        match *key == *claim.key {
            true => Ok((head, value.len())),
            false => {
                self.counts.other_key();
                Err(Brought::Nothing)
            }
        }
    }

    /// Reads the log from `pos` on; how many bytes, no more than the region has.
    pub(super) fn read(&self, pos: u64, into: &mut [u8]) -> io::Result<usize> {
        if let Some(len) = self.log.lock().read(pos, into) {
            self.counts.read(len as u64);
            return Ok(len);
        }
        let spot = self.map.spot(pos);
        let most = into.len().min(usize::try_from(spot.left).unwrap_or(usize::MAX));
        let len = device::read_up_to(spot.device, spot.at, &mut into[..most])?;
        self.counts.read(len as u64);
        Ok(len)
    }

    /// What it means that a record can't be read.
    fn judge(&self, claim: &Claim, error: Option<io::Error>) -> Brought {
        // Overwritten while it was read.
        if !self.is_there(claim.pos) {
            return Brought::Nothing;
        }
        match error {
            None => self.counts.bad_record(),
            Some(error) if self.counts.failed_read() >= FAILURES_MAX => {
                self.fail("reading", &error)
            }
            Some(_) => {}
        }
        Brought::Unreadable
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if self.group != Group::NONE {
            self.engine.release_group(self.group);
        }
    }
}

impl Drop for Buffer<'_> {
    fn drop(&mut self) {
        self.tier.readers.lock().push(std::mem::take(&mut self.bytes));
        self.tier.reader_back.notify_one();
    }
}

/// The state of an item that comes from flash. How often it was used is for its ghost to say.
fn state_of(head: &Head, word: Word) -> State {
    State::default()
        .with_access(head.access)
        .with_fetched(head.fetched || word.is_fetched())
        .with_marked(head.marked)
        .with_lease(head.stale, head.taken)
}
