//! What the language's own functions of texts, lists and maps cost: by the size of what they
//! are given and give, so that the operations of a call bound its time.

use std::any::TypeId;
use std::cmp::Ordering;
use std::sync::Arc;

use rhai::{
    Array, Dynamic, Engine, EvalAltResult, FnPtr, ImmutableString, Map, Module, NativeCallContext,
    Position, Variant,
};

use crate::script::sandbox::{TEXT_BYTES, spend};

type Answer<T> = Result<T, Box<EvalAltResult>>;

/// So many bytes of a text are one operation.
const TEXT_STEP: usize = 32;
/// So many elements of a list are one operation.
const LIST_STEP: usize = 16;
/// So many entries of a map are one operation.
const MAP_STEP: usize = 8;

/// Methods of lists and maps whose work does not grow with them.
const CONSTANT: [&str; 6] = ["get", "is_empty", "len", "pop", "push", "set"];

/// Puts in the place of each function of `plain` that takes a text, a list or a map one that
/// spends by their sizes before it calls it. Those that are given a function spend by calling it.
pub(super) fn register(engine: &mut Engine, plain: Engine) {
    let described = |info: rhai::FuncInfo<'_>| {
        let metadata = info.metadata;
        Some((metadata.name.to_string(), metadata.param_types.to_vec()))
    };
    let functions = plain.collect_fn_metadata(None, described, true);
    let plain = Arc::new(plain);
    for (name, parameters) in functions {
        if !grows(&name, &parameters) {
            continue;
        }
        let (plain, called) = (Arc::clone(&plain), name.clone());
        engine.register_raw_fn(
            name,
            parameters,
            move |context: NativeCallContext<'_>, arguments: &mut [&mut Dynamic]| {
                call(&plain, &called, &context, arguments)
            },
        );
    }
    iterate_texts(engine);
    register_removal::<ImmutableString>(engine);
    register_removal::<char>(engine);
    register_sorting(engine);
    refuse_orders(engine);
}

/// Whether the work of a function grows with what it is given.
fn grows(name: &str, parameters: &[TypeId]) -> bool {
    let is_sized = |of: &TypeId| {
        let sized = [
            TypeId::of::<ImmutableString>(),
            TypeId::of::<Array>(),
            TypeId::of::<Map>(),
        ];
        sized.contains(of)
    };
    let of_text = parameters.first() == Some(&TypeId::of::<ImmutableString>());
    let is_constant = !of_text && CONSTANT.contains(&name);
    parameters.iter().any(is_sized) && !parameters.contains(&TypeId::of::<FnPtr>()) && !is_constant
}

fn call(
    plain: &Engine,
    name: &str,
    context: &NativeCallContext<'_>,
    arguments: &mut [&mut Dynamic],
) -> Answer<Dynamic> {
    spend(arguments.iter().map(|argument| cost(argument)).sum())?;
    if let ("replace", [text, find, by]) = (name, &*arguments) {
        check_replaced(text, find, by)?;
    }
    let state = context.global_runtime_state();
    let own = NativeCallContext::from((plain, name, None, state, context.call_position()));
    let answer = own.call_native_fn_raw(name, true, arguments)?;
    let changed = arguments.first().map_or(0, |first| cost(first));
    spend(changed + cost(&answer))?;
    Ok(answer)
}

/// The operations that going through a value once takes.
pub(super) fn cost(value: &Dynamic) -> usize {
    if let Ok(text) = value.as_immutable_string_ref() {
        return text.len() / TEXT_STEP;
    }
    if let Ok(list) = value.as_array_ref() {
        return list.len() / LIST_STEP;
    }
    value.as_map_ref().map_or(0, |map| map.len() / MAP_STEP)
}

/// Parts of a value weigh so much together for one operation.
const USE_STEP: usize = 32;
/// What parts weigh, by how long it takes to copy one and to let go of it.
const PLAIN: usize = 1;
const TEXT: usize = 2;
const OTHER: usize = 6;

/// The operations that a variable takes beside its own where it is used, since that copies
/// what it holds: nothing for a few values.
pub(super) fn cost_of_use(value: &Dynamic) -> usize {
    if value.is_array() || value.is_map() {
        weight(value) / USE_STEP
    } else {
        0
    }
}

/// What all parts of a value weigh, of which its limits allow few enough to look at each.
fn weight(value: &Dynamic) -> usize {
    if let Ok(list) = value.as_array_ref() {
        return OTHER + list.iter().map(weight).sum::<usize>();
    }
    if let Ok(map) = value.as_map_ref() {
        return OTHER + map.values().map(|of| OTHER + weight(of)).sum::<usize>();
    }
    if value.is_string() {
        return TEXT;
    }
    let is_plain = value.is_int() || value.is_float() || value.is_bool();
    if is_plain || value.is_unit() || value.is_char() {
        return PLAIN;
    }
    OTHER
}

/// A text with something else in the place of each part would be made before it is measured.
fn check_replaced(text: &Dynamic, find: &Dynamic, by: &Dynamic) -> Answer<()> {
    let shown = |value: &Dynamic| value.to_string();
    let (text, find, by) = (shown(text), shown(find), shown(by));
    let times = text.matches(find.as_str()).count();
    let grown = by.len().saturating_sub(find.len()).saturating_mul(times);
    if text.len().saturating_add(grown) > TEXT_BYTES {
        let what = "length of string".to_owned();
        return Err(EvalAltResult::ErrorDataTooLarge(what, Position::NONE).into());
    }
    Ok(())
}

/// Lets `for` go through a text a character at a time; the language's own would copy all of it
/// first, for a loop that may end at once.
fn iterate_texts(engine: &mut Engine) {
    let mut module = Module::new();
    module.set_iter(TypeId::of::<ImmutableString>(), |value| {
        let text = value.into_immutable_string().unwrap_or_default();
        let mut at = 0;
        Box::new(std::iter::from_fn(move || {
            let next = text.get(at..)?.chars().next()?;
            at += next.len_utf8();
            Some(next.into())
        }))
    });
    engine.register_global_module(module.into());
}

/// `text - part`: an operator of the language's core, and not one of its functions.
fn register_removal<T: Variant + Clone + ToString>(engine: &mut Engine) {
    engine.register_fn("-", |text: ImmutableString, part: T| without(&text, &part));
    engine.register_fn("-=", |text: &mut ImmutableString, part: T| -> Answer<()> {
        *text = without(text, &part)?;
        Ok(())
    });
}

fn without(text: &str, part: &impl ToString) -> Answer<ImmutableString> {
    spend(2 * text.len() / TEXT_STEP)?;
    Ok(text.replace(&part.to_string(), "").into())
}

/// The language's own take a comparison that fails for an answer.
fn register_sorting(engine: &mut Engine) {
    for name in ["sort", "sort_by"] {
        engine.register_fn(
            name,
            |context: NativeCallContext<'_>, list: &mut Array, order: FnPtr| -> Answer<()> {
                *list = sorted(&context, list, &order)?;
                Ok(())
            },
        );
    }
    for name in ["order", "order_by"] {
        engine.register_fn(
            name,
            |context: NativeCallContext<'_>, list: &mut Array, order: FnPtr| {
                sorted(&context, list, &order)
            },
        );
    }
    engine.register_fn(
        "dedup",
        |context: NativeCallContext<'_>, list: &mut Array, same: FnPtr| -> Answer<()> {
            let mut kept = Array::new();
            for value in list.iter() {
                let repeats = match kept.last() {
                    Some(last) => is_same(&context, &same, last, value)?,
                    None => false,
                };
                if !repeats {
                    kept.push(value.clone());
                }
            }
            *list = kept;
            Ok(())
        },
    );
}

fn is_same(
    context: &NativeCallContext<'_>,
    same: &FnPtr,
    one: &Dynamic,
    other: &Dynamic,
) -> Answer<bool> {
    let answer = same.call_raw(context, None, [one.clone(), other.clone()])?;
    let refused = |_| "the function of `dedup` says `true` or `false`".into();
    answer.as_bool().map_err(refused)
}

/// The elements in order; whatever the comparison says, and in the same order where it says
/// that they are equal.
fn sorted(context: &NativeCallContext<'_>, list: &[Dynamic], order: &FnPtr) -> Answer<Array> {
    let mut sorted = Array::with_capacity(list.len());
    for value in list {
        let (mut low, mut high) = (0, sorted.len());
        while low < high {
            let middle = usize::midpoint(low, high);
            let Some(other) = sorted.get(middle) else {
                break;
            };
            if compared(context, order, other, value)? == Ordering::Greater {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        sorted.insert(low, value.clone());
    }
    Ok(sorted)
}

/// What a comparison says: a number below, at or above zero, or whether the first goes first.
fn compared(
    context: &NativeCallContext<'_>,
    order: &FnPtr,
    one: &Dynamic,
    other: &Dynamic,
) -> Answer<Ordering> {
    let answer = order.call_raw(context, None, [one.clone(), other.clone()])?;
    if let Ok(first) = answer.as_bool() {
        return Ok(if first {
            Ordering::Less
        } else {
            Ordering::Greater
        });
    }
    if let Ok(number) = answer.as_int() {
        return Ok(number.cmp(&0));
    }
    let number = answer.as_float().ok();
    let order = number.and_then(|number| number.partial_cmp(&0.0));
    order.ok_or_else(|| "a function that compares says a number, or `true` or `false`".into())
}

/// Nothing is neither more nor less than something; the language would say `false`.
fn refuse_orders(engine: &mut Engine) {
    refuse_order::<i64>(engine);
    refuse_order::<f64>(engine);
    refuse_order::<ImmutableString>(engine);
    refuse_order::<char>(engine);
    refuse_order::<bool>(engine);
    for name in ORDERS {
        engine.register_fn(name, move |(): (), (): ()| refused(name));
    }
}

const ORDERS: [&str; 4] = ["<", "<=", ">", ">="];

fn refuse_order<T: Variant + Clone>(engine: &mut Engine) {
    for name in ORDERS {
        engine.register_fn(name, move |(): (), _: T| refused(name));
        engine.register_fn(name, move |_: T, (): ()| refused(name));
    }
}

fn refused(name: &str) -> Answer<bool> {
    Err(format!("`{name}` of `()`, which is no value: ask `x != ()` first").into())
}
