//! How long a generation takes: log-normal, by model and quality.

use std::time::Duration;

use crate::{models::Model, options::Options, seed::Seed};

/// Standard deviations from the median to the 99th percentile.
const Z99: f64 = 2.326_347_874;
/// p99 ÷ p50 where only the median is known.
const TAIL: f64 = 2.2;

/// Draws the latency of one request.
pub(crate) fn draw(options: &Options, model: &Model, quality: &str, seed: &mut Seed) -> Duration {
    let table = model.latency_ms.get(model.quality_index(quality)).copied().unwrap_or(0);
    let p50 = options.latency_ms_p50.map_or_else(|| table as f64 / options.speed, |ms| ms as f64);
    let p99 = options.latency_ms_p99.map_or(p50 * TAIL, |ms| ms as f64).max(p50);
    if p50 <= 0.0 {
        return Duration::ZERO;
    }
    let radius = (-2.0 * (1.0 - seed.unit()).ln()).sqrt();
    let normal = radius * (std::f64::consts::TAU * seed.unit()).cos();
    let millis = p50 * ((p99 / p50).ln() / Z99 * normal).exp();
    Duration::try_from_secs_f64(millis / 1000.0).unwrap_or(Duration::ZERO)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models;

    #[test]
    fn percentiles_are_as_asked() {
        let options =
            Options { latency_ms_p50: Some(1000), latency_ms_p99: Some(3000), ..Options::default() };
        let model = models::find("dall-e-3").unwrap();
        let mut seed = Seed::numbered(7, 7);
        let mut drawn: Vec<_> =
            (0..20_000).map(|_| draw(&options, model, "hd", &mut seed).as_millis()).collect();
        drawn.sort_unstable();
        assert!((970..1030).contains(&drawn[10_000]), "p50 {}", drawn[10_000]);
        assert!((2800..3200).contains(&drawn[19_800]), "p99 {}", drawn[19_800]);
    }

    #[test]
    fn table_scales_with_speed() {
        let model = models::find("gpt-image-2").unwrap();
        let at = |speed| {
            draw(&Options { speed, ..Options::default() }, model, "low", &mut Seed::numbered(1, 1))
                .as_secs_f64()
        };
        assert!((at(1.0) / at(100.0) - 100.0).abs() < 0.01);
    }
}
