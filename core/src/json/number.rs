//! Integers out of the text of a JSON number.

/// Reads the text of a JSON number as an integer, if it is one and fits.
///
/// As SPDK does, this accepts every way to write an integer: `20`, `2e1`, `20.0` and `200e-1`. A
/// fraction is not rounded but refused.
pub(super) fn parse_integer(text: &[u8]) -> Option<i128> {
    let (negative, unsigned) = match text.strip_prefix(b"-") {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (mantissa, exponent) = match split_at_any(unsigned, b"eE") {
        Some((mantissa, exponent)) => (mantissa, parse_exponent(exponent)?),
        None => (unsigned, 0),
    };
    let (whole, fraction) = split_at_any(mantissa, b".").unwrap_or((mantissa, b""));
    if whole.is_empty() {
        return None;
    }

    // Zeros at the end of the fraction say nothing; without them `1.000…0` of any length is 1.
    let fraction = fraction.trim_ascii_end_zeros();
    let mut value: u128 = 0;
    for &digit in whole.iter().chain(fraction) {
        let digit = char::from(digit).to_digit(10)?;
        value = value.checked_mul(10)?.checked_add(u128::from(digit))?;
    }
    let mut exponent = exponent.checked_sub(i64::try_from(fraction.len()).ok()?)?;

    // Both loops end after at most 39 steps: by then a u128 has overflowed, or a digit is not zero.
    while value != 0 && exponent > 0 {
        value = value.checked_mul(10)?;
        exponent -= 1;
    }
    while value != 0 && exponent < 0 {
        if !value.is_multiple_of(10) {
            return None;
        }
        value /= 10;
        exponent += 1;
    }

    let value = i128::try_from(value).ok()?;
    Some(if negative { -value } else { value })
}

/// A decimal exponent; one that no integer type could hold is as good as any that large.
fn parse_exponent(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    if digits.is_empty() {
        return None;
    }
    let mut value: i64 = 0;
    for &digit in digits {
        let digit = char::from(digit).to_digit(10)?;
        value = value.saturating_mul(10).saturating_add(i64::from(digit));
    }
    Some(if negative { -value } else { value })
}

fn split_at_any<'a>(text: &'a [u8], separators: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let at = text.iter().position(|byte| separators.contains(byte))?;
    Some((text.get(..at)?, text.get(at + 1..)?))
}

trait TrimZeros {
    fn trim_ascii_end_zeros(&self) -> &[u8];
}

impl TrimZeros for [u8] {
    fn trim_ascii_end_zeros(&self) -> &[u8] {
        let end = self
            .iter()
            .rposition(|digit| *digit != b'0')
            .map_or(0, |last| last + 1);
        self.get(..end).unwrap_or(self)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;

    #[test]
    fn integers_in_every_spelling() {
        for (text, expected) in [
            ("0", 0),
            ("-0", 0),
            ("20", 20),
            ("2e1", 20),
            ("2E+1", 20),
            ("20.0", 20),
            ("200e-1", 20),
            ("2.5e1", 25),
            ("0e999999999999999999999", 0),
            ("0.000e-999999999999999999999", 0),
            ("-9223372036854775808", i128::from(i64::MIN)),
            ("18446744073709551615", i128::from(u64::MAX)),
        ] {
            assert_eq!(parse_integer(text.as_bytes()), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_integer_or_too_large() {
        for text in [
            "",
            "-",
            ".",
            "1.5",
            "1e-1",
            "1e",
            "1e+",
            "e1",
            "abc",
            "0x10",
            "1_0",
            "--1",
            "1e1e1",
            "1.2.3",
            "1e39",
            "1e999999999999999999999",
            "1e-999999999999999999999",
            "340282366920938463463374607431768211456",
        ] {
            assert_eq!(parse_integer(text.as_bytes()), None, "{text}");
        }
    }

    #[cfg(not(loom))]
    proptest::proptest! {
        #[test]
        fn any_spelling_of_an_integer_is_that_integer(
            value in proptest::num::i64::ANY,
            zeros in 0_u32..18,
            capital in proptest::bool::ANY,
        ) {
            let e = if capital { 'E' } else { 'e' };
            let expected = Some(i128::from(value));
            let shifted = i128::from(value) * 10_i128.pow(zeros);
            for text in [
                std::format!("{value}"),
                std::format!("{value}.{}", "0".repeat(zeros as usize + 1)),
                std::format!("{shifted}{e}-{zeros}"),
            ] {
                proptest::prop_assert_eq!(parse_integer(text.as_bytes()), expected, "{}", text);
            }
            let text = std::format!("{value}{e}+{zeros}");
            proptest::prop_assert_eq!(parse_integer(text.as_bytes()), Some(shifted), "{}", text);
        }

        #[test]
        fn no_text_panics(text in "[-+0-9.eE]{0,50}|\\PC*") {
            let _ = parse_integer(text.as_bytes());
        }
    }
}
