//! Requests of the classic text protocol that are about items.

use crate::admin;
use crate::material::{exptime, nonsense, number, value, word};
use crate::random::Random;
use crate::stream::{Protocol, TO_COME, Unit};

/// One request.
pub(crate) fn unit(random: &mut Random) -> Unit {
    let mut unit = Unit::new(Protocol::Text);
    match random.below(100) {
        0..32 => store(random, &mut unit),
        32..40 => cas(random, &mut unit),
        40..58 => get(random, &mut unit),
        58..64 => get_and_touch(random, &mut unit),
        64..78 => arithmetic(random, &mut unit),
        78..83 => touch(random, &mut unit),
        83..90 => delete(random, &mut unit),
        90..92 => flush(random, &mut unit),
        92..94 => admin::command(random, &mut unit),
        _ if random.errs(1) => admin::bad_line(random, &mut unit),
        _ => get(random, &mut unit),
    }
    unit
}

/// One that leaves an item.
pub(crate) fn fill(random: &mut Random) -> Unit {
    let mut unit = Unit::new(Protocol::Text);
    let value = value(random);
    let len = value.len().to_string();
    unit.put("set ").put(word(random)).put(random.pick(&[" 0 0 ", " 5 100 "])).put(len);
    unit.put("\r\n").put(value).put("\r\n");
    unit
}

fn store(random: &mut Random, unit: &mut Unit) {
    let verb = random.pick(&["set", "set", "set", "add", "replace", "append", "prepend"]);
    let value = value(random);
    head(random, unit, verb, value.len());
    end(random, unit);
    block(random, unit, &value);
}

fn cas(random: &mut Random, unit: &mut Unit) {
    let value = value(random);
    head(random, unit, "cas", value.len());
    match random.below(20) {
        _ if random.errs(20) => unit.put(" ").put(nonsense(random)),
        _ if random.errs(20) => unit,
        0 => unit.put(" 0"),
        1 => unit.put(" ").put_version(TO_COME),
        _ => unit.put(" ").put_version(0),
    };
    end(random, unit);
    block(random, unit, &value);
}

/// The words up to the length.
fn head(random: &mut Random, unit: &mut Unit, verb: &str, len: usize) {
    let bad = if random.errs(35) { random.below(4) } else { 4 };
    let wrong = nonsense(random);
    unit.put(verb).put(" ").put(word(random)).put(" ");
    unit.put(if bad == 0 { wrong } else { random.pick(&["0", "0", "5", "4294967295"]) }).put(" ");
    unit.put(if bad == 1 { wrong } else { exptime(random) });
    if bad != 2 {
        let len = len.to_string();
        unit.put(" ").put(if bad == 3 { wrong } else { &len });
    }
}

/// The data block.
pub(crate) fn block(random: &mut Random, unit: &mut Unit, value: &[u8]) {
    let bad = if random.errs(24) { random.below(5) } else { 5 };
    match bad {
        0 => unit.put(value).put("x\r\n"),
        1 => unit.put(&value[..value.len().saturating_sub(1)]).put("\r\n"),
        2 => unit.put(value).put("\n"),
        3 => unit.put(value).put("\r\r\n"),
        4 => unit.put(value),
        _ => unit.put(value).put("\r\n"),
    };
}

/// The end of a line of a request that may want no reply.
pub(crate) fn end(random: &mut Random, unit: &mut Unit) {
    match random.below(40) {
        0..4 => unit.put(" noreply"),
        4 if random.errs(5) => unit.put(" NOREPLY"),
        5 if random.errs(5) => unit.put(" x"),
        _ => unit,
    };
    finish(random, unit);
}

pub(crate) fn finish(random: &mut Random, unit: &mut Unit) {
    let ends = ["\r\n", "\r\n", "\r\n", "\r\n", "\r\n", "\r\n", "\r\n", "\n", " \r\n", "\r\n"];
    unit.put(random.pick(&ends));
}

fn get(random: &mut Random, unit: &mut Unit) {
    unit.put(random.pick(&["get", "get", "gets", "gets"]));
    keys(random, unit);
}

fn get_and_touch(random: &mut Random, unit: &mut Unit) {
    unit.put(random.pick(&["gat", "gats"])).put(" ");
    unit.put(if random.errs(12) { nonsense(random) } else { exptime(random) });
    keys(random, unit);
}

fn keys(random: &mut Random, unit: &mut Unit) {
    let count = random.pick(&[1, 1, 1, 1, 1, 1, 2, 2, 3, 9, 23, 24, 25, 60]);
    let mut keys: Vec<Vec<u8>> = (0..count).map(|_| word(random)).collect();
    if let Some(long) = keys.iter().find(|key| key.len() > 250) {
        // memcached forgets the replies before that, and has looked for the keys in front of it.
        unit.waits = true;
        keys = vec![long.clone()];
    }
    for key in keys {
        unit.put(" ").put(key);
    }
    finish(random, unit);
}

fn arithmetic(random: &mut Random, unit: &mut Unit) {
    unit.waits = true;
    unit.put(random.pick(&["incr", "decr"])).put(" ").put(word(random)).put(" ");
    let good = random.pick(&["0", "1", "2", "9", "10", "90", "1000", "18446744073709551615"]);
    match random.below(12) {
        0 if random.errs(1) => unit.put(nonsense(random)),
        1 if random.errs(1) => unit.put(number(random)),
        _ => unit.put(good),
    };
    end(random, unit);
}

fn touch(random: &mut Random, unit: &mut Unit) {
    unit.put("touch ").put(word(random)).put(" ");
    unit.put(if random.errs(12) { nonsense(random) } else { exptime(random) });
    end(random, unit);
}

fn delete(random: &mut Random, unit: &mut Unit) {
    unit.put("delete ").put(word(random));
    if random.errs(12) {
        unit.put(" ").put(random.pick(&["0", "10", "x"]));
    }
    end(random, unit);
}

fn flush(random: &mut Random, unit: &mut Unit) {
    unit.put("flush_all");
    if random.percent(70) {
        unit.put(" ");
        unit.put(if random.errs(5) { nonsense(random) } else { exptime(random) });
    }
    end(random, unit);
}
