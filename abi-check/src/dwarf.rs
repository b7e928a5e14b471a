//! Reads the debugging information of one object file: what the C compiler made of the types, and
//! the values of the constants.

use std::borrow::Cow;
use std::collections::HashMap;

use gimli::constants as dw;
use gimli::{AttributeValue, DwAt, EndianSlice, LittleEndian, Reader};
use object::{Object, ObjectSection, ObjectSymbol, RelocationTarget};

use crate::bindings::Kind;
use crate::ctype::{CAggregate, CEnum, CFunction, CMember, CType, CTypes, Encoding, Id};

/// What an object file says.
#[derive(Debug, Default)]
pub(crate) struct ObjectFacts {
    /// Types of the global variables, by name.
    pub(crate) variables: HashMap<String, CType>,
    /// Bytes of the initialised global variables, by name.
    pub(crate) contents: HashMap<String, Vec<u8>>,
    pub(crate) types: CTypes,
}

/// A debugging information entry, as far as it matters here.
#[derive(Debug, Default)]
struct Die {
    tag: u16,
    name: Option<String>,
    ty: Option<usize>,
    byte_size: Option<u64>,
    bit_size: Option<u64>,
    data_bit_offset: Option<u64>,
    member_location: Option<u64>,
    const_value: Option<i128>,
    encoding: Option<u64>,
    declaration: bool,
    count: Option<u64>,
    upper_bound: Option<u64>,
    children: Vec<usize>,
}

/// Reads an object file.
///
/// # Errors
///
/// A sentence for the user when the file is not an object with DWARF 5 of one compilation unit.
pub(crate) fn read(bytes: &[u8]) -> Result<ObjectFacts, String> {
    let object = object::File::parse(bytes).map_err(|e| format!("not an object file: {e}"))?;
    let mut facts = ObjectFacts {
        contents: contents(&object),
        ..ObjectFacts::default()
    };
    let dies = entries(&object).map_err(|e| format!("cannot read the DWARF of the probe: {e}"))?;
    let mut reader = TypeReader {
        dies: &dies,
        types: &mut facts.types,
    };
    for die in dies.values() {
        if die.tag == dw::DW_TAG_variable.0
            && let (Some(name), Some(ty)) = (&die.name, die.ty)
        {
            facts.variables.insert(name.clone(), reader.ty(Some(ty)));
        }
    }
    Ok(facts)
}

/// The bytes of the initialised global variables.
fn contents(object: &object::File<'_>) -> HashMap<String, Vec<u8>> {
    let mut contents = HashMap::new();
    for symbol in object
        .symbols()
        .filter(|s| s.is_global() && s.is_definition())
    {
        let bytes = symbol
            .section_index()
            .and_then(|index| object.section_by_index(index).ok())
            .and_then(|section| {
                section
                    .data_range(symbol.address(), symbol.size())
                    .ok()
                    .flatten()
            });
        if let (Ok(name), Some(bytes)) = (symbol.name(), bytes) {
            contents.insert(name.to_string(), bytes.to_vec());
        }
    }
    contents
}

/// The bytes of a section with its relocations applied: an object file is not linked yet.
fn relocated<'a>(object: &object::File<'a>, name: &str) -> Cow<'a, [u8]> {
    let Some(section) = object.section_by_name(name) else {
        return Cow::Borrowed(&[]);
    };
    let Ok(data) = section.data() else {
        return Cow::Borrowed(&[]);
    };
    let mut data = data.to_vec();
    for (offset, relocation) in section.relocations() {
        let RelocationTarget::Symbol(index) = relocation.target() else {
            continue;
        };
        let Ok(symbol) = object.symbol_by_index(index) else {
            continue;
        };
        let value = symbol.address().wrapping_add_signed(relocation.addend());
        let width = usize::from(relocation.size()) / 8;
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        if let Some(target) = data.get_mut(start..start.saturating_add(width)) {
            target.copy_from_slice(&value.to_le_bytes()[..width]);
        }
    }
    Cow::Owned(data)
}

fn entries(object: &object::File<'_>) -> gimli::Result<HashMap<usize, Die>> {
    let sections =
        gimli::DwarfSections::load(|id| gimli::Result::Ok(relocated(object, id.name())))?;
    let dwarf = sections.borrow(|section| EndianSlice::new(section, LittleEndian));
    let mut dies = HashMap::new();
    let mut units = dwarf.units();
    let Some(header) = units.next()? else {
        return Ok(dies);
    };
    let unit = dwarf.unit(header)?;
    let mut parents: Vec<usize> = Vec::new();
    let mut cursor = unit.entries();
    while let Some(entry) = cursor.next_dfs()? {
        let depth = usize::try_from(entry.depth()).unwrap_or(0);
        let offset = entry.offset().0;
        let mut die = Die {
            tag: entry.tag().0,
            ..Die::default()
        };
        for attribute in entry.attrs() {
            let number = || attribute.udata_value();
            let value = attribute.value();
            match attribute.name() {
                dw::DW_AT_name => {
                    let text = dwarf.attr_string(&unit, value)?;
                    die.name = Some(text.to_string_lossy().into_owned());
                }
                dw::DW_AT_type => {
                    if let AttributeValue::UnitRef(target) = value {
                        die.ty = Some(target.0);
                    }
                }
                dw::DW_AT_byte_size => die.byte_size = number(),
                dw::DW_AT_bit_size => die.bit_size = number(),
                dw::DW_AT_data_bit_offset => die.data_bit_offset = number(),
                dw::DW_AT_data_member_location => die.member_location = number(),
                dw::DW_AT_count => die.count = number(),
                dw::DW_AT_upper_bound => die.upper_bound = upper_bound(attribute),
                dw::DW_AT_declaration => die.declaration = true,
                dw::DW_AT_encoding => {
                    if let AttributeValue::Encoding(encoding) = value {
                        die.encoding = Some(encoding.0.into());
                    }
                }
                dw::DW_AT_const_value => die.const_value = constant(attribute),
                DwAt(_) => {}
            }
        }
        parents.truncate(depth);
        if let Some(parent) = parents.last().and_then(|p| dies.get_mut(p)) {
            let parent: &mut Die = parent;
            parent.children.push(offset);
        }
        parents.push(offset);
        dies.insert(offset, die);
    }
    Ok(dies)
}

/// The last index of an array. Compilers write -1 for an array without elements.
fn upper_bound<R: Reader>(attribute: &gimli::Attribute<R>) -> Option<u64> {
    attribute
        .udata_value()
        .or_else(|| attribute.sdata_value().map(i64::cast_unsigned))
}

/// The value of an enumerator. Only the signed forms hold negative values.
fn constant<R: Reader>(attribute: &gimli::Attribute<R>) -> Option<i128> {
    match attribute.value() {
        AttributeValue::Sdata(value) => Some(value.into()),
        _ => attribute.udata_value().map(i128::from),
    }
}

struct TypeReader<'a> {
    dies: &'a HashMap<usize, Die>,
    types: &'a mut CTypes,
}

impl TypeReader<'_> {
    fn ty(&mut self, offset: Option<usize>) -> CType {
        let Some(offset) = offset else {
            return CType::Void;
        };
        let Some(die) = self.dies.get(&offset) else {
            return CType::Void;
        };
        let inner = |reader: &mut Self| Box::new(reader.ty(die.ty));
        match gimli::DwTag(die.tag) {
            dw::DW_TAG_base_type => base(die),
            dw::DW_TAG_pointer_type => CType::Pointer(inner(self)),
            dw::DW_TAG_const_type => CType::Const(inner(self)),
            dw::DW_TAG_volatile_type => CType::Qualified("volatile", inner(self)),
            dw::DW_TAG_atomic_type => CType::Qualified("_Atomic", inner(self)),
            dw::DW_TAG_restrict_type => CType::Qualified("restrict", inner(self)),
            dw::DW_TAG_typedef => CType::Typedef {
                name: die.name.clone().unwrap_or_default(),
                to: inner(self),
            },
            dw::DW_TAG_array_type => self.array(die),
            dw::DW_TAG_structure_type => self.aggregate(offset, Kind::Struct, die),
            dw::DW_TAG_union_type => self.aggregate(offset, Kind::Union, die),
            dw::DW_TAG_enumeration_type => self.enumeration(offset, die),
            dw::DW_TAG_subroutine_type => self.function(die),
            _ => CType::Void,
        }
    }

    fn children(&self, die: &Die) -> Vec<&Die> {
        die.children
            .iter()
            .filter_map(|child| self.dies.get(child))
            .collect()
    }

    fn array(&mut self, die: &Die) -> CType {
        let mut ty = self.ty(die.ty);
        let dies = self.dies;
        let dimensions = die.children.iter().filter_map(|child| dies.get(child));
        let dimensions: Vec<_> = dimensions
            .filter(|child| child.tag == dw::DW_TAG_subrange_type.0)
            .collect();
        for dimension in dimensions.into_iter().rev() {
            let len = dimension
                .count
                .or(dimension.upper_bound.map(|last| last.wrapping_add(1)));
            ty = CType::Array {
                of: Box::new(ty),
                len,
            };
        }
        ty
    }

    fn aggregate(&mut self, id: Id, kind: Kind, die: &Die) -> CType {
        if self.types.aggregates.contains_key(&id) {
            return CType::Aggregate(id);
        }
        let size = if die.declaration { None } else { die.byte_size };
        let aggregate = CAggregate {
            kind,
            tag: die.name.clone(),
            size,
            members: Vec::new(),
        };
        // Before its members, which may point back to it.
        self.types.aggregates.insert(id, aggregate);
        let dies = self.dies;
        let mut members = Vec::new();
        for member in die.children.iter().filter_map(|child| dies.get(child)) {
            if member.tag != dw::DW_TAG_member.0 {
                continue;
            }
            let bits = member.bit_size.map(|width| {
                let location = member.member_location.unwrap_or(0) * 8;
                (location + member.data_bit_offset.unwrap_or(0), width)
            });
            members.push(CMember {
                name: member.name.clone().unwrap_or_default(),
                ty: self.ty(member.ty),
                offset: bits.map_or(member.member_location.unwrap_or(0), |(first, _)| first / 8),
                bits,
            });
        }
        if let Some(aggregate) = self.types.aggregates.get_mut(&id) {
            aggregate.members = members;
        }
        CType::Aggregate(id)
    }

    fn enumeration(&mut self, id: Id, die: &Die) -> CType {
        let enumerators = self
            .children(die)
            .into_iter()
            .filter_map(|child| Some((child.name.clone()?, child.const_value?)))
            .collect();
        let signed = match self.ty(die.ty).bare() {
            CType::Base { encoding, .. } => *encoding == Encoding::Signed,
            _ => die.encoding == Some(dw::DW_ATE_signed.0.into()),
        };
        let bytes = die.byte_size.unwrap_or(0);
        self.types.enums.insert(
            id,
            CEnum {
                tag: die.name.clone(),
                signed,
                bytes,
                enumerators,
            },
        );
        CType::Enum(id)
    }

    fn function(&mut self, die: &Die) -> CType {
        let (mut parameters, mut variadic) = (Vec::new(), false);
        let dies = self.dies;
        for child in die.children.iter().filter_map(|child| dies.get(child)) {
            if child.tag == dw::DW_TAG_formal_parameter.0 {
                parameters.push(self.ty(child.ty));
            } else if child.tag == dw::DW_TAG_unspecified_parameters.0 {
                variadic = true;
            }
        }
        let result = self.ty(die.ty);
        CType::Function(Box::new(CFunction {
            result,
            parameters,
            variadic,
        }))
    }
}

fn base(die: &Die) -> CType {
    let encoding = match die
        .encoding
        .map(|e| gimli::DwAte(u8::try_from(e).unwrap_or(0)))
    {
        Some(dw::DW_ATE_boolean) => Encoding::Boolean,
        Some(dw::DW_ATE_float) => Encoding::Float,
        Some(dw::DW_ATE_signed | dw::DW_ATE_signed_char) => Encoding::Signed,
        _ => Encoding::Unsigned,
    };
    CType::Base {
        name: die.name.clone().unwrap_or_default(),
        encoding,
        bytes: die.byte_size.unwrap_or(0),
    }
}
