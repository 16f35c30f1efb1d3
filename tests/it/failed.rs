//! The person on call: what failed is found by cause, understood, and mended in a few commands.
//!
//! As a proof (`make prove-on-call`) it also writes docs/on-call.md, unedited.

use std::{fmt::Write as _, fs, path::Path, process::Output, time::Duration};

use pictor_simulator::Options;
use serde_json::Value;

use crate::world::{MODEL, World, told};

fn world() -> World {
    World::start(Options { latency_ms_p50: Some(20), ..Options::default() })
}

fn ran(world: &World, args: &[&str]) -> Output {
    let output = world.run(args);
    assert!(output.status.success(), "{args:?}: {}", told(&output));
    output
}

fn group(world: &World, class: &str) -> String {
    let found = world.json(&["failed"]);
    let groups = found["groups"].as_array().unwrap();
    let found = groups.iter().find(|group| group["class"] == class);
    found.unwrap_or_else(|| panic!("no {class}: {groups:?}"))["group"].as_str().unwrap().to_owned()
}

/// Rows of which some are refused for their content, some are wrong, and some ask for a model that is not there.
fn seed(world: &World, rows: u64) -> [u64; 3] {
    let mut text = String::from("id,prompt,model,size\n");
    let mut causes = [0; 3];
    for n in 0..rows {
        let (marker, model) = match n % 40 {
            7 => ("[[sim:moderation_blocked]] ", MODEL),
            11 | 31 => ("[[sim:invalid_value]] ", MODEL),
            23 => ("[[sim:model_not_found]] ", MODEL),
            _ => ("", MODEL),
        };
        for (count, name) in causes.iter_mut().zip(["moderation", "invalid", "model_not"]) {
            *count += u64::from(marker.contains(name));
        }
        writeln!(text, "sku-{n},{marker}a mug number {n},{model},256x256").unwrap();
    }
    fs::write(world.path("nightly.csv"), text).unwrap();
    causes
}

/// An editor that takes the markers out of prompts, as a person would mend words.
fn editor(world: &World) -> String {
    let script = world.path("editor.sh");
    fs::write(&script, "sed -i 's/\\[\\[sim:[a-z_]*\\]\\] //' \"$1\"\n").unwrap();
    format!("sh {}", script.display())
}

/// What a person types and what that prints.
struct Transcript<'w> {
    world: &'w World,
    text: String,
    typed: usize,
}

impl Transcript<'_> {
    fn say(&mut self, words: &str) {
        write!(self.text, "\n{words}\n").unwrap();
    }

    fn types(&mut self, args: &[&str]) -> Output {
        self.typed += 1;
        let output = self
            .world
            .command(args)
            .env("EDITOR", editor(self.world))
            .env("PICTOR_LOG", "error")
            .output()
            .unwrap();
        let code = output.status.code().unwrap();
        write!(self.text, "\n```console\n$ pictor {}\n", typed(args)).unwrap();
        for part in [&output.stdout, &output.stderr] {
            self.text +=
                &String::from_utf8_lossy(part).replace(&self.world.path("").display().to_string(), "");
        }
        writeln!(self.text, "[exit code {code}]\n```").unwrap();
        assert_eq!(code, 0, "{args:?}: {}", told(&output));
        output
    }
}

/// Words as a shell wants them.
fn typed(args: &[&str]) -> String {
    let word = |arg: &&str| if arg.contains(' ') { format!("'{arg}'") } else { (*arg).to_owned() };
    args.iter().map(word).collect::<Vec<_>>().join(" ")
}

/// A batch with three causes is mended; returns what was typed.
async fn mend(rows: u64) -> String {
    let world = world();
    let [refused, wrong, gone] = seed(&world, rows);
    ran(&world, &["submit", "nightly.csv", "--run-id", "nightly"]);
    let _worker = world.worker("worker", 8, &[]);
    let state = world.ended("nightly", Duration::from_secs(600)).await;
    assert_eq!(
        (state.counts.done, state.counts.failed),
        (rows - refused - wrong - gone, refused + wrong + gone)
    );
    let billed = world.sim.billed().await;

    let mut on_call = Transcript { world: &world, text: String::new(), typed: 0 };
    on_call.say("What failed, and what is there to do?");
    let shown = String::from_utf8(on_call.types(&["failed"]).stdout).unwrap();
    for words in
        [&format!("{} failed, of 3 causes", refused + wrong + gone), "--edit", "mend.csv", "--by-model"]
    {
        let flat = shown.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(flat.contains(words), "{words}: {shown}");
    }
    let of = |class: &str| group(&world, class);
    on_call.say(
        "Words that were refused are mended in the editor; the price is known before anything is asked for.",
    );
    on_call.types(&["failed", "retry", "--group", &of("moderation"), "--edit", "--yes"]);
    on_call.say(
        "What is left is wrong in the file, or asks for what the account does not have: it goes to a file.",
    );
    on_call.types(&["failed", "export", "mend.csv", "--batch", "nightly"]);
    on_call.say("The file is mended in a spreadsheet, and submitted.");
    let mended = fs::read_to_string(world.path("mend.csv")).unwrap();
    assert_eq!(mended.lines().count() as u64, 1 + wrong + gone, "{mended}");
    let clean = mended.replace("[[sim:invalid_value]] ", "").replace("[[sim:model_not_found]] ", "");
    fs::write(world.path("mend.csv"), clean).unwrap();
    on_call.types(&["submit", "mend.csv", "--run-id", "mended", "--max-cost", "20"]);
    on_call.say("What the new file makes is not waited for in the old batch.");
    on_call.types(&["failed", "discard", "--batch", "nightly", "--yes", "--reason", "mended in mend.csv"]);
    assert!(on_call.typed <= 6, "{} commands", on_call.typed);

    for batch in ["nightly", "mended"] {
        world.ended(batch, Duration::from_secs(600)).await;
    }
    on_call.say("And by whom?");
    on_call.types(&["audit"]);
    assert_eq!(world.json(&["failed"])["failures"], 0);
    assert_eq!(world.sim.billed().await, billed + refused + wrong + gone, "each was paid for once");
    let again = world.json(&["submit", "nightly.csv", "--run-id", "nightly"]);
    assert_eq!(world.sim.billed().await, rows, "the same file again pays for nothing: {again}");
    on_call.text
}

#[tokio::test(flavor = "multi_thread")]
async fn three_causes_are_found_and_mended_with_six_commands() {
    mend(120).await;
}

/// Writes the page.
pub(crate) async fn write_page() {
    let text = mend(2_000).await;
    let head = "# A night on call\n\nA batch of 2,000 rows was submitted with three causes of failure in it. What follows are the commands of \
        a test, through the real binary and against the built-in simulator; the output is complete. `make prove-on-call` makes this page anew.\n";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/on-call.md");
    fs::write(path, format!("{head}{text}")).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_named_is_left_alone() {
    let world = world();
    fs::write(
        world.path("a.csv"),
        format!(
            "id,prompt,model,size\nbad,[[sim:moderation_blocked]] x,{MODEL},256x256\nodd,[[sim:invalid_value]] y,{MODEL},256x256\n"
        ),
    )
    .unwrap();
    ran(&world, &["submit", "a.csv", "--run-id", "a", "--tenant", "shop"]);
    let worker = world.worker("worker", 2, &[]);
    world.ended("a", Duration::from_secs(120)).await;
    drop(worker);
    let count = |args: &[&str], field: &str| world.json(args)[field].as_u64();
    let all = world.json(&["failed", "retry", "--everything", "--dry-run"]);
    assert_eq!((all["found"].as_u64(), all["left_out"]["content"].as_u64()), (Some(1), Some(1)), "{all}");
    assert_eq!(count(&["failed", "retry", "--class", "moderation", "--dry-run"], "found"), Some(1));
    assert_eq!(count(&["failed", "retry", "--tenant", "other", "--dry-run"], "found"), Some(0));

    // Keys and filters: what has both.
    let listed = world.json(&["failed", "list", "--tenant", "shop", "--limit", "1"]);
    let (first, next) = (&listed["failures"][0], listed["next"].as_str().unwrap());
    let rest = world.json(&["failed", "list", "--after", next]);
    assert_eq!((rest["failures"].as_array().unwrap().len(), &rest["next"]), (1, &Value::Null));
    let (key, class) = (first["key"].as_str().unwrap(), first["failure"]["class"].as_str().unwrap());
    let other = rest["failures"][0]["failure"]["class"].as_str().unwrap();
    assert_eq!(count(&["failed", "retry", key, "--class", class, "--dry-run"], "found"), Some(1));
    assert_eq!(count(&["failed", "retry", key, "--class", other, "--dry-run"], "found"), Some(0));
    assert_eq!(count(&["failed", "list", "--text", "NO SUCH WORDS"], "failures"), None);

    for (args, words) in [
        (&["failed", "retry"][..], "say which"),
        (&["failed", "discard", "--class", "moderation"], "--yes"),
        (&["failed", "retry", "zz"], "is no key"),
        (&["failed", "retry", &key[..12], "--at", "2020-01-01"], "is over"),
        (&["failed", "retry", &key[..12], "--by-model", "nobody"], "does not know the model"),
        (&["failed", "show", "0123456789abcdef"], "no failure begins"),
    ] {
        let output = world.run(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {}", told(&output));
        assert!(told(&output).contains(words), "{args:?}: {}", told(&output));
    }
    // Another shop asks for the same.
    ran(&world, &["submit", "a.csv", "--run-id", "b", "--tenant", "rival"]);
    let words = world.path("words.sh");
    fs::write(&words, "sed -i 's/\\[\\[sim:[a-z_]*\\]\\]/typed/' \"$1\"\n").unwrap();
    let edit = |more: &[&str]| {
        let args = [&["failed", "retry", key, "--edit"], more].concat();
        world.command(&args).env("EDITOR", format!("sh {}", words.display())).output().unwrap()
    };
    let both = edit(&["--yes"]);
    assert_eq!(both.status.code(), Some(2), "{}", told(&both));
    assert!(told(&both).contains("2 tenants ask for these (rival, shop)"), "{}", told(&both));
    let one = edit(&["--tenant", "shop", "--dry-run"]);
    assert_eq!(one.status.code(), Some(0), "{}", told(&one));
    let value: Value = serde_json::from_slice(&one.stdout).unwrap_or_default();
    assert!(
        told(&one).contains("in batch a of tenant shop") || value["tenants"]["shop"][0] == "a",
        "{}",
        told(&one)
    );
    assert_eq!(world.json(&["failed"])["failures"], 2, "nothing was changed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_draft_that_cannot_be_read_is_kept_and_gone_on_with() {
    let world = world();
    let csv = format!("id,prompt,model,size\nbad,[[sim:moderation_blocked]] x,{MODEL},256x256\n");
    fs::write(world.path("a.csv"), csv).unwrap();
    ran(&world, &["submit", "a.csv", "--run-id", "a"]);
    let _worker = world.worker("worker", 2, &[]);
    world.ended("a", Duration::from_secs(120)).await;
    let edit = |with: &str, more: &[&str]| {
        let args = [&["failed", "retry", "--class", "moderation", "--edit", "--yes"], more].concat();
        world.command(&args).env("EDITOR", with).output().unwrap()
    };
    let spoil = world.path("spoil.sh");
    fs::write(&spoil, "sed -i 's/256x256/257x1/; s/\\[\\[sim:[a-z_]*\\]\\] x/typed with care/' \"$1\"\n")
        .unwrap();
    let refused = edit(&format!("sh {}", spoil.display()), &[]);
    assert_eq!(refused.status.code(), Some(2), "{}", told(&refused));
    let words = String::from_utf8_lossy(&refused.stderr).into_owned();
    let draft = words.rsplit("--draft ").next().unwrap().trim().to_owned();
    assert!(fs::read_to_string(&draft).unwrap().contains("typed with care"), "{words}");
    let mend = world.path("mend.sh");
    fs::write(&mend, "sed -i 's/257x1/256x256/' \"$1\"\n").unwrap();
    let dear = edit(&format!("sh {}", mend.display()), &["--draft", &draft, "--max-cost", "0.000001"]);
    assert!(dear.status.code() == Some(2) && told(&dear).contains("--max-cost"), "{}", told(&dear));
    let done = edit("true", &["--draft", &draft]);
    assert_eq!(done.status.code(), Some(0), "{}", told(&done));
    assert!(!Path::new(&draft).exists(), "it is done");
    let state = world.ended("a", Duration::from_secs(120)).await;
    assert_eq!((state.counts.done, state.counts.failed), (1, 0));
    assert_eq!(world.sim.billed().await, 1);
    let table = String::from_utf8(ran(&world, &["results", "a"]).stdout).unwrap();
    assert!(table.contains("bad,") && table.contains(".png"), "the line follows: {table}");
}
