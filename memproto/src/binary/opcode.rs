//! Command bytes and their quiet variants.

/// A known command byte. Quiet variants end in `q` in the protocol's own naming.
///
/// ```
/// use memproto::binary::Opcode;
///
/// assert_eq!(Opcode::from_byte(0x09), Some(Opcode::GetQ));
/// assert!(Opcode::GetQ.is_quiet());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
#[expect(missing_docs, reason = "the names are the protocol's own")]
pub enum Opcode {
    Get = 0x00,
    Set = 0x01,
    Add = 0x02,
    Replace = 0x03,
    Delete = 0x04,
    Increment = 0x05,
    Decrement = 0x06,
    Quit = 0x07,
    Flush = 0x08,
    GetQ = 0x09,
    Noop = 0x0a,
    Version = 0x0b,
    GetK = 0x0c,
    GetKQ = 0x0d,
    Append = 0x0e,
    Prepend = 0x0f,
    Stat = 0x10,
    SetQ = 0x11,
    AddQ = 0x12,
    ReplaceQ = 0x13,
    DeleteQ = 0x14,
    IncrementQ = 0x15,
    DecrementQ = 0x16,
    QuitQ = 0x17,
    FlushQ = 0x18,
    AppendQ = 0x19,
    PrependQ = 0x1a,
    Touch = 0x1c,
    Gat = 0x1d,
    GatQ = 0x1e,
    SaslList = 0x20,
    SaslAuth = 0x21,
    SaslStep = 0x22,
    GatK = 0x23,
    GatKQ = 0x24,
}

impl Opcode {
    /// The command of a byte; verbosity and the range commands are as unknown as in memcached.
    #[must_use]
    #[inline]
    pub const fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            0x00 => Self::Get,
            0x01 => Self::Set,
            0x02 => Self::Add,
            0x03 => Self::Replace,
            0x04 => Self::Delete,
            0x05 => Self::Increment,
            0x06 => Self::Decrement,
            0x07 => Self::Quit,
            0x08 => Self::Flush,
            0x09 => Self::GetQ,
            0x0a => Self::Noop,
            0x0b => Self::Version,
            0x0c => Self::GetK,
            0x0d => Self::GetKQ,
            0x0e => Self::Append,
            0x0f => Self::Prepend,
            0x10 => Self::Stat,
            0x11 => Self::SetQ,
            0x12 => Self::AddQ,
            0x13 => Self::ReplaceQ,
            0x14 => Self::DeleteQ,
            0x15 => Self::IncrementQ,
            0x16 => Self::DecrementQ,
            0x17 => Self::QuitQ,
            0x18 => Self::FlushQ,
            0x19 => Self::AppendQ,
            0x1a => Self::PrependQ,
            0x1c => Self::Touch,
            0x1d => Self::Gat,
            0x1e => Self::GatQ,
            0x20 => Self::SaslList,
            0x21 => Self::SaslAuth,
            0x22 => Self::SaslStep,
            0x23 => Self::GatK,
            0x24 => Self::GatKQ,
            _ => return None,
        })
    }

    /// Success is not answered (and for the get family, neither is a miss).
    #[must_use]
    #[inline]
    pub const fn is_quiet(self) -> bool {
        matches!(
            self,
            Self::GetQ
                | Self::GetKQ
                | Self::SetQ
                | Self::AddQ
                | Self::ReplaceQ
                | Self::DeleteQ
                | Self::IncrementQ
                | Self::DecrementQ
                | Self::QuitQ
                | Self::FlushQ
                | Self::AppendQ
                | Self::PrependQ
                | Self::GatQ
                | Self::GatKQ
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_and_commands_agree() {
        let known: Vec<u8> = (0..=255).filter(|&byte| Opcode::from_byte(byte).is_some()).collect();
        let expected: Vec<u8> = (0x00..=0x1a).chain(0x1c..=0x1e).chain(0x20..=0x24).collect();
        assert_eq!(known, expected);
        for byte in known {
            assert_eq!(Opcode::from_byte(byte).map(|opcode| opcode as u8), Some(byte));
        }
    }

    #[test]
    fn names_that_end_in_q_are_quiet() {
        for byte in 0..=255 {
            let Some(opcode) = Opcode::from_byte(byte) else { continue };
            assert_eq!(opcode.is_quiet(), format!("{opcode:?}").ends_with('Q'), "{opcode:?}");
        }
    }
}
