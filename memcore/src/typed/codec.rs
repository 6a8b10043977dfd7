//! How values become bytes and come back.

use std::fmt;
use std::sync::Arc;

/// A value can't be written as bytes, or bytes are not one.
///
/// # Examples
/// ```
/// use memcore::typed::CodecError;
///
/// fn parse(bytes: &[u8]) -> Result<u16, CodecError> {
///     std::str::from_utf8(bytes)
///         .map_err(CodecError::new)?
///         .parse()
///         .map_err(CodecError::new)
/// }
/// assert_eq!(parse(b"12"), Ok(12));
/// assert!(parse(b"twelve").is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodecError(String);

impl CodecError {
    /// An error with these words.
    ///
    /// # Examples
    /// ```
    /// let error = memcore::typed::CodecError::new("not a colour");
    /// assert_eq!(error.to_string(), "not a colour");
    /// ```
    #[must_use]
    pub fn new(words: impl fmt::Display) -> Self {
        Self(words.to_string())
    }
}

impl fmt::Display for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for CodecError {}

/// Writes values of type `V` as bytes, and reads them.
///
/// # Examples
/// ```
/// use memcore::Cache;
/// use memcore::typed::{Codec, CodecError, TypedCache};
///
/// #[derive(Debug, PartialEq)]
/// struct Point(u16, u16);
///
/// #[derive(Clone, Copy, Debug, Default)]
/// struct Points;
///
/// impl Codec<Point> for Points {
///     fn encode(&self, value: &Point, out: &mut Vec<u8>) -> Result<(), CodecError> {
///         out.extend([value.0.to_le_bytes(), value.1.to_le_bytes()].as_flattened());
///         Ok(())
///     }
///
///     fn decode(&self, bytes: &[u8]) -> Result<Point, CodecError> {
///         let Ok([a, b, c, d]) = <[u8; 4]>::try_from(bytes) else {
///             return Err(CodecError::new("a point has four bytes"));
///         };
///         Ok(Point(u16::from_le_bytes([a, b]), u16::from_le_bytes([c, d])))
///     }
/// }
///
/// let points: TypedCache<str, Point, Points> = TypedCache::new(Cache::new(8 << 20)?);
/// points.insert("origin", &Point(0, 0))?;
/// assert_eq!(points.get("origin"), Some(Point(0, 0)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Codec<V> {
    /// Appends the bytes of a value to `out`.
    ///
    /// # Errors
    /// It can't be written.
    fn encode(&self, value: &V, out: &mut Vec<u8>) -> Result<(), CodecError>;

    /// The value that these bytes stand for.
    ///
    /// # Errors
    /// They stand for none.
    fn decode(&self, bytes: &[u8]) -> Result<V, CodecError>;
}

/// Values that are bytes already: `Vec<u8>`, `Box<[u8]>`, `Arc<[u8]>`, `String`, `Box<str>`,
/// `Arc<str>`, and with the feature `bytes` its `Bytes`.
///
/// # Examples
/// ```
/// use memcore::typed::{Codec, Plain};
///
/// let mut bytes = Vec::new();
/// Plain.encode(&"text".to_owned(), &mut bytes)?;
/// let text: String = Plain.decode(&bytes)?;
/// assert_eq!(text, "text");
/// # Ok::<(), memcore::typed::CodecError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Plain;

macro_rules! plain {
    ($($type:ty: $copy:expr),*) => {$(
        impl Codec<$type> for Plain {
            fn encode(&self, value: &$type, out: &mut Vec<u8>) -> Result<(), CodecError> {
                out.extend_from_slice(value);
                Ok(())
            }

            fn decode(&self, bytes: &[u8]) -> Result<$type, CodecError> {
                let copy: fn(&[u8]) -> $type = $copy;
                Ok(copy(bytes))
            }
        }
    )*};
}
plain!(Vec<u8>: <[u8]>::to_vec, Box<[u8]>: |bytes| bytes.into(), Arc<[u8]>: |bytes| bytes.into());
#[cfg(feature = "bytes")]
plain!(bytes::Bytes: bytes::Bytes::copy_from_slice);

macro_rules! texts {
    ($($type:ty),*) => {$(
        impl Codec<$type> for Plain {
            fn encode(&self, value: &$type, out: &mut Vec<u8>) -> Result<(), CodecError> {
                out.extend_from_slice(value.as_bytes());
                Ok(())
            }

            fn decode(&self, bytes: &[u8]) -> Result<$type, CodecError> {
                std::str::from_utf8(bytes).map(Into::into).map_err(CodecError::new)
            }
        }
    )*};
}
texts!(String, Box<str>, Arc<str>);

/// Any value that serde knows, in the few bytes of postcard.
///
/// Types that contain themselves are read as deep as the bytes say: where others can write to the
/// cache, through a server for example, those bytes may exhaust the stack. [`Json`](super) ends at
/// a depth of 128. Lists of what takes no bytes, as `Vec<()>`, may be as long as the bytes say.
///
/// # Examples
/// ```
/// use memcore::Cache;
/// use memcore::typed::{Postcard, TypedCache};
///
/// #[derive(serde::Serialize, serde::Deserialize, Debug, PartialEq)]
/// struct User {
///     name: String,
///     age: u8,
/// }
///
/// let users: TypedCache<u64, User, Postcard> = TypedCache::new(Cache::new(8 << 20)?);
/// let ann = User { name: "Ann".into(), age: 42 };
/// users.insert(&7, &ann)?;
/// assert_eq!(users.get(&7), Some(ann));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[cfg(feature = "postcard")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Postcard;

#[cfg(feature = "postcard")]
impl<V: serde::Serialize + serde::de::DeserializeOwned> Codec<V> for Postcard {
    fn encode(&self, value: &V, out: &mut Vec<u8>) -> Result<(), CodecError> {
        let begun = std::mem::take(out);
        *out = postcard::to_extend(value, begun).map_err(CodecError::new)?;
        Ok(())
    }

    fn decode(&self, bytes: &[u8]) -> Result<V, CodecError> {
        match postcard::take_from_bytes(bytes).map_err(CodecError::new)? {
            (value, []) => Ok(value),
            _ => Err(CodecError::new("more bytes than the value has")),
        }
    }
}

/// Any value that serde knows, as JSON: longer than [`Postcard`], but others can read it.
///
/// JSON has no numbers that are infinite or none, and one `null`: `f64::NAN` can't be read again,
/// and `Some(None)` is read as `None`.
///
/// # Examples
/// ```
/// use memcore::Cache;
/// use memcore::typed::{Json, TypedCache};
///
/// let cache = Cache::new(8 << 20)?;
/// let lists: TypedCache<str, Vec<u32>, Json> = TypedCache::new(cache.clone());
/// lists.insert("primes", &vec![2, 3, 5])?;
/// assert_eq!(cache.get("primes").as_deref(), Some(&b"[2,3,5]"[..]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[cfg(feature = "json")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Json;

#[cfg(feature = "json")]
impl<V: serde::Serialize + serde::de::DeserializeOwned> Codec<V> for Json {
    fn encode(&self, value: &V, out: &mut Vec<u8>) -> Result<(), CodecError> {
        serde_json::to_writer(out, value).map_err(CodecError::new)
    }

    fn decode(&self, bytes: &[u8]) -> Result<V, CodecError> {
        serde_json::from_slice(bytes).map_err(CodecError::new)
    }
}

/// Values that are nothing but their bytes in memory, as `bytemuck` describes them: they are copied
/// and nothing else. The bytes mean the same only to programs for the same kind of processor.
///
/// # Examples
/// ```
/// use memcore::Cache;
/// use memcore::typed::{Pod, TypedCache};
///
/// let vectors: TypedCache<u32, [f32; 4], Pod> = TypedCache::new(Cache::new(8 << 20)?);
/// vectors.insert(&1, &[1.0, 0.5, 0.25, 0.125])?;
/// assert_eq!(vectors.get(&1), Some([1.0, 0.5, 0.25, 0.125]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[cfg(feature = "bytemuck")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pod;

#[cfg(feature = "bytemuck")]
impl<V: bytemuck::NoUninit + bytemuck::AnyBitPattern> Codec<V> for Pod {
    fn encode(&self, value: &V, out: &mut Vec<u8>) -> Result<(), CodecError> {
        out.extend_from_slice(bytemuck::bytes_of(value));
        Ok(())
    }

    fn decode(&self, bytes: &[u8]) -> Result<V, CodecError> {
        bytemuck::try_pod_read_unaligned(bytes).map_err(CodecError::new)
    }
}

/// Values that are nothing but their bytes in memory, as `zerocopy` describes them. Other than with
/// [`Pod`](super) their types may have bytes that are none of a value, as `bool` and enums do: such
/// bytes are not read.
///
/// # Examples
/// ```
/// use memcore::Cache;
/// use memcore::typed::{TypedCache, Zerocopy};
///
/// let flags: TypedCache<u32, [bool; 4], Zerocopy> = TypedCache::new(Cache::new(8 << 20)?);
/// flags.insert(&1, &[true, false, false, true])?;
/// assert_eq!(flags.get(&1), Some([true, false, false, true]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[cfg(feature = "zerocopy")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Zerocopy;

#[cfg(feature = "zerocopy")]
impl<V: zerocopy::IntoBytes + zerocopy::Immutable + zerocopy::TryFromBytes> Codec<V> for Zerocopy {
    fn encode(&self, value: &V, out: &mut Vec<u8>) -> Result<(), CodecError> {
        out.extend_from_slice(value.as_bytes());
        Ok(())
    }

    fn decode(&self, bytes: &[u8]) -> Result<V, CodecError> {
        let no_value = |_| CodecError::new("not the bytes of a value of this type");
        V::try_read_from_bytes(bytes).map_err(no_value)
    }
}

#[cfg(all(test, feature = "json"))]
mod tests {
    use super::*;

    #[test]
    fn floats_come_back_from_json_as_they_were() {
        let mut bits = 0x9e37_79b9_7f4a_7c15_u64;
        for _ in 0..10_000 {
            bits ^= bits << 13;
            bits ^= bits >> 7;
            bits ^= bits << 17;
            let float = f64::from_bits(bits);
            if float.is_finite() {
                let mut text = Vec::new();
                Json.encode(&float, &mut text).unwrap();
                let again: f64 = Json.decode(&text).unwrap();
                assert_eq!(again.to_bits(), bits, "{float}");
            }
        }
    }
}
