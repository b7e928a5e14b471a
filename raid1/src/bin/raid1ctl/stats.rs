//! `stats`: what mirrors and their legs have done since they were made.

use std::time::Duration;

use serde_json::{Value, json};

use crate::cli::Stats;
use crate::failure::Failure;
use crate::iostat::{Counters, IoStat};
use crate::quantity;
use crate::session::Session;
use crate::size;
use crate::table::{Align, Table};

pub(crate) fn run(session: &mut Session, arguments: &Stats) -> Result<(), Failure> {
    let mirrors = session.mirrors(arguments.name.as_deref())?;
    let stat = IoStat::get(session)?;
    if session.json {
        let list: Vec<_> = mirrors
            .iter()
            .map(|mirror| {
                let legs = mirror.leg_names().filter_map(|leg| stat.find(leg));
                let legs: Vec<_> = legs.map(|leg| to_json(&stat, leg)).collect();
                let counters = stat.find(&mirror.name);
                json!({
                    "name": mirror.name,
                    "mirror": counters.map(|counters| to_json(&stat, counters)),
                    "legs": legs,
                })
            })
            .collect();
        return session.say_json(&list);
    }
    if mirrors.is_empty() {
        return session.say("There are no mirrors.");
    }
    let mut table = Table::new(&[
        ("NAME", Align::Left),
        ("READS", Align::Right),
        ("READ", Align::Right),
        ("LATENCY", Align::Right),
        ("MAX", Align::Right),
        ("WRITES", Align::Right),
        ("WRITTEN", Align::Right),
        ("LATENCY", Align::Right),
        ("MAX", Align::Right),
        ("UNMAPS", Align::Right),
        ("ERRORS", Align::Right),
    ]);
    for mirror in &mirrors {
        table.row(row(&stat, &mirror.name, mirror.name.clone()));
        for leg in mirror.leg_names() {
            table.row(row(&stat, leg, format!("  {leg}")));
        }
    }
    for line in table.lines() {
        session.say(&line)?;
    }
    Ok(())
}

fn row(stat: &IoStat, bdev: &str, shown: String) -> Vec<String> {
    let Some(counters) = stat.find(bdev) else {
        return vec![shown, "gone".into()];
    };
    let max = |ticks: u64| (ticks > 0).then(|| stat.duration(ticks as f64));
    let reads = counters.num_read_ops;
    let writes = counters.num_write_ops;
    vec![
        shown,
        quantity::count(reads as f64),
        size::show(counters.bytes_read),
        quantity::latency(stat.mean(counters.read_latency_ticks, reads)),
        quantity::latency(max(counters.max_read_latency_ticks)),
        quantity::count(writes as f64),
        size::show(counters.bytes_written),
        quantity::latency(stat.mean(counters.write_latency_ticks, writes)),
        quantity::latency(max(counters.max_write_latency_ticks)),
        quantity::count(counters.num_unmap_ops as f64),
        quantity::count(counters.num_errors() as f64),
    ]
}

fn to_json(stat: &IoStat, counters: &Counters) -> Value {
    // The clock has no more digits.
    let us = |time: Duration| time.as_nanos() as f64 / 1e3;
    let mean = |ticks, ops| stat.mean(ticks, ops).map(us);
    let max = |ticks: u64| us(stat.duration(ticks as f64));
    json!({
        "name": counters.name,
        "num_read_ops": counters.num_read_ops,
        "bytes_read": counters.bytes_read,
        "read_latency_us_mean": mean(counters.read_latency_ticks, counters.num_read_ops),
        "read_latency_us_max": max(counters.max_read_latency_ticks),
        "num_write_ops": counters.num_write_ops,
        "bytes_written": counters.bytes_written,
        "write_latency_us_mean": mean(counters.write_latency_ticks, counters.num_write_ops),
        "write_latency_us_max": max(counters.max_write_latency_ticks),
        "num_unmap_ops": counters.num_unmap_ops,
        "num_errors": counters.num_errors(),
    })
}
