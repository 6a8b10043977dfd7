//! Where the positions of the log are on the devices. The log has no end; on the devices it goes
//! round and round.

use std::sync::Arc;

use super::{Device, device};
use crate::restart::state::checksum;

/// Regions begin at multiples of this, and so does what is written at once.
pub(super) const ALIGN: u64 = 4096;
/// Bits of an address in the table.
pub(super) const ADDRESS_BITS: u32 = 33;
/// Records begin at multiples of at least this.
const UNIT_MIN: u64 = 64;

/// The devices, cut into regions of which neighbours in the log lie on different devices.
#[derive(Clone)]
pub(super) struct Map {
    devices: Vec<Arc<dyn Device>>,
    /// For each region of a lap its device and where it begins there.
    regions: Box<[(u32, u64)]>,
    region: u64,
    unit: u64,
}

/// What the log takes of the devices when it goes round them once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lap {
    pub(super) regions: u64,
    /// Bytes of a region.
    pub(super) region: u64,
}

/// Where a position is.
pub(super) struct Spot<'m> {
    pub(super) device: &'m dyn Device,
    pub(super) at: u64,
    /// Bytes up to the end of its region.
    pub(super) left: u64,
}

impl Lap {
    /// Of these devices and their bytes, in regions of `region` bytes at most.
    pub(super) fn new(devices: &[(Arc<dyn Device>, u64)], region: u64) -> Self {
        let region = region / ALIGN * ALIGN;
        Self { regions: devices.iter().map(|(_, bytes)| count(*bytes, region)).sum(), region }
    }

    pub(super) fn bytes(&self) -> u64 {
        self.regions.saturating_mul(self.region)
    }

    /// Records begin at multiples of this.
    pub(super) fn unit(&self) -> u64 {
        // An address tells two laps apart at least.
        (self.bytes() >> (ADDRESS_BITS - 1)).next_power_of_two().max(UNIT_MIN)
    }

    /// Bytes of memory that the list of its regions takes.
    pub(super) fn list_bytes(&self) -> usize {
        usize::try_from(self.regions).unwrap_or(usize::MAX).saturating_mul(Map::ENTRY)
    }
}

/// Whole regions in so many bytes.
fn count(bytes: u64, region: u64) -> u64 {
    bytes.checked_div(region).unwrap_or(0)
}

impl Map {
    /// Bytes of memory that a region takes.
    pub(super) const ENTRY: usize = size_of::<(u32, u64)>();

    /// A map of these devices, in the regions of their lap.
    pub(super) fn new(devices: &[(Arc<dyn Device>, u64)], lap: Lap) -> Self {
        let counts: Vec<u64> = devices.iter().map(|(_, bytes)| count(*bytes, lap.region)).collect();
        let mut regions = Vec::with_capacity(lap.regions as usize);
        for number in 0..counts.iter().copied().max().unwrap_or(0) {
            for (device, _) in counts.iter().enumerate().filter(|(_, count)| number < **count) {
                regions.push((device as u32, number * lap.region));
            }
        }
        Self {
            devices: devices.iter().map(|(device, _)| Arc::clone(device)).collect(),
            regions: regions.into(),
            region: lap.region,
            unit: lap.unit(),
        }
    }

    /// Bytes of a lap.
    pub(super) fn capacity(&self) -> u64 {
        self.regions.len() as u64 * self.region
    }

    /// Regions of a lap.
    pub(super) fn regions(&self) -> usize {
        self.regions.len()
    }

    /// Bytes of a region.
    pub(super) fn region(&self) -> u64 {
        self.region
    }

    /// Records begin at multiples of this.
    pub(super) fn unit(&self) -> u64 {
        self.unit
    }

    /// Where the region of a position ends.
    pub(super) fn region_end(&self, pos: u64) -> u64 {
        (pos / self.region + 1) * self.region
    }

    /// What tells the layout of the log from others.
    pub(super) fn shape(&self) -> Vec<u64> {
        let mut shape = vec![self.region, self.unit, self.devices.len() as u64];
        shape.extend((0..self.devices.len()).map(|device| {
            self.regions.iter().filter(|(of, _)| *of as usize == device).count() as u64
        }));
        shape
    }

    /// Checksums of the pages of each device that were written last by a log that ends at `head`:
    /// what tells its devices from others, and from older copies. `None` if one can't be read.
    pub(super) fn last_pages(&self, head: u64) -> Option<Vec<u64>> {
        let last = (head - 1) / self.region;
        let lap = last.saturating_sub(self.regions.len() as u64 - 1)..=last;
        let page_of = |device: usize| {
            let is_of = |number: &u64| {
                self.regions[*number as usize % self.regions.len()].0 as usize == device
            };
            // Before the log has come to a device, nothing is written there.
            let Some(region) = lap.clone().rev().find(is_of) else { return Some(0) };
            let spot = self.spot(head.min((region + 1) * self.region) - ALIGN);
            let mut page = [0; ALIGN as usize];
            let len = device::read_up_to(spot.device, spot.at, &mut page).ok()?;
            Some(checksum(&page[..len]))
        };
        (0..self.devices.len()).map(page_of).collect()
    }

    pub(super) fn spot(&self, pos: u64) -> Spot<'_> {
        let (device, start) = self.regions[(pos / self.region) as usize % self.regions.len()];
        Spot {
            device: &*self.devices[device as usize],
            at: start + pos % self.region,
            left: self.region_end(pos) - pos,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::Memory;
    use super::*;

    #[test]
    fn neighbours_lie_on_different_devices_as_long_as_there_is_room() {
        let device = || Arc::new(Memory::default()) as Arc<dyn Device>;
        let devices = [(device(), 3 << 20), (device(), 1 << 20)];
        let map = Map::new(&devices, Lap::new(&devices, 1 << 20));
        assert_eq!(map.capacity(), 4 << 20);
        assert_eq!(*map.regions, [(0, 0), (1, 0), (0, 1 << 20), (0, 2 << 20)]);
        let spot = map.spot((7 << 20) + 5);
        assert_eq!((spot.at, spot.left), ((2 << 20) + 5, (1 << 20) - 5));
        assert_eq!(Lap::new(&[(device(), (2 << 20) - 1)], (1 << 20) + 1).regions, 1);
        assert_eq!(Lap::new(&[], 1 << 20).regions, 0);
        assert_eq!(Lap::new(&devices, 100).regions, 0);
    }
}
