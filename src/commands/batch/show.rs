//! One batch with everything that decides how it goes.

use pictor_common::queue::{Overview, Queue, RouteView, Which};
use serde_json::json;

use super::{facts, lines};
use crate::{
    commands::{
        Context, failed, lane, retention,
        watch::{Frame, Moment, cost, time_left},
    },
    table::table,
};

/// Shows one batch.
pub(crate) async fn show(name: &str, context: &Context, queue: &Queue) -> anyhow::Result<()> {
    let id = retention::kept(name, context, queue).await?.id.parse()?;
    let overview = queue.overview(Which::These(std::slice::from_ref(&id))).await?;
    let recent = queue.recent(overview.now).await?;
    let Some(view) = overview.batches.first().cloned() else {
        anyhow::bail!("batch {id} is gone");
    };
    let (groups, bounded) = if view.state.counts.failed + view.state.counts.parked > 0 {
        failed::of_batch(&id, queue).await?
    } else {
        (Vec::new(), false)
    };
    let lanes = serving(&overview, &view.routes);
    let mut value = json!(view.state);
    let moment = Moment::of(overview, &recent);
    let Some(frame) = moment.batches.first() else { return Ok(()) };
    let more = json!({
        "waiting": frame.waiting, "per_minute": frame.per_minute, "eta": frame.eta,
        "projected": frame.projected, "why": frame.why, "routes": view.routes, "lanes": lanes,
        "workers": moment.workers, "failures": groups, "failures_bounded": bounded,
    });
    if let (Some(value), Some(more)) = (value.as_object_mut(), more.as_object()) {
        value.extend(more.clone());
    }
    context.output.result(&value, || {
        let mut text = lines(&facts(&view.state)) + &going(frame);
        if !view.routes.is_empty() {
            text += &format!("\n{}\n{}", routes(&view.routes), lane::list(&lanes));
        }
        if !groups.is_empty() {
            text += &format!("\n{}", failed::grouped(&groups));
            if bounded {
                text += &format!("the newest failures only; pictor failed list --batch {id} has all\n");
            }
        }
        text
    })
}

fn serving(overview: &Overview, routes: &[RouteView]) -> Vec<pictor_common::queue::LaneState> {
    let serves =
        |name: &str| routes.iter().any(|place| overview.lanes_of(&place.route).any(|lane| lane.name == name));
    overview.lanes.iter().filter(|lane| serves(&lane.name)).cloned().collect()
}

fn going(frame: &Frame) -> String {
    if frame.state != "open" {
        return String::new();
    }
    let pace = frame.per_minute.map_or_else(|| "none seen".to_owned(), |pace| format!("{pace:.0}/min"));
    let mut facts = vec![("pace", format!("{pace}; {}", time_left(&frame.eta))), ("cost", cost(frame))];
    facts.extend(frame.why.iter().enumerate().map(|(at, why)| {
        let name = if at == 0 { "waits" } else { "" };
        (name, why.text.clone())
    }));
    lines(&facts)
}

fn routes(routes: &[RouteView]) -> String {
    let rows: Vec<Vec<String>> = routes
        .iter()
        .map(|place| {
            vec![
                place.route.clone(),
                place.waiting.to_string(),
                place.ahead.to_string(),
                place.rivals.to_string(),
                format!("{:.0} %", place.share * 100.0),
                place.head.map_or_else(String::new, |head| head.ceiling.to_string()),
            ]
        })
        .collect();
    table(&["route", "waiting", "ahead", "others", "share", "ceiling each"], &[1, 2, 3, 4, 5], &rows)
}
