//! Sizes as users write them.

/// Letters of the units, each 1024 times (or, as in `KB`, 1000 times) the one before.
const UNITS: &str = "KMGT";

/// Reads a size in bytes: `1073741824`, `1GiB`, `1G` (the same), `1GB` (1000 to the 3rd), `1.5 GiB`.
pub(crate) fn parse(text: &str) -> Result<u64, String> {
    let wrong = || format!("expected a size such as 512MiB or 1GiB, found '{text}'");
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.');
    let (number, unit) = text.split_at(end.unwrap_or(text.len()));
    let scale = scale(unit.trim_start()).ok_or_else(wrong)?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let whole: u128 = whole.parse().map_err(|_| wrong())?;
    // More digits than that would not change a byte.
    let fraction = fraction.get(..18).unwrap_or(fraction);
    let digits = u32::try_from(fraction.len()).map_err(|_| wrong())?;
    let fraction: u128 = fraction.parse().map_err(|_| wrong())?;
    let too_large = || format!("'{text}' is more than any file can hold");
    let scale = u128::from(scale);
    let bytes =
        whole.checked_mul(scale).ok_or_else(too_large)? + fraction * scale / 10_u128.pow(digits);
    match u64::try_from(bytes) {
        Ok(bytes) if i64::try_from(bytes).is_ok() => Ok(bytes),
        _ => Err(too_large()),
    }
}

/// Bytes in a unit.
fn scale(unit: &str) -> Option<u64> {
    let unit = unit.to_ascii_uppercase();
    let Some((first, rest)) = unit.split_at_checked(1).filter(|_| unit != "B") else {
        return (unit.is_empty() || unit == "B").then_some(1);
    };
    let base = match rest {
        "" | "IB" => 1024_u64,
        "B" => 1000,
        _ => return None,
    };
    base.checked_pow(1 + u32::try_from(UNITS.find(first)?).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("0", 0),
            ("4096", 4096),
            ("12B", 12),
            ("1k", 1024),
            ("1KiB", 1024),
            ("1kb", 1000),
            ("512MiB", 512 << 20),
            ("1 GiB", 1 << 30),
            ("1.5G", 3 << 29),
            ("0.1KB", 100),
            ("2T", 2 << 40),
            ("1.00000000000000000000000000000000000000000001K", 1024),
        ] {
            assert_eq!(parse(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn wrong_sizes_are_shown() {
        for text in [
            "", "x", "-1", "1.", ".5", "1.2.3", "1X", "1KiX", "1GG", "G", "1e3", "1 G B",
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(&format!("found '{text}'")), "{error}");
        }
        for text in [
            "9999999999999999999",
            "16777216T",
            "99999999999999999999999999999999999999T",
        ] {
            assert!(
                parse(text).unwrap_err().contains("more than any file"),
                "{text}"
            );
        }
    }
}
