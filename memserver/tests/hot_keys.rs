//! What is asked for most, as the real program tells it.

mod program;

use program::Program;

#[test]
fn hot_keys_are_listed_with_their_share() {
    let program = Program::start(&["-t", "2"]);
    for _ in 0..2 {
        let mut client = program.connect();
        for number in 0..3000 {
            client.send(format!("get pages:{number} users:1\r\n"));
        }
        client.ask("mn\r\n", [b"END\r\n".repeat(3000), b"MN\r\n".to_vec()].concat());
    }
    let mut client = program.connect();
    assert_eq!(client.stat("stats hotkeys", "hotkeys:1:name"), "users:1");
    let percent = |client: &mut program::Client, name: &str| -> f64 {
        client.stat("stats hotkeys", name).parse().unwrap()
    };
    let share = percent(&mut client, "hotkeys:1:percent");
    assert!((20.0..80.0).contains(&share), "{share}");
    assert!(percent(&mut client, "hotkeys:1:error_percent") < 2.0);
    let prefixes: Vec<String> = (1..=2)
        .map(|rank| client.stat("stats hotkeys", &format!("hotprefixes:{rank}:name")))
        .collect();
    assert!(prefixes.contains(&"users:".to_owned()) && prefixes.contains(&"pages:".to_owned()));
    let sampled = percent(&mut client, "sampled");
    assert!((25.0..300.0).contains(&sampled), "{sampled} of 12000");
    client.ask("stats reset\r\n", "RESET\r\n");
    client.ask("stats hotkeys\r\n", "STAT sampled 0\r\nEND\r\n");
}

#[test]
fn names_are_not_told_where_keys_may_not_be_dumped() {
    let program = Program::start(&["-X", "-t", "1"]);
    let mut client = program.connect();
    client.ask("get secret\r\n".repeat(500), "END\r\n".repeat(500));
    let list = client.list("stats hotkeys");
    assert!(list.contains("STAT hotkeys:1:percent 100.00\r\n"), "{list}");
    assert!(!list.contains("secret"), "{list}");
}
