//! Of images, and the books about them.

use super::Examples;

pub(super) const KEEPING: &[Examples] = &[
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
];
