//! The C ABI of SPDK v26.01, written by hand: no bindgen, no clang, no C shim.
//!
//! One file stands for one header of SPDK and has its name; its first line of documentation,
//! `C: spdk/bdev.h`, says which. Only what the layers above use is here. The tool `abi-check` reads
//! these files and proves them against the headers and the libraries of an SPDK; it relies on the
//! conventions below.
//!
//! - Names, parameter names and the order of fields are those of C. A Rust keyword gets `r#` as a
//!   field and a trailing underscore as a parameter.
//! - A C struct or union is `#[repr(C)]` (`#[repr(C, packed)]`) with all fields up to the last one
//!   used; `_tail` stands for the rest. The macro `layout!` beside it pins size, alignment and every
//!   offset as literal numbers.
//! - The type of a member whose C type has no name is `PARENT__MEMBER`.
//! - Bit-fields are one integer `_bitsN`; `bit_fields!` gives them names:
//!   `name: position + width`, with `#[set(set_name)]` before it where there is a setter.
//! - `opaque!` is a struct handled by pointer only.
//! - `enumeration!` is a C enum: an alias of its integer type and *all* its enumerators.
//! - Pointers to functions are `Option<unsafe extern "C" fn ..>`: C may pass NULL.
//! - A `static inline` of C is a Rust function whose documentation says what it stands for.
//!
//! # Rules of use
//!
//! Everything is as unsafe as in C. Unless an item says otherwise, a pointer that is passed in is
//! only used during the call and is not NULL, a pointer that is returned belongs to SPDK, and a
//! function may be called from any thread that may use its arguments.
//!
//! # Linking
//!
//! Without the feature `spdk` nothing is linked and no SPDK is needed to build: `barespdk-embedded`
//! defines the functions in Rust for executables that name it. With the feature, the build
//! script looks for an SPDK v26.01 in `SPDK_DIR`, a built source tree or an install prefix, or else
//! asks pkg-config, and says how executables link it: statically with all modules that this SPDK
//! has, or with `SPDK_LINK=shared` against its shared libraries. Cargo hands that to the build
//! scripts of direct dependents as `DEP_SPDK_LINK_ARGS`, arguments of the linker with U+001F between
//! them, which they pass on for their executables.
#![no_std]
#![allow(non_camel_case_types, non_upper_case_globals)]

#[macro_use]
mod macros;

pub mod bdev;
pub mod bdev_module;
pub mod bdev_zone;
pub mod cpuset;
pub mod dif;
pub mod env;
pub mod event;
pub mod json;
pub mod jsonrpc;
pub mod log;
pub mod notify;
pub mod nvme_spec;
pub mod rpc;
pub mod scsi_spec;
pub mod thread;
pub mod uuid;

// C has one name space, and so has this crate for those who want it.
#[doc(no_inline)]
pub use self::{
    bdev::*, bdev_module::*, bdev_zone::*, cpuset::*, dif::*, env::*, event::*, json::*,
    jsonrpc::*, log::*, notify::*, nvme_spec::*, rpc::*, scsi_spec::*, thread::*, uuid::*,
};
