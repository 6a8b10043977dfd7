//! The keys of a server in a file: a server that lists its keys must not wait for what is done with
//! them, and there may be more than fit into memory. The file also holds the progress.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, BufWriter, Read as _, Seek as _, SeekFrom, Write};
use std::os::unix::fs::FileExt as _;
use std::thread;
use std::time::Duration;

use memproto::limits::MAX_KEY;
use percent_encoding::percent_decode_str;

use super::client::{Client, unexpected};

/// How often a server that is listing its keys to somebody else is asked again, a second apart.
const RETRIES: u32 = 30;
/// Longest line of a file of keys: three bytes for each of the longest key, and a number.
const LINE_MAX: u64 = 1024;
/// First line of a file of keys.
const TITLE: &str = "memserver keys 1";

/// A key as the server lists it, and about how many bytes its item has.
#[derive(Debug)]
pub(super) struct Listed {
    pub(super) key: Vec<u8>,
    pub(super) size: usize,
}

/// Keys in a file, of which some have been dealt with.
#[derive(Debug)]
pub(super) struct Keys {
    file: BufReader<File>,
    /// Where the next key is in the file, and what was dealt with.
    at: u64,
    done: u64,
    total: u64,
    /// The file is kept, so that a later run can resume it.
    is_kept: bool,
}

impl Keys {
    /// Lists the keys of a server into an empty file, those of items that were fetched before the
    /// others, so that a small target gets those. `others` is empty as well.
    pub(super) fn list(
        client: &mut Client,
        file: File,
        others: File,
        about: &str,
        is_kept: bool,
    ) -> io::Result<Self> {
        let mut out = Lists { fetched: BufWriter::new(file), others: BufWriter::new(others) };
        // The position stays 0 until the list is complete.
        let title = format!("{}\n{about}\n", position(0, 0, 0));
        out.fetched.write_all(title.as_bytes())?;
        let total = list(client, &mut |line| keep(line, &mut out))?;
        let at = title.len() as u64;
        let file = BufReader::new(out.joined()?);
        let mut keys = Self { file, at, done: 0, total, is_kept };
        keys.file.seek(SeekFrom::Start(at))?;
        keys.note()?;
        Ok(keys)
    }

    /// Resumes from a file; `None` if its list was not completed.
    pub(super) fn resume(file: File, about: &str) -> io::Result<Option<Self>> {
        let mut file = BufReader::new(file);
        let [mut first, mut second] = [String::new(), String::new()];
        file.by_ref().take(LINE_MAX).read_line(&mut first)?;
        file.by_ref().take(LINE_MAX).read_line(&mut second)?;
        if first.is_empty() {
            return Ok(None);
        }
        let [at, done, total] =
            numbers(&first).ok_or_else(|| io::Error::other("it is not a list of keys"))?;
        if second.trim_end() != about {
            return Err(io::Error::other(format!("it was made for {}", second.trim_end())));
        }
        if at == 0 {
            return Ok(None);
        }
        file.seek(SeekFrom::Start(at))?;
        Ok(Some(Self { file, at, done, total, is_kept: true }))
    }

    /// The next keys: at most `most`, and not many more than `bytes` bytes of items.
    pub(super) fn next(&mut self, most: usize, bytes: usize) -> io::Result<Vec<Listed>> {
        let (mut keys, mut sum) = (Vec::new(), 0);
        while keys.len() < most && sum < bytes {
            let mut line = Vec::new();
            let len = self.file.by_ref().take(LINE_MAX).read_until(b'\n', &mut line)?;
            if len == 0 {
                break;
            }
            let listed = parse(&line).ok_or_else(|| io::Error::other("the list is damaged"))?;
            sum += listed.size;
            self.at += len as u64;
            self.done += 1;
            keys.push(listed);
        }
        Ok(keys)
    }

    /// Keys that were read, and all.
    pub(super) fn position(&self) -> (u64, u64) {
        (self.done, self.total)
    }

    /// Notes in the file that what was read is dealt with.
    pub(super) fn note(&mut self) -> io::Result<()> {
        let Self { at, done, total, is_kept, .. } = *self;
        if !is_kept {
            return Ok(());
        }
        self.file.get_ref().write_all_at(position(at, done, total).as_bytes(), 0)
    }
}

/// Where keys are written while they are listed.
struct Lists<W> {
    /// Keys of items that were fetched since they were stored.
    fetched: W,
    others: W,
}

impl Lists<BufWriter<File>> {
    /// One list, in this order.
    fn joined(self) -> io::Result<File> {
        let files = [self.fetched, self.others].map(BufWriter::into_inner);
        let [fetched, others] = files.map(|file| file.map_err(io::IntoInnerError::into_error));
        let (mut fetched, mut others) = (fetched?, others?);
        others.seek(SeekFrom::Start(0))?;
        io::copy(&mut others, &mut fetched)?;
        Ok(fetched)
    }
}

/// A first line, which has always the same length.
fn position(at: u64, done: u64, total: u64) -> String {
    format!("{TITLE} {at:020} {done:020} {total:020}")
}

/// The numbers of a first line.
fn numbers(line: &str) -> Option<[u64; 3]> {
    let words = line.strip_prefix(TITLE)?.split_whitespace();
    words.map(|word| word.parse().ok()).collect::<Option<Vec<u64>>>()?.try_into().ok()
}

fn parse(line: &[u8]) -> Option<Listed> {
    let line = str::from_utf8(line.strip_suffix(b"\n")?).ok()?;
    let (key, size) = line.split_once(' ')?;
    Some(Listed { key: percent_decode_str(key).collect(), size: size.parse().ok()? })
}

/// Calls `each` with the line of each key of a server; how many there are. It says whether the line
/// is one.
pub(super) fn list(
    client: &mut Client,
    each: &mut impl FnMut(&[u8]) -> io::Result<bool>,
) -> io::Result<u64> {
    // By the hash table: items that move from queue to queue meanwhile are not missed.
    let mut order = "hash";
    let mut retries = 0;
    loop {
        client.send(format!("lru_crawler metadump {order}\r\n").as_bytes())?;
        match first_line(client, each)? {
            First::Keys(count) => return Ok(count + list_rest(client, each)?),
            First::End => return Ok(0),
            First::Busy if retries < RETRIES => {
                retries += 1;
                thread::sleep(Duration::from_secs(1));
            }
            First::Busy => {
                return Err(io::Error::other(
                    "the server is already listing its keys to another client",
                ));
            }
            First::Unknown(_) if order == "hash" => order = "all",
            First::Unknown(line) => return Err(unexpected(&line)),
        }
    }
}

/// How a list begins.
enum First {
    /// With a number of keys: one, or none yet.
    Keys(u64),
    End,
    Busy,
    Unknown(Vec<u8>),
}

fn first_line(
    client: &mut Client,
    each: &mut impl FnMut(&[u8]) -> io::Result<bool>,
) -> io::Result<First> {
    let line = client.line()?;
    Ok(match line {
        b"OK" => First::Keys(0),
        b"END" => First::End,
        _ if line.starts_with(b"BUSY") || line.starts_with(b"locked") => First::Busy,
        _ => match each(line)? {
            true => First::Keys(1),
            false => First::Unknown(line.to_vec()),
        },
    })
}

fn list_rest(
    client: &mut Client,
    each: &mut impl FnMut(&[u8]) -> io::Result<bool>,
) -> io::Result<u64> {
    let mut count = 0;
    loop {
        let line = client.line()?;
        if line == b"END" {
            return Ok(count);
        }
        if !each(line)? {
            return Err(unexpected(line));
        }
        count += 1;
    }
}

/// Writes the key of a line `key=KEY ... fetch=yes ... size=SIZE ...` to its list; false if it is
/// none.
fn keep(line: &[u8], out: &mut Lists<impl Write>) -> io::Result<bool> {
    let Some(rest) = line.strip_prefix(b"key=") else { return Ok(false) };
    let mut words = rest.split(|byte| *byte == b' ');
    let key = words.next().unwrap_or_default();
    let is_fetched = words.clone().any(|word| word == b"fetch=yes");
    let size = words.find_map(|word| word.strip_prefix(b"size=")).unwrap_or(b"0");
    if key.is_empty() || key.len() > 3 * MAX_KEY || !size.iter().all(u8::is_ascii_digit) {
        return Ok(false);
    }
    let list = if is_fetched { &mut out.fetched } else { &mut out.others };
    for part in [key, b" ", size, b"\n"] {
        list.write_all(part)?;
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_from_a_dump() {
        let mut out = Lists { fetched: Vec::new(), others: Vec::new() };
        for (line, is_key) in [
            ("key=a exp=-1 la=1 cas=2 fetch=no cls=1 size=67", true),
            ("key=c exp=-1 la=1 cas=2 fetch=yes cls=1 size=6", true),
            ("key=b%20%25 exp=-1 la=1 cas=2 fetch=no cls=1 size=16 flags=5 ", true),
            ("key=", false),
            ("ERROR key dump not allowed", false),
            ("key=a size=x", false),
        ] {
            assert_eq!(keep(line.as_bytes(), &mut out).unwrap(), is_key, "{line}");
        }
        assert_eq!(
            (&out.fetched[..], &out.others[..]),
            (&b"c 6\n"[..], &b"a 67\nb%20%25 16\n"[..])
        );
        let Listed { key, size } = parse(b"b%20%25%ff%2 16\n").unwrap();
        assert_eq!((&key[..], size), (&b"b %\xff%2"[..], 16));
    }
}
