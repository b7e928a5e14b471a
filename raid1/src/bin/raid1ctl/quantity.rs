//! Counts, rates and times as people read them.

use std::time::Duration;

/// A count in at most five characters: `950`, `12.3k`, `4.56M`.
pub(crate) fn count(number: f64) -> String {
    let scales = [(1e3, "k"), (1e6, "M"), (1e9, "G"), (1e12, "T")];
    // From 999.5 on, three digits would be rounded to the next scale.
    let scale = scales.iter().rev().find(|(one, _)| number >= 0.9995 * one);
    match scale {
        Some((one, unit)) => format!("{}{unit}", three_digits(number / one)),
        None => format!("{number:.0}"),
    }
}

fn three_digits(number: f64) -> String {
    match number {
        number if number >= 99.95 => format!("{number:.0}"),
        number if number >= 9.995 => format!("{number:.1}"),
        number => format!("{number:.2}"),
    }
}

/// Bytes a second, in MiB.
pub(crate) fn mebibytes(bytes_per_second: f64) -> String {
    format!("{:.1}", bytes_per_second / f64::from(1 << 20))
}

/// A latency: `950 ns`, `12.3 us`, `4.56 ms`, `7.00 s`; `-` where there is none.
pub(crate) fn latency(time: Option<Duration>) -> String {
    let Some(time) = time else {
        return "-".into();
    };
    match time.as_secs_f64() * 1e9 {
        ns if ns < 999.5 => format!("{ns:.0} ns"),
        ns if ns < 999.5e3 => format!("{} us", three_digits(ns / 1e3)),
        ns if ns < 999.5e6 => format!("{} ms", three_digits(ns / 1e6)),
        ns => format!("{} s", three_digits(ns / 1e9)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts() {
        for (number, text) in [
            (0.0, "0"),
            (949.6, "950"),
            (999.4, "999"),
            (999.6, "1.00k"),
            (12345.0, "12.3k"),
            (999_600.0, "1.00M"),
            (4.56e6, "4.56M"),
        ] {
            assert_eq!(count(number), text);
        }
    }

    #[test]
    fn latencies() {
        assert_eq!(latency(None), "-");
        for (ns, text) in [
            (950, "950 ns"),
            (12_300, "12.3 us"),
            (4_560_000, "4.56 ms"),
            (7_000_000_000, "7.00 s"),
        ] {
            assert_eq!(latency(Some(Duration::from_nanos(ns))), text);
        }
    }
}
