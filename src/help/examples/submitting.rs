//! Of what puts work in: files, schedules, templates, models and prices.

use super::Examples;

pub(super) const SUBMITTING: &[Examples] = &[
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
];
