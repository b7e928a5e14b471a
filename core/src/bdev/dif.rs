//! Which of its checks of protection information a bdev leaves out.

use barespdk_sys as ffi;

/// Checks of protection information (DIF, DIX) that a bdev does by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DifChecks(u32);

impl DifChecks {
    /// None.
    pub const NONE: Self = Self(0);
    /// Of reference tags: that they are the numbers of the blocks of that bdev. Those of a bdev above, which
    /// has its blocks elsewhere, are others.
    pub const REF_TAG: Self = Self(ffi::SPDK_DIF_FLAGS_REFTAG_CHECK);
    /// Of all there is: the data has no protection information.
    pub const ALL: Self = Self(
        ffi::SPDK_DIF_FLAGS_GUARD_CHECK
            | ffi::SPDK_DIF_FLAGS_APPTAG_CHECK
            | ffi::SPDK_DIF_FLAGS_REFTAG_CHECK,
    );

    /// Those among them that a bdev with these `dif_check_flags` does.
    pub(super) fn of(self, dif_check_flags: u32) -> Self {
        Self(self.0 & dif_check_flags)
    }

    /// As SPDK has it in `dif_check_flags_exclude_mask`.
    #[inline]
    pub(crate) fn bits(self) -> u32 {
        self.0
    }
}
