//! Mirrors and bdevs as the application describes them. What it does not say has a default: older
//! and newer ones say less or more.

use std::fmt;

use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

/// A mirror: an element of what `raid1_get_bdevs` answers.
#[derive(Debug)]
pub(crate) struct Mirror {
    pub(crate) name: String,
    pub(crate) uuid: String,
    pub(crate) state: String,
    pub(crate) legs: Vec<Leg>,
    /// How many legs there are, of how many there should be. One that is rebuilt is not there yet.
    pub(crate) legs_present: u64,
    pub(crate) legs_wanted: u64,
    /// How far the copying is that makes legs equal which may differ.
    pub(crate) resync: Option<Progress>,
    /// Of the metadata; none: it has no metadata.
    pub(crate) generation: Option<u64>,
    /// Why it is not online.
    pub(crate) waits_for: String,
    /// All that the application said, for `--json`.
    pub(crate) raw: Map<String, Value>,
}

/// A place for a leg.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Leg {
    /// None: the leg was lost.
    pub(crate) name: Option<String>,
    pub(crate) is_configured: bool,
    /// `in_sync`, `rebuilding`, `failed`; not said of mirrors that wait.
    pub(crate) state: Option<String>,
    /// How far its rebuild is.
    pub(crate) rebuild: Option<Progress>,
}

/// How far copying is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct Progress {
    pub(crate) blocks_done: u64,
    pub(crate) blocks_total: u64,
    pub(crate) failed_windows: u64,
    /// It cannot go on for now.
    pub(crate) waits: bool,
}

impl Progress {
    /// 100 means that all is done.
    pub(crate) fn percent(&self) -> u64 {
        let done = u128::from(self.blocks_done.min(self.blocks_total)) * 100;
        done.checked_div(self.blocks_total.into())
            .map_or(0, |percent| percent as u64)
    }
}

/// So far, as people read it: `42%`.
impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.percent())?;
        if self.waits {
            f.write_str(", waits: nothing can be read, or written")?;
        }
        Ok(())
    }
}

impl Leg {
    /// Its state in words, and whether it has all that it should.
    pub(crate) fn condition(&self) -> (String, bool) {
        match (self.state.as_deref(), &self.rebuild) {
            (Some("in_sync"), _) => ("in sync".into(), true),
            (Some("rebuilding"), Some(rebuild)) => (format!("rebuilding {rebuild}"), false),
            (Some(state), _) => (state.replace('_', " "), false),
            (None, _) if self.is_configured => ("ok".into(), true),
            (None, _) => ("missing".into(), false),
        }
    }

    /// Whether the mirror uses it, if only to write to it.
    pub(crate) fn is_used(&self) -> bool {
        self.is_configured || self.state.as_deref() == Some("rebuilding")
    }
}

#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct Known {
    name: String,
    uuid: String,
    state: String,
    num_base_bdevs: u64,
    num_base_bdevs_discovered: u64,
    num_base_bdevs_operational: u64,
    base_bdevs_list: Vec<Leg>,
    resync: Option<Progress>,
    generation: Option<u64>,
    waits_for: String,
}

impl<'de> Deserialize<'de> for Mirror {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Map::deserialize(deserializer)?;
        let known: Known =
            serde_json::from_value(Value::Object(raw.clone())).map_err(serde::de::Error::custom)?;
        Ok(Self {
            name: known.name,
            uuid: known.uuid,
            legs: known.base_bdevs_list,
            legs_present: match known.state.as_str() {
                "online" => known.num_base_bdevs_operational,
                _ => known.num_base_bdevs_discovered,
            },
            state: known.state,
            legs_wanted: known.num_base_bdevs,
            resync: known.resync,
            generation: known.generation,
            waits_for: in_our_words(&known.waits_for),
            raw,
        })
    }
}

/// What it waits for, with our commands in the place of RPCs.
fn in_our_words(waits_for: &str) -> String {
    [
        (
            "'raid1_start' with 'source'",
            "'raid1ctl start NAME --source LEG'",
        ),
        ("'raid1_start'", "'raid1ctl start NAME'"),
        ("'raid1_stop'", "'raid1ctl stop NAME'"),
    ]
    .iter()
    .fold(waits_for.to_owned(), |text, (theirs, ours)| {
        text.replace(theirs, ours)
    })
}

impl Mirror {
    /// Whether it has less redundancy than it should.
    pub(crate) fn is_degraded(&self) -> bool {
        self.legs_present < self.legs_wanted || self.state != "online"
    }

    /// Copying that is under way, in words.
    pub(crate) fn copying(&self) -> Vec<String> {
        let resync = self.resync.iter().map(|resync| format!("resync {resync}"));
        let rebuilds = self.legs.iter().filter_map(|leg| {
            let name = leg.name.as_deref().unwrap_or("-");
            let rebuild = leg.rebuild.as_ref()?;
            Some(format!("rebuild of {name} {rebuild}"))
        });
        resync.chain(rebuilds).collect()
    }

    /// Names of the legs that it has.
    pub(crate) fn leg_names(&self) -> impl Iterator<Item = &str> {
        let present = self.legs.iter().filter(|leg| leg.is_used());
        present.filter_map(|leg| leg.name.as_deref())
    }
}

/// A bdev: an element of what `bdev_get_bdevs` answers.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Bdev {
    pub(crate) name: String,
    pub(crate) product_name: String,
    pub(crate) block_size: u64,
    pub(crate) num_blocks: u64,
    pub(crate) claimed: bool,
    pub(crate) driver_specific: Value,
}

impl Bdev {
    pub(crate) fn size_bytes(&self) -> u64 {
        self.num_blocks.saturating_mul(self.block_size)
    }

    /// What it stands on, as far as its module tells: a file, an address.
    pub(crate) fn backing(&self) -> Option<&str> {
        let specific = &self.driver_specific;
        let file = specific.pointer("/aio/filename");
        let file = file.or_else(|| specific.pointer("/uring/filename"));
        file.or_else(|| specific.pointer("/nvme/0/trid/traddr"))
            .and_then(Value::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_raid1_says() {
        let mirror: Mirror = serde_json::from_value(json!({
            "name": "m", "uuid": "u", "state": "online", "raid_level": "raid1", "generation": 7,
            "num_base_bdevs": 3, "num_base_bdevs_discovered": 2, "num_base_bdevs_operational": 1,
            "base_bdevs_list": [
                {"name": "a", "is_configured": true, "state": "in_sync"},
                {"name": null, "is_configured": false, "state": "failed", "missed_regions": 4},
                {"name": "b", "is_configured": false, "state": "rebuilding",
                    "rebuild": {"blocks_done": 5, "blocks_total": 12, "waits": false}},
            ],
        }))
        .unwrap();
        assert!(mirror.is_degraded());
        assert_eq!((mirror.legs_present, mirror.generation), (1, Some(7)));
        assert_eq!(mirror.leg_names().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(mirror.raw["raid_level"], "raid1");
        let conditions = mirror.legs.iter().map(|leg| leg.condition().0);
        let conditions: Vec<_> = conditions.collect();
        assert_eq!(conditions, ["in sync", "failed", "rebuilding 41%"]);
        assert_eq!(mirror.copying(), ["rebuild of b 41%"]);
    }

    #[test]
    fn what_waits_is_degraded() {
        let mirror: Mirror = serde_json::from_value(json!({
            "name": "m", "state": "configuring", "waits_for": "x", "num_base_bdevs": 1,
            "num_base_bdevs_discovered": 1, "num_base_bdevs_operational": 1,
            "base_bdevs_list": [{"name": "a", "is_configured": true}, {"name": null}],
        }))
        .unwrap();
        assert!(mirror.is_degraded());
        let conditions = mirror.legs.iter().map(|leg| leg.condition().0);
        assert_eq!(conditions.collect::<Vec<_>>(), ["ok", "missing"]);
    }

    #[test]
    fn percent() {
        let percent = |blocks_done, blocks_total| {
            let progress = Progress {
                blocks_done,
                blocks_total,
                ..Progress::default()
            };
            progress.percent()
        };
        assert_eq!((percent(0, 0), percent(1, 3), percent(3, 3)), (0, 33, 100));
        assert_eq!(percent(u64::MAX, u64::MAX), 100);
    }

    #[test]
    fn backing_of_bdevs() {
        let bdev = Bdev {
            driver_specific: json!({"aio": {"filename": "/x"}}),
            ..Bdev::default()
        };
        assert_eq!(bdev.backing(), Some("/x"));
        assert_eq!(Bdev::default().backing(), None);
    }
}
