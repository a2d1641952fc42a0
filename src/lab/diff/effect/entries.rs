//! The fields of a record as JSON, without some of them: what is left out is not even looked at,
//! which is most of a finding.

use std::fmt::Display;

use serde::Serialize;
use serde::ser::{Error as _, Impossible, SerializeStruct, Serializer};
use serde_json::{Error, Map, Value, to_value};

/// The fields of a record that is a struct, by name, without some; nothing of any other record.
pub fn without(record: &impl Serialize, left_out: &[&str]) -> Map<String, Value> {
    let entries = Entries {
        left_out,
        kept: Map::new(),
    };
    record.serialize(entries).unwrap_or_default()
}

/// Takes the fields of a struct.
struct Entries<'n> {
    left_out: &'n [&'n str],
    kept: Map<String, Value>,
}

type Kept = Result<Map<String, Value>, Error>;

impl SerializeStruct for Entries<'_> {
    type Ok = Map<String, Value>;
    type Error = Error;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        name: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        if !self.left_out.contains(&name) {
            self.kept.insert(name.to_owned(), to_value(value)?);
        }
        Ok(())
    }

    fn end(self) -> Kept {
        Ok(self.kept)
    }
}

fn no_record() -> Error {
    Error::custom("a record is a struct")
}

/// What is no record.
macro_rules! refuse {
    ($($name:ident($($kind:ty),*);)*) => {
        $(fn $name(self, $(_: $kind),*) -> Kept { Err(no_record()) })*
    };
}

/// What is no record, and has parts.
macro_rules! refuse_parts {
    ($($name:ident($($kind:ty),*) $parts:ident;)*) => {
        $(
            type $parts = Impossible<Map<String, Value>, Error>;
            fn $name(self, $(_: $kind),*) -> Result<Self::$parts, Error> { Err(no_record()) }
        )*
    };
}

impl<'n> Serializer for Entries<'n> {
    type Ok = Map<String, Value>;
    type Error = Error;
    type SerializeStruct = Entries<'n>;

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self, Error> {
        Ok(self)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Kept {
        value.serialize(self)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Kept {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Kept {
        Err(no_record())
    }

    fn collect_str<T: Display + ?Sized>(self, _: &T) -> Kept {
        Err(no_record())
    }

    refuse! {
        serialize_bool(bool);
        serialize_i8(i8);
        serialize_i16(i16);
        serialize_i32(i32);
        serialize_i64(i64);
        serialize_u8(u8);
        serialize_u16(u16);
        serialize_u32(u32);
        serialize_u64(u64);
        serialize_f32(f32);
        serialize_f64(f64);
        serialize_char(char);
        serialize_str(&str);
        serialize_bytes(&[u8]);
        serialize_none();
        serialize_unit();
        serialize_unit_struct(&'static str);
        serialize_unit_variant(&'static str, u32, &'static str);
    }

    refuse_parts! {
        serialize_seq(Option<usize>) SerializeSeq;
        serialize_tuple(usize) SerializeTuple;
        serialize_tuple_struct(&'static str, usize) SerializeTupleStruct;
        serialize_tuple_variant(&'static str, u32, &'static str, usize) SerializeTupleVariant;
        serialize_map(Option<usize>) SerializeMap;
        serialize_struct_variant(&'static str, u32, &'static str, usize) SerializeStructVariant;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize)]
    struct Record {
        name: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        absent: Option<u8>,
        list: Vec<u8>,
        left_out: NoValue,
    }

    /// What cannot be written at all.
    struct NoValue;

    impl Serialize for NoValue {
        fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(S::Error::custom("nobody may look here"))
        }
    }

    #[test]
    fn what_is_left_out_is_not_looked_at() {
        let record = Record {
            name: "one".to_owned(),
            absent: None,
            list: vec![1, 2],
            left_out: NoValue,
        };
        let kept = Value::Object(without(&record, &["left_out"]));
        assert_eq!(kept, serde_json::json!({"list": [1, 2], "name": "one"}));
        assert_eq!(without(&[1, 2], &[]), Map::new());
    }
}
