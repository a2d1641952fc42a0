//! `tools.yaml`: the templates of the commands that may be suggested.
//!
//! A template is an Okta API operation with holes from a closed list. It is
//! checked when the policy is loaded, so that rendering cannot fail.

mod decode;
mod template;

pub use self::decode::{METHODS, codes, decode_tools};
pub use self::template::{CommandTemplate, Hole, Method, Piece, QueryParameter};
