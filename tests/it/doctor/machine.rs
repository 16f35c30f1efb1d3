//! Hosts that are wrong in one way.

use std::{fs, process::Command};

use super::{
    Report,
    stub::{Response, Stub},
    world,
};

const ONLY: &[&str] = &["--only", "machine"];

#[test]
fn too_few_open_files_are_counted() {
    let world = world();
    let doctor = world.command(&["doctor", "--json", "--only", "machine"]);
    let limited = |most: u64| {
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(format!("ulimit -n {most} && exec \"$0\" \"$@\""));
        shell.arg(doctor.get_program()).args(doctor.get_args()).env_clear();
        shell.envs(doctor.get_envs().filter_map(|(name, value)| Some((name, value?))));
        shell.current_dir(world.dir.path());
        Report::read(shell.output().unwrap())
    };
    limited(64).says("open files", "failed", &["64 allowed", "ulimit -n 320", "LimitNOFILE=320"]);
    limited(200).says("open files", "failed", &["worker.concurrency to 34"]);
    limited(400).says("open files", "ok", &["400 allowed"]);
}

#[test]
fn spools_that_cannot_work_are_named() {
    let world = world();
    let at = |spool: &str| Report::of(&world, ONLY, &[("PICTOR_WORKER__SPOOL", spool)]);
    fs::write(world.path("file"), "").unwrap();
    at(world.path("file").to_str().unwrap()).says("spool", "failed", &["is a file", "worker.spool"]);
    // Memory is no place for what was paid for; on Linux /dev/shm is some.
    if cfg!(target_os = "linux") {
        let spool = format!("/dev/shm/pictor-doctor-test-{}", std::process::id());
        at(&spool).says("spool disk", "warning", &["tmpfs", "worker.spool"]);
        assert!(!std::path::Path::new(&spool).exists());
    }
    let huge = Report::of(&world, ONLY, &[("PICTOR_ACCOUNTS__SIM__MAX_IMAGE_BYTES", "9000000000000000")]);
    huge.says("spool room", "failed", &["one image may take"]);
}

#[test]
fn what_dead_workers_left_is_counted() {
    let world = world();
    let dead = world.path("spool/01JC0000000000000000000001");
    fs::create_dir_all(&dead).unwrap();
    fs::write(dead.join("lock"), "").unwrap();
    fs::write(dead.join("journal"), "").unwrap();
    Report::of(&world, ONLY, &[]).says(
        "spool leftovers",
        "warning",
        &["1 dead worker left 0 requests", "pictor worker"],
    );
    assert!(dead.join("journal").exists(), "the doctor changed the spool");
    fs::remove_dir_all(&dead).unwrap();
    let worker = world.worker("alive", 2, &[]);
    Report::of(&world, ONLY, &[]).says("spool leftovers", "ok", &["1 worker is at work"]);
    drop(worker);
}

#[test]
fn a_clock_that_disagrees_with_the_api_is_named() {
    let world = world();
    let list = r#"{"data":[{"id":"gpt-image-2"}]}"#;
    let stub = Stub::start(move |_| {
        Response::new(200, list)
            .header("content-type", "application/json")
            .header("date", "Fri, 31 Dec 1999 23:59:30 GMT")
    });
    let url = stub.url();
    let base = ("PICTOR_ACCOUNTS__SIM__BASE_URL", &*url);
    Report::of(&world, ONLY, &[base]).says("clock", "warning", &["behind this machine's", "timedatectl"]);
    let s3 = [base, ("PICTOR_STORE__URL", "s3://shop/x")];
    Report::of(&world, ONLY, &s3).says("clock", "failed", &["S3 refuses", "timedatectl"]);
    Report::of(&world, ONLY, &[]).says("clock", "ok", &[]);
}
