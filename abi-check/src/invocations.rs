//! The grammar of the macros that the bindings are written in.

use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{Attribute, Expr, Ident, LitInt, Token, braced};

use crate::bindings::Kind;

/// `opaque! { /// doc  name }`
pub(crate) struct OpaqueInvocation {
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) name: Ident,
}

impl Parse for OpaqueInvocation {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        Ok(Self {
            attributes: input.call(Attribute::parse_outer)?,
            name: input.parse()?,
        })
    }
}

/// `NAME = value` of an `enumeration!`
pub(crate) struct EnumeratorEntry {
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) name: Ident,
    pub(crate) value: Expr,
}

impl Parse for EnumeratorEntry {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let attributes = input.call(Attribute::parse_outer)?;
        let name = input.parse()?;
        input.parse::<Token![=]>()?;
        Ok(Self {
            attributes,
            name,
            value: input.parse()?,
        })
    }
}

/// `enumeration! { /// doc  name: integer { .. } }`
pub(crate) struct EnumerationInvocation {
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) name: Ident,
    pub(crate) integer: syn::Type,
    pub(crate) entries: Punctuated<EnumeratorEntry, Token![,]>,
}

impl Parse for EnumerationInvocation {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let attributes = input.call(Attribute::parse_outer)?;
        let name = input.parse()?;
        input.parse::<Token![:]>()?;
        let integer = input.parse()?;
        let content;
        braced!(content in input);
        let entries = content.parse_terminated(EnumeratorEntry::parse, Token![,])?;
        Ok(Self {
            attributes,
            name,
            integer,
            entries,
        })
    }
}

/// `name: position + width` of a `bit_fields!`
pub(crate) struct BitEntry {
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) name: Ident,
    pub(crate) position: LitInt,
    pub(crate) width: LitInt,
}

impl Parse for BitEntry {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let attributes = input.call(Attribute::parse_outer)?;
        let name = input.parse()?;
        input.parse::<Token![:]>()?;
        let position = input.parse()?;
        input.parse::<Token![+]>()?;
        Ok(Self {
            attributes,
            name,
            position,
            width: input.parse()?,
        })
    }
}

/// `bit_fields! { owner.field: integer { .. } }`
pub(crate) struct BitFieldsInvocation {
    pub(crate) owner: Ident,
    pub(crate) field: Ident,
    pub(crate) integer: syn::Type,
    pub(crate) entries: Punctuated<BitEntry, Token![,]>,
}

impl Parse for BitFieldsInvocation {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let owner = input.parse()?;
        input.parse::<Token![.]>()?;
        let field = input.parse()?;
        input.parse::<Token![:]>()?;
        let integer = input.parse()?;
        let content;
        braced!(content in input);
        let entries = content.parse_terminated(BitEntry::parse, Token![,])?;
        Ok(Self {
            owner,
            field,
            integer,
            entries,
        })
    }
}

/// `field: offset` of a `layout!`; the fields of a union have no offset but 0.
pub(crate) struct OffsetEntry {
    pub(crate) name: Ident,
    pub(crate) offset: Option<LitInt>,
}

impl Parse for OffsetEntry {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let name = input.parse()?;
        let offset = match input.parse::<Option<Token![:]>>()? {
            Some(_) => Some(input.parse()?),
            None => None,
        };
        Ok(Self { name, offset })
    }
}

/// `layout! { struct name: size 8, align 8 { .. } }`
pub(crate) struct LayoutInvocation {
    pub(crate) kind: Kind,
    pub(crate) name: Ident,
    pub(crate) size: LitInt,
    pub(crate) align: LitInt,
    pub(crate) offsets: Punctuated<OffsetEntry, Token![,]>,
}

impl Parse for LayoutInvocation {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let kind = if input.parse::<Option<Token![struct]>>()?.is_some() {
            Kind::Struct
        } else {
            input.parse::<Token![union]>()?;
            Kind::Union
        };
        let name = input.parse()?;
        input.parse::<Token![:]>()?;
        let size = labelled(input, "size")?;
        input.parse::<Token![,]>()?;
        let align = labelled(input, "align")?;
        let content;
        braced!(content in input);
        let offsets = content.parse_terminated(OffsetEntry::parse, Token![,])?;
        Ok(Self {
            kind,
            name,
            size,
            align,
            offsets,
        })
    }
}

fn labelled(input: ParseStream<'_>, label: &str) -> syn::Result<LitInt> {
    let ident: Ident = input.parse()?;
    if ident != label {
        return Err(syn::Error::new(ident.span(), format!("expected `{label}`")));
    }
    input.parse()
}
