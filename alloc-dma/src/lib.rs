//! Arenas of DMA memory.
#![no_std]
