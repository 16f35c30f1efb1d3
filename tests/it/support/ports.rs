//! Free loopback ports.
//!
//! They lie below the range the system picks from for outgoing connections. A port of that range can be
//! taken while a server restarts on it, and a client that retries can even connect to itself.

use std::{
    collections::BTreeSet,
    net::{Ipv4Addr, TcpListener},
    process,
    sync::Mutex,
};

/// Distance at which some servers open a second port on their own.
pub(crate) const TWIN: u16 = 10_000;
const FIRST: u16 = 11_000;
const COUNT: u16 = 10_000;

/// Handed out in this process; never again, so that a port can be left and taken up by its server.
static TAKEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());

/// A port that nothing listens on and that no other caller in this process gets.
pub(crate) fn free() -> u16 {
    several::<1>()[0]
}

/// Several such ports, whose [`TWIN`]s are free too.
pub(crate) fn several<const N: usize>() -> [u16; N] {
    let mut taken = TAKEN.lock().unwrap();
    // Processes side by side start their search far apart.
    let start = process::id() % u32::from(COUNT) * 37;
    let mut candidates = (0..u32::from(COUNT))
        .map(|step| FIRST + u16::try_from((start + step) % u32::from(COUNT)).expect("below COUNT"));
    std::array::from_fn(|_| {
        let free = candidates.find(|port| !taken.contains(port) && is_free(*port) && is_free(*port + TWIN));
        let port = free.expect("no free port between 11000 and 21000");
        taken.insert(port);
        port
    })
}

fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

#[test]
fn ports_are_handed_out_once() {
    let one = several::<50>();
    let two = several::<50>();
    assert_eq!(one.iter().chain(&two).collect::<BTreeSet<_>>().len(), 100);
    let _held = TcpListener::bind((Ipv4Addr::LOCALHOST, free())).unwrap();
}
