//! Background work of a mirror, with a bar.

use std::thread;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::failure::Failure;
use crate::session::Session;

/// How often to ask how far it is.
const PERIOD: Duration = Duration::from_millis(250);

/// Waits until a mirror has no background work any more. On a terminal, a bar shows how far it is.
pub(crate) fn follow(session: &mut Session, name: &str) -> Result<(), Failure> {
    let mut bar = None;
    loop {
        let mirrors = session.mirrors(Some(name))?;
        let Some(process) = mirrors.into_iter().find_map(|mirror| mirror.process) else {
            return Ok(());
        };
        let bar = bar.get_or_insert_with(|| {
            let style = ProgressStyle::with_template("{msg} [{bar:40}] {percent}% ({eta} to go)");
            ProgressBar::new(100)
                .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
                .with_message(format!("{name}: {} of {}", process.kind, process.target))
        });
        bar.set_position(process.progress.percent);
        thread::sleep(PERIOD);
    }
}
