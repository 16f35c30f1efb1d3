//! Examples of every command, by its path. Each is parsed by a test, so none can drift from the command line.

/// What one does, and the line to type.
pub(crate) type Example = (&'static str, &'static str);

/// By the path of the command; the program itself is the empty path.
pub(crate) const EXAMPLES: &[(&str, &[Example])] = &[
    (
        "",
        &[
            ("200 sample images against a built-in simulator; costs nothing", "pictor demo"),
            ("Check a file and say what it would cost", "pictor run listings.csv --dry-run"),
            ("Make its images; run again, it makes only what is missing", "pictor run listings.csv"),
            ("See what is queued, running or paused, and why", "pictor status"),
        ],
    ),
    (
        "run",
        &[
            (
                "Check every row; say what is new and what it will cost",
                "pictor run listings.csv --template product-shot --dry-run",
            ),
            (
                "Make the good rows for at most $20; the others go to shop.csv.rejected.csv",
                "pictor run shop.csv --skip-bad --max-cost 20",
            ),
            (
                "Every row in all combinations of a template's variables",
                "pictor run shop.csv --template shop.j2 --vary light=day,dusk --vary season=summer,winter",
            ),
            (
                "One image, without a file",
                "pictor run --prompt 'a lighthouse in fog' --size 1536x1024 --quality low",
            ),
        ],
    ),
    (
        "demo",
        &[
            ("Make the sample catalogue; a second time, everything is there already", "pictor demo"),
            ("Look at what it made", "pictor status --data-dir .pictor/demo"),
            (
                "Rehearse with a file of yours, before it costs anything",
                "pictor demo listings.csv --template listing.j2",
            ),
        ],
    ),
    (
        "submit",
        &[
            (
                "From cron: one batch a night, however often it is submitted; silent when all is well",
                "pictor submit nightly.csv --run-id 'nightly-{date}' --wait --deadline 06:00 --quiet",
            ),
            (
                "Behind everything else, and never for more than $50",
                "pictor submit backlog.jsonl --band bulk --max-cost 50",
            ),
            (
                "What a row's own model cannot make, gpt-image-2 may",
                "pictor submit listings.csv --fallback gpt-image-2",
            ),
            (
                "Article numbers in a column of their own name; asset show and results know rows by them",
                "pictor submit export.xlsx --template listing.j2 --id-column Artikelnummer",
            ),
        ],
    ),
    (
        "schedule add",
        &[
            (
                "Every night at three; what is not sent by six is given up",
                "pictor schedule add nightly /srv/nightly.csv --cron '0 3 * * *' --deadline 06:00",
            ),
            (
                "On weekdays in New York, from a bucket",
                "pictor schedule add us s3://shop/us.csv --cron '30 2 * * 1-5' --time-zone America/New_York",
            ),
            (
                "When it would be due, without keeping it",
                "pictor schedule add nightly /srv/nightly.csv --cron '0 3 * * *' --dry-run",
            ),
        ],
    ),
    (
        "schedule list",
        &[
            ("When each is due, and what became of the last time", "pictor schedule list"),
            ("For a script", "pictor schedule list --json"),
        ],
    ),
    ("schedule show", &[("With its policies and past times", "pictor schedule show nightly")]),
    ("schedule run", &[("Now, whatever the clock says", "pictor schedule run nightly")]),
    (
        "schedule pause",
        &[("Fire nothing until it is resumed", "pictor schedule pause nightly --reason 'a new catalogue'")],
    ),
    ("schedule resume", &[("Let it go on", "pictor schedule resume nightly")]),
    ("schedule remove", &[("Forget it; its batches stay", "pictor schedule remove nightly")]),
    (
        "schedule serve",
        &[("On two machines, say: each time is fired by one of them", "pictor schedule serve")],
    ),
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
    (
        "failed",
        &[
            ("Causes, the most frequent first, and what to do", "pictor failed"),
            ("For a script", "pictor failed --json | jq '.groups[] | .to_do'"),
        ],
    ),
    (
        "failed list",
        &[
            ("The newest of one class", "pictor failed list --class bad_spec --limit 20"),
            ("Of one batch, since six", "pictor failed list --batch nightly-2026-11-21 --since 06:00"),
            ("By words", "pictor failed list --text 'billing limit'"),
        ],
    ),
    ("failed show", &[("The first digits of the key are enough", "pictor failed show 3f9ac1")]),
    (
        "failed retry",
        &[
            ("Two of them", "pictor failed retry 3f9ac1 77b0e2"),
            ("All of one cause, in two hours", "pictor failed retry --group 0a1b2c3d4e5f --at +2h"),
            (
                "By another model",
                "pictor failed retry --class model_retired --by-model gpt-image-2 --max-cost 5",
            ),
            ("In other words", "pictor failed retry 3f9ac1 --edit"),
        ],
    ),
    (
        "failed discard",
        &[("Give up what was refused for its content", "pictor failed discard --class moderation --yes")],
    ),
    (
        "failed export",
        &[("Mend it, and submit it", "pictor failed export mend.csv --batch nightly-2026-11-21")],
    ),
    ("audit", &[("What people did lately", "pictor audit --limit 20")]),
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
    (
        "results",
        &[
            ("As CSV", "pictor results spring --out spring.csv"),
            (
                "With links that anybody can follow for a week",
                "pictor results spring --expires 7d --out links.csv",
            ),
            (
                "Images under names of your own, with their table beside them",
                "pictor results spring --layout '{id}/{take}.{ext}' --to shop-import --table",
            ),
            (
                "Into another bucket; {sku} is a column of the manifest",
                "pictor results spring --layout '{sku}-{take1}.{ext}' --to s3://shop-cdn/spring",
            ),
        ],
    ),
    (
        "gallery",
        &[
            ("One page to look through, with links to the images beside it", "pictor gallery spring"),
            (
                "To send around: nothing in it leads elsewhere",
                "pictor gallery spring --full none --out spring.html",
            ),
            (
                "Of a bucket, with links that anybody can follow for a week",
                "pictor gallery spring --expires 7d",
            ),
        ],
    ),
    (
        "price list",
        &[
            ("Every model", "pictor price list"),
            ("One model", "pictor price list --model gpt-image-2"),
            ("What held, or will hold, on a day", "pictor price list --on 2027-01-01"),
        ],
    ),
    (
        "price estimate",
        &[("As if nothing of the file existed", "pictor price estimate listings.csv --template listing.j2")],
    ),
    (
        "price monthly",
        &[
            ("300 images a day", "pictor price monthly --per-day 300 --model dall-e-2 --size 1024x1024"),
            (
                "Two kinds together",
                "pictor price monthly --per-day 20 --quality low --plus per-day=2,quality=high",
            ),
            ("Through the provider's batch API", "pictor price monthly --per-month 15000 --batch"),
        ],
    ),
    ("template list", &[("Those that come with Pictor", "pictor template list")]),
    (
        "template show",
        &[
            ("Its columns, its text and how to use it", "pictor template show product-shot"),
            (
                "A file with its columns, to start from",
                "pictor template show product-shot --sample > products.csv",
            ),
        ],
    ),
    (
        "template preview",
        &[(
            "The prompt of one row, without queueing anything",
            "pictor template preview products.csv --template product-shot --row 1",
        )],
    ),
    ("models", &[("Sizes, qualities and days of retirement", "pictor models")]),
    (
        "derive",
        &[
            ("Make what is missing of a batch's derivatives", "pictor derive nightly-2026-11-21"),
            (
                "Say how many thumbnails another size would make, and make none",
                "pictor derive nightly-2026-11-21 --derive '256x256 cover webp q80' --dry-run",
            ),
            (
                "Two sizes of one image, by the id of its line",
                "pictor derive --image mug-red --derive '1200w jpeg' --derive '2048 contain png'",
            ),
        ],
    ),
    (
        "verify",
        &[
            (
                "Whether every image that is done is in the store and in the ledger",
                "pictor verify nightly-2026-11-21",
            ),
            (
                "Read every image as well; end with 1 when something is wrong",
                "pictor verify spring --deep --json",
            ),
            ("Make again, and pay for, what is gone from the store", "pictor verify spring --remake"),
        ],
    ),
    (
        "ledger totals",
        &[
            ("By day, as an invoice has it", "pictor ledger totals --by day"),
            (
                "November, as it began and ended in Berlin",
                "pictor ledger totals --since 2026-11-01 --until 2026-11-30 --time-zone Europe/Berlin",
            ),
            ("By who asked", "pictor ledger totals --by tenant"),
        ],
    ),
    ("ledger list", &[("Into a file", "pictor ledger list > ledger.jsonl")]),
    (
        "ledger show",
        &[
            ("Every request for an image that was or may have been paid", "pictor ledger show 3f9a12c4de70"),
            ("By the request id on an invoice", "pictor ledger show req_8f2c1d"),
            ("Whatever a batch may have paid twice", "pictor ledger show nightly-2026-11-21"),
        ],
    ),
    (
        "ledger export",
        &[
            (
                "A month for a spreadsheet",
                "pictor ledger export --since 2026-11-01 --until 2026-11-30 --to november.csv",
            ),
            ("For another program", "pictor ledger export --format jsonl | gzip > ledger.jsonl.gz"),
        ],
    ),
    (
        "ledger reconcile",
        &[
            ("Line by line", "pictor ledger reconcile invoice.csv --since 2026-11-01 --until 2026-11-30"),
            (
                "With columns of other names",
                "pictor ledger reconcile usage.csv --request-column 'Request ID' --amount-column Cost",
            ),
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
    (
        "asset show",
        &[
            ("By the id of its row", "pictor asset show SKU-1042"),
            (
                "The second image of that row in an older batch",
                "pictor asset show SKU-1042 --batch nightly-2026-11-20 --take 1",
            ),
            ("By the first digits of its key", "pictor asset show 3f9a12c4de70"),
        ],
    ),
    (
        "asset redo",
        &[
            (
                "What another take of a row would cost",
                "pictor asset redo SKU-1042 --batch nightly-2026-11-20 --dry-run",
            ),
            (
                "Ask for it",
                "pictor asset redo --batch nightly-2026-11-20 --id SKU-1042 --from 9f86d081 --yes",
            ),
            ("The first one was better", "pictor asset redo SKU-1042 --batch nightly-2026-11-20 --back"),
        ],
    ),
    (
        "asset remove",
        &[
            (
                "What would go with the picture of a row",
                "pictor asset remove SKU-1042 --batch nightly-2026-11-20 --dry-run",
            ),
            (
                "Take it out of the store, for good; it stays paid",
                "pictor asset remove SKU-1042 --batch nightly-2026-11-20 --reason 'shows a trademark'",
            ),
            ("By its key, from a script", "pictor asset remove 3f9a12c4de70 --yes --reason privacy"),
        ],
    ),
    ("retention show", &[("What the settings keep, and what would go", "pictor retention show")]),
    (
        "retention run",
        &[
            ("What would go now", "pictor retention run --dry-run"),
            ("Once, with settings of its own", "pictor retention run --config nightly.toml"),
        ],
    ),
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

/// What `pictor` alone says.
pub(crate) const FIRST_STEPS: &str = "\
Turns a catalogue of prompts into images through paid image APIs, and never pays twice.

  pictor demo                          200 sample images against a built-in simulator; costs nothing
  pictor run listings.csv --dry-run    checks a file of yours and says what it would cost
  pictor status                        what is queued, running or paused, and why

`pictor --help` names all commands; `pictor COMMAND --help` says the rest, with examples.";
