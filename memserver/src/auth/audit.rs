//! Lines about who connects, who logs in and who administers the server. They go where all log
//! lines go, which never waits.

use std::fmt::{self, Display, Write as _};
use std::time::SystemTime;

use crate::config::AuditFormat;
use crate::net::socket::Peer;
use crate::os::{json, log};

/// One thing that happened.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Event<'e> {
    /// What it was.
    pub(crate) what: EventKind<'e>,
    /// Where its connection comes from.
    pub(crate) peer: Peer,
    /// Whose connection it is, if that is known.
    pub(crate) user: Option<&'e str>,
}

/// An event that is logged.
#[derive(Clone, Copy, Debug)]
pub(crate) enum EventKind<'e> {
    /// A client has connected.
    Connect,
    /// A client was turned away because there are too many.
    Reject,
    /// A client has said who it is, with this result.
    Login(&'static str),
    /// A client asks for something that takes an administrative right; whether it has it.
    Command(&'e str, bool),
    /// A connection has ended, for this reason.
    Disconnect(&'static str),
}

/// Writes a line about `event`.
pub(crate) fn write(format: AuditFormat, event: Event<'_>) {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let line = Line { format, event, secs: since.as_secs() };
    match format {
        AuditFormat::Text => log::line(format_args!("{line}")),
        AuditFormat::Json => log::object(format_args!("{line}")),
    }
}

struct Line<'e> {
    format: AuditFormat,
    event: Event<'e>,
    /// When, in seconds since 1970.
    secs: u64,
}

impl Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { format, event: Event { what, peer, user }, secs } = self;
        let name = what.name();
        match format {
            AuditFormat::Text => write!(f, "audit time={secs} event={name} peer={peer}")?,
            AuditFormat::Json => {
                write!(f, "{{\"audit\":\"{name}\",\"time\":{secs},\"peer\":\"{peer}\"")?;
            }
        }
        if let Some(user) = user {
            field(f, *format, "user", user)?;
        }
        match what {
            EventKind::Connect | EventKind::Reject => {}
            EventKind::Login(result) => field(f, *format, "result", result)?,
            EventKind::Disconnect(reason) => field(f, *format, "reason", reason)?,
            EventKind::Command(text, allowed) => {
                field(f, *format, "result", if *allowed { "allowed" } else { "refused" })?;
                // The last one, as it may have spaces.
                field(f, *format, "command", text)?;
            }
        }
        if *format == AuditFormat::Json { f.write_char('}') } else { Ok(()) }
    }
}

impl EventKind<'_> {
    fn name(&self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Reject => "reject",
            Self::Login(_) => "login",
            Self::Command(..) => "command",
            Self::Disconnect(_) => "disconnect",
        }
    }
}

fn field(f: &mut fmt::Formatter<'_>, format: AuditFormat, name: &str, value: &str) -> fmt::Result {
    if format == AuditFormat::Text {
        return write!(f, " {name}={value}");
    }
    write!(f, ",\"{name}\":\"{}\"", json::Escaped(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(format: AuditFormat, what: EventKind<'_>, user: Option<&str>) -> String {
        let peer = Peer::Tcp("127.0.0.1:7".parse().unwrap());
        Line { format, event: Event { what, peer, user }, secs: 17 }.to_string()
    }

    #[test]
    fn lines_in_text() {
        let text = |what, user| line(AuditFormat::Text, what, user);
        assert_eq!(
            text(EventKind::Connect, None),
            "audit time=17 event=connect peer=tcp:127.0.0.1:7"
        );
        assert_eq!(
            text(EventKind::Command("flush_all 10", true), Some("ops")),
            "audit time=17 event=command peer=tcp:127.0.0.1:7 user=ops result=allowed \
             command=flush_all 10"
        );
    }

    #[test]
    fn lines_in_json_are_json() {
        for (what, user) in [
            (EventKind::Reject, None),
            (EventKind::Login("failed"), Some("a\"b\\c\u{1}")),
            (EventKind::Disconnect("idle"), Some("x")),
            (EventKind::Command("stats \\x00\"", false), None),
        ] {
            let text = line(AuditFormat::Json, what, user);
            let value: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert_eq!(value["audit"], what.name());
            assert_eq!(value["time"], 17);
            assert_eq!(value.get("user").and_then(|user| user.as_str()), user);
        }
    }
}
