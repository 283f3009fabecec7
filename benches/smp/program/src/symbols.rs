//! Finds names of functions, from the debug information of the program itself.

use std::collections::HashMap;
use std::ffi::c_void;

/// Functions by addresses of instructions.
#[derive(Debug, Default)]
pub(crate) struct Symbols(HashMap<u64, Function>);

#[derive(Clone, Debug, Default)]
struct Function {
    package: String,
    file: String,
    name: String,
}

impl Symbols {
    /// The file and function of the access with this return address.
    pub(crate) fn name(&mut self, pc: u64) -> String {
        let Function { package, file, name } = self.function(pc);
        format!("{package} {file} {name}")
    }

    /// The crate of that function.
    pub(crate) fn package(&mut self, pc: u64) -> String {
        self.function(pc).package.clone()
    }

    fn function(&mut self, pc: u64) -> &Function {
        self.0.entry(pc).or_insert_with(|| Self::find(pc))
    }

    /// The innermost function that is not of the standard library, with the outermost one of the
    /// same crate that it was inlined into. For inlined functions the debug information has only
    /// the last part of the name, so the file tells where they are.
    fn find(pc: u64) -> Function {
        let mut frames: Vec<Function> = Vec::new();
        // The instruction before the return address made the access.
        backtrace::resolve((pc - 1) as *mut c_void, |symbol| {
            let name = symbol.name().map_or(String::new(), |name| shortened(&format!("{name:#}")));
            let path = symbol.filename().map_or(String::new(), |path| path.display().to_string());
            frames.push(Function { package: package(&path), file: file(&path), name });
        });
        let Some(inner) = frames.iter().find(|frame| !frame.package.is_empty()).or(frames.first()) else {
            return Function { name: format!("{pc:#x}"), ..Function::default() };
        };
        let outer = frames.iter().rfind(|frame| frame.package == inner.package).unwrap_or(inner);
        let name = match outer.name == inner.name {
            true => inner.name.clone(),
            false => format!("{} > {} {}", outer.name, inner.file, inner.name),
        };
        Function { package: inner.package.clone(), file: outer.file.clone(), name }
    }
}

/// The directory above `src`, without a version. Empty for the standard library.
fn package(path: &str) -> String {
    let Some((before, _)) = path.rsplit_once("/src/") else { return String::new() };
    if path.contains("/library/") {
        return String::new();
    }
    let name = before.rsplit('/').next().unwrap_or_default();
    match name.rsplit_once('-') {
        Some((name, version)) if version.starts_with(|c: char| c.is_ascii_digit()) => name.to_owned(),
        _ => name.to_owned(),
    }
}

/// The path below `src`.
fn file(path: &str) -> String {
    path.rsplit_once("/src/").map_or(path, |(_, below)| below).to_owned()
}

/// The last part of a name, without generic arguments.
fn shortened(name: &str) -> String {
    let mut depth = 0;
    let mut plain = String::new();
    for c in name.chars() {
        match c {
            '<' => depth += 1,
            '>' if depth > 0 => depth -= 1,
            _ if depth == 0 => plain.push(c),
            _ => {}
        }
    }
    let closure = if plain.ends_with("}") { 2 } else { 1 };
    let parts: Vec<&str> = plain.split("::").filter(|part| !part.is_empty()).collect();
    parts[parts.len().saturating_sub(closure)..].join("::")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short() {
        assert_eq!(shortened("range_lock::partition::table::Table::insert"), "insert");
        assert_eq!(shortened("<a::B<c::D> as e::F>::g"), "g");
        assert_eq!(shortened("a::b::{closure#0}"), "b::{closure#0}");
        assert_eq!(shortened("replace<*const a::B>"), "replace");
    }

    #[test]
    fn paths_name_crate_and_file() {
        assert_eq!(package("/x/registry/src/i/parking_lot_core-0.9.12/src/word_lock.rs"), "parking_lot_core");
        assert_eq!(package("/x/range-lock/src/leaf/entry.rs"), "range-lock");
        assert_eq!(file("/x/range-lock/src/leaf/entry.rs"), "leaf/entry.rs");
        assert_eq!(package("/rustc/5980/library/core/src/cell.rs"), "");
    }
}
