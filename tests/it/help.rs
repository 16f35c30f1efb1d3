//! What a person who knows nothing yet is told.

use std::{fs, process::Command};

use crate::world::told;

fn pictor(args: &[&str]) -> std::process::Output {
    Command::new(env!("CARGO_BIN_EXE_pictor")).args(args).env_clear().output().unwrap()
}

#[test]
fn without_a_command_the_first_steps_are_told() {
    let output = pictor(&[]);
    assert_eq!(output.status.code(), Some(2), "{}", told(&output));
    let text = String::from_utf8_lossy(&output.stderr);
    for step in ["pictor demo", "pictor run", "pictor status", "pictor --help"] {
        assert!(text.contains(step), "{step} in {text}");
    }
    assert!(text.lines().count() < 10, "{text}");
}

#[test]
fn manual_pages_are_written_whatever_the_settings_are() {
    let dir = tempfile::tempdir().unwrap();
    let (out, broken) = (dir.path().join("new/man1"), dir.path().join("broken.toml"));
    fs::write(&broken, "redis = [\n").unwrap();
    let output = pictor(&["--config", broken.to_str().unwrap(), "man", "--out", out.to_str().unwrap()]);
    assert!(output.status.success(), "{}", told(&output));
    let page = fs::read_to_string(out.join("pictor-run.1")).unwrap();
    assert!(page.contains("pictor run listings.csv") && page.contains(".SH \"EXIT STATUS\""), "{page}");
    let again = pictor(&["man", "--out", broken.join("below").to_str().unwrap()]);
    assert_eq!(again.status.code(), Some(3), "{}", told(&again));
}
