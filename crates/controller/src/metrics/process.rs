//! What the process itself takes, under the names that every client library of Prometheus uses. I/O:
//! `/proc`, when somebody asks.

use std::{fmt, fs};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, TypedMetric, counter::ConstCounter, gauge::ConstGauge},
};

/// What the kernel counts processor time and starts in: hundredths of a second, to programs, on all machines
/// that we build for.
const TICKS_PER_SECOND: f64 = 100.0;

/// Prints `process_*`.
#[derive(Debug)]
pub(super) struct Process;

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let stat = read("/proc/self/stat");
        let stat = stat.as_deref().and_then(Stat::parse);
        let mut print = Printer(&mut encoder);
        print.metric(
            "process_cpu_seconds",
            "Processor time that was taken",
            stat.as_ref().map(|stat| ConstCounter::new(stat.cpu_seconds)),
        )?;
        let boot = read("/proc/stat").and_then(|text| number(&text, "btime "));
        print.metric(
            "process_start_time_seconds",
            "When the process began, in seconds since 1970",
            stat.zip(boot)
                .map(|(stat, boot)| ConstGauge::new(boot + stat.start_seconds)),
        )?;
        let resident = read("/proc/self/status").and_then(|text| number(&text, "VmRSS:"));
        print.metric(
            "process_resident_memory_bytes",
            "Memory that is taken",
            resident.map(|kibibytes| ConstGauge::new(kibibytes * 1024.0)),
        )?;
        print.metric(
            "process_open_fds",
            "Files and connections that are open",
            open_files().map(ConstGauge::new),
        )
    }
}

struct Printer<'a, 'b>(&'a mut DescriptorEncoder<'b>);

impl Printer<'_, '_> {
    /// A number that is not known is not printed.
    fn metric<M: EncodeMetric + TypedMetric>(
        &mut self,
        name: &str,
        help: &str,
        metric: Option<M>,
    ) -> fmt::Result {
        let Some(metric) = metric else { return Ok(()) };
        let kind: MetricType = M::TYPE;
        metric.encode(self.0.encode_descriptor(name, help, None, kind)?)
    }
}

fn read(path: &str) -> Option<String> {
    fs::read_to_string(path).ok()
}

/// What is wanted of `/proc/self/stat`.
#[derive(Debug, PartialEq)]
struct Stat {
    cpu_seconds: f64,
    /// From the machine's start.
    start_seconds: f64,
}

impl Stat {
    fn parse(text: &str) -> Option<Self> {
        // The program's name comes before it, and may have anything in it.
        let (_, fields) = text.rsplit_once(')')?;
        let fields: Vec<&str> = fields.split_whitespace().collect();
        let ticks = |index: usize| fields.get(index)?.parse::<f64>().ok();
        Some(Self {
            cpu_seconds: (ticks(11)? + ticks(12)?) / TICKS_PER_SECOND,
            start_seconds: ticks(19)? / TICKS_PER_SECOND,
        })
    }
}

/// The number in the line of `text` that begins with `name`.
fn number(text: &str, name: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

fn open_files() -> Option<i64> {
    let all = fs::read_dir("/proc/self/fd").ok()?.count();
    // One of them is the look itself.
    i64::try_from(all.saturating_sub(1)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;
    use prometheus_client::{encoding::text::encode, registry::Registry};

    #[test]
    fn of_this_process() {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Process));
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        let now = f64::from(i32::try_from(Timestamp::now().as_second()).unwrap());
        for (line, kind, between) in [
            ("process_cpu_seconds_total ", "counter", 0.0..1e6),
            ("process_start_time_seconds ", "gauge", now - 86_400.0..now + 2.0),
            ("process_resident_memory_bytes ", "gauge", 1e6..1e11),
            ("process_open_fds ", "gauge", 3.0..1e5),
        ] {
            let value = number(&text, line);
            assert!(
                value.is_some_and(|value| between.contains(&value)),
                "{line}\n{text}"
            );
            let name = line.trim_end().trim_end_matches("_total");
            assert!(
                text.contains(&format!("# TYPE {name} {kind}\n")),
                "{line}\n{text}"
            );
        }
    }

    #[test]
    fn stat() {
        let stat = |name: &str| {
            format!(
                "7 ({name}) S 1 7 7 0 -1 4194560 2711 0 21 0 150 50 0 0 20 0 6 0 123400 17 4096 18446744 1"
            )
        };
        let expected = Some(Stat {
            cpu_seconds: 2.0,
            start_seconds: 1234.0,
        });
        for name in ["tektite-control", "a b", ") R 1 (x"] {
            assert_eq!(Stat::parse(&stat(name)), expected, "{name}");
        }
        assert_eq!(Stat::parse("7 (x) S 1 7"), None);
    }
}
