//! The shapes that every file of this crate is written in. `abi-check` reads the same invocations
//! and proves them against the headers, so their grammar is part of the crate's conventions.

/// Declares a C struct that is only handled by pointer.
///
/// The type can neither be made nor moved nor copied in Rust, and it is neither `Send` nor `Sync`.
macro_rules! opaque {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[repr(C)]
        pub struct $name {
            _data: [u8; 0],
            _marker: core::marker::PhantomData<(*mut u8, core::marker::PhantomPinned)>,
        }
    };
}

/// Declares a C enum: an alias of its integer type, and a constant for each enumerator.
///
/// C may hand over a value that this version does not know; a Rust enum would make that undefined.
macro_rules! enumeration {
    (
        $(#[$meta:meta])*
        $name:ident: $int:ident {
            $($(#[$enumerator_meta:meta])* $enumerator:ident = $value:expr),* $(,)?
        }
    ) => {
        $(#[$meta])*
        pub type $name = $int;
        $($(#[$enumerator_meta])* pub const $enumerator: $name = $value;)*
    };
}

/// Gives names to the bits of an integer field that stands for C bit-fields.
///
/// Each entry is `name: position + width` and becomes a getter; `#[set(set_name)]` before it adds
/// a setter. Positions count from the least significant bit, as GCC and Clang lay bit-fields out
/// on the little-endian targets of SPDK.
macro_rules! bit_fields {
    (
        $owner:ident.$field:ident: $int:ident {
            $(
                $(#[doc = $doc:expr])*
                $(#[set($setter:ident)])?
                $name:ident: $position:literal + $width:literal
            ),* $(,)?
        }
    ) => {
        impl $owner {
            $(
                $(#[doc = $doc])*
                #[inline]
                pub const fn $name(&self) -> $int {
                    (self.$field >> $position) & ($int::MAX >> ($int::BITS - $width))
                }

                $(
                    #[doc = concat!("Sets [`", stringify!($name), "`](Self::", stringify!($name),
                        ") to the low bits of `value`.")]
                    #[inline]
                    pub const fn $setter(&mut self, value: $int) {
                        let mask = $int::MAX >> ($int::BITS - $width);
                        self.$field =
                            (self.$field & !(mask << $position)) | ((value & mask) << $position);
                    }
                )?
            )*
        }
        $(const _: () = {
            let end: u32 = $position + $width;
            assert!(end <= $int::BITS);
        };)*
    };
}

/// Pins the layout of a type: its size, its alignment and the offset of every field.
///
/// A field that the list leaves out does not compile for a struct.
macro_rules! layout {
    (
        struct $name:ident: size $size:literal, align $align:literal {
            $($field:ident: $offset:literal),* $(,)?
        }
    ) => {
        layout!(@numbers $name $size $align $($field $offset)*);
        const _: fn(&$name) = |$name { $($field: _),* }| ();
    };
    (
        union $name:ident: size $size:literal, align $align:literal {
            $($field:ident),* $(,)?
        }
    ) => {
        layout!(@numbers $name $size $align $($field 0)*);
    };
    (@numbers $name:ident $size:literal $align:literal $($field:ident $offset:literal)*) => {
        static_assertions::const_assert_eq!(core::mem::size_of::<$name>(), $size);
        static_assertions::const_assert_eq!(core::mem::align_of::<$name>(), $align);
        $(static_assertions::const_assert_eq!(core::mem::offset_of!($name, $field), $offset);)*
    };
}
