//! C: spdk/json.h
//!
//! JSON values in and out.

opaque! {
    /// A writer of JSON. Owned by who began it; lent to those who are to write into it.
    spdk_json_write_ctx
}
