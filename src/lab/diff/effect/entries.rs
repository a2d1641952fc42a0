//! The fields of a record as JSON, without some of them: what is left out is not even looked at,
//! which is most of a finding.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::rc::Rc;

use serde::Serialize;
use serde::ser::{Error as _, Impossible, SerializeStruct, Serializer};
use serde_json::Error;
use serde_json::value::RawValue;

/// Fields with their values, which become one text of JSON.
#[derive(Debug)]
pub struct Fields {
    /// The object, not closed yet.
    text: Vec<u8>,
}

impl Fields {
    /// The fields of a record that is a struct, without some; none of any other record.
    #[must_use]
    pub fn of(record: &impl Serialize, left_out: &[&str]) -> Self {
        let entries = Entries {
            left_out,
            fields: Self::none(),
        };
        record.serialize(entries).unwrap_or_else(|_| Self::none())
    }

    fn none() -> Self {
        Self {
            text: b"{".to_vec(),
        }
    }

    /// With another field, which no other has the name of.
    #[must_use]
    pub fn with(mut self, name: &str, value: &impl Serialize) -> Self {
        // What is no JSON is no field.
        let _ = self.add(name, value);
        self
    }

    fn add<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) -> Result<(), Error> {
        let before = self.text.len();
        if before > 1 {
            self.text.push(b',');
        }
        let mut write = || {
            serde_json::to_writer(&mut self.text, name)?;
            self.text.push(b':');
            serde_json::to_writer(&mut self.text, value)
        };
        let written = write();
        if written.is_err() {
            self.text.truncate(before);
        }
        written
    }

    /// The object.
    #[must_use]
    pub fn text(mut self) -> Rc<str> {
        self.text.push(b'}');
        String::from_utf8(self.text).unwrap_or_default().into()
    }
}

/// The fields of an object by name, each as its text; none of anything else.
#[must_use]
pub fn read(text: &str) -> BTreeMap<String, &RawValue> {
    serde_json::from_str(text).unwrap_or_default()
}

/// Takes the fields of a struct.
struct Entries<'n> {
    left_out: &'n [&'n str],
    fields: Fields,
}

type Kept = Result<Fields, Error>;

impl SerializeStruct for Entries<'_> {
    type Ok = Fields;
    type Error = Error;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        name: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        if self.left_out.contains(&name) {
            return Ok(());
        }
        self.fields.add(name, value)
    }

    fn end(self) -> Kept {
        Ok(self.fields)
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
            type $parts = Impossible<Fields, Error>;
            fn $name(self, $(_: $kind),*) -> Result<Self::$parts, Error> { Err(no_record()) }
        )*
    };
}

impl<'n> Serializer for Entries<'n> {
    type Ok = Fields;
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
        let kept = Fields::of(&record, &["left_out"]);
        let text = kept.with("more", &Some("\"")).text();
        assert_eq!(&*text, r#"{"name":"one","list":[1,2],"more":"\""}"#);
        let fields = read(&text);
        let names: Vec<&String> = fields.keys().collect();
        assert_eq!(names, ["list", "more", "name"]);
        let list = fields.get("list").map(|value| value.get());
        assert_eq!(list, Some("[1,2]"));
    }

    #[test]
    fn what_cannot_be_written_is_no_field() {
        assert_eq!(&*Fields::of(&[1, 2], &[]).text(), "{}");
        let refused = Fields::none().with("none", &NoValue).with("one", &1);
        assert_eq!(&*refused.text(), r#"{"one":1}"#);
        assert!(read("[1]").is_empty());
    }
}
