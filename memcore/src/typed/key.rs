//! Keys of other types than bytes.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::borrow::Cow;
use std::rc::Rc;
use std::sync::Arc;

/// A key, as bytes. Keys that are equal have the same bytes, and others have others; so have the
/// borrowed and the owned form of a key.
///
/// Strings, bytes, integers, `char`, `bool`, IP addresses, arrays of bytes, references, `Box`,
/// `Rc`, `Arc` and `Cow` of them, and pairs and triples are keys. Types of one's own may be made of
/// those.
///
/// # Examples
/// ```
/// use memcore::Cache;
/// use memcore::typed::{DecodeKey, KeyBytes, TypedCache};
///
/// assert_eq!("key".key_bytes(<[u8]>::len), 3);
/// assert!(7_u64.key_bytes(|bytes| bytes == 7_u64.to_be_bytes()));
///
/// #[derive(Debug, PartialEq)]
/// struct Seat {
///     row: u16,
///     place: char,
/// }
///
/// impl KeyBytes for Seat {
///     fn key_bytes<R>(&self, read: impl FnOnce(&[u8]) -> R) -> R {
///         (self.row, self.place).key_bytes(read)
///     }
/// }
///
/// // Whoever lists or drains the cache needs this as well.
/// impl DecodeKey for Seat {
///     fn from_key_bytes(bytes: &[u8]) -> Option<Self> {
///         let (row, place) = DecodeKey::from_key_bytes(bytes)?;
///         Some(Self { row, place })
///     }
/// }
///
/// let guests: TypedCache<Seat, String> = TypedCache::new(Cache::new(8 << 20)?);
/// guests.insert(&Seat { row: 12, place: 'C' }, &"Ann".to_owned())?;
/// assert_eq!(guests.iter().next(), Some((Seat { row: 12, place: 'C' }, "Ann".to_owned())));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait KeyBytes {
    /// Calls `read` with the bytes.
    fn key_bytes<R>(&self, read: impl FnOnce(&[u8]) -> R) -> R;
}

/// A key that can be told from its bytes.
///
/// # Examples
/// ```
/// use memcore::typed::DecodeKey;
///
/// assert_eq!(u16::from_key_bytes(&[1, 2]), Some(258));
/// assert_eq!(u16::from_key_bytes(b"abc"), None);
/// ```
pub trait DecodeKey: Sized {
    /// The key with these bytes, if there is one.
    fn from_key_bytes(bytes: &[u8]) -> Option<Self>;
}

macro_rules! bytes {
    ($($type:ty),*) => {$(
        impl KeyBytes for $type {
            fn key_bytes<R>(&self, read: impl FnOnce(&[u8]) -> R) -> R {
                read(AsRef::<[u8]>::as_ref(self))
            }
        }
    )*};
}
bytes!(str, String, [u8], Vec<u8>);
#[cfg(feature = "bytes")]
bytes!(bytes::Bytes);

macro_rules! numbers {
    ($($type:ty),*) => {$(
        impl KeyBytes for $type {
            fn key_bytes<R>(&self, read: impl FnOnce(&[u8]) -> R) -> R {
                read(&self.to_be_bytes())
            }
        }

        impl DecodeKey for $type {
            fn from_key_bytes(bytes: &[u8]) -> Option<Self> {
                bytes.try_into().ok().map(Self::from_be_bytes)
            }
        }
    )*};
}
numbers!(u8, u16, u32, u64, u128, i8, i16, i32, i64, i128);

/// Keys that have the bytes of another type.
macro_rules! like {
    ($($type:ty as $other:ty: $to:expr, $from:expr;)*) => {$(
        impl KeyBytes for $type {
            fn key_bytes<R>(&self, read: impl FnOnce(&[u8]) -> R) -> R {
                let to: fn(Self) -> $other = $to;
                to(*self).key_bytes(read)
            }
        }

        impl DecodeKey for $type {
            fn from_key_bytes(bytes: &[u8]) -> Option<Self> {
                let from: fn($other) -> Option<Self> = $from;
                <$other>::from_key_bytes(bytes).and_then(from)
            }
        }
    )*};
}
like! {
    // The same on processors of all widths: a snapshot may be read on another one.
    usize as u64: |key| key as u64, |key| key.try_into().ok();
    isize as i64: |key| key as i64, |key| key.try_into().ok();
    char as u32: u32::from, char::from_u32;
    bool as u8: u8::from, |key| (key < 2).then_some(key == 1);
    Ipv4Addr as [u8; 4]: |key| key.octets(), |key| Some(key.into());
    Ipv6Addr as [u8; 16]: |key| key.octets(), |key| Some(key.into());
}

impl KeyBytes for IpAddr {
    fn key_bytes<R>(&self, read: impl FnOnce(&[u8]) -> R) -> R {
        match self {
            Self::V4(address) => address.key_bytes(read),
            Self::V6(address) => address.key_bytes(read),
        }
    }
}

impl DecodeKey for IpAddr {
    fn from_key_bytes(bytes: &[u8]) -> Option<Self> {
        let v4 = || Ipv4Addr::from_key_bytes(bytes).map(Self::V4);
        v4().or_else(|| Ipv6Addr::from_key_bytes(bytes).map(Self::V6))
    }
}

impl<const N: usize> KeyBytes for [u8; N] {
    fn key_bytes<R>(&self, read: impl FnOnce(&[u8]) -> R) -> R {
        read(self)
    }
}

impl<const N: usize> DecodeKey for [u8; N] {
    fn from_key_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok()
    }
}

macro_rules! pointers {
    ($($pointer:ty),*) => {$(
        impl<T: KeyBytes + ?Sized> KeyBytes for $pointer {
            fn key_bytes<R>(&self, read: impl FnOnce(&[u8]) -> R) -> R {
                (**self).key_bytes(read)
            }
        }
    )*};
}
pointers!(&T, Box<T>, Rc<T>, Arc<T>);

impl<T: KeyBytes + ToOwned + ?Sized> KeyBytes for Cow<'_, T> {
    fn key_bytes<R>(&self, read: impl FnOnce(&[u8]) -> R) -> R {
        (**self).key_bytes(read)
    }
}

/// Keys that an owner of another type is made of.
macro_rules! owned {
    ($($type:ty => $owned:ty),*) => {$(
        impl DecodeKey for $type {
            fn from_key_bytes(bytes: &[u8]) -> Option<Self> {
                <$owned>::from_key_bytes(bytes).map(Self::from)
            }
        }
    )*};
}
owned!(Box<str> => String, Rc<str> => String, Arc<str> => String);
owned!(Box<[u8]> => Vec<u8>, Rc<[u8]> => Vec<u8>, Arc<[u8]> => Vec<u8>);
#[cfg(feature = "bytes")]
owned!(bytes::Bytes => Vec<u8>);

impl DecodeKey for Vec<u8> {
    fn from_key_bytes(bytes: &[u8]) -> Option<Self> {
        Some(bytes.to_vec())
    }
}

impl DecodeKey for String {
    fn from_key_bytes(bytes: &[u8]) -> Option<Self> {
        std::str::from_utf8(bytes).ok().map(str::to_owned)
    }
}

/// A part of a key, so that the next one is told from it: its length in four bytes, and its bytes.
fn put(part: &(impl KeyBytes + ?Sized), out: &mut Vec<u8>) {
    part.key_bytes(|bytes| {
        // Longer ones are no keys of any cache, which is told from the whole.
        let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        out.extend_from_slice(&len.to_be_bytes());
        out.extend_from_slice(bytes);
    });
}

/// The part at the beginning, and what follows it.
fn take<T: DecodeKey>(bytes: &[u8]) -> Option<(T, &[u8])> {
    let (len, rest) = bytes.split_first_chunk()?;
    let (part, rest) = rest.split_at_checked(u32::from_be_bytes(*len) as usize)?;
    Some((T::from_key_bytes(part)?, rest))
}

impl<A: KeyBytes, B: KeyBytes> KeyBytes for (A, B) {
    fn key_bytes<R>(&self, read: impl FnOnce(&[u8]) -> R) -> R {
        let mut bytes = Vec::new();
        put(&self.0, &mut bytes);
        self.1.key_bytes(|last| bytes.extend_from_slice(last));
        read(&bytes)
    }
}

impl<A: DecodeKey, B: DecodeKey> DecodeKey for (A, B) {
    fn from_key_bytes(bytes: &[u8]) -> Option<Self> {
        let (first, rest) = take(bytes)?;
        Some((first, B::from_key_bytes(rest)?))
    }
}

impl<A: KeyBytes, B: KeyBytes, D: KeyBytes> KeyBytes for (A, B, D) {
    fn key_bytes<R>(&self, read: impl FnOnce(&[u8]) -> R) -> R {
        let mut bytes = Vec::new();
        put(&self.0, &mut bytes);
        put(&self.1, &mut bytes);
        self.2.key_bytes(|last| bytes.extend_from_slice(last));
        read(&bytes)
    }
}

impl<A: DecodeKey, B: DecodeKey, D: DecodeKey> DecodeKey for (A, B, D) {
    fn from_key_bytes(bytes: &[u8]) -> Option<Self> {
        let (first, rest) = take(bytes)?;
        let (second, rest) = take(rest)?;
        Some((first, second, D::from_key_bytes(rest)?))
    }
}
