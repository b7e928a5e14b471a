//! C: spdk/scsi_spec.h
//!
//! SCSI status and sense, in which a bdev module may complete a request.

use core::ffi::c_uint;

enumeration! {
    /// Status of a command.
    spdk_scsi_status: c_uint {
        /// Good.
        SPDK_SCSI_STATUS_GOOD = 0x00,
        /// See the sense data.
        SPDK_SCSI_STATUS_CHECK_CONDITION = 0x02,
        /// Condition met.
        SPDK_SCSI_STATUS_CONDITION_MET = 0x04,
        /// Busy.
        SPDK_SCSI_STATUS_BUSY = 0x08,
        /// Intermediate.
        SPDK_SCSI_STATUS_INTERMEDIATE = 0x10,
        /// Intermediate, condition met.
        SPDK_SCSI_STATUS_INTERMEDIATE_CONDITION_MET = 0x14,
        /// Reserved by another initiator.
        SPDK_SCSI_STATUS_RESERVATION_CONFLICT = 0x18,
        /// Obsolete.
        SPDK_SCSI_STATUS_Obsolete = 0x22,
        /// The queue is full.
        SPDK_SCSI_STATUS_TASK_SET_FULL = 0x28,
        /// Auto contingent allegiance is active.
        SPDK_SCSI_STATUS_ACA_ACTIVE = 0x30,
        /// Aborted.
        SPDK_SCSI_STATUS_TASK_ABORTED = 0x40,
    }
}

enumeration! {
    /// Sense key.
    spdk_scsi_sense: c_uint {
        /// None.
        SPDK_SCSI_SENSE_NO_SENSE = 0x00,
        /// Succeeded after recovery.
        SPDK_SCSI_SENSE_RECOVERED_ERROR = 0x01,
        /// The unit is not ready.
        SPDK_SCSI_SENSE_NOT_READY = 0x02,
        /// The medium is bad.
        SPDK_SCSI_SENSE_MEDIUM_ERROR = 0x03,
        /// The hardware failed.
        SPDK_SCSI_SENSE_HARDWARE_ERROR = 0x04,
        /// The request is wrong.
        SPDK_SCSI_SENSE_ILLEGAL_REQUEST = 0x05,
        /// Something happened to the unit.
        SPDK_SCSI_SENSE_UNIT_ATTENTION = 0x06,
        /// The medium is protected.
        SPDK_SCSI_SENSE_DATA_PROTECT = 0x07,
        /// Blank or non-blank medium met unexpectedly.
        SPDK_SCSI_SENSE_BLANK_CHECK = 0x08,
        /// Vendor specific.
        SPDK_SCSI_SENSE_VENDOR_SPECIFIC = 0x09,
        /// A copy was aborted.
        SPDK_SCSI_SENSE_COPY_ABORTED = 0x0a,
        /// The unit aborted the command.
        SPDK_SCSI_SENSE_ABORTED_COMMAND = 0x0b,
        /// The medium ended.
        SPDK_SCSI_SENSE_VOLUME_OVERFLOW = 0x0d,
        /// The data differ.
        SPDK_SCSI_SENSE_MISCOMPARE = 0x0e,
    }
}
