//! Gauges in Prometheus' text format 0.0.4. Metrics and their series come out sorted, so that the same
//! report gives the same bytes.

use std::collections::BTreeMap;

use prometheus::core::Collector;
use prometheus::{Gauge, GaugeVec, Opts, Registry, Result, TextEncoder};

/// What is to be written, by the metrics' names. As text from the beginning: the library's own form of a
/// network's relays takes more memory than the report.
#[derive(Default)]
pub(crate) struct Sheet(BTreeMap<String, String>);

impl Sheet {
    /// A gauge without labels.
    pub(crate) fn gauge(&mut self, name: &str, help: &str, value: f64) -> Result<()> {
        let gauge = Gauge::new(name, help)?;
        gauge.set(value);
        self.add(name, gauge)
    }

    /// The same where there is a value.
    pub(crate) fn known(&mut self, name: &str, help: &str, value: Option<f64>) -> Result<()> {
        value.map_or(Ok(()), |value| self.gauge(name, help, value))
    }

    /// A gauge with these labels, and a value for each of their values.
    pub(crate) fn by<'a, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        labels: [&str; N],
        rows: impl IntoIterator<Item = ([&'a str; N], f64)>,
    ) -> Result<()> {
        let gauges = GaugeVec::new(Opts::new(name, help), &labels)?;
        for (values, value) in rows {
            gauges.get_metric_with_label_values(&values)?.set(value);
        }
        self.add(name, gauges)
    }

    fn add(&mut self, name: &str, metric: impl Collector + 'static) -> Result<()> {
        // It sorts the series.
        let registry = Registry::new();
        registry.register(Box::new(metric))?;
        let text = TextEncoder::new().encode_to_string(&registry.gather())?;
        self.0.insert(name.to_owned(), text);
        Ok(())
    }

    pub(crate) fn text(self) -> String {
        self.0.into_values().collect()
    }
}

/// A whole number, as Prometheus counts.
pub(crate) fn whole(number: impl Into<i64>) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    let number = number.into() as f64;
    number
}
