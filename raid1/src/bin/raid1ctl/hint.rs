//! Hints for names that do not exist.

use crate::session::Session;

/// So alike two names must be, of 0 to 1, that one may have been typed for the other.
const ALIKE_MIN: f64 = 0.7;
/// A longer list helps nobody.
const SHOWN_MAX: usize = 12;

/// What the user may have meant by `typed`, and which names there are. `noun`: what they are of.
pub(crate) fn names(noun: &str, typed: &str, names: &[String]) -> Option<String> {
    let names: Vec<&str> = names
        .iter()
        .map(String::as_str)
        .filter(|name| *name != typed)
        .collect();
    if names.is_empty() {
        return Some(format!("there is no {noun} at all"));
    }
    let mut hint = String::new();
    if let Some(name) = closest(typed, &names) {
        hint = format!("did you mean '{name}'? ");
    }
    let shown = names.get(..SHOWN_MAX).unwrap_or(&names).join(", ");
    let more = match names.len().checked_sub(SHOWN_MAX) {
        Some(more @ 1..) => format!(" and {more} more"),
        _ => String::new(),
    };
    let (are, s) = if names.len() == 1 {
        ("is", "")
    } else {
        ("are", "s")
    };
    Some(hint + &format!("The {noun}{s} {are}: {shown}{more}"))
}

/// Which mirrors there are, where there is none of this name.
pub(crate) fn mirrors(session: &mut Session, typed: &str) -> Option<String> {
    let mirrors = session.mirrors(None).ok()?.into_iter();
    let known: Vec<_> = mirrors.map(|mirror| mirror.name).collect();
    if known.iter().any(|name| name == typed) {
        return None;
    }
    names("mirror", typed, &known)
}

/// Which bdevs there are that nobody uses, where there is none of the name of one of these.
pub(crate) fn free_bdevs(session: &mut Session, typed: &[String]) -> Option<String> {
    let bdevs = session.bdevs().ok()?;
    let is_known = |name: &str| bdevs.iter().any(|bdev| bdev.name == name);
    let unknown = typed.iter().find(|name| !is_known(name))?;
    let free = bdevs.iter().filter(|bdev| !bdev.claimed);
    let free: Vec<_> = free.map(|bdev| bdev.name.clone()).collect();
    names("unclaimed bdev", unknown, &free)
}

/// The name that is most like what was typed, if any is.
fn closest<'a>(typed: &str, names: &[&'a str]) -> Option<&'a str> {
    let typed = typed.to_lowercase();
    let best = names
        .iter()
        .min_by_key(|name| strsim::damerau_levenshtein(&typed, &name.to_lowercase()))?;
    let other = best.to_lowercase();
    let one_key = typed.len() > 1 && strsim::damerau_levenshtein(&typed, &other) <= 1;
    let is_alike = one_key || strsim::normalized_damerau_levenshtein(&typed, &other) >= ALIKE_MIN;
    is_alike.then_some(best)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owned(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn typing_errors_are_understood() {
        let names_of = |typed, list: &[&str]| names("leg", typed, &owned(list)).unwrap();
        assert_eq!(
            names_of("leg0", &["Leg0", "Disk"]),
            "did you mean 'Leg0'? The legs are: Leg0, Disk"
        );
        assert_eq!(
            names_of("m0-lge1", &["m0-leg0", "m0-leg1"]),
            "did you mean 'm0-leg1'? The legs are: m0-leg0, m0-leg1"
        );
        assert_eq!(names_of("x", &["Leg0"]), "The leg is: Leg0");
        assert_eq!(names_of("mO", &["m0"]), "did you mean 'm0'? The leg is: m0");
        assert_eq!(names_of("x", &[]), "there is no leg at all");
    }

    #[test]
    fn long_lists_are_cut() {
        let list: Vec<_> = (0..20).map(|number| format!("n{number}")).collect();
        assert!(
            names("bdev", "other", &list)
                .unwrap()
                .ends_with("n11 and 8 more")
        );
    }
}
