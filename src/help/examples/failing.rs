//! Of failures, and of who did what about them.

use super::Examples;

pub(super) const FAILING: &[Examples] = &[
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
];
