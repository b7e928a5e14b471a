//! What an I/O asks for.

use core::fmt;

use barespdk_sys as ffi;

/// A type of I/O: `enum spdk_bdev_io_type`. A number that this SPDK does not define is a value too.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IoType(u32);

macro_rules! io_types {
    ($($name:ident = $value:ident, $text:literal;)*) => {
        impl IoType {
            $(
                #[doc = concat!("`", stringify!($value), "`.")]
                pub const $name: IoType = IoType(ffi::$value as u32);
            )*

            /// All types of I/O, `INVALID` left out.
            pub const ALL: &'static [IoType] = &[$(IoType::$name),*];

            /// The name that SPDK's RPCs use, such as `write_zeroes`; `unknown` for a number that
            /// SPDK does not define.
            pub const fn name(self) -> &'static str {
                match self {
                    $(IoType::$name => $text,)*
                    _ => "unknown",
                }
            }
        }
    };
}

io_types! {
    READ = SPDK_BDEV_IO_TYPE_READ, "read";
    WRITE = SPDK_BDEV_IO_TYPE_WRITE, "write";
    UNMAP = SPDK_BDEV_IO_TYPE_UNMAP, "unmap";
    FLUSH = SPDK_BDEV_IO_TYPE_FLUSH, "flush";
    RESET = SPDK_BDEV_IO_TYPE_RESET, "reset";
    NVME_ADMIN = SPDK_BDEV_IO_TYPE_NVME_ADMIN, "nvme_admin";
    NVME_IO = SPDK_BDEV_IO_TYPE_NVME_IO, "nvme_io";
    NVME_IO_MD = SPDK_BDEV_IO_TYPE_NVME_IO_MD, "nvme_io_md";
    WRITE_ZEROES = SPDK_BDEV_IO_TYPE_WRITE_ZEROES, "write_zeroes";
    ZCOPY = SPDK_BDEV_IO_TYPE_ZCOPY, "zcopy";
    GET_ZONE_INFO = SPDK_BDEV_IO_TYPE_GET_ZONE_INFO, "get_zone_info";
    ZONE_MANAGEMENT = SPDK_BDEV_IO_TYPE_ZONE_MANAGEMENT, "zone_management";
    ZONE_APPEND = SPDK_BDEV_IO_TYPE_ZONE_APPEND, "zone_append";
    COMPARE = SPDK_BDEV_IO_TYPE_COMPARE, "compare";
    COMPARE_AND_WRITE = SPDK_BDEV_IO_TYPE_COMPARE_AND_WRITE, "compare_and_write";
    ABORT = SPDK_BDEV_IO_TYPE_ABORT, "abort";
    SEEK_HOLE = SPDK_BDEV_IO_TYPE_SEEK_HOLE, "seek_hole";
    SEEK_DATA = SPDK_BDEV_IO_TYPE_SEEK_DATA, "seek_data";
    COPY = SPDK_BDEV_IO_TYPE_COPY, "copy";
    NVME_IOV_MD = SPDK_BDEV_IO_TYPE_NVME_IOV_MD, "nvme_iov_md";
    NVME_NSSR = SPDK_BDEV_IO_TYPE_NVME_NSSR, "nvme_nssr";
    WRITE_UNCORRECTABLE = SPDK_BDEV_IO_TYPE_WRITE_UNCORRECTABLE, "write_uncorrectable";
}

impl IoType {
    /// The type of a number that C uses.
    pub const fn from_raw(raw: u32) -> Self {
        Self(raw)
    }

    /// Whether requests of this type carry iovecs.
    #[inline]
    pub(crate) const fn carries_data(self) -> bool {
        matches!(
            self,
            Self::READ | Self::WRITE | Self::COMPARE | Self::COMPARE_AND_WRITE | Self::ZONE_APPEND
        )
    }

    /// Whether requests of this type are NVMe commands.
    #[inline]
    pub(crate) const fn is_nvme(self) -> bool {
        matches!(
            self,
            Self::NVME_ADMIN | Self::NVME_IO | Self::NVME_IO_MD | Self::NVME_IOV_MD
        )
    }

    /// Whether a [`Request`](crate::module::Request) of this type could be served: memory that is lent
    /// stays with its borrower when the request is complete, and is of no request then.
    pub(crate) const fn can_be_served(self) -> bool {
        !matches!(self, Self::ZCOPY)
    }

    /// The number that C uses.
    pub const fn raw(self) -> u32 {
        self.0
    }
}

impl fmt::Debug for IoType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name(), self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;

    #[test]
    fn every_number_has_a_name_and_none_is_undefined_behaviour() {
        for raw in 0..=u32::from(u8::MAX) {
            let known = IoType::ALL.iter().any(|io_type| io_type.raw() == raw);
            assert_eq!(IoType::from_raw(raw).name() != "unknown", known, "{raw}");
        }
        assert_eq!(IoType::ALL.len(), 22);
        assert_eq!(format!("{:?}", IoType::from_raw(200)), "unknown (200)");
    }
}
