//! `watch`: legs, rates and latencies, again and again.

use std::io::Write as _;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGWINCH};
use signal_hook::iterator::Signals;

use crate::cli::Watch;
use crate::failure::Failure;
use crate::iostat::IoStat;
use crate::mirror::Mirror;
use crate::quantity;
use crate::rate::{Rate, Rates};
use crate::screen::Screen;
use crate::session::Session;
use crate::status::headline;
use crate::table::{Align, Table};

pub(crate) fn run(session: &mut Session, arguments: &Watch) -> Result<(), Failure> {
    let Watch {
        name,
        interval,
        count,
    } = arguments;
    let signals = signals()?;
    // A wrong name is told before the screen is taken.
    let mut earlier = Look::at(session, name.as_deref())?;
    let mut screen = (!session.json)
        .then(|| Screen::enter(std::io::stdout()))
        .transpose()?;
    if let Some(screen) = &mut screen {
        // Rates need two looks; a terminal should not be dark until then.
        if screen.is_terminal() {
            screen.show(earlier.lines(&earlier, *interval))?;
        }
    }
    let mut due = Instant::now();
    let mut shown = 0;
    while count.is_none_or(|count| shown < count) {
        // What took longer than it should is not made up for.
        due = (due + *interval).max(Instant::now());
        while let Some(signal) = wait(&signals, due) {
            match (signal, &mut screen) {
                (SIGWINCH, Some(screen)) => screen.redraw()?,
                (SIGWINCH, None) => (),
                _ => return Ok(()),
            }
        }
        let now = Look::at(session, name.as_deref())?;
        match &mut screen {
            Some(screen) => screen.show(now.lines(&earlier, *interval))?,
            None => {
                writeln!(session.out, "{}", now.to_json(&earlier))?;
                session.out.flush()?;
            }
        }
        earlier = now;
        shown += 1;
    }
    Ok(())
}

/// The signals that the process gets from now on.
fn signals() -> Result<Receiver<i32>, Failure> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP, SIGWINCH])?;
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || signals.forever().try_for_each(|signal| sender.send(signal)));
    Ok(receiver)
}

/// The next signal before a time.
fn wait(signals: &Receiver<i32>, until: Instant) -> Option<i32> {
    match signals.recv_timeout(until.saturating_duration_since(Instant::now())) {
        Ok(signal) => Some(signal),
        Err(RecvTimeoutError::Timeout) => None,
        // The thread ends with the process only.
        Err(RecvTimeoutError::Disconnected) => Some(SIGTERM),
    }
}

/// Mirrors, and the counters of all bdevs, at a time.
struct Look {
    socket: String,
    mirrors: Vec<Mirror>,
    stat: IoStat,
    /// By our clock, since 1970.
    time: Duration,
}

impl Look {
    fn at(session: &mut Session, name: Option<&str>) -> Result<Self, Failure> {
        let mirrors = session.mirrors(name)?;
        let stat = IoStat::get(session)?;
        let time = SystemTime::now().duration_since(UNIX_EPOCH);
        Ok(Self {
            socket: session.socket.display().to_string(),
            mirrors,
            stat,
            time: time.unwrap_or_default(),
        })
    }

    /// A frame of text.
    fn lines(&self, earlier: &Self, interval: Duration) -> Vec<String> {
        let day_seconds = self.time.as_secs() % 86400;
        let mut lines = vec![format!(
            "raid1 at {}, {:02}:{:02}:{:02} UTC, every {} s",
            self.socket,
            day_seconds / 3600,
            day_seconds / 60 % 60,
            day_seconds % 60,
            interval.as_secs_f64()
        )];
        if self.mirrors.is_empty() {
            lines.push("There are no mirrors.".into());
        }
        for mirror in &self.mirrors {
            lines.push(String::new());
            lines.push(headline(mirror));
            lines.extend(mirror.copying().iter().map(|text| format!("  {text}")));
            if !mirror.waits_for.is_empty() {
                lines.push(format!("  waits for {}", mirror.waits_for));
            }
            lines.extend(self.table(mirror, earlier).lines());
        }
        lines
    }

    fn table(&self, mirror: &Mirror, earlier: &Self) -> Table {
        let mut table = Table::new(&[
            ("", Align::Left),
            ("reads/s", Align::Right),
            ("MiB/s", Align::Right),
            ("latency", Align::Right),
            ("writes/s", Align::Right),
            ("MiB/s", Align::Right),
            ("latency", Align::Right),
        ]);
        let mut row = |shown: String, bdev: &str| {
            let rates = Rates::of(bdev, &earlier.stat, &self.stat);
            let read = cells(rates.map(|rates| rates.read));
            let write = cells(rates.map(|rates| rates.write));
            table.row([shown].into_iter().chain(read).chain(write));
        };
        row(format!("  {}", mirror.name), &mirror.name);
        for (index, leg) in mirror.legs.iter().enumerate() {
            match leg.name.as_deref().filter(|_| leg.is_used()) {
                Some(name) => row(format!("  {index} {name}"), name),
                None => row(format!("  {index} {}", leg.condition().0), ""),
            }
        }
        table
    }

    /// A line of JSON.
    fn to_json(&self, earlier: &Self) -> Value {
        let rates = |bdev: &str| Rates::of(bdev, &earlier.stat, &self.stat).map(Rates::to_json);
        let mirrors: Vec<_> = self
            .mirrors
            .iter()
            .map(|mirror| {
                let legs: Vec<_> = mirror
                    .leg_names()
                    .map(|leg| json!({"name": leg, "rates": rates(leg)}))
                    .collect();
                json!({
                    "name": mirror.name,
                    "state": mirror.state,
                    "degraded": mirror.is_degraded(),
                    "copying": mirror.copying(),
                    "rates": rates(&mirror.name),
                    "legs": legs,
                })
            })
            .collect();
        json!({
            "unix_time": self.time.as_secs_f64(),
            "seconds": self.stat.since(&earlier.stat).as_secs_f64(),
            "mirrors": mirrors,
        })
    }
}

fn cells(rate: Option<Rate>) -> [String; 3] {
    match rate {
        Some(rate) => [
            quantity::count(rate.ops_per_second),
            quantity::mebibytes(rate.bytes_per_second),
            quantity::latency(rate.latency),
        ],
        None => ["-".into(), "-".into(), "-".into()],
    }
}
