//! The serializer of both forms.
//!
//! In the compact form, values follow each other without kinds or names, in the bytes of postcard.
//! In the described form, each value is preceded by its kind, and fields and variants by their
//! names. The byte [`MORE`] precedes each element or field, and [`NO_MORE`] follows the last one.
//! So the bytes can be read without knowing what comes.
//!
//! The compact form encodes long sequences without going through memory for each item. postcard
//! passes a reference to itself on with every item of a sequence, and so loads and stores the end
//! of the output for each. Here a [`Sequence`] owns the output until it ends, and the compiler can
//! keep the position in registers.
//!
//! While a value is encoded, its [shape](super::shape) is followed, in the same way in both forms.
//! In the compact form, encoding fails with [`Cause::Unsuited`] where the form cannot hold the
//! value or is not known to bring it back. In the described form, the facts are gathered.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::fmt::Display;

use serde::ser::{
    Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant, Serializer,
};

use super::bulk;
use super::error::{Cause, Error, Result};
use super::known::Known;
use super::shape::{Kind, Shape, identity};
use super::sink::{Sink, long_zigzag, zigzag};
use super::stack::{Limit, on_a_new_piece};

/// What the encoder is told about a value as a whole, and what it finds out.
#[derive(Default)]
pub(super) struct Terms {
    /// For the compact form: the known facts. `None` for values that come back whatever their shape
    /// is.
    pub(super) known: Option<Known>,
    /// The compact form cannot hold the value, since fields were left out, or a length was unknown
    /// or wrong. When that form is written, also: it is not known to bring the value back. The flag
    /// is set even if the value's `Serialize` ignores the error.
    pub(super) is_unsuited: Cell<bool>,
    /// For the described form. It is on the heap because each value of the compact form would have
    /// to pay for a larger struct.
    pub(super) gathered: Option<Box<Gathered>>,
}

/// What is gathered about a value while it is described.
#[derive(Default)]
pub(super) struct Gathered {
    pub(super) facts: RefCell<BTreeSet<u64>>,
    /// The number and the hash of the facts with which the value begins, at most [`BEGINNING`] of
    /// them. They tell a variant and what is in it.
    pub(super) beginning: Cell<(usize, u64)>,
    /// How deep values are nested, now and at most.
    depth: Cell<usize>,
    pub(super) deepest: Cell<usize>,
}

/// The number of facts that make the beginning of a value.
const BEGINNING: usize = 2;

/// A value with more facts is sent without them, and so goes in the described form each time.
pub(super) const MOST_FACTS: usize = 1024;

impl Terms {
    /// Notes that the compact form does not suit the value; an error if that form is being written.
    #[cold]
    #[inline(never)]
    fn unsuited(&self, is_described: bool) -> Result<()> {
        self.is_unsuited.set(true);
        if is_described { Ok(()) } else { Err(Cause::Unsuited.into()) }
    }

    fn descend(&self) {
        let Some(Gathered { depth, deepest, .. }) = self.gathered.as_deref() else { return };
        depth.set(depth.get() + 1);
        deepest.set(deepest.get().max(depth.get()));
    }

    fn ascend(&self) {
        let Some(Gathered { depth, .. }) = self.gathered.as_deref() else { return };
        depth.set(depth.get() - 1);
    }

    #[inline(never)]
    fn gather(&self, fact: u64) {
        let Some(Gathered { facts, beginning, .. }) = self.gathered.as_deref() else { return };
        let (count, shape) = beginning.get();
        if count < BEGINNING {
            beginning.set((count + 1, Shape(shape).and(fact).0));
        }
        let mut facts = facts.borrow_mut();
        if facts.len() <= MOST_FACTS {
            facts.insert(fact);
        }
    }
}

/// The byte before each element or field of the described form.
pub(super) const MORE: u8 = 1;
/// The byte behind the last element or field.
pub(super) const NO_MORE: u8 = 0;

/// Stands for the type of a trait object or of another value that has no size of its own, which may
/// be written as many types.
const ERASED: u64 = 0;

/// Encodes values of one form into a sink.
pub(super) struct Encoder<'m, const DESCRIBED: bool> {
    sink: Sink<'m>,
    terms: &'m Terms,
    limit: Limit,
    shape: Shape,
    /// The identity of the type that is being encoded, or [`ERASED`].
    of: u64,
}

impl<'m, const DESCRIBED: bool> Encoder<'m, DESCRIBED> {
    #[inline]
    pub(super) fn new(sink: Sink<'m>, terms: &'m Terms, limit: Limit) -> Self {
        Self { sink, terms, limit, shape: Shape(0), of: 0 }
    }

    /// Encodes a whole value, which has no other around it.
    #[inline(always)]
    pub(super) fn encode<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        self.shape = Shape::of(identity::<T>());
        self.value(value)?;
        self.settle(self.shape.end())
    }

    #[inline]
    pub(super) fn into_sink(self) -> Sink<'m> {
        self.sink
    }

    #[inline]
    fn value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        self.of = if size_of::<&T>() == size_of::<usize>() { identity::<T>() } else { ERASED };
        value.serialize(self)
    }

    /// Encodes a value inside another one. The stack is checked here, and the depth is counted.
    #[inline]
    fn inner<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        if DESCRIBED {
            self.terms.descend();
        }
        let done =
            if self.limit.is_near() { self.inner_on_a_new_piece(value) } else { self.value(value) };
        if DESCRIBED {
            self.terms.ascend();
        }
        done
    }

    #[cold]
    #[inline(never)]
    fn inner_on_a_new_piece<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        on_a_new_piece(|limit| {
            let outer = std::mem::replace(&mut self.limit, limit);
            let done = self.value(value);
            self.limit = outer;
            done
        })
    }

    /// Ends a fact. The described form gathers it; the compact form fails if it is not known.
    #[inline]
    fn settle(&self, Shape(fact): Shape) -> Result<()> {
        if DESCRIBED {
            self.terms.gather(fact);
            return Ok(());
        }
        match self.terms.known {
            Some(known) if !known.has(fact) => self.terms.unsuited(false),
            _ => Ok(()),
        }
    }

    /// Begins a struct or a tuple struct. Returns the shape of the value around it.
    #[inline]
    fn open(&mut self, kind: Kind, name: &'static str) -> Result<Shape> {
        self.open_as(kind, |shape| shape.and_kind(kind).and_name(name))
    }

    /// Begins a variant. Returns the shape of the value around it.
    #[inline]
    fn open_variant(
        &mut self,
        kind: Kind,
        name: &'static str,
        index: u32,
        variant: &'static str,
    ) -> Result<Shape> {
        let outer = self.open_as(kind, |shape| {
            shape.and_kind(kind).and(index.into()).and_name(name).and_name(variant)
        })?;
        self.sink.varint(index.into())?;
        self.name(variant)?;
        Ok(outer)
    }

    /// Begins a struct or a variant, which `call` adds to a shape. That it occurs at this place is
    /// a fact of the value around it, because a field may be decoded as another type than it has.
    #[inline]
    fn open_as(&mut self, kind: Kind, call: impl Fn(Shape) -> Shape) -> Result<Shape> {
        if self.of == ERASED {
            self.terms.unsuited(DESCRIBED)?;
        }
        let outer = self.shape;
        self.settle(call(outer.and(self.of)))?;
        self.shape = call(Shape::of(self.of));
        self.tell(kind)?;
        Ok(outer.inner())
    }

    #[inline]
    fn close(&mut self, outer: Shape) -> Result<()> {
        self.settle(self.shape.end())?;
        self.shape = outer;
        Ok(())
    }

    /// Begins a value of that kind.
    #[inline]
    fn note(&mut self, kind: Kind) -> Result<()> {
        self.shape = self.shape.and_kind(kind);
        self.tell(kind)
    }

    #[inline]
    fn tell(&mut self, kind: Kind) -> Result<()> {
        if DESCRIBED { self.sink.push(kind as u8) } else { Ok(()) }
    }

    #[inline]
    fn name(&mut self, name: &str) -> Result<()> {
        if DESCRIBED { self.text(name) } else { Ok(()) }
    }

    /// Writes [`MORE`] or [`NO_MORE`] in the described form.
    #[inline]
    fn mark(&mut self, mark: u8) -> Result<()> {
        if DESCRIBED { self.sink.push(mark) } else { Ok(()) }
    }

    #[inline]
    fn text(&mut self, text: &str) -> Result<()> {
        self.sink.varint(text.len() as u64)?;
        self.sink.extend(text.as_bytes())
    }

    /// Returns how many items follow; zero if that is unknown. The compact form begins with that
    /// number and cannot hold an unknown one. The described form does without.
    #[inline]
    fn length(&mut self, length: Option<usize>) -> Result<usize> {
        let Some(length) = length else {
            self.terms.unsuited(DESCRIBED)?;
            return Ok(0);
        };
        if !DESCRIBED {
            self.sink.varint(length as u64)?;
        }
        Ok(length)
    }

    #[inline]
    fn fields<'a>(&'a mut self, left: usize, outer: Shape) -> Fields<'a, 'm, DESCRIBED> {
        Fields { encoder: self, left, least: 0, outer }
    }
}

/// Values one after the other, as many as were announced: the elements of a tuple, the fields of a
/// struct or a variant, or the entries of a map.
pub(super) struct Fields<'a, 'm, const DESCRIBED: bool> {
    encoder: &'a mut Encoder<'m, DESCRIBED>,
    left: usize,
    /// For a map, as in a [`Sequence`]; else zero.
    least: usize,
    outer: Shape,
}

impl<const DESCRIBED: bool> Fields<'_, '_, DESCRIBED> {
    /// Begins one more value, or one more entry of a map.
    #[inline]
    fn count(&mut self) -> Result<()> {
        self.left = self.left.wrapping_sub(1);
        self.encoder.mark(MORE)
    }

    #[inline]
    fn one<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        self.count()?;
        self.encoder.inner(value)
    }

    /// Ends the values.
    #[inline]
    fn check(&mut self) -> Result<()> {
        if self.left != 0 || self.encoder.sink.position() < self.least {
            self.encoder.terms.unsuited(DESCRIBED)?;
        }
        self.encoder.mark(NO_MORE)
    }

    #[inline]
    fn close(mut self) -> Result<()> {
        self.check()?;
        self.encoder.close(self.outer)
    }
}

/// A sequence that is being encoded. It has taken the output from `outer`, and
/// [`end`](SerializeSeq::end) gives the output back.
///
/// Dropping the sequence does not give the output back. Each item can fail and so drop the
/// sequence, which would then need the output in memory at each item. After an error, or if `end`
/// is not called, nothing more can be encoded.
pub(super) struct Sequence<'a, 'm, const DESCRIBED: bool> {
    outer: &'a mut Encoder<'m, DESCRIBED>,
    own: Encoder<'m, DESCRIBED>,
    left: usize,
    /// The least position at which the output is at the end if each element takes at least a byte,
    /// as the deserializer requires of the compact form.
    least: usize,
    /// The shape with which each element begins.
    element: Shape,
}

impl<const DESCRIBED: bool> SerializeSeq for Sequence<'_, '_, DESCRIBED> {
    type Ok = ();
    type Error = Error;

    #[inline]
    fn serialize_element<T: Serialize + ?Sized>(&mut self, item: &T) -> Result<()> {
        self.left = self.left.wrapping_sub(1);
        self.own.shape = self.element;
        self.own.mark(MORE)?;
        self.own.inner(item)?;
        self.own.settle(self.own.shape.end())
    }

    #[inline]
    fn end(mut self) -> Result<()> {
        if self.left != 0 || self.own.sink.position() < self.least {
            self.own.terms.unsuited(DESCRIBED)?;
        }
        self.own.mark(NO_MORE)?;
        let shape = self.outer.shape;
        *self.outer = Encoder { shape, ..self.own };
        Ok(())
    }
}

macro_rules! numbers {
    ($($method:ident($name:ident: $type:ty) $kind:ident $bits:expr)*) => {$(
        #[inline]
        fn $method(self, $name: $type) -> Result<()> {
            self.note(Kind::$kind)?;
            self.sink.varint(u64::from($bits))
        }
    )*};
}

macro_rules! bytes {
    ($($method:ident($name:ident: $type:ty) $kind:ident $bytes:expr)*) => {$(
        #[inline]
        fn $method(self, $name: $type) -> Result<()> {
            self.note(Kind::$kind)?;
            self.sink.extend($bytes)
        }
    )*};
}

impl<'a, 'm, const DESCRIBED: bool> Serializer for &'a mut Encoder<'m, DESCRIBED> {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = Sequence<'a, 'm, DESCRIBED>;
    type SerializeTuple = Fields<'a, 'm, DESCRIBED>;
    type SerializeTupleStruct = Fields<'a, 'm, DESCRIBED>;
    type SerializeTupleVariant = Fields<'a, 'm, DESCRIBED>;
    type SerializeMap = Fields<'a, 'm, DESCRIBED>;
    type SerializeStruct = Fields<'a, 'm, DESCRIBED>;
    type SerializeStructVariant = Fields<'a, 'm, DESCRIBED>;

    numbers! {
        serialize_u16(v: u16) U16 v
        serialize_u32(v: u32) U32 v
        serialize_u64(v: u64) U64 v
        serialize_i16(v: i16) I16 zigzag(v.into())
        serialize_i32(v: i32) I32 zigzag(v.into())
        serialize_i64(v: i64) I64 zigzag(v)
    }

    bytes! {
        serialize_bool(v: bool) Bool &[u8::from(v)]
        serialize_u8(v: u8) U8 &[v]
        serialize_i8(v: i8) I8 &v.to_le_bytes()
        serialize_f32(v: f32) F32 &v.to_le_bytes()
        serialize_f64(v: f64) F64 &v.to_le_bytes()
    }

    fn serialize_u128(self, v: u128) -> Result<()> {
        self.note(Kind::U128)?;
        self.sink.long_varint(v)
    }

    fn serialize_i128(self, v: i128) -> Result<()> {
        self.note(Kind::I128)?;
        self.sink.long_varint(long_zigzag(v))
    }

    #[inline]
    fn serialize_char(self, v: char) -> Result<()> {
        self.note(Kind::Char)?;
        let mut bytes = [0; 4];
        self.text(v.encode_utf8(&mut bytes))
    }

    #[inline]
    fn serialize_str(self, v: &str) -> Result<()> {
        self.note(Kind::Str)?;
        self.text(v)
    }

    #[inline]
    fn serialize_bytes(self, v: &[u8]) -> Result<()> {
        self.note(Kind::Bytes)?;
        self.sink.varint(v.len() as u64)?;
        self.sink.extend(v)
    }

    fn collect_str<T: Display + ?Sized>(self, value: &T) -> Result<()> {
        self.serialize_str(&value.to_string())
    }

    #[inline]
    fn serialize_none(self) -> Result<()> {
        self.shape = self.shape.and_kind(Kind::Some);
        self.sink.push(if DESCRIBED { Kind::None as u8 } else { 0 })
    }

    #[inline]
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<()> {
        let outer = self.shape.and_kind(Kind::Some);
        self.sink.push(if DESCRIBED { Kind::Some as u8 } else { 1 })?;
        self.shape = outer.element();
        self.inner(value)?;
        self.close(outer)
    }

    #[inline]
    fn serialize_unit(self) -> Result<()> {
        self.note(Kind::Unit)
    }

    #[inline]
    fn serialize_unit_struct(self, _name: &'static str) -> Result<()> {
        self.serialize_unit()
    }

    #[inline]
    fn serialize_unit_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
    ) -> Result<()> {
        let outer = self.open_variant(Kind::UnitVariant, name, index, variant)?;
        self.close(outer)
    }

    #[inline]
    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        value: &T,
    ) -> Result<()> {
        self.inner(value)
    }

    #[inline]
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<()> {
        let outer = self.open_variant(Kind::NewtypeVariant, name, index, variant)?;
        self.inner(value)?;
        self.close(outer)
    }

    #[inline]
    fn serialize_seq(self, len: Option<usize>) -> Result<Sequence<'a, 'm, DESCRIBED>> {
        self.note(Kind::Seq)?;
        let left = self.length(len)?;
        let (terms, limit, shape) = (self.terms, self.limit, self.shape);
        let sink = std::mem::take(&mut self.sink);
        let own = Encoder { sink, terms, limit, shape, of: ERASED };
        let least = own.sink.position().saturating_add(left);
        Ok(Sequence { own, outer: self, left, least, element: shape.element() })
    }

    /// serde encodes vectors and slices by this method.
    #[inline]
    fn collect_seq<I>(self, items: I) -> Result<()>
    where
        I: IntoIterator<Item: Serialize>,
    {
        if let Some((length, kind, bytes)) = bulk::as_bytes(&items) {
            self.shape = self.shape.and_kind(Kind::Seq);
            if length > 0 {
                self.settle(self.shape.element().and_kind(kind).end())?;
            }
            self.tell(Kind::Block)?;
            self.tell(kind)?;
            self.sink.varint(length as u64)?;
            return self.sink.extend(bytes);
        }
        let items = items.into_iter();
        let length = match items.size_hint() {
            (least, Some(most)) if least == most => Some(least),
            _ => None,
        };
        let mut sequence = self.serialize_seq(length)?;
        for item in items {
            sequence.serialize_element(&item)?;
        }
        sequence.end()
    }

    #[inline]
    fn serialize_tuple(self, len: usize) -> Result<Fields<'a, 'm, DESCRIBED>> {
        self.note(Kind::Tuple)?;
        let outer = self.shape;
        Ok(self.fields(len, outer))
    }

    #[inline]
    fn serialize_tuple_struct(
        self,
        name: &'static str,
        len: usize,
    ) -> Result<Fields<'a, 'm, DESCRIBED>> {
        let outer = self.open(Kind::TupleStruct, name)?;
        Ok(self.fields(len, outer))
    }

    #[inline]
    fn serialize_tuple_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Fields<'a, 'm, DESCRIBED>> {
        let outer = self.open_variant(Kind::TupleVariant, name, index, variant)?;
        Ok(self.fields(len, outer))
    }

    #[inline]
    fn serialize_map(self, len: Option<usize>) -> Result<Fields<'a, 'm, DESCRIBED>> {
        self.note(Kind::Map)?;
        let left = self.length(len)?;
        let (outer, least) = (self.shape, self.sink.position().saturating_add(left));
        Ok(Fields { least, ..self.fields(left, outer) })
    }

    #[inline]
    fn serialize_struct(self, name: &'static str, len: usize) -> Result<Fields<'a, 'm, DESCRIBED>> {
        let outer = self.open(Kind::Struct, name)?;
        Ok(self.fields(len, outer))
    }

    #[inline]
    fn serialize_struct_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Fields<'a, 'm, DESCRIBED>> {
        let outer = self.open_variant(Kind::StructVariant, name, index, variant)?;
        Ok(self.fields(len, outer))
    }
}

impl<const DESCRIBED: bool> SerializeTuple for Fields<'_, '_, DESCRIBED> {
    type Ok = ();
    type Error = Error;

    #[inline]
    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        self.one(value)
    }

    #[inline]
    fn end(mut self) -> Result<()> {
        self.check()?;
        self.encoder.shape = self.encoder.shape.end();
        Ok(())
    }
}

impl<const DESCRIBED: bool> SerializeTupleStruct for Fields<'_, '_, DESCRIBED> {
    type Ok = ();
    type Error = Error;

    #[inline]
    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        self.one(value)
    }

    #[inline]
    fn end(self) -> Result<()> {
        self.close()
    }
}

impl<const DESCRIBED: bool> SerializeTupleVariant for Fields<'_, '_, DESCRIBED> {
    type Ok = ();
    type Error = Error;

    #[inline]
    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        self.one(value)
    }

    #[inline]
    fn end(self) -> Result<()> {
        self.close()
    }
}

macro_rules! named_fields {
    ($($trait:ident)*) => {$(
        impl<const DESCRIBED: bool> $trait for Fields<'_, '_, DESCRIBED> {
            type Ok = ();
            type Error = Error;

            #[inline]
            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                key: &'static str,
                value: &T,
            ) -> Result<()> {
                self.count()?;
                self.encoder.shape = self.encoder.shape.and_name(key);
                self.encoder.name(key)?;
                self.encoder.inner(value)
            }

            /// A field that is left out here may be present in another value. The compact form
            /// cannot tell these apart, and takes the fields behind it for the missing one.
            #[inline]
            fn skip_field(&mut self, _key: &'static str) -> Result<()> {
                self.encoder.terms.unsuited(DESCRIBED)
            }

            #[inline]
            fn end(self) -> Result<()> {
                self.close()
            }
        }
    )*};
}

named_fields! {
    SerializeStruct
    SerializeStructVariant
}

impl<const DESCRIBED: bool> SerializeMap for Fields<'_, '_, DESCRIBED> {
    type Ok = ();
    type Error = Error;

    #[inline]
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<()> {
        self.count()?;
        self.encoder.shape = self.outer.element();
        self.encoder.inner(key)
    }

    #[inline]
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        self.encoder.inner(value)?;
        self.encoder.settle(self.encoder.shape.end())
    }

    #[inline]
    fn end(mut self) -> Result<()> {
        self.check()?;
        self.encoder.shape = self.outer;
        Ok(())
    }
}
