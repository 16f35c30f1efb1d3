//! Of the program itself: its settings, its rehearsals, and help for shells.

use super::Examples;

pub(super) const AROUND: &[Examples] = &[
    (
        "doctor",
        &[
            ("Before the first run, and when something is odd", "pictor doctor"),
            ("A part of it", "pictor doctor --only redis,store"),
            ("What failed, and how to mend it", "pictor doctor --json | jq '.findings[] | .mend'"),
        ],
    ),
    (
        "config show",
        &[
            ("Every setting, and where it comes from; no secrets", "pictor config show"),
            ("What would hold in production", "pictor --profile prod config show"),
            (
                "What the environment sets",
                "pictor config show --json | jq '.settings[] | select(.origin.kind == \"environment\")'",
            ),
        ],
    ),
    (
        "simulate",
        &[
            ("On a port of your choice", "pictor simulate --listen 127.0.0.1:8080"),
            (
                "One answer in fifty is an HTTP 500, and 60 images a minute are the limit",
                "pictor simulate --fault server_error=0.02 --images-per-minute 60",
            ),
        ],
    ),
    (
        "bench drain",
        &[
            (
                "Three workers, 300 images each 5 s, for a minute",
                "pictor bench drain --processes 3 --limit 300 --window 5 --minutes 1",
            ),
            (
                "Others take 30 % of the limit, which is guessed twice too high; three runs, for a script",
                "pictor bench drain --foreign-load 0.3 --believed 500 --kind guess --runs 3 --json",
            ),
            (
                "The limit falls and rises; answers say nothing of it",
                "pictor bench drain --kind guess --window 5 --change 6:100,12:400 --headers off --minutes 2",
            ),
            (
                "Three accounts on one route, one paused and one broken",
                "pictor bench drain --lanes 3 --pause-lane 2 --break-lane 3 --window 5 --requests 2000",
            ),
        ],
    ),
    (
        "completions",
        &[
            ("Bash", "pictor completions bash > ~/.local/share/bash-completion/completions/pictor"),
            ("Zsh, in a directory of $fpath", "pictor completions zsh > ~/.zfunc/_pictor"),
            ("Fish", "pictor completions fish > ~/.config/fish/completions/pictor.fish"),
            (
                "PowerShell; for Elvish append to ~/.config/elvish/rc.elv",
                "pictor completions powershell >> $PROFILE",
            ),
        ],
    ),
    (
        "man",
        &[
            ("For this user", "pictor man --out ~/.local/share/man/man1"),
            ("To look at one of them", "pictor man --out man && man -l man/pictor-run.1"),
        ],
    ),
];
