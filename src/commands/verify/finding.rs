//! What can be found, and what a person does about it.

use pictor_common::AssetKey;
use serde::Serialize;

/// What is wrong with an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum What {
    Missing,
    Damaged,
    Unbooked,
    CostDiffers,
    NotDone,
    PaidTwice,
    NotRemoved,
}

/// One thing that was found.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Finding {
    pub(super) what: What,
    pub(super) key: AssetKey,
    pub(super) row: u64,
    pub(super) id: String,
    pub(super) detail: String,
}

impl What {
    pub(super) const ALL: [Self; 7] = [
        Self::Missing,
        Self::Damaged,
        Self::Unbooked,
        Self::CostDiffers,
        Self::NotDone,
        Self::PaidTwice,
        Self::NotRemoved,
    ];

    pub(super) const fn place(self) -> usize {
        self as usize
    }

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Damaged => "damaged",
            Self::Unbooked => "unbooked",
            Self::CostDiffers => "cost_differs",
            Self::NotDone => "not_done",
            Self::PaidTwice => "paid_twice",
            Self::NotRemoved => "not_removed",
        }
    }

    pub(super) const fn told(self) -> &'static str {
        match self {
            Self::Missing => "done, and gone from the store",
            Self::Damaged => "done, and damaged in the store",
            Self::Unbooked => "done, and without an entry in the ledger",
            Self::CostDiffers => "done, at another cost than the ledger says",
            Self::NotDone => "in the store, and not done",
            Self::PaidTwice => "may have been paid twice, or was",
            Self::NotRemoved => "removed by somebody, and still in the store",
        }
    }

    /// What to do about it.
    pub(super) fn advice(self, batch: &str) -> String {
        match self {
            Self::Missing => format!("put it back from a backup, or pay for it again: pictor verify {batch} --remake"),
            Self::Damaged => {
                format!("put it back from a backup, or pay for it again: pictor verify {batch} --deep --remake")
            }
            Self::Unbooked => {
                "the image is there and paid for; compare with the invoice: pictor ledger reconcile INVOICE.csv".to_owned()
            }
            Self::CostDiffers => "compare with the invoice: pictor ledger reconcile INVOICE.csv".to_owned(),
            Self::NotRemoved => "finish it, by its key: pictor asset remove KEY".to_owned(),
            Self::NotDone => format!("take it from the store, for nothing: pictor verify {batch} --remake"),
            Self::PaidTwice => format!(
                "nothing is lost; pictor ledger show {batch} has the requests, and pictor ledger reconcile INVOICE.csv says what was billed"
            ),
        }
    }
}
