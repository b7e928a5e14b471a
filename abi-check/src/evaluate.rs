//! Values of the constant expressions that the bindings use.

use std::collections::BTreeMap;

use syn::{BinOp, Expr, Lit, Type, UnOp};

use crate::bindings::Value;

/// The constants of all files, by name.
#[derive(Default)]
pub(crate) struct Constants {
    expressions: BTreeMap<String, Expr>,
}

impl Constants {
    /// Makes a constant known.
    pub(crate) fn insert(&mut self, name: String, expression: Expr) {
        self.expressions.insert(name, expression);
    }

    /// The value of an expression; `None` if it is of a kind that is not understood.
    pub(crate) fn value(&self, expression: &Expr) -> Option<Value> {
        self.value_within(expression, 0)
    }

    /// The value of an integer expression.
    pub(crate) fn integer(&self, expression: &Expr) -> Option<i128> {
        match self.value(expression)? {
            Value::Integer(value) => Some(value),
            Value::Text(_) => None,
        }
    }

    fn value_within(&self, expression: &Expr, depth: u32) -> Option<Value> {
        // A constant that names itself does not compile, but must not hang the reader either.
        if depth > 32 {
            return None;
        }
        let integer = |expression: &Expr| match self.value_within(expression, depth + 1)? {
            Value::Integer(value) => Some(value),
            Value::Text(_) => None,
        };
        match expression {
            Expr::Lit(literal) => match &literal.lit {
                Lit::Int(int) => int.base10_parse().ok().map(Value::Integer),
                Lit::Byte(byte) => Some(Value::Integer(byte.value().into())),
                Lit::Bool(bool) => Some(Value::Integer(bool.value.into())),
                Lit::CStr(text) => Some(Value::Text(text.value().to_bytes().to_vec())),
                Lit::Str(text) => Some(Value::Text(text.value().into_bytes())),
                Lit::ByteStr(text) => Some(Value::Text(text.value())),
                _ => None,
            },
            Expr::Paren(inner) => self.value_within(&inner.expr, depth + 1),
            Expr::Group(inner) => self.value_within(&inner.expr, depth + 1),
            Expr::Reference(inner) => self.value_within(&inner.expr, depth + 1),
            Expr::Cast(cast) => {
                truncate(integer(&cast.expr)?, type_name(&cast.ty)?.as_str()).map(Value::Integer)
            }
            Expr::Unary(unary) => match unary.op {
                UnOp::Neg(_) => Some(Value::Integer(integer(&unary.expr)?.checked_neg()?)),
                _ => None,
            },
            Expr::Binary(binary) => {
                let (left, right) = (integer(&binary.left)?, integer(&binary.right)?);
                operate(&binary.op, left, right).map(Value::Integer)
            }
            Expr::Path(path) => {
                let segments: Vec<String> = path
                    .path
                    .segments
                    .iter()
                    .map(|s| s.ident.to_string())
                    .collect();
                if let [.., ty, limit] = segments.as_slice()
                    && let Some(value) = limit_of(ty, limit)
                {
                    return Some(Value::Integer(value));
                }
                self.value_within(self.expressions.get(segments.last()?)?, depth + 1)
            }
            _ => None,
        }
    }
}

fn operate(op: &BinOp, left: i128, right: i128) -> Option<i128> {
    match op {
        BinOp::Add(_) => left.checked_add(right),
        BinOp::Sub(_) => left.checked_sub(right),
        BinOp::Mul(_) => left.checked_mul(right),
        BinOp::Div(_) => left.checked_div(right),
        BinOp::Rem(_) => left.checked_rem(right),
        BinOp::Shl(_) => left.checked_shl(u32::try_from(right).ok()?),
        BinOp::Shr(_) => left.checked_shr(u32::try_from(right).ok()?),
        BinOp::BitOr(_) => Some(left | right),
        BinOp::BitAnd(_) => Some(left & right),
        BinOp::BitXor(_) => Some(left ^ right),
        _ => None,
    }
}

fn type_name(ty: &Type) -> Option<String> {
    match ty {
        Type::Path(path) => Some(path.path.segments.last()?.ident.to_string()),
        _ => None,
    }
}

/// Signedness and width in bits of an integer type.
fn width(ty: &str) -> Option<(bool, u32)> {
    Some(match ty {
        "u8" | "c_uchar" => (false, 8),
        "u16" | "c_ushort" => (false, 16),
        "u32" | "c_uint" => (false, 32),
        "u64" | "usize" | "c_ulong" | "c_ulonglong" => (false, 64),
        "i8" | "c_schar" => (true, 8),
        "i16" | "c_short" => (true, 16),
        "i32" | "c_int" => (true, 32),
        "i64" | "isize" | "c_long" | "c_longlong" => (true, 64),
        _ => return None,
    })
}

/// `as`, which keeps the low bits. A type that is not a plain integer keeps the value.
fn truncate(value: i128, ty: &str) -> Option<i128> {
    let Some((signed, bits)) = width(ty) else {
        return Some(value);
    };
    let modulus = 1_i128 << bits;
    let low = value.rem_euclid(modulus);
    Some(if signed && low >= modulus / 2 {
        low - modulus
    } else {
        low
    })
}

fn limit_of(ty: &str, limit: &str) -> Option<i128> {
    let (signed, bits) = width(ty)?;
    match (limit, signed) {
        ("MAX", false) => Some((1 << bits) - 1),
        ("MAX", true) => Some((1 << (bits - 1)) - 1),
        ("MIN", false) => Some(0),
        ("MIN", true) => Some(-(1 << (bits - 1))),
        ("BITS", _) => Some(bits.into()),
        _ => None,
    }
}
