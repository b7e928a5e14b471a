//! The environment: DMA memory, cores, ticks. C: `spdk/env.h`.
