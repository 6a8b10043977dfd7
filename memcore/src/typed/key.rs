//! Keys of other types than bytes.

/// A key, as bytes. Keys that are equal have the same bytes, and others have others; so have the
/// borrowed and the owned form of a key.
///
/// # Examples
/// ```
/// use memcore::typed::KeyBytes;
///
/// assert_eq!("key".key_bytes(<[u8]>::len), 3);
/// assert!(7_u64.key_bytes(|bytes| bytes == 7_u64.to_be_bytes()));
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
bytes!(str, String, [u8], Vec<u8>, Box<[u8]>);

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

impl<T: KeyBytes + ?Sized> KeyBytes for &T {
    fn key_bytes<R>(&self, read: impl FnOnce(&[u8]) -> R) -> R {
        (**self).key_bytes(read)
    }
}

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
