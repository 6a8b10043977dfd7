//! The value of `-l`: addresses to listen on. Names are not resolved here.

use super::error::StartupError;
use super::options::Options;
use super::value::Value;
use crate::config::tls::{ClientCheck, Security};
use crate::config::{Binding, Listen, split_address};

/// What the flag takes, for messages.
const ADDRESSES: &str = "addresses (HOST, HOST:PORT, [IPV6]:PORT or *, separated by commas)";
/// Longest tag, as in memcached.
const TAG_MAX: usize = 8;

/// The prefixes that say how clients are spoken to.
const SECURITY: [(&str, Security); 3] = [
    ("notls:", Security::Plain),
    ("btls:", Security::Tls(ClientCheck::Off)),
    ("mtls:", Security::Tls(ClientCheck::Required)),
];

/// Adds the addresses that `value` lists; one that was given before counts once.
pub(super) fn add(options: &mut Options, value: Value<'_>) -> Result<(), StartupError> {
    // memcached takes semicolons as well.
    let parts = value.text.split([',', ';']).map(str::trim);
    let given: Vec<_> = parts.clone().filter(|text| !text.is_empty()).collect();
    if given.is_empty() {
        return Err(value.unfit(ADDRESSES));
    }
    if given.len() < parts.count() {
        options.warn(format!("empty parts of {} are ignored", value.name));
    }
    for text in given {
        let listen = place(Value { text, ..value })?;
        if !options.config.listen.contains(&listen) {
            options.config.listen.push(listen);
        }
    }
    // `stats settings` shows all values as one list.
    let spelled: String = value.text.chars().filter(|c| !c.is_whitespace()).collect();
    match &mut options.config.inter {
        Some(inter) => {
            inter.push(',');
            inter.push_str(&spelled);
        }
        none => *none = Some(spelled),
    }
    Ok(())
}

/// Reads one part: prefixes, then an address.
fn place(value: Value<'_>) -> Result<Listen, StartupError> {
    let mut listen = Listen::default();
    let mut rest = value.text;
    while let Some((prefix, behind)) = prefix(rest) {
        match prefix {
            Prefix::Security(security) => listen.security = Some(security),
            Prefix::Protocol(name) => listen.binding = Some(binding(value, name)?),
            Prefix::Tag(tag) if (1..=TAG_MAX).contains(&tag.len()) => {
                listen.tag = Some(tag.to_owned());
            }
            Prefix::Tag(_) => return Err(value.unfit("tags of 1 to 8 characters")),
        }
        rest = behind;
    }
    let (host, port) = split_address(rest).ok_or_else(|| value.unfit(ADDRESSES))?;
    listen.host = (host != "*").then(|| host.to_owned());
    let number = |text| Value { name: value.name, text }.number(0..=u16::MAX);
    listen.port =
        port.map(number).transpose().map_err(|refusal| StartupError::usage(refusal.message))?;
    Ok(listen)
}

enum Prefix<'a> {
    Security(Security),
    Protocol(&'a str),
    Tag(&'a str),
}

/// Takes one prefix off.
fn prefix(text: &str) -> Option<(Prefix<'_>, &str)> {
    for (word, security) in SECURITY {
        if let Some(rest) = text.strip_prefix(word) {
            return Some((Prefix::Security(security), rest));
        }
    }
    if let Some((name, rest)) = text.strip_prefix("proto[").and_then(|rest| rest.split_once("]:")) {
        return Some((Prefix::Protocol(name), rest));
    }
    if let Some((tag, rest)) = text.strip_prefix("tag[").and_then(|rest| rest.split_once("]:")) {
        return Some((Prefix::Tag(tag), rest));
    }
    // The other spelling, `tag_NAME_:`.
    let (tag, rest) = text.strip_prefix("tag_")?.split_once("_:")?;
    Some((Prefix::Tag(tag), rest))
}

fn binding(value: Value<'_>, name: &str) -> Result<Binding, StartupError> {
    match name {
        "ascii" => Ok(Binding::Ascii),
        "binary" => Ok(Binding::Binary),
        "negotiating" => Ok(Binding::Auto),
        "proxy" => Err(StartupError::usage(format!(
            "{}: this build has no proxy (proto[proxy])",
            value.name
        ))),
        _ => Err(value.unfit("proto[ascii], proto[binary] or proto[negotiating]")),
    }
}
