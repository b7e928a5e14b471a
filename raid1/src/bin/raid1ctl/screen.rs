//! The terminal that `watch` draws on, or whatever else the output goes to.

use std::io::{self, Write};

use console::Term;

/// Clears the rest of a line, or of the screen.
const CLEAR_LINE: &str = "\x1b[K";
const CLEAR_BELOW: &str = "\x1b[J";
const HOME: &str = "\x1b[H";
/// The alternate screen, so that what was there before comes back; without a cursor.
const ENTER: &str = "\x1b[?1049h\x1b[?25l";
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";

/// Where frames are shown. A terminal is restored when this goes.
pub(crate) struct Screen<W: Write> {
    out: W,
    term: Option<Term>,
    last: Vec<String>,
}

impl<W: Write> Screen<W> {
    /// On `out`, which is a terminal if standard output is one.
    pub(crate) fn enter(mut out: W) -> io::Result<Self> {
        let term = Some(Term::stdout()).filter(Term::is_term);
        if term.is_some() {
            write!(out, "{ENTER}")?;
            out.flush()?;
        }
        Ok(Self {
            out,
            term,
            last: Vec::new(),
        })
    }

    pub(crate) fn is_terminal(&self) -> bool {
        self.term.is_some()
    }

    /// Shows a frame: on a terminal in the place of the last one, cut to its size; else after it.
    pub(crate) fn show(&mut self, lines: Vec<String>) -> io::Result<()> {
        if let Some(term) = &self.term {
            let (height, width) = term.size();
            let mut frame = HOME.to_owned();
            for (index, line) in lines.iter().take(height.into()).enumerate() {
                if index > 0 {
                    frame.push_str("\r\n");
                }
                frame += &console::truncate_str(line, width.into(), "");
                frame.push_str(CLEAR_LINE);
            }
            write!(self.out, "{frame}{CLEAR_BELOW}")?;
        } else {
            for line in &lines {
                writeln!(self.out, "{line}")?;
            }
            writeln!(self.out)?;
        }
        self.last = lines;
        self.out.flush()
    }

    /// Shows the last frame again: the terminal has changed its size.
    pub(crate) fn redraw(&mut self) -> io::Result<()> {
        if self.term.is_some() {
            self.show(self.last.clone())?;
        }
        Ok(())
    }
}

impl<W: Write> Drop for Screen<W> {
    fn drop(&mut self) {
        if self.term.is_some() {
            // A terminal that is gone needs no restoring.
            let _ = write!(self.out, "{LEAVE}");
            let _ = self.out.flush();
        }
    }
}
