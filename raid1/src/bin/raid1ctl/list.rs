//! `list`: the mirrors, one a line.

use crate::cli::List;
use crate::failure::Failure;
use crate::session::Session;
use crate::size;
use crate::table::{Align, Table};

pub(crate) fn run(session: &mut Session, arguments: &List) -> Result<(), Failure> {
    let mirrors = session.mirrors_in(&arguments.category, None)?;
    if session.json {
        let raw: Vec<_> = mirrors.into_iter().map(|mirror| mirror.raw).collect();
        return session.say_json(&raw);
    }
    let bdevs = session.bdevs()?;
    let mut table = Table::new(&[
        ("NAME", Align::Left),
        ("STATE", Align::Left),
        ("LEGS", Align::Left),
        ("SIZE", Align::Right),
        ("UUID", Align::Left),
    ]);
    for mirror in mirrors {
        let size = bdevs
            .iter()
            .find(|bdev| bdev.name == mirror.name)
            .map_or_else(|| "-".into(), |bdev| size::show(bdev.size_bytes()));
        let is_rebuilt = mirror.legs.iter().any(|leg| leg.rebuild.is_some());
        let state = match mirror.state.as_str() {
            "online" if is_rebuilt => "rebuilding",
            "online" if mirror.is_degraded() => "degraded",
            state => state,
        };
        table.row([
            mirror.name.clone(),
            state.to_owned(),
            format!("{}/{}", mirror.legs_present, mirror.legs_wanted),
            size,
            mirror.uuid.clone(),
        ]);
    }
    for line in table.lines() {
        session.say(&line)?;
    }
    Ok(())
}
