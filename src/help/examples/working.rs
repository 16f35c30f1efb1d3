//! Of what performs work, shows it and steers it: workers, batches, lanes, budgets, webhooks.

use super::Examples;

pub(super) const WORKING: &[Examples] = &[
    (
        "worker",
        &[
            ("On as many machines as you like", "pictor worker --concurrency 64"),
            ("With an address for probes and Prometheus", "pictor worker --listen 127.0.0.1:9464"),
        ],
    ),
    (
        "webhooks list",
        &[
            ("All endpoints, and whether they take what they are told", "pictor webhooks list"),
            ("Those that need a look", "pictor webhooks list --json"),
        ],
    ),
    ("webhooks show", &[("What it was told lately, and what it answered", "pictor webhooks show shop")]),
    (
        "webhooks retry",
        &[
            ("How much was given up", "pictor webhooks retry shop --dry-run"),
            ("Let it have that, and what waits, at once", "pictor webhooks retry shop"),
        ],
    ),
    ("webhooks test", &[("Send a signed event that says nothing", "pictor webhooks test shop")]),
    (
        "workers list",
        &[
            ("Where each runs, its version, what it holds, and its state", "pictor workers list"),
            (
                "Who is of an older version",
                "pictor workers list --json | jq '.[] | select(.version != \"0.1.0\")'",
            ),
        ],
    ),
    (
        "workers drain",
        &[
            (
                "End one in good order, from anywhere, and wait until it has left",
                "pictor workers drain 9G5FAV --wait",
            ),
            (
                "All workers of a machine that is to be restarted",
                "pictor workers drain build-7 --reason 'new kernel'",
            ),
            ("Everybody; what is queued waits", "pictor workers drain --all --yes"),
        ],
    ),
    (
        "workers undrain",
        &[("Whoever was told to end and has not yet goes on", "pictor workers undrain --all")],
    ),
    (
        "status",
        &[
            ("Everything", "pictor status"),
            ("One batch", "pictor status nightly-2026-11-21"),
            ("For a script", "pictor status --json"),
        ],
    ),
    (
        "watch",
        &[
            ("The newest open batch, until it has ended", "pictor watch"),
            ("One batch", "pictor watch nightly-2026-11-21"),
            ("Once, for a script", "pictor watch --once --json"),
            ("A screen on the wall, that changes nothing", "pictor watch --all --read-only"),
        ],
    ),
    ("batch list", &[("The ten newest", "pictor batch list --limit 10")]),
    ("batch show", &[("One batch", "pictor batch show nightly-2026-11-21")]),
    (
        "batch cancel",
        &[("What is sent is finished, stored and charged", "pictor batch cancel nightly-2026-11-21")],
    ),
    (
        "batch pause",
        &[(
            "With a reason that `pictor status` shows to others",
            "pictor batch pause spring --reason 'prompts are being reviewed'",
        )],
    ),
    ("batch resume", &[("Let it go on", "pictor batch resume spring")]),
    (
        "batch priority",
        &[
            ("Somebody waits for it", "pictor batch priority spring interactive"),
            ("Nobody does", "pictor batch priority backlog bulk"),
        ],
    ),
    ("budget show", &[("Every cap, and what is left of it", "pictor budget show")]),
    (
        "budget set",
        &[
            ("At most $250, ever", "pictor budget set 250"),
            ("At most $40 a day", "pictor budget set per-day 40 --reason 'as agreed with finance'"),
            ("At most $10 a day for one tenant", "pictor budget set tenant shop per-day 10"),
            ("What the settings say, again", "pictor budget set total settings"),
        ],
    ),
    ("budget audit", &[("Who changed which cap, and why", "pictor budget audit --limit 10")]),
    ("lane list", &[("Limits, pauses and their reasons", "pictor lane list")]),
    (
        "lane pause",
        &[(
            "Nothing is sent there until it is resumed",
            "pictor lane pause openai.gpt-image --reason 'invoice is being checked'",
        )],
    ),
    (
        "lane show",
        &[("Where a limit is known from, and what is waited for", "pictor lane show openai.gpt-image")],
    ),
    ("lane resume", &[("Lift the pause", "pictor lane resume openai.gpt-image")]),
    (
        "lane limit",
        &[
            ("The account was raised to 400 a minute", "pictor lane limit openai.gpt-image images=400"),
            ("As the settings say, again", "pictor lane limit openai.gpt-image images=settings"),
        ],
    ),
];
