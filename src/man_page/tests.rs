//! Every visible command has a page that is whole and that a formatter accepts.

use std::{
    collections::BTreeSet,
    io::Write as _,
    process::{Command as Process, Stdio},
};

use super::*;
use crate::cli;

fn pages() -> Vec<(String, String)> {
    let pages = all(cli::command()).unwrap();
    pages.into_iter().map(|(name, page)| (name, String::from_utf8(page).unwrap())).collect()
}

fn names(command: &Command, found: &mut BTreeSet<String>) {
    found.insert(format!("{}.1", title(command)));
    visible(command).for_each(|sub| names(sub, found));
}

#[test]
fn every_visible_command_has_a_page() {
    let mut command = cli::command().disable_help_subcommand(true);
    command.build();
    let mut wanted = BTreeSet::new();
    names(&command, &mut wanted);
    let found: BTreeSet<String> = pages().into_iter().map(|(name, _)| name).collect();
    assert_eq!(found, wanted);
    for name in ["pictor.1", "pictor-run.1", "pictor-failed-list.1"] {
        assert!(found.contains(name), "{name}");
    }
}

#[test]
fn every_page_has_all_sections_and_no_stray_request() {
    const REQUESTS: &[&str] = &["TH", "SH", "TP", "PP", "RS", "RE", "nf", "fi", "br", "ie", "el", "IP"];
    for (name, page) in pages() {
        for section in
            ["NAME", "SYNOPSIS", "DESCRIPTION", "EXAMPLES", "EXIT STATUS", "ENVIRONMENT", "FILES", "SEE ALSO"]
        {
            let heading =
                if section.contains(' ') { format!(".SH \"{section}\"") } else { format!(".SH {section}") };
            assert_eq!(page.lines().filter(|line| **line == heading).count(), 1, "{name}: {section}");
        }
        for line in page.lines().filter(|line| line.starts_with(['.', '\''])) {
            let request = line[1..].split(' ').next().unwrap();
            assert!(REQUESTS.contains(&request), "{name}: {line}");
        }
        let plain = page.lines().filter(|line| !line.starts_with('.'));
        for line in plain {
            assert!(!line.contains('\u{1b}'), "{name}: {line:?}");
        }
    }
}

#[test]
fn what_a_command_says_after_its_options_is_in_its_page() {
    let command =
        Command::new("pictor").subcommand(Command::new("watch").after_help("Ends with 1.\n\nExamples:\n  x"));
    let pages = all(command).unwrap();
    let page = |name: &str| {
        let (_, page) = pages.iter().find(|(found, _)| found == name).unwrap();
        String::from_utf8(page.clone()).unwrap()
    };
    let watch = page("pictor-watch.1");
    assert!(watch.contains(".SH NOTES\nEnds with 1.\n"), "{watch}");
    assert!(!watch.contains("Examples:") && !page("pictor.1").contains("NOTES"), "{watch}");
}

/// groff, where there is one, warns of nothing.
#[test]
#[expect(clippy::print_stderr, reason = "what was not run is said")]
fn a_formatter_finds_nothing_to_say() {
    if Process::new("groff").arg("--version").output().is_err() {
        eprintln!("NOT RUN: there is no groff here; the pages were only parsed");
        return;
    }
    for (name, page) in pages() {
        let mut groff = Process::new("groff")
            .args(["-man", "-ww", "-Tutf8", "-P-cbou"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        groff.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
        let output = groff.wait_with_output().unwrap();
        let (shown, said) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success() && said.is_empty(), "{name}: {said}");
        assert!(shown.contains("EXIT STATUS") && shown.contains("pictor"), "{name}: {shown}");
    }
}
