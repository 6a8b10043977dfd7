//! The value of `-l`: places to listen at. It must never resolve a name.

use super::value::Value;
use super::{Options, Refusal};
use crate::config::{Binding, Listen, split_address};

/// Longest tag, as in memcached.
const TAG_MAX: usize = 8;

/// Adds the places that `value` lists; a place given before is dropped.
pub(super) fn add(options: &mut Options, value: Value<'_>) -> Result<(), Refusal> {
    for text in value.text.split([',', ';']) {
        let listen = place(Value { text: text.trim(), ..value })?;
        if !options.config.listen.contains(&listen) {
            options.config.listen.push(listen);
        }
    }
    match &mut options.config.inter {
        Some(inter) => {
            inter.push(',');
            inter.push_str(value.text);
        }
        none => *none = Some(value.text.to_owned()),
    }
    Ok(())
}

/// Reads one place: prefixes, then an address.
fn place(value: Value<'_>) -> Result<Listen, Refusal> {
    let mut listen = Listen::default();
    let mut rest = value.text;
    while let Some((prefix, behind)) = prefix(rest) {
        match prefix {
            Prefix::Tls => return Err(tls(value)),
            Prefix::Protocol(name) => listen.binding = Some(binding(value, name)?),
            Prefix::Tag(tag) if (1..=TAG_MAX).contains(&tag.len()) => {
                listen.tag = Some(tag.to_owned());
            }
            Prefix::Tag(_) => return Err(value.unfit("tags of 1 to 8 characters")),
        }
        rest = behind;
    }
    let (host, port) = split_address(rest).ok_or_else(|| {
        value.unfit("addresses (HOST, HOST:PORT, [IPV6]:PORT or *, separated by commas)")
    })?;
    listen.host = (host != "*").then(|| host.to_owned());
    let number = |text| Value { name: value.name, text }.number(0..=u16::MAX);
    listen.port =
        port.map(number).transpose().map_err(|refusal| Refusal::usage(refusal.message))?;
    Ok(listen)
}

enum Prefix<'a> {
    Tls,
    Protocol(&'a str),
    Tag(&'a str),
}

/// Takes one prefix off.
fn prefix(text: &str) -> Option<(Prefix<'_>, &str)> {
    for tls in ["notls:", "btls:", "mtls:"] {
        if let Some(rest) = text.strip_prefix(tls) {
            return Some((Prefix::Tls, rest));
        }
    }
    if let Some((name, rest)) = text.strip_prefix("proto[").and_then(|rest| rest.split_once("]:")) {
        return Some((Prefix::Protocol(name), rest));
    }
    if let Some((tag, rest)) = text.strip_prefix("tag[").and_then(|rest| rest.split_once("]:")) {
        return Some((Prefix::Tag(tag), rest));
    }
    let (tag, rest) = text.strip_prefix("tag_")?.split_once("_:")?;
    Some((Prefix::Tag(tag), rest))
}

fn binding(value: Value<'_>, name: &str) -> Result<Binding, Refusal> {
    match name {
        "ascii" => Ok(Binding::Ascii),
        "binary" => Ok(Binding::Binary),
        "negotiating" => Ok(Binding::Auto),
        "proxy" => {
            Err(Refusal::usage(format!("{}: this build has no proxy (proto[proxy])", value.name)))
        }
        _ => Err(value.unfit("proto[ascii], proto[binary] or proto[negotiating]")),
    }
}

fn tls(value: Value<'_>) -> Refusal {
    Refusal::usage(format!(
        "{}: this build has no TLS, leave out notls:, btls: and mtls: in {:?}",
        value.name, value.text
    ))
}
