//! The rebuild of a leg, with a bar.

use std::thread;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::failure::Failure;
use crate::session::Session;

/// How often to ask how far it is.
const PERIOD: Duration = Duration::from_millis(250);

/// Waits until a leg has all that the others have. On a terminal, a bar shows how far it is.
///
/// # Errors
/// It is no leg of the mirror any more; or there is no such mirror any more.
pub(crate) fn follow(session: &mut Session, name: &str, leg: &str) -> Result<(), Failure> {
    let mut bar = None;
    loop {
        let mirrors = session.mirrors(Some(name))?;
        let mut legs = mirrors.iter().flat_map(|mirror| &mirror.legs);
        // Who was added by an alias is shown by its name: then any rebuild counts.
        let found = legs
            .clone()
            .find(|found| found.name.as_deref() == Some(leg))
            .or_else(|| legs.find(|found| found.rebuild.is_some()));
        let is_added = mirrors.iter().all(|mirror| !mirror.is_degraded());
        match found {
            Some(found) if found.is_configured => return Ok(()),
            Some(found) if found.is_used() => {
                let bar = bar.get_or_insert_with(|| {
                    let style = "{msg} [{bar:40}] {percent}% ({eta} to go)";
                    let style = ProgressStyle::with_template(style);
                    ProgressBar::new(100)
                        .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
                        .with_message(format!("{name}: rebuild of {leg}"))
                });
                let percent = found
                    .rebuild
                    .as_ref()
                    .map_or(0, |rebuild| rebuild.percent());
                bar.set_position(percent);
            }
            _ if is_added => return Ok(()),
            _ => {
                return Err(Failure::refused(format!(
                    "{name}: {leg} was added, and has failed before it was rebuilt"
                ))
                .with_hint("the log of the application says why".to_owned()));
            }
        }
        thread::sleep(PERIOD);
    }
}
