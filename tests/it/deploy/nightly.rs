//! The nightly lines of Kubernetes and systemd, as they stand in the files, against a real worker.

use std::{fs, process::Command};

use pictor_simulator::Options;

use super::{BINARY, read, root, yaml};
use crate::world::{API_KEY, World, told};

/// The words of the `CronJob`.
fn of_kubernetes() -> Vec<String> {
    let [job] = yaml("deploy/kubernetes/nightly.yaml").try_into().unwrap();
    let container = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0].clone();
    let words = container["command"].as_array().unwrap().iter();
    words.map(|word| word.as_str().unwrap().to_owned()).collect()
}

/// The words of the service, in which systemd finds no sign of its own.
fn of_systemd() -> Vec<String> {
    let unit = read("deploy/systemd/pictor-nightly.service");
    let line = unit.lines().find_map(|line| line.strip_prefix("ExecStart=")).unwrap();
    assert!(!line.contains(['$', '%', '\'', '"']), "{line}");
    line.split(' ').map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_nightly_lines_make_each_image_once() {
    let world = World::start(Options { latency_ms_p50: Some(20), ..Options::default() });
    let _worker = world.worker("worker", 8, &[]);
    let night = world.path("nightly.csv");
    fs::copy(root().join("examples/nightly-thumbnails.csv"), &night).unwrap();
    let rows = fs::read_to_string(&night).unwrap().lines().count() as u64 - 1;
    for words in [of_kubernetes(), of_systemd()] {
        let line = words[1..]
            .join(" ")
            .replace("/etc/pictor/pictor.toml", &world.path("pictor.toml").display().to_string())
            .replace("/etc/pictor/nightly.csv", &night.display().to_string())
            .replace("/in/nightly.csv", &night.display().to_string());
        assert!(words[0].rsplit('/').next() == Some("pictor"), "{words:?}");
        let mut command = Command::new(BINARY);
        command.env_clear().env("PATH", "/usr/bin:/bin").env("SIM_API_KEY", API_KEY);
        command.env("PICTOR_CONFIG", world.path("pictor.toml")).env("PICTOR_DATA_DIR", world.path("data"));
        let output = command.args(line.split(' ')).current_dir("/").output().unwrap();
        assert!(output.status.success(), "{line}: {}", told(&output));
        assert_eq!(world.sim.billed().await, rows, "{line}");
    }
    let batches = world.json(&["batch", "list"]);
    assert!(batches.to_string().contains("nightly-2"), "{batches}");
}
