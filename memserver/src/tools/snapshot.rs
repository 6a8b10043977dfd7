//! `memserver snapshot`: the items of a running server go to a file, and come from one.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use argh::FromArgs;
use memcore::Moment;
use memcore::snapshot::{Entry, Reader, SnapshotError, Writer};

use super::access::Access;
use super::address;
use super::client::{Client, Timeout};
use super::copy::{Sink, Source, Tally, copy};
use super::keys::Keys;
use super::source::Server;
use super::target::Target;
use super::{finish, rate, seconds};
use crate::config::endpoint::Endpoint;

/// Items that are handed over at once.
const BATCH: usize = 64;
/// A file that stands for standard input or output.
const STANDARD: &str = "-";

/// Copy the items of a running server to a file, or back.
#[derive(Debug, FromArgs)]
#[argh(subcommand, name = "snapshot")]
pub(super) struct Snapshot {
    #[argh(subcommand)]
    direction: Direction,
}

#[derive(Debug, FromArgs)]
#[argh(subcommand)]
enum Direction {
    Save(Save),
    Load(Load),
}

/// Write all items of a server to a file, which takes its name when it is complete.
#[derive(Debug, FromArgs)]
#[argh(subcommand, name = "save")]
struct Save {
    /// the file; - for standard output
    #[argh(positional)]
    file: String,
    /// the server: HOST, HOST:PORT, [IPV6]:PORT or unix:PATH (default: 127.0.0.1:11211)
    #[argh(option, from_str_fn(address::parse), default = "address::default()")]
    addr: Endpoint,
    /// speak TLS to a server whose certificate comes from an authority in this file
    #[argh(option)]
    tls_ca: Option<PathBuf>,
    /// show it the certificate in this file
    #[argh(option)]
    tls_cert: Option<PathBuf>,
    /// the key of that certificate (default: in the same file)
    #[argh(option)]
    tls_key: Option<PathBuf>,
    /// log in as the first user of this file, whose lines are NAME:PASSWORD
    #[argh(option)]
    login: Option<PathBuf>,
    /// items per second, at most (default: as many as there are)
    #[argh(option, from_str_fn(rate))]
    rate: Option<u32>,
    /// seconds that a server may take for an answer (default: 30)
    #[argh(option, from_str_fn(seconds), default = "Duration::from_secs(30)")]
    timeout: Duration,
}

/// Store the items of a file on a server, as long as it evicts nothing for them. Keys that the
/// server has are left alone.
#[derive(Debug, FromArgs)]
#[argh(subcommand, name = "load")]
struct Load {
    /// the file; - for standard input
    #[argh(positional)]
    file: String,
    /// the server: HOST, HOST:PORT, [IPV6]:PORT or unix:PATH (default: 127.0.0.1:11211)
    #[argh(option, from_str_fn(address::parse), default = "address::default()")]
    addr: Endpoint,
    /// speak TLS to a server whose certificate comes from an authority in this file
    #[argh(option)]
    tls_ca: Option<PathBuf>,
    /// show it the certificate in this file
    #[argh(option)]
    tls_cert: Option<PathBuf>,
    /// the key of that certificate (default: in the same file)
    #[argh(option)]
    tls_key: Option<PathBuf>,
    /// log in as the first user of this file, whose lines are NAME:PASSWORD
    #[argh(option)]
    login: Option<PathBuf>,
    /// items per second, at most (default: as many as there are)
    #[argh(option, from_str_fn(rate))]
    rate: Option<u32>,
    /// go on when the server begins to evict
    #[argh(switch)]
    evict: bool,
    /// seconds that a server may take for an answer (default: 30)
    #[argh(option, from_str_fn(seconds), default = "Duration::from_secs(30)")]
    timeout: Duration,
}

impl Snapshot {
    /// Copies; the exit status says how it went.
    pub(super) fn run(self) -> ExitCode {
        match self.direction {
            Direction::Save(save) => finish("snapshot save", "saved", save.run()),
            Direction::Load(load) => finish("snapshot load", "loaded", load.run()),
        }
    }
}

impl Save {
    fn run(&self) -> io::Result<Tally> {
        let tls = [&self.tls_ca, &self.tls_cert, &self.tls_key];
        let access = Access::new(tls, self.login.as_ref())?;
        let connect = || access.connect(&self.addr, Timeout::Each(self.timeout));
        if self.file == STANDARD {
            let keys = list(&mut connect()?, &std::env::temp_dir())?;
            return self.copy(Server::new(connect()?, keys), io::stdout().lock());
        }
        let place = Path::new(&self.file);
        let folder = folder_of(place);
        let keys = list(&mut connect()?, folder)?;
        let part = Part::create(place)?;
        let tally = self.copy(Server::new(connect()?, keys), &part.file)?;
        part.complete(place, folder)?;
        Ok(tally)
    }

    fn copy(&self, mut from: Server, out: impl Write) -> io::Result<Tally> {
        let created = Moment::from(SystemTime::now());
        let mut to = ToFile { writer: Writer::new(out, created).map_err(in_io)?, items: 0 };
        let tally = copy(&mut from, &mut to, self.rate)?;
        to.writer.finish().map_err(in_io)?;
        Ok(tally)
    }
}

impl Load {
    fn run(&self) -> io::Result<Tally> {
        if self.file == STANDARD {
            return self.copy(io::stdin().lock(), 0);
        }
        let file = File::open(&self.file)?;
        let len = file.metadata()?.len();
        self.copy(file, len)
    }

    fn copy(&self, from: impl Read, len: u64) -> io::Result<Tally> {
        let from = Counted { from, count: 0 };
        let reader = Reader::new(from).map_err(in_io)?;
        let tls = [&self.tls_ca, &self.tls_cert, &self.tls_key];
        let access = Access::new(tls, self.login.as_ref())?;
        let client = access.connect(&self.addr, Timeout::Each(self.timeout))?;
        let mut to = Target::new(client, self.evict)?;
        copy(&mut FromFile { reader, len }, &mut to, self.rate)
    }
}

/// A snapshot that is read.
struct FromFile<R> {
    reader: Reader<Counted<R>>,
    len: u64,
}

impl<R: Read> Source for FromFile<R> {
    fn batch(&mut self, to: &mut impl Sink, tally: &mut Tally) -> io::Result<bool> {
        for _ in 0..BATCH {
            let Some(entry) = self.reader.item().map_err(in_io)? else { return Ok(false) };
            if !to.item(&entry, tally)? {
                continue;
            }
            while let Some(bytes) = self.reader.value().map_err(in_io)? {
                to.value(bytes)?;
            }
            to.end()?;
        }
        Ok(true)
    }

    fn arrived(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn position(&self) -> Option<(u64, u64)> {
        Some((self.reader.source().count, self.len))
    }
}

/// A snapshot that is written.
struct ToFile<W> {
    writer: Writer<W>,
    items: u64,
}

impl<W: Write> Sink for ToFile<W> {
    fn item(&mut self, entry: &Entry, _: &mut Tally) -> io::Result<bool> {
        self.writer.item(entry).map_err(in_io)?;
        Ok(true)
    }

    fn value(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.writer.value(bytes).map_err(in_io)
    }

    fn end(&mut self) -> io::Result<()> {
        self.items += 1;
        Ok(())
    }

    fn settle(&mut self, tally: &mut Tally) -> io::Result<bool> {
        (tally.copied, tally.bytes) = (self.items, self.writer.written().1);
        Ok(true)
    }
}

/// A source whose bytes are counted.
struct Counted<R> {
    from: R,
    count: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.from.read(buffer)?;
        self.count += count as u64;
        Ok(count)
    }
}

/// A file that is being written. It goes away unless it is completed.
struct Part {
    file: File,
    path: PathBuf,
}

impl Part {
    /// A file beside `place`, for its owner alone: it holds keys and values as they are.
    fn create(place: &Path) -> io::Result<Self> {
        let mut name = place.as_os_str().to_owned();
        name.push(format!(".{}.part", std::process::id()));
        let path = PathBuf::from(name);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        Ok(Self { file, path })
    }

    /// Takes the place of what is there, once all of it is on the disk.
    fn complete(self, place: &Path, folder: &Path) -> io::Result<()> {
        self.file.sync_all()?;
        fs::rename(&self.path, place)?;
        File::open(folder)?.sync_all()
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // Once it is complete it has another name.
        let _ = fs::remove_file(&self.path);
    }
}

/// The folder of a file that may not exist.
fn folder_of(place: &Path) -> &Path {
    place.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The keys of a server in files without names.
pub(super) fn list(client: &mut Client, folder: &Path) -> io::Result<Keys> {
    Keys::list(client, scratch(folder)?, scratch(folder)?, "", false)
}

/// A file without a name.
pub(super) fn scratch(folder: &Path) -> io::Result<File> {
    let path = folder.join(format!(".memserver-keys-{}", std::process::id()));
    let mut open = OpenOptions::new();
    let file = open.read(true).write(true).create_new(true).mode(0o600).open(&path)?;
    fs::remove_file(path)?;
    Ok(file)
}

fn in_io(error: SnapshotError) -> io::Error {
    match error {
        SnapshotError::Io(error) => error,
        error => io::Error::other(error),
    }
}
