//! What a mirror says of itself is what its legs say.

use crate::support::{Outcome, check_eq, mirror_of, open, rpc_done};

/// It has a write cache where one of its legs has.
pub(crate) async fn write_cache() -> Outcome {
    for (method, name) in [
        ("bdev_null_create", "Plain0"),
        ("bdev_null_create", "Plain1"),
        ("bdev_malloc_create", "Cached"),
    ] {
        let params = format!(r#"{{"name":"{name}","num_blocks":8192,"block_size":512}}"#);
        rpc_done(method, &params).await?;
    }
    for (legs, has) in [
        (["Plain0", "Plain1"], false),
        (["Plain0", "Cached"], true),
        (["Cached", "Plain0"], true),
    ] {
        mirror_of(&legs).await?;
        check_eq!(open("M")?.has_write_cache(), has);
        rpc_done("raid1_delete", r#"{"name":"M"}"#).await?;
    }
    rpc_done("bdev_malloc_delete", r#"{"name":"Cached"}"#).await?;
    for name in ["Plain0", "Plain1"] {
        rpc_done("bdev_null_delete", &format!(r#"{{"name":"{name}"}}"#)).await?;
    }
    Ok(())
}
