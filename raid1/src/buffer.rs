//! Memory of some blocks on their way from leg to leg, and the I/O through it.

use barespdk::bdev::{Channel, Data, Desc, Io, IoError};
use barespdk::dma::{AllocError, DmaBuf};
use barespdk::errno::Errno;

/// Some blocks on their way from leg to leg, with their metadata, where that stands apart.
pub(crate) struct Buffer {
    memory: Memory,
    block_size: u32,
    md_size: u32,
}

enum Memory {
    /// Several I/O can go through it at a time.
    Shared(Data<'static>),
    /// Data and metadata. `None`: an I/O has them.
    Apart(Option<(DmaBuf, DmaBuf)>),
}

impl Buffer {
    /// Memory for `num_blocks` blocks of a leg; of others alike, too.
    pub(crate) fn new(desc: &Desc, num_blocks: u64) -> Result<Self, AllocError> {
        let (block_size, md_size) = (desc.block_size(), desc.md_size());
        let data = desc.buffer(bytes(num_blocks, block_size))?;
        let memory = if desc.is_md_separate() {
            Memory::Apart(Some((data, desc.buffer(bytes(num_blocks, md_size))?)))
        } else {
            Memory::Shared(Data::from_buffer(data))
        };
        Ok(Self {
            memory,
            block_size,
            md_size,
        })
    }

    /// Reads blocks from a leg.
    pub(crate) async fn read(&mut self, leg: &Channel, at: (u64, u64)) -> Result<(), IoError> {
        let (offset_blocks, num_blocks) = at;
        match &self.memory {
            Memory::Shared(_) => leg.read(&self.view(num_blocks)?, offset_blocks).await,
            Memory::Apart(_) => {
                let (data, metadata) = self.take(num_blocks)?;
                let (outcome, back) = leg.read_with_metadata(data, metadata, offset_blocks).await;
                self.memory = Memory::Apart(back);
                outcome
            }
        }
    }

    /// Writes to a leg what was read.
    pub(crate) async fn write(&mut self, leg: &Channel, at: (u64, u64)) -> Result<(), IoError> {
        let (offset_blocks, num_blocks) = at;
        match self.begin_to_write(leg, at) {
            Some(io) => io?.await,
            None => {
                let (data, metadata) = self.take(num_blocks)?;
                let (outcome, back) = leg.write_with_metadata(data, metadata, offset_blocks).await;
                self.memory = Memory::Apart(back);
                outcome
            }
        }
    }

    /// Submits a write, so that others can be submitted beside it. `None`, where one at a time is all that
    /// is possible.
    pub(crate) fn begin_to_write(
        &self,
        leg: &Channel,
        at: (u64, u64),
    ) -> Option<Result<Io, IoError>> {
        let (offset_blocks, num_blocks) = at;
        match &self.memory {
            Memory::Shared(_) => {
                let view = self.view(num_blocks);
                Some(view.map(|view| leg.write(&view, offset_blocks)))
            }
            Memory::Apart(_) => None,
        }
    }

    /// The first blocks.
    fn view(&self, num_blocks: u64) -> Result<Data<'static>, IoError> {
        match &self.memory {
            Memory::Shared(data) => data
                .slice(0..bytes(num_blocks, self.block_size) as u64)
                .map_err(IoError::Submit),
            Memory::Apart(_) => Err(IoError::Submit(Errno::EINVAL)),
        }
    }

    fn take(&mut self, num_blocks: u64) -> Result<(DmaBuf, DmaBuf), IoError> {
        let sizes = (
            bytes(num_blocks, self.block_size),
            bytes(num_blocks, self.md_size),
        );
        let taken = match &mut self.memory {
            Memory::Apart(pair) => pair.take(),
            Memory::Shared(_) => None,
        };
        // An I/O that was dropped in flight has kept them.
        let (mut data, mut metadata) = taken.ok_or(IoError::Submit(Errno::ENOMEM))?;
        let fits = data.set_len(sizes.0).is_ok() && metadata.set_len(sizes.1).is_ok();
        if !fits {
            self.memory = Memory::Apart(Some((data, metadata)));
            return Err(IoError::Submit(Errno::EINVAL));
        }
        Ok((data, metadata))
    }
}

/// More than there is memory for, where it does not fit.
fn bytes(num_blocks: u64, size: u32) -> usize {
    usize::try_from(num_blocks.saturating_mul(size.into())).unwrap_or(usize::MAX)
}
