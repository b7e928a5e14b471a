//! Notifications, as clients see them.

use barespdk::errno::Errno;
use barespdk::notify::Kind;

use crate::broken::idle;
use crate::support::{Outcome, check, check_eq, rpc, rpc_done};

/// Longer than SPDK has room for, by one byte.
const TOO_LONG: usize = 128;

pub(crate) async fn kinds() -> Outcome {
    let kind = Kind::register(c"lab_kind")?;
    check_eq!(Kind::register(c"lab_kind"), Ok(kind));
    let elsewhere = std::thread::spawn(|| Kind::register(c"lab_elsewhere")).join();
    check!(elsewhere.map_err(|_| Errno::EIO)?.is_ok());
    check_eq!(Kind::register(c""), Err(Errno::EINVAL));
    let long = std::ffi::CString::new(vec![b'x'; TOO_LONG]).map_err(|_| Errno::EIO)?;
    check_eq!(
        Kind::register(Box::leak(long.into_boxed_c_str())),
        Err(Errno::EINVAL)
    );
    let types = rpc("notify_get_types", "").await?;
    for known in [
        "bdev_register",
        "bdev_unregister",
        "bdev_resize",
        "lab_kind",
        "lab_elsewhere",
    ] {
        check_eq!(types.matches(&format!("\"{known}\"")).count(), 1);
    }
    Ok(())
}

pub(crate) async fn what_happened() -> Outcome {
    let kind = Kind::register(c"lab_happened")?;
    let first = kind.send("one")?;
    let lab = idle().make("noticed", 512, 100)?;
    // SPDK tells of it after it was examined.
    rpc_done("bdev_wait_for_examine", "").await?;
    lab.resize(200)?;
    lab.unregister().await?;
    let longest = "x".repeat(TOO_LONG - 1);
    let last = kind.send(&longest)?;
    check_eq!(last, first + 4);
    check_eq!(kind.send("a\0b"), Err(Errno::EINVAL));
    check_eq!(kind.send(&"x".repeat(TOO_LONG)), Err(Errno::EINVAL));
    check_eq!(kind.send("")?, last + 1);
    let response = rpc("notify_get_notifications", &format!(r#"{{"id":{first}}}"#)).await?;
    let mut rest = response.as_str();
    let all = [
        ("lab_happened", "one"),
        ("bdev_register", "noticed"),
        ("bdev_resize", "noticed"),
        ("bdev_unregister", "noticed"),
        ("lab_happened", &longest),
        ("lab_happened", ""),
    ];
    for (id, (kind, context)) in (first..).zip(all) {
        let wanted = format!(r#"{{"type":"{kind}","ctx":"{context}","id":{id}}}"#);
        let Some((_, after)) = rest.split_once(&wanted) else {
            return Err(format!("{wanted} is not in {rest}").into());
        };
        rest = after;
    }
    let one = rpc(
        "notify_get_notifications",
        &format!(r#"{{"id":{first},"max":1}}"#),
    )
    .await?;
    check!(one.contains("one") && !one.contains("noticed"));
    Ok(())
}
