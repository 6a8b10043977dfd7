//! A cache as a resolver has it: each answer lives as long as it says itself, and that a name does
//! not exist is remembered too, for a shorter time.
//!
//! `cargo run --release -p examples --example dns_cache`

use std::cell::Cell;
use std::error::Error;
use std::io;
use std::net::Ipv4Addr;
use std::time::Duration;

use memcore::typed::{Codec, CodecError, TypedCache};
use memcore::{Cache, ManualClock, Moment, mib};

/// What a name server answers.
#[derive(Clone, Debug, PartialEq)]
struct Answer {
    addresses: Vec<Ipv4Addr>,
    ttl: Duration,
}

/// Writes an answer as the seconds of its life, and then the addresses.
#[derive(Clone, Copy, Debug, Default)]
struct Answers;

impl Codec<Answer> for Answers {
    fn encode(&self, answer: &Answer, out: &mut Vec<u8>) -> Result<(), CodecError> {
        out.extend((answer.ttl.as_secs() as u32).to_be_bytes());
        answer.addresses.iter().for_each(|address| out.extend(address.octets()));
        Ok(())
    }

    fn decode(&self, bytes: &[u8]) -> Result<Answer, CodecError> {
        let (words, rest) = bytes.as_chunks::<4>();
        let ([ttl, addresses @ ..], []) = (words, rest) else {
            return Err(CodecError::new("not a row of words"));
        };
        Ok(Answer {
            addresses: addresses.iter().copied().map(Ipv4Addr::from).collect(),
            ttl: Duration::from_secs(u32::from_be_bytes(*ttl).into()),
        })
    }
}

/// A name server with two names, which counts how often it is asked.
#[derive(Default)]
struct NameServer {
    questions: Cell<usize>,
}

impl NameServer {
    fn ask(&self, name: &str) -> io::Result<Option<Answer>> {
        self.questions.set(self.questions.get() + 1);
        let answer = |octets: [u8; 4], ttl| Answer {
            addresses: vec![octets.into()],
            ttl: Duration::from_secs(ttl),
        };
        match name {
            "www.example" => Ok(Some(answer([192, 0, 2, 1], 300))),
            "api.example" => Ok(Some(answer([192, 0, 2, 2], 20))),
            _ => Ok(None),
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    // A clock that is moved by hand; leave it out to use the machine's.
    let clock = ManualClock::new(Moment::from_secs(1_000_000));
    let cache = Cache::builder(mib(8)).clock(clock.clone()).build()?;
    let names: TypedCache<str, Answer, Answers> = TypedCache::builder(cache)
        .expire_after(|answer: &Answer| Some(answer.ttl))
        .absent_ttl(Duration::from_secs(10))
        .build();

    let server = NameServer::default();
    let resolve = |name: &str| names.get_or_find(name, || server.ask(name));
    for second in 0..60 {
        for name in ["www.example", "api.example", "nowhere.example"] {
            let answer = resolve(name)?;
            if second == 0 {
                println!("{name}: {:?}", answer.map(|answer| answer.addresses));
            }
        }
        clock.advance(Duration::from_secs(1));
    }
    // Once for the first name, every 20 seconds for the second, every 10 for the one that is not.
    println!("180 lookups within a minute, {} questions", server.questions.get());
    Ok(())
}
