//! The nightly lines of Kubernetes and systemd, as they stand in the files, against a real worker.

use std::{fs, os::unix::fs::symlink, process::Command};

use pictor_simulator::Options;

use super::{BINARY, read, root, yaml};
use crate::world::{API_KEY, World, told};

/// What the shell gets from the `CronJob`.
fn of_kubernetes() -> String {
    let [job] = yaml("deploy/kubernetes/nightly.yaml").try_into().unwrap();
    let container = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0].clone();
    assert_eq!(container["command"], serde_json::json!(["/bin/sh", "-c"]));
    container["args"][0].as_str().unwrap().to_owned()
}

/// What the shell gets from the service: systemd takes its own signs out first.
fn of_systemd() -> String {
    let unit = read("deploy/systemd/pictor-nightly.service");
    let line = unit.lines().find_map(|line| line.strip_prefix("ExecStart=/bin/sh -c '")).unwrap();
    line.strip_suffix('\'').unwrap().replace("$$", "$").replace("%%", "%")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_nightly_lines_make_each_image_once() {
    let world = World::start(Options { latency_ms_p50: Some(20), ..Options::default() });
    let _worker = world.worker("worker", 8, &[]);
    let night = world.path("nightly.csv");
    fs::copy(root().join("examples/nightly-thumbnails.csv"), &night).unwrap();
    let rows = fs::read_to_string(&night).unwrap().lines().count() as u64 - 1;
    let bin = world.path("bin");
    fs::create_dir(&bin).unwrap();
    symlink(BINARY, bin.join("pictor")).unwrap();
    for line in [of_kubernetes(), of_systemd()] {
        let line = line
            .replace("/usr/local/bin/pictor", BINARY)
            .replace("/etc/pictor/pictor.toml", &world.path("pictor.toml").display().to_string())
            .replace("/etc/pictor/nightly.csv", &night.display().to_string())
            .replace("/in/nightly.csv", &night.display().to_string());
        let mut command = Command::new("/bin/sh");
        command
            .env_clear()
            .env("PATH", format!("{}:/usr/bin:/bin", bin.display()))
            .env("SIM_API_KEY", API_KEY);
        command.env("PICTOR_CONFIG", world.path("pictor.toml")).env("PICTOR_DATA_DIR", world.path("data"));
        let output = command.args(["-c", &line]).current_dir("/").output().unwrap();
        assert!(output.status.success(), "{line}: {}", told(&output));
        assert_eq!(world.sim.billed().await, rows, "{line}");
    }
    let batches = world.json(&["batch", "list"]);
    assert!(batches.to_string().contains("nightly-2"), "{batches}");
}
