//! A page of series in Prometheus' text format, version 0.0.4.

use std::fmt::Write as _;

use super::{Counter, Family, Histogram};

/// The page, family by family.
#[derive(Debug, Default)]
pub struct Page {
    text: String,
}

impl Page {
    /// What it is told as.
    pub const CONTENT_TYPE: &'static str = "text/plain; version=0.0.4; charset=utf-8";

    /// Tells a gauge. Series come as the values of its labels, in their order, and what is now.
    pub fn gauge<'s>(&mut self, family: &Family, series: impl IntoIterator<Item = (Vec<&'s str>, f64)>) {
        self.head(family);
        for (values, now) in series {
            self.line(family.name, "", family.labels, &values, now);
        }
    }

    /// Tells a gauge that has one series.
    pub fn one(&mut self, family: &Family, now: f64) {
        self.gauge(family, [(Vec::new(), now)]);
    }

    /// Tells a counter.
    pub fn counter(&mut self, counter: &Counter) {
        let family = counter.family();
        self.head(family);
        for (values, count) in counter.counts() {
            let values: Vec<&str> = values.iter().map(String::as_str).collect();
            self.line(family.name, "", family.labels, &values, count as f64);
        }
    }

    /// Tells a histogram.
    pub fn histogram(&mut self, histogram: &Histogram) {
        let family = histogram.family();
        self.head(family);
        let labels: Vec<&str> = family.labels.iter().copied().chain(["le"]).collect();
        for (values, seen) in histogram.observed() {
            let bounds = histogram.bounds().iter().map(ToString::to_string);
            let mut below = 0;
            for (bound, count) in bounds.chain(["+Inf".to_owned()]).zip(&seen.counts) {
                below += count;
                let values: Vec<&str> = values.iter().map(String::as_str).chain([bound.as_str()]).collect();
                self.line(family.name, "_bucket", &labels, &values, below as f64);
            }
            let values: Vec<&str> = values.iter().map(String::as_str).collect();
            self.line(family.name, "_sum", family.labels, &values, seen.sum.as_secs_f64());
            self.line(family.name, "_count", family.labels, &values, below as f64);
        }
    }

    /// The text.
    #[must_use]
    pub fn finish(self) -> String {
        self.text
    }

    fn head(&mut self, family: &Family) {
        let Family { name, kind, help, .. } = family;
        let help = help.replace('\\', "\\\\").replace('\n', "\\n");
        let _never = write!(self.text, "# HELP {name} {help}\n# TYPE {name} {}\n", kind.as_str());
    }

    fn line(&mut self, name: &str, part: &str, labels: &[&str], values: &[&str], now: f64) {
        self.text.push_str(name);
        self.text.push_str(part);
        for (at, (label, value)) in labels.iter().zip(values).enumerate() {
            let opening = if at == 0 { '{' } else { ',' };
            let _never = write!(self.text, "{opening}{label}=\"");
            self.value(value);
            self.text.push('"');
        }
        if !labels.is_empty() {
            self.text.push('}');
        }
        let _never = writeln!(self.text, " {now}");
    }

    fn value(&mut self, value: &str) {
        for character in value.chars() {
            match character {
                '\\' => self.text.push_str("\\\\"),
                '"' => self.text.push_str("\\\""),
                '\n' => self.text.push_str("\\n"),
                other => self.text.push(other),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::metrics::families;

    #[test]
    fn a_page_is_written_as_prometheus_reads_it() {
        let requests = Counter::new(&families::REQUESTS);
        requests.add(&["a.dall-e-2", "dall-e-2", "image"], 3);
        requests.add(&["a.dall-e-2", "dall-e-2", "image"], 1);
        requests.add(&["odd \"lane\"\\\n", "dall-e-2", "timeout"], 1);
        let put = Histogram::new(&families::STORE_PUT, &[0.5, 2.0]);
        for millis in [100, 500, 501, 9_000] {
            put.observe(&[], Duration::from_millis(millis));
        }
        let mut page = Page::default();
        page.counter(&requests);
        page.histogram(&put);
        page.one(&families::DRAINING, 0.0);
        page.gauge(&families::SPENT, [(vec!["tenant", "shop"], 8_040_000.0), (vec!["day", ""], 0.5)]);
        let expected = r#"# HELP pictor_requests_total Requests sent, by what came back: image, or the class of the failure.
# TYPE pictor_requests_total counter
pictor_requests_total{lane="a.dall-e-2",model="dall-e-2",class="image"} 4
pictor_requests_total{lane="odd \"lane\"\\\n",model="dall-e-2",class="timeout"} 1
# HELP pictor_store_put_seconds Time of one successful write of an image to the store.
# TYPE pictor_store_put_seconds histogram
pictor_store_put_seconds_bucket{le="0.5"} 2
pictor_store_put_seconds_bucket{le="2"} 3
pictor_store_put_seconds_bucket{le="+Inf"} 4
pictor_store_put_seconds_sum 10.101
pictor_store_put_seconds_count 4
# HELP pictor_draining 1 while this worker stops: it claims nothing and waits for what it has sent.
# TYPE pictor_draining gauge
pictor_draining 0
# HELP pictor_budget_spent_micro_usd Charged or possibly charged, in millionths of a US dollar.
# TYPE pictor_budget_spent_micro_usd gauge
pictor_budget_spent_micro_usd{scope="tenant",name="shop"} 8040000
pictor_budget_spent_micro_usd{scope="day",name=""} 0.5
"#;
        assert_eq!(page.finish(), expected);
    }
}
