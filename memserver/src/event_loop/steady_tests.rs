//! In the steady state, common requests are served without a single allocation: from bytes that
//! were received to replies that can be sent.

use std::ops::ControlFlow;
use std::sync::Arc;

use allocation_counter::measure;
use memcore::{Cache, ManualClock, Moment};
use memproto::binary::{Header, Opcode, REQUEST_MAGIC};

use crate::config::{Binding, Config};
use crate::exec::Exec;
use crate::session::batch::{Batch, Spare};
use crate::session::cut::{Cursor, ParseState};
use crate::session::dialogue::{Dialogue, Round};
use crate::session::output::Output;
use crate::state::shared::Shared;

/// Requests taken at once.
const QUOTA: usize = 20;

/// What a worker keeps for one client and from turn to turn.
struct Client {
    shared: Arc<Shared>,
    dialogue: Dialogue,
    spare: Spare,
    out: Output,
}

impl Client {
    fn new(shared: &Arc<Shared>) -> Self {
        Self {
            shared: Arc::clone(shared),
            dialogue: Dialogue::new(Binding::Auto),
            spare: Spare::default(),
            out: Output::default(),
        }
    }

    /// Answers `input`; bytes of the answer.
    fn serve(&mut self, input: &[u8]) -> usize {
        let mut cursor = Cursor { input, pos: 0 };
        let mut batch = Batch::new(&self.shared.core.cache, std::mem::take(&mut self.spare));
        let mut exec = Exec::new(&self.shared, 0);
        let mut state = ParseState::More;
        while state == ParseState::More {
            batch.clear();
            state = self.dialogue.cut(&mut cursor, QUOTA, &mut batch);
            batch.prefetch();
            let round = Round { input, jobs: 0..batch.jobs.len(), batch: &batch };
            let full = |_: &mut Output| ControlFlow::Break(());
            let flow = self.dialogue.execute(&round, &mut exec, &mut self.out, full);
            assert_eq!(flow, ControlFlow::Continue(()));
        }
        assert_eq!(cursor.pos, input.len());
        self.spare = batch.into_spare();
        let answered = self.out.copied().len();
        self.out.clear();
        answered
    }
}

fn shared() -> Arc<Shared> {
    let cache =
        Cache::builder(16 << 20).clock(ManualClock::new(Moment::from_secs(1_700_000_000))).seed(1);
    Shared::without_threads(cache.build().unwrap(), Config { threads: 1, ..Config::default() })
}

/// Has `input` answered often enough for all buffers to have their size, then counts.
#[track_caller]
fn assert_steady(client: &mut Client, input: &[u8]) {
    let mut answered = 0;
    for _ in 0..3 {
        answered = client.serve(input);
    }
    assert!(answered > 0, "no answer to {}", input.escape_ascii());
    let info = measure(|| {
        for _ in 0..100 {
            client.serve(input);
        }
    });
    assert_eq!(info.count_total, 0, "{}", input.escape_ascii());
}

#[test]
fn text_and_meta_requests_allocate_nothing() {
    let mut client = Client::new(&shared());
    let value = "v".repeat(100);
    let set = |key: &str| format!("set {key} 5 3600 100\r\n{value}\r\n");
    client.serve([set("a"), set("b"), "set n 0 0 1\r\n5\r\n".to_owned()].concat().as_bytes());
    let many: String = (0..16).map(|i| [" a", " b", " none"][i % 3]).collect();
    for request in [
        "get a\r\n",
        "get none\r\n",
        "gets a\r\n",
        "gat 3600 a\r\n",
        &format!("get{many}\r\n"),
        &"get a\r\n".repeat(50),
        &set("a"),
        &set("c"),
        "add a 0 0 1\r\nx\r\n",
        "cas a 0 0 1 99999999\r\nx\r\n",
        "incr n 1\r\n",
        "decr n 1\r\n",
        "touch a 3600\r\n",
        "set d 0 0 1\r\nx\r\ndelete d\r\n",
        "version\r\n",
        "nonsense\r\n",
        "mg a v f t c k O123\r\n",
        "mg none v\r\n",
        "mg YQ== b k v\r\n",
        &format!("ms a 100 T3600 F5 c\r\n{value}\r\n"),
        "md none q\r\nmn\r\n",
        "ma n v t\r\n",
        "me a\r\n",
    ] {
        assert_steady(&mut client, request.as_bytes());
    }
}

#[test]
fn binary_requests_allocate_nothing() {
    let frame = |opcode: Opcode, key: &[u8], extras: &[u8], value: &[u8]| {
        let header = Header {
            magic: REQUEST_MAGIC,
            opcode: opcode as u8,
            key_len: key.len() as u16,
            extras_len: extras.len() as u8,
            body_len: (extras.len() + key.len() + value.len()) as u32,
            ..Header::default()
        };
        [&header.encode()[..], extras, key, value].concat()
    };
    let mut client = Client::new(&shared());
    let set = frame(Opcode::Set, b"a", &[0, 0, 0, 5, 0, 0, 0, 60], &[b'v'; 100]);
    client.serve(&set);
    for request in [
        set,
        frame(Opcode::Get, b"a", b"", b""),
        frame(Opcode::GetK, b"a", b"", b""),
        frame(Opcode::GetK, b"none", b"", b""),
        [frame(Opcode::GetKQ, b"a", b"", b"").repeat(16), frame(Opcode::Noop, b"", b"", b"")]
            .concat(),
        frame(Opcode::Touch, b"a", &[0, 0, 0, 60], b""),
        frame(Opcode::Version, b"", b"", b""),
    ] {
        assert_steady(&mut client, &request);
    }
}

#[test]
fn the_count_sees_an_allocation() {
    let mut client = Client::new(&shared());
    let long = ["set a 0 0 20000\r\n", &"v".repeat(15_000)].concat();
    assert!(measure(|| assert_eq!(client.serve(long.as_bytes()), 0)).count_total > 0);
}
