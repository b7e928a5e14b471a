//! Legs by their names and aliases.

use crate::rig::Rig;
use crate::support::{
    Failure, Outcome, check, check_eq, lists, mirror_of, open, rpc, rpc_done, try_mirror_of,
};

fn uuid_of(leg: &str) -> Result<String, Failure> {
    Ok(open(leg)?.uuid().to_string())
}

/// A leg is one and the same by its name and by its UUID, which is an alias of each bdev.
pub(crate) async fn the_same_leg_twice() -> Outcome {
    let (a, b) = (Rig::make("A")?, Rig::make("B")?);
    let alias = uuid_of("A")?;
    for legs in [["A", alias.as_str()], [alias.as_str(), "A"]] {
        let refused = try_mirror_of(&["B", legs[0], legs[1]]).await?;
        check!(refused.contains(r#""code":-1,"#));
        check!(refused.contains(&format!("base_bdevs[2]': bdev '{}'", legs[1])));
        check!(refused.contains(&format!("is base_bdevs[1], '{}', again", legs[0])));
    }
    // Nothing was left claimed.
    mirror_of(&["A", "B"]).await?;
    rpc_done("raid1_delete", r#"{"name":"M"}"#).await?;
    a.unregister().await?;
    Ok(b.unregister().await?)
}

/// Whatever the mirror was told, a leg is removed by either.
pub(crate) async fn removed_by_the_other_name() -> Outcome {
    let (a, b) = (Rig::make("A")?, Rig::make("B")?);
    let alias = uuid_of("A")?;
    for (told, removed) in [(alias.as_str(), "A"), ("A", alias.as_str())] {
        mirror_of(&[told, "B"]).await?;
        check!(lists(told).await?);
        let params = format!(r#"{{"name":"{removed}"}}"#);
        rpc_done("raid1_remove_base_bdev", &params).await?;
        check!(!lists(told).await?);
        let again = rpc("raid1_remove_base_bdev", &params).await?;
        check!(again.contains(r#""code":-19,"#));
        rpc_done("raid1_delete", r#"{"name":"M"}"#).await?;
    }
    check_eq!(open("A")?.name(), "A");
    a.unregister().await?;
    Ok(b.unregister().await?)
}
