//! Mirrors and bdevs as the application describes them. What it does not say has a default: older
//! and newer ones say less or more.

use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

/// A mirror: an element of what `raid1_get_bdevs` answers.
#[derive(Debug)]
pub(crate) struct Mirror {
    pub(crate) name: String,
    pub(crate) uuid: String,
    pub(crate) state: String,
    pub(crate) legs: Vec<Leg>,
    /// How many legs there are, of how many there should be.
    pub(crate) legs_present: u64,
    pub(crate) legs_wanted: u64,
    /// Background work, such as a rebuild.
    pub(crate) process: Option<Process>,
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
}

/// Background work of a mirror.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct Process {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) target: String,
    pub(crate) progress: Progress,
}

/// How far it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct Progress {
    pub(crate) blocks: u64,
    pub(crate) percent: u64,
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
    base_bdevs_list: Vec<Leg>,
    process: Option<Process>,
}

impl<'de> Deserialize<'de> for Mirror {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Map::deserialize(deserializer)?;
        let known: Known =
            serde_json::from_value(Value::Object(raw.clone())).map_err(serde::de::Error::custom)?;
        Ok(Self {
            name: known.name,
            uuid: known.uuid,
            state: known.state,
            legs: known.base_bdevs_list,
            legs_present: known.num_base_bdevs_discovered,
            legs_wanted: known.num_base_bdevs,
            process: known.process,
            raw,
        })
    }
}

impl Mirror {
    /// Whether it has less redundancy than it should.
    pub(crate) fn is_degraded(&self) -> bool {
        self.legs_present < self.legs_wanted || self.state != "online" || self.process.is_some()
    }

    /// Names of the legs that it has.
    pub(crate) fn leg_names(&self) -> impl Iterator<Item = &str> {
        let present = self.legs.iter().filter(|leg| leg.is_configured);
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
            "name": "m", "uuid": "u", "state": "online", "raid_level": "raid1",
            "num_base_bdevs": 2, "num_base_bdevs_discovered": 1,
            "base_bdevs_list": [
                {"name": "a", "is_configured": true, "data_offset": 0, "data_size": 8},
                {"name": null, "is_configured": false},
            ],
        }))
        .unwrap();
        assert!(mirror.is_degraded());
        assert_eq!(mirror.leg_names().collect::<Vec<_>>(), ["a"]);
        assert_eq!(mirror.raw["raid_level"], "raid1");
    }

    #[test]
    fn what_is_rebuilt_is_degraded() {
        let mirror: Mirror = serde_json::from_value(json!({
            "name": "m", "state": "online", "num_base_bdevs": 1, "num_base_bdevs_discovered": 1,
            "process": {"type": "rebuild", "target": "b", "progress": {"blocks": 5, "percent": 50}},
        }))
        .unwrap();
        assert!(mirror.is_degraded());
        assert_eq!(mirror.process.unwrap().progress.percent, 50);
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
