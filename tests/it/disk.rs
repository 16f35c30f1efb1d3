//! A spool whose disk is full: nothing is claimed, nothing is lost, and work goes on by itself when there is room.

use std::{
    fs::File,
    path::Path,
    time::{Duration, Instant},
};

use pictor_simulator::Options;
use rustix::fs::{FallocateFlags, fallocate, statvfs};

use crate::world::World;

const GIB: u64 = 1 << 30;
/// What a worker may use; other tests write to the same disk meanwhile.
const ROOM: u64 = 2 * GIB;
const PATIENCE: Duration = Duration::from_secs(60);

fn free(dir: &Path) -> u64 {
    let disk = statvfs(dir).unwrap();
    disk.f_bavail * disk.f_frsize
}

/// Takes more of the disk than a worker may use.
fn fill(file: &Path) {
    fallocate(File::create(file).unwrap(), FallocateFlags::empty(), 0, 2 * ROOM).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_stops_claims_and_loses_nothing() {
    let world = World::start(Options { latency_ms_p50: Some(200), ..Options::default() });
    world.catalogue("c.csv", 0..60);
    world.json(&["submit", "c.csv", "--run-id", "b"]);
    let before = free(world.dir.path());
    assert!(before > 3 * ROOM, "this test needs {} GiB of free disk", 3 * ROOM / GIB);
    let keep = ((before - ROOM) >> 20).to_string();
    let worker = world.worker("worker", 4, &[("PICTOR_WORKER__SPOOL_KEEP_FREE_MIB", &keep)]);
    let deadline = Instant::now() + PATIENCE;
    while world.sim.billed().await < 8 {
        assert!(Instant::now() < deadline, "{}", worker.proc.stderr());
    }
    let filling = world.path("filling");
    fill(&filling);
    let says = |what: &str| worker.proc.stderr().contains(what);
    let queue = world.queue().await;
    while !says("the disk of the spool is full") || queue.totals().await.unwrap().reserved.0 > 0 {
        assert!(Instant::now() < deadline, "{}", worker.proc.stderr());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let billed = world.sim.billed().await;
    assert!(billed < 60, "it went on");
    while !String::from_utf8_lossy(&world.run(&["status"]).stdout).contains("the disk of its spool is full") {
        assert!(Instant::now() < deadline, "{}", world.json(&["status"]));
    }
    assert_eq!(world.sim.billed().await, billed, "nothing is sent meanwhile");

    std::fs::remove_file(&filling).unwrap();
    let state = world.ended("b", PATIENCE).await;
    assert_eq!((state.counts.done, world.sim.billed().await), (60, 60));
    assert!(says("the disk of the spool has room again"), "{}", worker.proc.stderr());
}
