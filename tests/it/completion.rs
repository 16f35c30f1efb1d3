//! TAB in a real shell: words of the command line, and names that exist now.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
    time::{Duration, Instant},
};

use pictor_simulator::Options;

use crate::{
    support::ports,
    world::{World, told},
};

/// What a Bash with the generated script offers for a line whose last word is being typed.
fn offered(world: &World, words: &[&str]) -> Vec<String> {
    let (output, _) = pressed(world, words);
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().map(str::to_owned).filter(|line| !line.is_empty()).collect()
}

/// Presses TAB; nothing may be said about it, and nobody may be kept waiting.
fn pressed(world: &World, words: &[&str]) -> (Output, Duration) {
    let script = world.path("pictor.bash");
    if !script.exists() {
        let output =
            Command::new(env!("CARGO_BIN_EXE_pictor")).args(["completions", "bash"]).output().unwrap();
        assert!(output.status.success(), "{}", told(&output));
        fs::write(&script, output.stdout).unwrap();
    }
    let quoted: Vec<String> = words.iter().map(|word| shlex::try_quote(word).unwrap().into_owned()).collect();
    let typed = format!(
        "source {script}\nCOMP_WORDS=(pictor {words})\nCOMP_CWORD={last}\nCOMP_TYPE=9\n\
         _clap_complete_pictor pictor {current} ''\nprintf '%s\\n' \"${{COMPREPLY[@]}}\"\n",
        script = shlex::try_quote(script.to_str().unwrap()).unwrap(),
        words = quoted.join(" "),
        last = words.len(),
        current = quoted.last().unwrap(),
    );
    let mut bash = Command::new("bash");
    bash.args(["--norc", "--noprofile", "-c", &typed]).current_dir(world.dir.path());
    bash.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("HOME", world.dir.path());
    let begun = Instant::now();
    let output = bash.output().unwrap();
    assert!(output.stderr.is_empty(), "{words:?}: {}", told(&output));
    (output, begun.elapsed())
}

/// With the settings of the world.
fn with<'w>(words: &[&'w str]) -> Vec<&'w str> {
    [&["--config", "pictor.toml"], words].concat()
}

fn assert_offers(world: &World, words: &[&str], wanted: &[&str]) {
    let found = offered(world, words);
    for one in wanted {
        assert!(found.iter().any(|found| found == one), "{words:?} offers {found:?}, not {one}");
    }
}

#[test]
fn commands_options_values_and_files_are_completed() {
    let world = World::start(Options::default());
    fs::write(world.path("listings.csv"), "id,prompt\n").unwrap();
    fs::write(world.path("notes.pdf"), "").unwrap();
    assert_eq!(offered(&world, &["stat"]), ["status"]);
    assert_offers(&world, &["failed", ""], &["list", "show", "retry", "discard"]);
    assert_offers(&world, &["run", "--ma"], &["--max-cost"]);
    assert_eq!(offered(&world, &["submit", "a.csv", "--band", "in"]), ["interactive"]);
    assert_eq!(offered(&world, &["run", "a.csv", "--model", "dall-e-"]), ["dall-e-2", "dall-e-3"]);
    assert_eq!(offered(&world, &["run", "a.csv", "--style", "n"]), ["natural"]);
    assert_offers(&world, &["failed", "list", "--class", ""], &["moderation", "server_error"]);
    assert_eq!(offered(&world, &["completions", "z"]), ["zsh"]);
    let files = offered(&world, &["run", ""]);
    assert!(files.contains(&"listings.csv".to_owned()), "{files:?}");
    assert!(!files.contains(&"notes.pdf".to_owned()), "{files:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn names_in_the_queue_are_completed() {
    let world = World::start(Options { latency_ms_p50: Some(20), ..Options::default() });
    fs::write(
        world.path("mixed.csv"),
        "id,prompt,model,size\na,a lamp,dall-e-2,256x256\nb,a cup [[sim:moderation_blocked]],dall-e-2,256x256\n",
    )
    .unwrap();
    let run = world.run(&["run", "mixed.csv", "--run-id", "spring-1", "--tenant", "shop-7"]);
    assert!(run.status.code().is_some_and(|code| code <= 1), "{}", told(&run));
    let waiting = world.catalogue("waiting.csv", 0..3);
    world.json(&["submit", waiting.to_str().unwrap(), "--run-id", "summer-1"]);

    assert_eq!(offered(&world, &with(&["results", "sp"])), ["spring-1"]);
    assert_offers(&world, &with(&["status", ""]), &["spring-1", "summer-1"]);
    assert_eq!(offered(&world, &with(&["batch", "cancel", "s"])), ["summer-1"], "only what is open");
    assert_eq!(offered(&world, &with(&["lane", "pause", "sim.dall-e-2"])), ["sim.dall-e-2"]);
    assert_eq!(offered(&world, &with(&["run", "a.csv", "--tenant", "sh"])), ["shop-7"]);
    let key = world.queue().await.members(&"spring-1".parse().unwrap(), 0, 1).await.unwrap().remove(0);
    assert_eq!(offered(&world, &with(&["asset", "show", &key.as_str()[..20]])), [key.as_str()]);
    for failed in world.queue().await.failures(0, 10).await.unwrap() {
        let short = &failed.0.as_str()[..12];
        assert_eq!(offered(&world, &with(&["failed", "retry", &short[..4]])), [short]);
    }
}

#[test]
fn a_queue_that_does_not_answer_offers_nothing_soon_and_starts_nothing() {
    let world = World::start(Options::default());
    let files = |dir: &Path| fs::read_dir(dir).unwrap().count();
    // Nothing but an empty directory: a private server must not be started.
    let _script = offered(&world, &["stat"]);
    let before = files(world.dir.path());
    assert_eq!(offered(&world, &["results", ""]).iter().filter(|name| !name.starts_with('-')).count(), 0);
    fs::create_dir_all(world.path(".pictor/redis")).unwrap();
    fs::write(world.path(".pictor/socket"), world.path("nobody.sock").to_str().unwrap()).unwrap();
    assert_eq!(offered(&world, &["results", "b"]), [""; 0]);
    assert_eq!((files(world.dir.path()), files(&world.path(".pictor/redis"))), (before + 1, 0));

    // A port that takes the connection and never says a word, and one where nobody is.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = ports::free();
    for port in [silent.local_addr().unwrap().port(), nobody] {
        fs::write(world.path("dead.toml"), format!("redis.url = \"redis://127.0.0.1:{port}/0\"\n")).unwrap();
        let quick = (0..3).map(|_| {
            let (output, took) = pressed(&world, &["--config", "dead.toml", "results", "b"]);
            assert!(output.stdout.trim_ascii().is_empty(), "{}", told(&output));
            took
        });
        let best = quick.min().unwrap();
        assert!(best < Duration::from_millis(700), "TAB took {best:?}, Bash's own start included");
    }
    fs::write(world.path("broken.toml"), "redis = [\n").unwrap();
    assert_eq!(offered(&world, &["--config", "broken.toml", "results", "b"]), [""; 0]);
}

#[test]
fn names_of_a_private_queue_are_kept_while_its_server_is_not_there() {
    let world = World::start(Options { latency_ms_p50: Some(20), ..Options::default() });
    let file = world.catalogue("a.csv", 0..2);
    let settings = fs::read_to_string(world.path("pictor.toml")).unwrap();
    let private: Vec<&str> = settings.lines().filter(|line| !line.starts_with("url = \"redis:")).collect();
    let private = private.join("\n").replace("[store]\nurl = ", "[store]\n#url = ");
    fs::write(world.path("pictor.toml"), private).unwrap();
    let run = world.run(&["run", file.to_str().unwrap(), "--run-id", "at-home", "--out", "mine"]);
    assert_eq!(run.status.code(), Some(0), "{}", told(&run));
    assert_eq!(offered(&world, &with(&["results", "at"])), ["at-home"]);
    assert_eq!(offered(&world, &with(&["lane", "pause", "sim.dall-e-2"])), ["sim.dall-e-2"]);
    assert_eq!(offered(&world, &with(&["batch", "cancel", "at"])), [""; 0], "it has ended");

    // The store that the queue knows is found without being named again.
    let table = world.run(&["results", "at-home"]);
    let text = String::from_utf8_lossy(&table.stdout).into_owned();
    assert_eq!(text.matches("mine/assets/").count(), 2, "{}", told(&table));
}

/// Other shells, where they are installed: their script loads without a word.
#[test]
#[expect(clippy::print_stderr, reason = "what was not run is said")]
fn scripts_for_other_shells_load() {
    for (shell, args) in [
        ("zsh", &["-f", "-c", "autoload -U compinit && compinit -D && source $1", "zsh"][..]),
        ("fish", &["--no-config", "-c", "source $argv[1]"]),
        ("elvish", &["-norc", "-compileonly"]),
    ] {
        let output =
            Command::new(env!("CARGO_BIN_EXE_pictor")).args(["completions", shell]).output().unwrap();
        assert!(output.status.success(), "{}", told(&output));
        let script = String::from_utf8(output.stdout).unwrap();
        assert!(script.contains("PICTOR_COMPLETE") && script.contains("pictor"), "{shell}: {script}");
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("script");
        fs::write(&path, script).unwrap();
        match Command::new(shell).args(args).arg(&path).output() {
            Ok(loaded) => assert!(loaded.status.success() && loaded.stderr.is_empty(), "{}", told(&loaded)),
            Err(_absent) => eprintln!("NOT RUN: there is no {shell} here; only its script was made"),
        }
    }
}
