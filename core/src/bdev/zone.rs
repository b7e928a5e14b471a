//! Zoned bdevs: those that are written zone by zone, each from its begin to its end.
//!
//! SPDK takes zone requests unseen, from a descriptor that may not write as well; here they are checked
//! before.

use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::Cell;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};

use barespdk_sys as ffi;

use super::channel::{Channel, Direction};
use super::data::Data;
use super::io::Io;
use super::io_type::IoType;
use super::op::Op;
use super::slot::Keep;
use super::status::IoError;
use crate::errno::Errno;

/// The state of a zone: `enum spdk_bdev_zone_state`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ZoneState {
    /// Nothing is written.
    Empty,
    /// Opened by a write.
    ImplicitlyOpen,
    /// Opened by [`ZoneAction::Open`].
    ExplicitlyOpen,
    /// Partly written, and closed.
    Closed,
    /// Nothing more can be written.
    Full,
    /// Can only be read.
    ReadOnly,
    /// Of no use any more.
    Offline,
    /// Has no write pointer.
    NoWritePointer,
    /// A state that this SPDK does not define.
    Other(u32),
}

/// How a zone is written: `enum spdk_bdev_zone_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ZoneKind {
    /// Anywhere.
    Conventional,
    /// At its write pointer only.
    Sequential,
    /// At its write pointer, preferably.
    SequentialPreferred,
    /// A kind that this SPDK does not define.
    Other(u32),
}

/// What to do to a zone: `enum spdk_bdev_zone_action`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ZoneAction {
    /// Closes it.
    Close,
    /// Makes it full.
    Finish,
    /// Opens it.
    Open,
    /// Makes it empty: its data is gone.
    Reset,
    /// Takes it offline, for ever.
    Offline,
}

/// Makes the functions between an enum and the numbers of C.
macro_rules! numbers {
    ($type:ident: $($name:ident = $value:ident),* $(,)?) => {
        impl $type {
            pub(crate) fn from_raw(raw: u32) -> Self {
                match raw {
                    $(ffi::$value => Self::$name,)*
                    raw => Self::Other(raw),
                }
            }

            pub(crate) fn raw(self) -> u32 {
                match self {
                    $(Self::$name => ffi::$value,)*
                    Self::Other(raw) => raw,
                }
            }
        }
    };
}

numbers! {
    ZoneState:
        Empty = SPDK_BDEV_ZONE_STATE_EMPTY,
        ImplicitlyOpen = SPDK_BDEV_ZONE_STATE_IMP_OPEN,
        ExplicitlyOpen = SPDK_BDEV_ZONE_STATE_EXP_OPEN,
        Closed = SPDK_BDEV_ZONE_STATE_CLOSED,
        Full = SPDK_BDEV_ZONE_STATE_FULL,
        ReadOnly = SPDK_BDEV_ZONE_STATE_READ_ONLY,
        Offline = SPDK_BDEV_ZONE_STATE_OFFLINE,
        NoWritePointer = SPDK_BDEV_ZONE_STATE_NOT_WP,
}

numbers! {
    ZoneKind:
        Conventional = SPDK_BDEV_ZONE_TYPE_CNV,
        Sequential = SPDK_BDEV_ZONE_TYPE_SEQWR,
        SequentialPreferred = SPDK_BDEV_ZONE_TYPE_SEQWP,
}

impl ZoneAction {
    pub(crate) fn from_raw(raw: ffi::spdk_bdev_zone_action) -> Option<Self> {
        match raw {
            ffi::SPDK_BDEV_ZONE_CLOSE => Some(Self::Close),
            ffi::SPDK_BDEV_ZONE_FINISH => Some(Self::Finish),
            ffi::SPDK_BDEV_ZONE_OPEN => Some(Self::Open),
            ffi::SPDK_BDEV_ZONE_RESET => Some(Self::Reset),
            ffi::SPDK_BDEV_ZONE_OFFLINE => Some(Self::Offline),
            _ => None,
        }
    }

    fn raw(self) -> ffi::spdk_bdev_zone_action {
        match self {
            Self::Close => ffi::SPDK_BDEV_ZONE_CLOSE,
            Self::Finish => ffi::SPDK_BDEV_ZONE_FINISH,
            Self::Open => ffi::SPDK_BDEV_ZONE_OPEN,
            Self::Reset => ffi::SPDK_BDEV_ZONE_RESET,
            Self::Offline => ffi::SPDK_BDEV_ZONE_OFFLINE,
        }
    }
}

/// What there is to know of a zone. All in blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ZoneInfo {
    /// Its first block, by which it is named.
    pub zone_id: u64,
    /// The block that is written next.
    pub write_pointer: u64,
    /// How many blocks it takes: its size, or less.
    pub capacity: u64,
    /// Its state.
    pub state: ZoneState,
    /// How it is written.
    pub kind: ZoneKind,
}

impl ZoneInfo {
    fn from_raw(raw: ffi::spdk_bdev_zone_info) -> Self {
        Self {
            zone_id: raw.zone_id,
            write_pointer: raw.write_pointer,
            capacity: raw.capacity,
            state: ZoneState::from_raw(raw.state),
            kind: ZoneKind::from_raw(raw.r#type),
        }
    }

    pub(crate) fn to_raw(self) -> ffi::spdk_bdev_zone_info {
        ffi::spdk_bdev_zone_info {
            zone_id: self.zone_id,
            write_pointer: self.write_pointer,
            capacity: self.capacity,
            state: self.state.raw(),
            r#type: self.kind.raw(),
        }
    }
}

/// A report of zones, in order. It was asked for when this was made; see [`Io`].
#[must_use = "a report is for its content"]
#[derive(Debug)]
pub struct ZonesIo {
    io: Io,
    zones: Rc<Zones>,
}

/// Where C puts a report.
struct Zones(Vec<Cell<ffi::spdk_bdev_zone_info>>);

impl core::fmt::Debug for Zones {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{} zones", self.0.len())
    }
}

impl Future for ZonesIo {
    type Output = Result<Vec<ZoneInfo>, IoError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        this.io.poll_slot(cx, |_| ()).map(|outcome| {
            let zones = this.zones.0.iter();
            outcome.map(|()| zones.map(|zone| ZoneInfo::from_raw(zone.get())).collect())
        })
    }
}

/// An append to a zone: the block from which on the data stands. It was submitted when this was made;
/// see [`Io`].
#[must_use = "the outcome says where the data stands"]
#[derive(Debug)]
pub struct AppendIo(Io);

impl Future for AppendIo {
    type Output = Result<u64, IoError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut location = 0;
        self.0
            .poll_slot(cx, |slot| location = slot.result())
            .map(|outcome| outcome.map(|()| location))
    }
}

impl Channel {
    /// Reports `num_zones` zones, from the one that begins at `zone_id` on. Refused with `ENOTSUP` where
    /// the bdev has no zones, with `EINVAL` where it does not have these.
    pub fn zone_info(&self, zone_id: u64, num_zones: u32) -> ZonesIo {
        let zone = ffi::spdk_bdev_zone_info {
            zone_id: 0,
            write_pointer: 0,
            capacity: 0,
            state: 0,
            r#type: 0,
        };
        let mut places = Vec::new();
        let checked = self
            .check_zones(IoType::GET_ZONE_INFO, zone_id, num_zones)
            .and_then(|()| {
                places
                    .try_reserve_exact(num_zones as usize)
                    .map_err(|_| Errno::ENOMEM)?;
                places.resize(num_zones as usize, Cell::new(zone));
                Ok(())
            });
        let zones = Rc::new(Zones(places));
        let io = match checked {
            Ok(()) => self.with_slot(None, |slot| {
                slot.keep(Keep::Other(Rc::clone(&zones) as Rc<_>));
                Ok(Op::ZoneInfo {
                    zone_id,
                    count: zones.0.len(),
                    zones: zones.0.as_ptr().cast_mut().cast(),
                })
            }),
            Err(errno) => Io::refused(errno),
        };
        ZonesIo { io, zones }
    }

    /// Changes the state of the zone that begins at `zone_id`. Refused as [`Channel::zone_info`], and
    /// with `EBADF` where the descriptor is open for reading only.
    pub fn zone_management(&self, zone_id: u64, action: ZoneAction) -> Io {
        match self.check_zone_written(IoType::ZONE_MANAGEMENT, zone_id) {
            Ok(()) => self.plain(Op::ZoneManagement(zone_id, action.raw())),
            Err(errno) => Io::refused(errno),
        }
    }

    /// Writes `data` at the write pointer of the zone that begins at `zone_id`. Refused as
    /// [`Channel::zone_management`], and with `EINVAL` where it is more than the bdev
    /// [appends at once](super::Desc::max_zone_append_size).
    pub fn zone_append(&self, data: &Data<'_>, zone_id: u64) -> AppendIo {
        let max = u64::from(self.desc().max_zone_append_size());
        let checked = self
            .check_zone_written(IoType::ZONE_APPEND, zone_id)
            .and_then(|()| match data.blocks(self.block_size())? {
                count if max > 0 && count > max => Err(Errno::EINVAL),
                _ => Ok(()),
            });
        AppendIo(match checked {
            Ok(()) => self.transfer_part(Direction::Append, data, zone_id),
            Err(errno) => Io::refused(errno),
        })
    }

    fn check_zone_written(&self, io_type: IoType, zone_id: u64) -> Result<(), Errno> {
        if !self.desc().is_writable() {
            return Err(Errno::EBADF);
        }
        self.check_zones(io_type, zone_id, 1)
    }

    fn check_zones(&self, io_type: IoType, zone_id: u64, num_zones: u32) -> Result<(), Errno> {
        let desc = self.desc();
        if !desc.supports(io_type) {
            return Err(Errno::ENOTSUP);
        }
        let end = u64::from(num_zones)
            .checked_mul(desc.zone_size())
            .and_then(|len| zone_id.checked_add(len));
        match zone_id.checked_rem(desc.zone_size()) {
            None => Err(Errno::ENOTSUP),
            Some(0) if num_zones > 0 && end.is_some_and(|end| end <= desc.num_blocks()) => Ok(()),
            Some(_) => Err(Errno::EINVAL),
        }
    }
}
