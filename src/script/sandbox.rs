//! The one place that builds the script engine: what a script may use, and how much of it.

use std::cell::Cell;

use rhai::packages::{
    ArithmeticPackage, BasicArrayPackage, BasicIteratorPackage, BasicMapPackage, BasicMathPackage,
    BasicStringPackage, LogicPackage, MoreStringPackage, Package,
};
use rhai::{Dynamic, Engine, EvalAltResult, OptimizationLevel, Position};

use crate::script::meter;

/// So many operations are one call of a function: they alone decide whether it is too long.
pub const OPERATIONS: u64 = 50_000;
/// Functions that call each other, one in the other.
pub const CALL_LEVELS: usize = 8;
/// Expressions and blocks inside each other.
pub const EXPRESSION_DEPTH: usize = 32;
/// The bytes of a text, or of all texts of a list or map.
pub const TEXT_BYTES: usize = 32 << 10;
/// The elements of a list, those of lists inside it among them.
pub const LIST_ELEMENTS: usize = 512;
/// The entries of a map, those of maps inside it among them.
pub const MAP_ENTRIES: usize = 256;
/// The variables of a function.
pub const VARIABLES: usize = 32;
/// The functions of a script.
pub const FUNCTIONS: usize = 64;
/// The bytes of a script.
pub const SCRIPT_BYTES: usize = 64 << 10;

/// Words of Rhai that a script cannot use, and what to do instead.
pub const REFUSED: [(&str, &str); 12] = [
    ("eval", "a script runs what is written in it"),
    ("import", "a script is one file, and ends where it ends"),
    ("export", "a script is one file, and ends where it ends"),
    ("print", "a script says what it found in what it returns"),
    ("debug", "a script says what it found in what it returns"),
    ("Fn", "write the function where it is used: `|x| x > 1`"),
    ("curry", "write the function where it is used: `|x| x > 1`"),
    ("is_def_fn", "a script knows its functions"),
    ("is_def_var", "a script knows its variables"),
    ("is_shared", "scripts share no values"),
    ("this", "a function knows its own parameters: `|x| x > 1`"),
    (
        "chars",
        "write `for letter in text`, or `text.to_chars()` where it is short",
    ),
];

/// An engine without input, output, clock, modules or code made of texts, every limit set.
///
/// Rhai's own defaults set no limit to operations and sizes, and different ones to depths in
/// debug and release builds, so that each is set here. Modules, captured variables and clocks
/// are left out when the program is built (see the features in `Cargo.toml`).
pub fn engine() -> Engine {
    let mut engine = plain();
    for (word, _) in REFUSED {
        engine.disable_symbol(word);
    }
    engine
        // Operators too cost what they do, and say what they cannot do.
        .set_fast_operators(false)
        .on_progress(|_| spend(1).err().map(|_| Dynamic::UNIT));
    meter::register(&mut engine, plain());
    count_uses(&mut engine);
    engine
}

/// A variable that is used is copied, unless a method is called on it or a part of it taken,
/// which the language does not tell apart.
#[expect(
    deprecated,
    reason = "it is not, but may change, which the tests would notice"
)]
fn count_uses(engine: &mut Engine) {
    engine.on_var(|name, _, context| {
        let value = context.scope().get(name);
        match value.map_or(0, meter::cost_of_use) {
            0 => Ok(None),
            cost => spend(cost).map(|()| None),
        }
    });
}

/// The language and its limits, but that of time.
fn plain() -> Engine {
    let mut engine = Engine::new_raw();
    LogicPackage::new().register_into_engine(&mut engine);
    ArithmeticPackage::new().register_into_engine(&mut engine);
    BasicStringPackage::new().register_into_engine(&mut engine);
    MoreStringPackage::new().register_into_engine(&mut engine);
    BasicArrayPackage::new().register_into_engine(&mut engine);
    BasicMapPackage::new().register_into_engine(&mut engine);
    BasicIteratorPackage::new().register_into_engine(&mut engine);
    BasicMathPackage::new().register_into_engine(&mut engine);
    engine
        .set_max_operations(OPERATIONS)
        .set_max_call_levels(CALL_LEVELS)
        .set_max_expr_depths(EXPRESSION_DEPTH, EXPRESSION_DEPTH)
        .set_max_string_size(TEXT_BYTES)
        .set_max_array_size(LIST_ELEMENTS)
        .set_max_map_size(MAP_ENTRIES)
        .set_max_variables(VARIABLES)
        .set_max_functions(FUNCTIONS)
        // Threads would wait for each other's texts.
        .set_max_strings_interned(0)
        // A misspelt variable is found when the script is read, and a misspelt key when it is asked for.
        .set_strict_variables(true)
        .set_fail_on_invalid_map_property(true)
        // What is folded or left out would be looked through in vain.
        .set_optimization_level(OptimizationLevel::None);
    engine
}

thread_local! {
    /// What the call that runs on this thread has spent of [`OPERATIONS`].
    static SPENT: Cell<u64> = const { Cell::new(0) };
}

/// A call begins, with all its operations before it.
///
/// Rhai counts by itself too, but begins anew in each function that is handed to a method such
/// as `filter`, so that one in another would be operations times operations.
pub(super) fn begin() {
    SPENT.set(0);
}

/// Spends operations of the call at hand; an error where it has no more.
pub(super) fn spend(operations: usize) -> Result<(), Box<EvalAltResult>> {
    let spent = SPENT.get().saturating_add(operations as u64);
    SPENT.set(spent);
    if spent > OPERATIONS {
        return Err(EvalAltResult::ErrorTooManyOperations(Position::NONE).into());
    }
    Ok(())
}
