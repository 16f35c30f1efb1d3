//! `pictor budget`: what may be spent, what was, and who changed it.

mod show;

use clap::Subcommand;
use pictor_common::{
    MicroUsd,
    batch::check_name,
    queue::{Cap, CapOf, Setter, WasSet},
};

use super::{Context, batch_id};
use crate::{
    config::{BudgetSettings, who},
    exit::{Exit, refused},
};

const HOW: &str = "write: budget set [total | per-day | tenant NAME [per-day] | batch ID] AMOUNT";

#[derive(Debug, Subcommand)]
pub(crate) enum BudgetCommand {
    /// Every cap: what is spent of it, set aside, unknown and left
    Show,
    /// Set a cap; it stands until it is set again, or back to what the settings say
    #[command(
        long_about = "Set a cap; it stands until it is set again, or back to what the settings say.\n\n\
        Of what: total (or nothing), per-day, tenant NAME, tenant NAME per-day, or batch ID. Then US dollars, \
        or none for no cap, or settings for what the settings say."
    )]
    Set {
        /// Of what, and US dollars, none or settings
        #[arg(required = true, num_args = 1..=4, value_name = "CAP AMOUNT")]
        words: Vec<String>,
        /// Why, for whoever asks later
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// Who changed which cap, when and why, newest first
    Audit {
        /// How many changes
        #[arg(long, default_value_t = 50)]
        limit: usize,
    },
}

pub(crate) async fn run(command: BudgetCommand, context: &Context) -> anyhow::Result<Exit> {
    let change = match &command {
        BudgetCommand::Set { words, .. } => Some(change(words, &context.settings.budget)?),
        BudgetCommand::Show | BudgetCommand::Audit { .. } => None,
    };
    let opened = context.look().await?;
    let work = async {
        match command {
            BudgetCommand::Audit { limit } => show::audit(context, &opened.queue, limit).await,
            BudgetCommand::Show => show::caps(context, &opened.queue).await,
            BudgetCommand::Set { reason, .. } => {
                if let Some((setter, cap)) = change {
                    set(context, &opened.queue, setter, cap, reason.trim()).await?;
                }
                show::caps(context, &opened.queue).await
            }
        }
    };
    let done = Box::pin(work).await;
    opened.close().await?;
    done.map(|()| Exit::Done)
}

async fn set(
    context: &Context,
    queue: &pictor_common::queue::Queue,
    setter: Setter,
    cap: Cap,
    reason: &str,
) -> anyhow::Result<()> {
    let became = queue.set_caps(setter, &who(), reason, std::slice::from_ref(&cap)).await?;
    if became.first() == Some(&WasSet::Missing) {
        let CapOf::Batch(batch) = cap.0 else { return Ok(()) };
        return Err(refused(format!("batch {batch} is unknown; pictor batch list names those there are")));
    }
    if let Some(tenant) = unknown_tenant(&cap.0, &queue.budget().await?) {
        context.output.note(&format!("tenant {tenant} has spent nothing so far; is the name right?"));
    }
    Ok(())
}

/// A tenant that has a cap and nothing else: its name may be misspelt.
fn unknown_tenant<'c>(of: &'c CapOf, budget: &pictor_common::queue::Budget) -> Option<&'c str> {
    let (CapOf::Tenant(name) | CapOf::TenantDay(name)) = of else { return None };
    let known = budget.tenants.iter().any(|money| money.tenant == *name && !money.money.days.is_empty());
    (!known).then_some(name)
}

/// Reads which cap becomes what.
fn change(words: &[String], settings: &BudgetSettings) -> anyhow::Result<(Setter, Cap)> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let Some((amount, of)) = words.split_last() else { return Err(refused(HOW)) };
    let tenant = |name: &str| {
        check_name(name).map_err(|error| refused(format!("tenant {error}")))?;
        anyhow::Ok(name.to_owned())
    };
    let of = match of {
        [] | ["total"] => CapOf::Total,
        ["per-day"] => CapOf::Day,
        ["tenant", name] => CapOf::Tenant(tenant(name)?),
        ["tenant", name, "per-day"] => CapOf::TenantDay(tenant(name)?),
        ["batch", id] => CapOf::Batch(batch_id(id)?.to_string()),
        _ => return Err(refused(HOW)),
    };
    Ok(match *amount {
        "none" => (Setter::Person, (of, None)),
        "settings" => {
            let caps = settings.caps();
            let amount = caps.into_iter().find(|(other, _)| *other == of).and_then(|(_, amount)| amount);
            (Setter::Reset, (of, amount))
        }
        amount => {
            let amount: MicroUsd = amount.parse().map_err(|error| refused(format!("{error}; {HOW}")))?;
            (Setter::Person, (of, Some(amount)))
        }
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use jiff::tz::TimeZone;

    use super::*;

    fn settings() -> BudgetSettings {
        BudgetSettings {
            total: Some(MicroUsd(9)),
            per_day: None,
            time_zone: TimeZone::UTC,
            tenants: BTreeMap::new(),
            alert_command: vec![],
            alert_url: None,
        }
    }

    fn said(line: &str) -> Result<(Setter, Cap), String> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        change(&words, &settings()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_cap_is_named_in_few_words() {
        let dollars = |amount: u64| Some(MicroUsd(amount * 1_000_000));
        let shop = || "shop".to_owned();
        for (line, cap) in [
            ("250", (CapOf::Total, dollars(250))),
            ("total none", (CapOf::Total, None)),
            ("per-day 40", (CapOf::Day, dollars(40))),
            ("tenant shop 7", (CapOf::Tenant(shop()), dollars(7))),
            ("tenant shop per-day 7", (CapOf::TenantDay(shop()), dollars(7))),
            ("batch b-1 $2", (CapOf::Batch("b-1".to_owned()), dollars(2))),
        ] {
            assert_eq!(said(line), Ok((Setter::Person, cap)), "{line}");
        }
        assert_eq!(said("total settings"), Ok((Setter::Reset, (CapOf::Total, Some(MicroUsd(9))))));
        assert_eq!(said("per-day settings"), Ok((Setter::Reset, (CapOf::Day, None))));
        for wrong in ["per-day", "tenant 7", "tenants shop 7", "tenant shop daily 7", "-1", "batch 7"] {
            assert!(said(wrong).is_err(), "{wrong}");
        }
    }
}
