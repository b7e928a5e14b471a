//! Reads the Rust files of the bindings.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use proc_macro2::{Ident, Span};
use quote::ToTokens;
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{Attribute, FnArg, ForeignItem, Item, ReturnType, Type, Visibility};

use crate::bindings::{
    Aggregate, Bindings, BitField, BitFields, Callable, Constant, Enumeration, Enumerator, Field,
    Kind, Layout, Named, Opaque, Origin, Place,
};
use crate::evaluate::Constants;
use crate::invocations::{
    BitFieldsInvocation, EnumerationInvocation, LayoutInvocation, OpaqueInvocation,
};
use crate::rust_type::{Parameter, Prototype, RustType};
use crate::source::{collect, collect_constants, doc_of, header_of};
use crate::spelled::{self, is_c};

/// Reads all `.rs` files of a directory and its subdirectories.
///
/// # Errors
///
/// A sentence for the user when a file cannot be read or is not Rust.
pub(crate) fn read(directory: &Path) -> Result<Bindings, String> {
    let mut paths = Vec::new();
    collect(directory, &mut paths)
        .map_err(|e| format!("cannot read the bindings in {}: {e}", directory.display()))?;
    paths.sort();
    let mut files = Vec::new();
    for path in paths {
        let text = fs::read_to_string(&path)
            .map_err(|e| format!("cannot read {}: {e}", path.display()))?;
        let file = syn::parse_file(&text).map_err(|e| {
            format!(
                "{}:{}: not valid Rust: {e}",
                path.display(),
                e.span().start().line
            )
        })?;
        files.push((path, file));
    }
    if files.is_empty() {
        return Err(format!("no Rust files in {}", directory.display()));
    }
    let mut constants = Constants::default();
    for (_, file) in &files {
        collect_constants(&file.items, &mut constants);
    }
    let mut bindings = Bindings::default();
    for (path, file) in &files {
        let header = header_of(&file.attrs);
        if let Some(header) = &header
            && !bindings.headers.contains(header)
        {
            bindings.headers.push(header.clone());
            let place = Place {
                file: path.display().to_string().into(),
                line: 1,
            };
            bindings.header_places.insert(header.clone(), place);
        }
        let mut reader = FileReader {
            file: path.display().to_string().into(),
            header,
            constants: &constants,
            bindings: &mut bindings,
        };
        reader.items(&file.items);
    }
    bindings.index();
    Ok(bindings)
}

struct FileReader<'a> {
    file: Arc<str>,
    header: Option<Arc<str>>,
    constants: &'a Constants,
    bindings: &'a mut Bindings,
}

impl FileReader<'_> {
    fn place(&self, span: Span) -> Place {
        Place {
            file: self.file.clone(),
            line: span.start().line,
        }
    }

    fn complain(&mut self, span: Span, text: String) {
        let place = self.place(span);
        self.bindings.complaints.push((place, text));
    }

    /// The origin of an item, if its file names a header; a complaint otherwise.
    fn origin(&mut self, span: Span, attributes: &[Attribute]) -> Option<Origin> {
        let Some(header) = self.header.clone() else {
            self.complain(
                span,
                "mirrors C in a file without a `//! C: header` line".to_string(),
            );
            return None;
        };
        Some(Origin {
            place: self.place(span),
            header,
            doc: doc_of(attributes).into(),
        })
    }

    fn items(&mut self, items: &[Item]) {
        for item in items {
            match item {
                Item::Struct(item) => {
                    self.aggregate(Kind::Struct, &item.ident, &item.attrs, &item.fields);
                }
                Item::Union(item) => {
                    let fields = syn::Fields::Named(item.fields.clone());
                    self.aggregate(Kind::Union, &item.ident, &item.attrs, &fields);
                }
                Item::Const(item) if matches!(item.vis, Visibility::Public(_)) => {
                    self.constant(item);
                }
                Item::Type(item) => self.alias(item),
                Item::ForeignMod(block) => {
                    if !is_c(Some(&block.abi)) {
                        let text = "a block that is not extern \"C\"".to_string();
                        self.complain(block.abi.extern_token.span(), text);
                    }
                    block.items.iter().for_each(|item| self.foreign(item));
                }
                Item::Mod(module) if module.content.is_some() && self.header.is_some() => {
                    let text = format!("what the module {} holds is not proved", module.ident);
                    self.complain(module.ident.span(), text);
                }
                Item::Macro(item) => self.invocation(item),
                Item::Fn(item) if matches!(item.vis, Visibility::Public(_)) => {
                    self.rewritten(&item.attrs, &item.sig);
                }
                _ => {}
            }
        }
    }

    fn aggregate(
        &mut self,
        kind: Kind,
        name: &Ident,
        attributes: &[Attribute],
        fields: &syn::Fields,
    ) {
        if self.header.is_none() {
            return;
        }
        let Some(origin) = self.origin(name.span(), attributes) else {
            return;
        };
        let mut aggregate = Aggregate {
            name: name.unraw().to_string(),
            kind,
            packed: None,
            align: None,
            repr_c: false,
            fields: Vec::new(),
            origin,
        };
        for attribute in attributes.iter().filter(|a| a.path().is_ident("repr")) {
            let mut argument = |meta: syn::meta::ParseNestedMeta<'_>| {
                let number = if meta.input.peek(syn::token::Paren) {
                    let content;
                    syn::parenthesized!(content in meta.input);
                    Some(content.parse::<syn::LitInt>()?.base10_parse::<u64>()?)
                } else {
                    None
                };
                if meta.path.is_ident("C") {
                    aggregate.repr_c = true;
                } else if meta.path.is_ident("packed") {
                    aggregate.packed = Some(number.unwrap_or(1));
                } else if meta.path.is_ident("align") {
                    aggregate.align = number;
                } else if meta.path.is_ident("transparent") {
                    aggregate.repr_c = true;
                }
                Ok(())
            };
            if let Err(error) = attribute.parse_nested_meta(&mut argument) {
                self.complain(
                    name.span(),
                    format!("cannot read the repr of {name}: {error}"),
                );
            }
        }
        for field in fields {
            let Some(ident) = &field.ident else {
                self.complain(name.span(), format!("{name} has fields without names"));
                continue;
            };
            let Some(origin) = self.origin(ident.span(), &field.attrs) else {
                continue;
            };
            let ty = self.ty(&field.ty);
            aggregate.fields.push(Field {
                name: ident.unraw().to_string(),
                ty,
                origin,
            });
        }
        self.bindings.aggregates.push(aggregate);
    }

    fn constant(&mut self, item: &syn::ItemConst) {
        let Some(origin) = self.origin(item.ident.span(), &item.attrs) else {
            return;
        };
        let name = item.ident.unraw().to_string();
        match self.constants.value(&item.expr) {
            Some(value) => self.bindings.constants.push(Constant {
                name,
                value,
                origin,
            }),
            None => self.complain(
                item.ident.span(),
                format!("cannot evaluate {name} = {}", item.expr.to_token_stream()),
            ),
        }
    }

    fn alias(&mut self, item: &syn::ItemType) {
        let Some(origin) = self.origin(item.ident.span(), &item.attrs) else {
            return;
        };
        let name = item.ident.unraw().to_string();
        match self.ty(&item.ty) {
            RustType::Function(prototype) => {
                self.bindings.callbacks.push(Callable {
                    name,
                    prototype: *prototype,
                    origin,
                });
            }
            ty => {
                let text =
                    format!("nothing proves the alias {name}: use enumeration! or its target");
                self.complain(item.ident.span(), text);
                self.bindings.aliases.push(Named { name, ty, origin });
            }
        }
    }

    /// A function that is not C's: it must say which `static inline` it stands for.
    fn rewritten(&mut self, attributes: &[Attribute], signature: &syn::Signature) {
        if self.header.is_none() {
            return;
        }
        let Some(callable) = self.callable(attributes, signature) else {
            return;
        };
        if callable.origin.doc.contains("Stands for the C") {
            self.bindings.rewritten.push(callable);
        } else {
            let text = format!("{} does not say which C it stands for", callable.name);
            self.complain(signature.ident.span(), text);
        }
    }

    fn callable(
        &mut self,
        attributes: &[Attribute],
        signature: &syn::Signature,
    ) -> Option<Callable> {
        let origin = self.origin(signature.ident.span(), attributes)?;
        let mut parameters = Vec::new();
        for input in &signature.inputs {
            let FnArg::Typed(input) = input else { continue };
            let name = match &*input.pat {
                syn::Pat::Ident(ident) => Some(ident.ident.unraw().to_string()),
                _ => None,
            };
            parameters.push(Parameter {
                name,
                ty: self.ty(&input.ty),
            });
        }
        let result = self.result(&signature.output);
        let prototype = Prototype {
            parameters,
            result,
            variadic: signature.variadic.is_some(),
        };
        Some(Callable {
            name: signature.ident.unraw().to_string(),
            prototype,
            origin,
        })
    }

    fn foreign(&mut self, item: &ForeignItem) {
        if let ForeignItem::Fn(syn::ForeignItemFn { attrs, sig, .. }) = item
            && let Some(attribute) = attrs.iter().find(|a| a.path().is_ident("link_name"))
        {
            let text = format!("{} is linked by another name", sig.ident);
            self.complain(attribute.pound_token.span(), text);
        }
        match item {
            ForeignItem::Fn(item) => {
                if let Some(callable) = self.callable(&item.attrs, &item.sig) {
                    self.bindings.functions.push(callable);
                }
            }
            ForeignItem::Static(item) => {
                let Some(origin) = self.origin(item.ident.span(), &item.attrs) else {
                    return;
                };
                let (name, ty) = (item.ident.unraw().to_string(), self.ty(&item.ty));
                self.bindings.statics.push(Named { name, ty, origin });
            }
            _ => {}
        }
    }

    fn invocation(&mut self, item: &syn::ItemMacro) {
        let path = &item.mac.path;
        let span = path
            .segments
            .last()
            .map_or_else(Span::call_site, |s| s.ident.span());
        let outcome = if path.is_ident("opaque") {
            item.mac.parse_body().map(|body| self.opaque(&body))
        } else if path.is_ident("enumeration") {
            item.mac.parse_body().map(|body| self.enumeration(&body))
        } else if path.is_ident("bit_fields") {
            item.mac
                .parse_body()
                .and_then(|body| self.bit_fields(&body))
        } else if path.is_ident("layout") {
            item.mac.parse_body().and_then(|body| self.layout(&body))
        } else {
            if item.ident.is_none() && self.header.is_some() {
                let text = format!("what {}! makes is not proved", path.to_token_stream());
                self.complain(span, text);
            }
            Ok(())
        };
        if let Err(error) = outcome {
            self.complain(
                span,
                format!("cannot read {}!: {error}", path.to_token_stream()),
            );
        }
    }

    fn opaque(&mut self, body: &OpaqueInvocation) {
        let Some(origin) = self.origin(body.name.span(), &body.attributes) else {
            return;
        };
        self.bindings.opaques.push(Opaque {
            name: body.name.unraw().to_string(),
            origin,
        });
    }

    fn enumeration(&mut self, body: &EnumerationInvocation) {
        let Some(origin) = self.origin(body.name.span(), &body.attributes) else {
            return;
        };
        let mut enumerators = Vec::new();
        for entry in &body.entries {
            let Some(origin) = self.origin(entry.name.span(), &entry.attributes) else {
                return;
            };
            let name = entry.name.unraw().to_string();
            match self.constants.integer(&entry.value) {
                Some(value) => enumerators.push(Enumerator {
                    name,
                    value,
                    origin,
                }),
                None => self.complain(
                    entry.name.span(),
                    format!("cannot evaluate {name} = {}", entry.value.to_token_stream()),
                ),
            }
        }
        let integer = self.ty(&body.integer);
        let name = body.name.unraw().to_string();
        self.bindings.enumerations.push(Enumeration {
            name,
            integer,
            enumerators,
            origin,
        });
    }

    fn bit_fields(&mut self, body: &BitFieldsInvocation) -> syn::Result<()> {
        let Some(origin) = self.origin(body.owner.span(), &[]) else {
            return Ok(());
        };
        let mut entries = Vec::new();
        for entry in &body.entries {
            let Some(origin) = self.origin(entry.name.span(), &entry.attributes) else {
                break;
            };
            entries.push(BitField {
                name: entry.name.unraw().to_string(),
                position: entry.position.base10_parse()?,
                width: entry.width.base10_parse()?,
                origin,
            });
        }
        let integer = self.ty(&body.integer);
        let (owner, field) = (
            body.owner.unraw().to_string(),
            body.field.unraw().to_string(),
        );
        self.bindings.bit_fields.push(BitFields {
            owner,
            field,
            integer,
            entries,
            origin,
        });
        Ok(())
    }

    fn layout(&mut self, body: &LayoutInvocation) -> syn::Result<()> {
        let Some(origin) = self.origin(body.name.span(), &[]) else {
            return Ok(());
        };
        let mut offsets = Vec::new();
        for entry in &body.offsets {
            let offset = match &entry.offset {
                Some(literal) => literal.base10_parse()?,
                None => 0,
            };
            let place = self.place(entry.name.span());
            offsets.push((entry.name.unraw().to_string(), offset, place));
        }
        self.bindings.layouts.push(Layout {
            name: body.name.unraw().to_string(),
            kind: body.kind,
            size: body.size.base10_parse()?,
            align: body.align.base10_parse()?,
            offsets,
            origin,
        });
        Ok(())
    }

    fn result(&mut self, output: &ReturnType) -> RustType {
        match output {
            ReturnType::Default => RustType::Void,
            ReturnType::Type(_, ty) => self.ty(ty),
        }
    }

    fn ty(&mut self, ty: &Type) -> RustType {
        let read = spelled::rust_type(ty, self.constants);
        if let Some(text) = read.unknown() {
            let text = format!("cannot read the type {text}");
            self.complain(ty.span(), text);
        }
        read
    }
}
