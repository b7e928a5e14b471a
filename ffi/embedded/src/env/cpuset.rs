//! Sets of cores and their texts. C: `spdk/cpuset.h`.

use barespdk_sys::{SPDK_CPUSET_SIZE, spdk_cpuset};

/// The empty set.
pub(crate) const fn empty() -> spdk_cpuset {
    spdk_cpuset {
        str: [0; 257],
        cpus: [0; 128],
    }
}

/// The set of all cores that a set can hold.
pub(crate) const fn full() -> spdk_cpuset {
    spdk_cpuset {
        str: [0; 257],
        cpus: [0xFF; 128],
    }
}

/// Adds a core; one that a set cannot hold is ignored.
pub(crate) fn add(set: &mut spdk_cpuset, core: u32) {
    if let Some(byte) = set.cpus.get_mut((core / 8) as usize) {
        *byte |= 1 << (core % 8);
    }
}

/// Whether a core is in the set.
pub(crate) fn contains(set: &spdk_cpuset, core: u32) -> bool {
    let byte = set.cpus.get((core / 8) as usize);
    byte.is_some_and(|byte| byte & (1 << (core % 8)) != 0)
}

/// The cores of a set, lowest first.
pub(crate) fn iter(set: &spdk_cpuset) -> impl Iterator<Item = u32> + '_ {
    (0..SPDK_CPUSET_SIZE).filter(|core| contains(set, *core))
}

/// The cores that are in both.
pub(crate) fn and(left: &spdk_cpuset, right: &spdk_cpuset) -> spdk_cpuset {
    let mut both = empty();
    for (byte, (left, right)) in both.cpus.iter_mut().zip(left.cpus.iter().zip(&right.cpus)) {
        *byte = left & right;
    }
    both
}

/// The text of a set as SPDK writes it: hexadecimal digits without leading zeroes.
pub(crate) fn format(set: &spdk_cpuset) -> String {
    let digits: String = set
        .cpus
        .iter()
        .rev()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let digits = digits.trim_start_matches('0');
    if digits.is_empty() { "0" } else { digits }.to_owned()
}

/// The set of a text: a hexadecimal mask, `0x` before it or not, or a list in brackets, `[0,2-3]`.
pub(crate) fn parse(text: &str) -> Result<spdk_cpuset, String> {
    let text = text.trim();
    let set = match text.strip_prefix('[') {
        Some(list) => parse_list(list, text)?,
        None => parse_mask(text)?,
    };
    if iter(&set).next().is_none() {
        return Err(format!("The core mask '{text}' is empty"));
    }
    Ok(set)
}

fn parse_mask(text: &str) -> Result<spdk_cpuset, String> {
    let digits = text
        .strip_prefix("0x")
        .or_else(|| text.strip_prefix("0X"))
        .unwrap_or(text);
    if digits.is_empty() {
        return Err(format!("The core mask '{text}' has no digits"));
    }
    let mut set = empty();
    for (index, digit) in digits
        .bytes()
        .rev()
        .filter(|byte| *byte != b',')
        .enumerate()
    {
        let digit = char::from(digit).to_digit(16).ok_or_else(|| {
            format!("'{text}' is no hexadecimal core mask, nor a list like [0,2-3]")
        })?;
        for bit in (0..4).filter(|bit| digit & (1 << bit) != 0) {
            let core = u32::try_from(index * 4 + bit).unwrap_or(u32::MAX);
            if core >= SPDK_CPUSET_SIZE {
                return Err(format!(
                    "Core {core} of '{text}' is above {}",
                    SPDK_CPUSET_SIZE - 1
                ));
            }
            add(&mut set, core);
        }
    }
    Ok(set)
}

fn parse_list(list: &str, text: &str) -> Result<spdk_cpuset, String> {
    let list = list
        .strip_suffix(']')
        .ok_or_else(|| format!("The list of cores '{text}' does not end in ']'"))?;
    let number = |part: &str| {
        let number: u32 = part
            .trim()
            .parse()
            .map_err(|_| format!("'{part}' in the list of cores '{text}' is no core"))?;
        if number >= SPDK_CPUSET_SIZE {
            return Err(format!(
                "Core {number} of '{text}' is above {}",
                SPDK_CPUSET_SIZE - 1
            ));
        }
        Ok(number)
    };
    let mut set = empty();
    for part in list.split(',') {
        let (first, last) = match part.split_once('-') {
            Some((first, last)) => (number(first)?, number(last)?),
            None => (number(part)?, number(part)?),
        };
        if first > last {
            return Err(format!(
                "'{part}' in the list of cores '{text}' goes backwards"
            ));
        }
        (first..=last).for_each(|core| add(&mut set, core));
    }
    Ok(set)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cores(text: &str) -> Option<Vec<u32>> {
        parse(text).ok().map(|set| iter(&set).collect())
    }

    #[test]
    fn masks_and_lists() {
        assert_eq!(cores("0x3"), Some(vec![0, 1]));
        assert_eq!(cores("a"), Some(vec![1, 3]));
        assert_eq!(cores("[0,2-3]"), Some(vec![0, 2, 3]));
        assert_eq!(cores("[ 1 , 5 - 6 ]"), Some(vec![1, 5, 6]));
        assert_eq!(cores(&format!("0x8{}", "0".repeat(255))), Some(vec![1023]));
        for wrong in ["", "0x", "0", "xyz", "[0", "[]", "[3-1]", "[1024]", "[1-]"] {
            assert_eq!(cores(wrong), None, "{wrong}");
        }
        assert_eq!(cores(&format!("0x1{}", "0".repeat(256))), None);
    }

    #[test]
    fn texts() {
        assert_eq!(format(&empty()), "0");
        assert_eq!(parse("[0,9]").map(|set| format(&set)), Ok("201".into()));
        assert_eq!(
            format(&and(&full(), &parse("0x30").unwrap_or(empty()))),
            "30"
        );
    }
}
