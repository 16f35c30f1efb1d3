//! Kubernetes, compose, systemd and Docker files, as far as their readers can judge them without a cluster or a daemon.

use std::{fs, process::Command};

use serde_json::Value;

use super::{BINARY, passes, read, root, tool, yaml};

const WORKER: &str = "deploy/kubernetes/worker.yaml";
const NIGHTLY: &str = "deploy/kubernetes/nightly.yaml";

fn of_kind(documents: &[Value], kind: &str) -> Value {
    documents.iter().find(|document| document["kind"] == kind).unwrap_or_else(|| panic!("no {kind}")).clone()
}

#[test]
fn schemas_accept_the_kubernetes_and_compose_files() {
    for version in ["1.31.0", "1.37.0"] {
        let mut command = Command::new(tool("python3"));
        command.args(["-m", "kubernetes_validate", "--strict", "--kubernetes-version", version]);
        passes(command.args([root().join(WORKER), root().join(NIGHTLY)]));
    }
    let mut command = Command::new(tool("check-jsonschema"));
    passes(command.args(["--builtin-schema", "vendor.compose-spec"]).arg(root().join("deploy/compose.yaml")));
}

#[test]
fn the_kubernetes_objects_mean_each_other() {
    let documents = yaml(WORKER);
    let set = of_kind(&documents, "StatefulSet");
    let labels = &set["spec"]["template"]["metadata"]["labels"];
    assert_eq!(&set["spec"]["selector"]["matchLabels"], labels);
    let service = of_kind(&documents, "Service");
    assert_eq!(
        (&service["spec"]["selector"], &service["metadata"]["name"]),
        (labels, &set["spec"]["serviceName"])
    );
    assert_eq!(&of_kind(&documents, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"], labels);
    let [scaled] = yaml("deploy/kubernetes/autoscaling.yaml").try_into().unwrap();
    assert_eq!(scaled["spec"]["scaleTargetRef"]["name"], set["metadata"]["name"]);
    assert_eq!(scaled["spec"]["scaleTargetRef"]["kind"], "StatefulSet");

    let night = of_kind(&yaml(NIGHTLY), "CronJob")["spec"]["jobTemplate"]["spec"]["template"]["spec"].clone();
    assert_eq!(night["restartPolicy"], "Never", "as podFailurePolicy wants it");
    for pod in [&set["spec"]["template"]["spec"], &night] {
        let container = &pod["containers"][0];
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
        assert_eq!(pod["enableServiceLinks"], false);
        assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
        assert_eq!(container["securityContext"]["allowPrivilegeEscalation"], false);
        let user = format!("USER {0}:{0}", pod["securityContext"]["runAsUser"]);
        assert!(read("deploy/Dockerfile").contains(&user), "the image has another user: {user}");
    }
    let worker = &set["spec"]["template"]["spec"]["containers"][0];
    for (probe, path) in
        [("startupProbe", "/healthz"), ("livenessProbe", "/healthz"), ("readinessProbe", "/readyz")]
    {
        assert_eq!(worker[probe]["httpGet"]["path"], path, "{probe}");
    }
    // The spool lies on the volume that every pod has of its own.
    let mounts = worker["volumeMounts"].as_array().unwrap();
    let spool = mounts.iter().find(|mount| mount["name"] == "spool").unwrap()["mountPath"].as_str().unwrap();
    assert_eq!(set["spec"]["volumeClaimTemplates"][0]["metadata"]["name"], "spool");
    let variables = worker["env"].as_array().unwrap();
    let set_to = variables.iter().find(|variable| variable["name"] == "PICTOR_WORKER__SPOOL").unwrap();
    assert!(set_to["value"].as_str().unwrap().starts_with(spool));
}

#[cfg(target_os = "linux")]
#[test]
fn systemd_accepts_the_units() {
    let dir = tempfile::tempdir().unwrap();
    let units = ["pictor-worker.service", "pictor-nightly.service", "pictor-nightly.timer"];
    for unit in units {
        // systemd looks whether the program is there.
        let text = read(&format!("deploy/systemd/{unit}")).replace("/usr/local/bin/pictor", BINARY);
        fs::write(dir.path().join(unit), text).unwrap();
    }
    let analyze = tool("systemd-analyze");
    let output = passes(
        Command::new(&analyze)
            .arg("verify")
            .args(units.map(|unit| format!("./{unit}")))
            .current_dir(dir.path()),
    );
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    for unit in &units[..2] {
        let mut command = Command::new(&analyze);
        passes(
            command
                .args(["security", "--offline=true", "--threshold=20"])
                .arg(format!("./{unit}"))
                .current_dir(dir.path()),
        );
    }
}

#[test]
fn the_dockerfile_is_accepted_and_its_build_can_be_read() {
    passes(Command::new(tool("hadolint")).arg(root().join("deploy/Dockerfile")));
    let output = passes(Command::new(root().join("tools/dockerfile-steps.sh")).arg("--print"));
    let steps = String::from_utf8(output.stdout).unwrap();
    let first = steps.lines().map(|step| step.split(' ').next().unwrap());
    assert_eq!(first.collect::<Vec<_>>(), ["WORKDIR", "COPY", "ENV", "RUN"], "{steps}");
    assert!(steps.contains("\nRUN cargo build --locked --release --bin pictor && "), "{steps}");
}
