//! Takes assets to work on and keeps hold of them.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Queue, QueueError, connection::micros, days::Day, script};
use crate::{AssetKey, MicroUsd, Spec};

/// A lane of this worker and what it pulls from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaneOffer {
    /// The lane.
    pub lane: String,
    /// Routes it serves, in the order they are looked at.
    pub routes: Vec<String>,
}

/// A claim call. The same `request` id gets the same answer for 30 seconds.
#[derive(Clone, Debug)]
pub struct Claim {
    /// Id of this call.
    pub request: String,
    /// The process that claims.
    pub incarnation: String,
    /// First number for tokens; must not repeat within an incarnation.
    pub sequence: u64,
    /// How long the leases last.
    pub lease: Duration,
    /// How far ahead slots are given.
    pub horizon: Duration,
    /// Most assets to take.
    pub free: usize,
    /// What could send.
    pub lanes: Vec<LaneOffer>,
}

#[derive(Serialize)]
struct ClaimRequest<'a> {
    request: &'a str,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    again: bool,
    incarnation: &'a str,
    sequence: u64,
    lease: u64,
    horizon: u64,
    grace: u64,
    free: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    profile: Option<&'a str>,
    days: Vec<Day>,
    lanes: &'a [LaneOffer],
}

/// The right to make one asset: lease, permit and reservation together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The asset.
    pub key: AssetKey,
    /// What proves the right.
    pub token: String,
    /// The lane to send on.
    pub lane: String,
    /// How long to wait before sending, counted from the reply.
    pub wait: Duration,
    /// What to make.
    pub spec: Spec,
    /// The money reserved.
    pub ceiling: MicroUsd,
    /// The batch that pays.
    pub payer: String,
    /// Whose batch that is.
    pub tenant: String,
    /// Requests already sent for this asset.
    pub attempts: u32,
    /// How many of them ended unknown.
    pub unknowns: u32,
    /// How many of them were paid for and brought no usable image.
    pub bad_answers: u32,
    /// How often in a row nothing could be sent.
    pub unsent: u32,
}

/// The answer to a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claimed {
    /// What may be worked on.
    pub grants: Vec<Grant>,
    /// Grants whose spec this version cannot read; to be failed by token.
    pub unreadable: Vec<(AssetKey, String, String)>,
    /// When nothing more can start: how long to sleep at most.
    pub sleep: Duration,
    /// Why nothing more was given: `empty`, `limit`, `paused`, `in_flight`, `budget`, `grace`, `stale`, `again`,
    /// `undeclared`, `books` before what was spent is [restored](Queue::restore_spend), or `profile` and the name of another that the namespace belongs to.
    pub why: String,
    /// Last id of the wake stream; an idle worker waits for the next.
    pub wake: String,
    /// Lanes that failed or were refused of late: an image made by one is to be [told](Queue::learn).
    pub troubled: Vec<String>,
}

#[derive(Deserialize)]
struct ClaimAnswer {
    now: String,
    #[serde(default)]
    grants: Vec<GrantAnswer>,
    sleep: String,
    why: String,
    wake: String,
    #[serde(default)]
    troubled: Vec<String>,
}

#[derive(Deserialize)]
struct GrantAnswer {
    key: AssetKey,
    token: String,
    lane: String,
    slot: String,
    spec: String,
    ceiling: String,
    payer: String,
    #[serde(default)]
    tenant: String,
    attempts: u32,
    unknowns: u32,
    bad: u32,
    unsent: u32,
}

/// Phase of an asset in a worker's hands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum HeldPhase {
    /// Not sent.
    Claimed,
    /// The request went out.
    Sent,
    /// The image is on the worker's disk.
    Received,
}

/// One asset a worker holds, as it re-asserts it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HeldAsset {
    /// The asset.
    pub key: AssetKey,
    /// The token it was claimed with.
    pub token: String,
    /// How far it is.
    pub phase: HeldPhase,
    /// Its lane.
    pub lane: String,
    /// The batch that pays.
    pub payer: String,
    /// Whose batch that is, for a Redis that forgot; empty where nobody knows.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub tenant: String,
    /// Money reserved, for a Redis that forgot.
    pub ceiling: MicroUsd,
    /// Number of the attempt, once sent.
    pub attempt: u32,
    /// Send deadline in µs since 1970 by Redis' clock; 0 before sending.
    pub deadline: u64,
}

/// What Redis says of a held asset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// The lease was renewed.
    Ok,
    /// Redis had forgotten; the lease stands again.
    Restored,
    /// Somebody else has it, or it ended. What is not sent must not be sent.
    Lost,
}

/// The answer to [`Queue::begin`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Begun {
    /// Send now.
    Go {
        /// Number of this attempt, from 1.
        attempt: u32,
        /// Send deadline in µs since 1970 by Redis' clock.
        deadline: u64,
        /// What its lane knew when it was sent.
        epoch: u64,
    },
    /// The slot was void or is still ahead: call again after this long.
    Wait(Duration),
    /// Do not send; the asset was given back or is not ours.
    No(String),
}

fn number(text: &str) -> u64 {
    text.parse().unwrap_or(0)
}

impl Queue {
    /// Claims up to the offered number of assets in one round trip.
    pub async fn claim(&self, claim: &Claim) -> Result<Claimed, QueueError> {
        self.ask_for(claim, false).await
    }

    /// Asks for the answer to a claim whose reply was lost; nothing is granted that was not granted then.
    ///
    /// Its tokens may be held by what was granted, so no other assets are given under them.
    pub async fn claim_again(&self, claim: &Claim) -> Result<Claimed, QueueError> {
        self.ask_for(claim, true).await
    }

    async fn ask_for(&self, claim: &Claim, again: bool) -> Result<Claimed, QueueError> {
        let request = ClaimRequest {
            request: &claim.request,
            again,
            incarnation: &claim.incarnation,
            sequence: claim.sequence,
            lease: micros(claim.lease),
            horizon: micros(claim.horizon),
            grace: self.grace_micros(),
            free: claim.free,
            profile: self.profile.as_deref(),
            days: self.days(),
            lanes: &claim.lanes,
        };
        let answer: ClaimAnswer = script::CLAIM.ask(&self.connection, self.keys.prefix(), &request).await?;
        let now = number(&answer.now);
        let mut claimed = Claimed {
            grants: Vec::with_capacity(answer.grants.len()),
            unreadable: Vec::new(),
            sleep: Duration::from_micros(number(&answer.sleep)),
            why: answer.why,
            wake: answer.wake,
            troubled: answer.troubled,
        };
        for grant in answer.grants {
            match serde_json::from_str(&grant.spec) {
                Ok(spec) => claimed.grants.push(Grant {
                    wait: Duration::from_micros(number(&grant.slot).saturating_sub(now)),
                    ceiling: MicroUsd(number(&grant.ceiling)),
                    key: grant.key,
                    token: grant.token,
                    lane: grant.lane,
                    spec,
                    payer: grant.payer,
                    tenant: grant.tenant,
                    attempts: grant.attempts,
                    unknowns: grant.unknowns,
                    bad_answers: grant.bad,
                    unsent: grant.unsent,
                }),
                Err(error) => claimed.unreadable.push((grant.key, grant.token, error.to_string())),
            }
        }
        Ok(claimed)
    }

    /// Marks an asset as sent. Without the answer `Go` nothing may be sent.
    ///
    /// `allowance` is the model's timeout plus margin; after it an orphan may be judged.
    pub async fn begin(
        &self,
        key: &AssetKey,
        token: &str,
        allowance: Duration,
        lease: Duration,
    ) -> Result<Begun, QueueError> {
        let request = serde_json::json!({
            "key": key, "token": token, "allowance": micros(allowance), "lease": micros(lease),
        });
        let answer: Vec<String> = script::BEGIN.run(&self.connection, self.keys.prefix(), &request).await?;
        let at = |i: usize| answer.get(i).map_or("", String::as_str);
        Ok(match at(0) {
            "go" => Begun::Go {
                attempt: at(1).parse().unwrap_or(1),
                deadline: number(at(2)),
                epoch: number(at(3)),
            },
            "wait" => Begun::Wait(Duration::from_micros(number(at(1)))),
            _ => Begun::No(at(1).to_owned()),
        })
    }

    /// Renews leases; answers in the order given.
    pub async fn extend(&self, held: &[HeldAsset], lease: Duration) -> Result<Vec<Hold>, QueueError> {
        let mut answers = Vec::with_capacity(held.len());
        let chunks: Vec<&[HeldAsset]> =
            if held.is_empty() { vec![&[]] } else { held.chunks(super::CHUNK).collect() };
        for chunk in chunks {
            let request = serde_json::json!({ "lease": micros(lease), "grace": self.grace_micros(), "days": self.days(), "held": chunk });
            let some: Vec<String> =
                script::EXTEND.run(&self.connection, self.keys.prefix(), &request).await?;
            answers.extend(some.iter().map(|word| match word.as_str() {
                "ok" => Hold::Ok,
                "restored" => Hold::Restored,
                _ => Hold::Lost,
            }));
        }
        Ok(answers)
    }

    /// Gives claimed assets back unsent; returns how many were still ours.
    pub async fn release(&self, held: &[(AssetKey, String)]) -> Result<u64, QueueError> {
        let mut given = 0;
        for chunk in held.chunks(super::CHUNK) {
            let held: Vec<_> =
                chunk.iter().map(|(key, token)| serde_json::json!({ "key": key, "token": token })).collect();
            let request = serde_json::json!({ "held": held });
            given += script::RELEASE.run::<u64>(&self.connection, self.keys.prefix(), &request).await?;
        }
        Ok(given)
    }

    /// Waits for a wake-up call after `last`, at most a second, on a connection of its own.
    pub async fn wait_for_wake(
        &self,
        connection: &mut super::Connection,
        last: &str,
        at_most: Duration,
    ) -> Result<(), QueueError> {
        let _calls: redis::Value = redis::cmd("XREAD")
            .arg("BLOCK")
            .arg(at_most.as_millis().max(1) as u64)
            .arg("STREAMS")
            .arg(self.keys.wake())
            .arg(last)
            .query_async(connection)
            .await?;
        Ok(())
    }
}
