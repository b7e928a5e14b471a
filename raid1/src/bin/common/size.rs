//! Sizes as people read them.

const UNITS: [&str; 5] = ["bytes", "KiB", "MiB", "GiB", "TiB"];

/// `bytes` in the largest unit that it has at least one of: `1 GiB`, `1.50 GiB`, `512 bytes`.
pub(crate) fn show(bytes: u64) -> String {
    let mut unit = 0;
    while unit + 1 < UNITS.len() && bytes >> (10 * (unit + 1)) > 0 {
        unit += 1;
    }
    let name = UNITS.get(unit).copied().unwrap_or_default();
    let one = 1_u64 << (10 * unit);
    if bytes.is_multiple_of(one) {
        format!("{} {name}", bytes / one)
    } else {
        format!("{:.2} {name}", bytes as f64 / one as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_in_their_units() {
        for (bytes, text) in [
            (0, "0 bytes"),
            (1023, "1023 bytes"),
            (1024, "1 KiB"),
            (1 << 30, "1 GiB"),
            (3 << 29, "1.50 GiB"),
            (1 << 50, "1024 TiB"),
        ] {
            assert_eq!(show(bytes), text);
        }
    }
}
