//! The rules: which module is on which floor, and what a file may use.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::source::Source;

/// The floors of a crate's top modules, each with its folder. In these tests a *module* without
/// further words is a top module.
#[derive(Debug)]
pub(crate) struct Layout {
    /// From the ground up. A module uses modules of lower floors, and of its own floor without a
    /// cycle.
    pub(crate) floors: &'static [&'static [&'static str]],
    /// Modules in which the files of the folder may use each other in cycles.
    pub(crate) free: &'static [&'static str],
    /// Where a module gives methods to a type of a lower module: module, type, methods. No file of
    /// a module lower than the first may call them.
    pub(crate) extensions: &'static [(&'static str, &'static str, &'static [&'static str])],
    /// The same for methods that macros make, which are not parsed: module, methods.
    pub(crate) made_by_macros: &'static [(&'static str, &'static [&'static str])],
}

/// How a breach of the list of [`Layout::extensions`] begins.
pub(crate) const NOT_AS_LISTED: &str = "a method of a lower type";

/// One use of a module by another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Edge {
    from: usize,
    to: usize,
    line: usize,
}

/// What a path names.
#[derive(Debug, Clone, Copy)]
enum Named {
    Module(usize),
    /// Something that this module defines.
    ItemOf(usize),
}

impl Named {
    fn module(self) -> usize {
        let (Named::Module(module) | Named::ItemOf(module)) = self;
        module
    }
}

/// Every breach of the rules in the crate whose sources stand in `src`, a line each.
pub(crate) fn breaches(src: &Path, layout: &Layout, change: &dyn Fn(&Path, String) -> String) -> Vec<String> {
    let source = Source::read(src, change);
    let checker = Checker { src, source: &source, layout };
    let edges = checker.edges();
    let mut breaches = checker.modules_without_floor();
    breaches.extend(checker.upward(&edges));
    breaches.extend(checker.cycles(&edges));
    breaches.extend(checker.extensions());
    breaches
}

struct Checker<'a> {
    src: &'a Path,
    source: &'a Source,
    layout: &'a Layout,
}

impl Checker<'_> {
    /// Which top module a module belongs to; `None` for the crate's root.
    fn top(&self, module: usize) -> Option<&str> {
        self.source.modules[module].path.first().map(String::as_str)
    }

    /// The root is above all floors.
    fn floor(&self, top: Option<&str>) -> usize {
        let floors = self.layout.floors;
        top.and_then(|top| floors.iter().position(|floor| floor.contains(&top))).unwrap_or(floors.len())
    }

    fn place(&self, module: usize, line: usize) -> String {
        let file = &self.source.modules[module].file;
        format!("{}:{line}", file.strip_prefix(self.src).unwrap_or(file).display())
    }

    fn modules_without_floor(&self) -> Vec<String> {
        let tops: BTreeSet<_> = self.source.modules[0].children.keys().map(String::as_str).collect();
        let listed: BTreeSet<_> = self.layout.floors.iter().flat_map(|floor| floor.iter().copied()).collect();
        let missing = tops.difference(&listed).map(|top| format!("`{top}` is on no floor"));
        let gone = listed.difference(&tops).map(|top| format!("there is no module `{top}`"));
        missing.chain(gone).collect()
    }

    fn edges(&self) -> BTreeSet<Edge> {
        let mut edges = BTreeSet::new();
        for (from, module) in self.source.modules.iter().enumerate() {
            let imports = module.imports.iter().map(|import| (&import.path, import.line));
            let mentions = module.mentions.iter().map(|mention| (&mention.path, mention.line));
            for (path, line) in imports.chain(mentions) {
                if let Some(named) = self.resolve(from, path) {
                    edges.insert(Edge { from, to: named.module(), line });
                }
                edges.extend(self.passed(from, path).map(|to| Edge { from, to, line }));
            }
        }
        edges.retain(|edge| edge.from != edge.to);
        edges
    }

    /// The modules that `path` names on its way, except the root: a module that hands on what
    /// another module defines is used, too.
    fn passed<'a>(&'a self, module: usize, path: &'a [String]) -> impl Iterator<Item = usize> + 'a {
        (1..path.len()).filter_map(move |len| match self.resolve(module, &path[..len])? {
            Named::Module(at) if at != 0 => Some(at),
            _ => None,
        })
    }

    /// What `path` names where it stands in `module`; `None` if it leads out of the crate.
    fn resolve(&self, module: usize, path: &[String]) -> Option<Named> {
        self.resolve_among(module, path, &mut BTreeSet::new())
    }

    fn resolve_among(
        &self,
        module: usize,
        path: &[String],
        seen: &mut BTreeSet<(usize, String)>,
    ) -> Option<Named> {
        let mut rest = path;
        let mut named = match path.first()?.as_str() {
            "crate" => Named::Module(0),
            "self" => Named::Module(module),
            "super" => Named::Module(self.parent(module)?),
            _ => self.look_up(module, path.first()?, seen)?,
        };
        rest = &rest[1..];
        while let ([name, after @ ..], Named::Module(at)) = (rest, named) {
            named = match name.as_str() {
                "super" => Named::Module(self.parent(at)?),
                "self" => named,
                // What is not found is made by a macro, or a method's, and belongs to the module.
                name => self.look_up(at, name, seen).unwrap_or(Named::ItemOf(at)),
            };
            rest = after;
        }
        Some(named)
    }

    fn parent(&self, module: usize) -> Option<usize> {
        let path = &self.source.modules[module].path;
        let (_, parent) = path.split_last()?;
        self.source.modules.iter().position(|module| module.path == parent)
    }

    /// What `name` is in `module`.
    fn look_up(&self, module: usize, name: &str, seen: &mut BTreeSet<(usize, String)>) -> Option<Named> {
        if !seen.insert((module, name.to_owned())) {
            return None;
        }
        let found = &self.source.modules[module];
        let result = if let Some(child) = found.children.get(name) {
            Some(Named::Module(*child))
        } else if found.items.iter().any(|item| item == name) {
            Some(Named::ItemOf(module))
        } else {
            let mut result = None;
            for import in &found.imports {
                result = match &import.name {
                    Some(given) if given == name => self.resolve_among(module, &import.path, seen),
                    Some(_) => None,
                    None => match self.resolve_among(module, &import.path, seen) {
                        Some(Named::Module(from)) => self.look_up(from, name, seen),
                        _ => None,
                    },
                };
                if result.is_some() {
                    break;
                }
            }
            result
        };
        seen.remove(&(module, name.to_owned()));
        result
    }

    /// (1) A module uses modules of lower floors only, or of its own.
    fn upward(&self, edges: &BTreeSet<Edge>) -> Vec<String> {
        let upward = edges.iter().filter(|edge| {
            let (from, to) = (self.top(edge.from), self.top(edge.to));
            from.is_some() && from != to && self.floor(to) > self.floor(from)
        });
        upward
            .map(|edge| {
                let [from, to] = [edge.from, edge.to].map(|module| self.top(module).unwrap_or("the root"));
                format!("{}: `{from}` uses `{to}`, which stands above it", self.place(edge.from, edge.line))
            })
            .collect()
    }

    /// (1) The modules of one floor, and (2) the files of one folder, use each other in no cycle.
    fn cycles(&self, edges: &BTreeSet<Edge>) -> Vec<String> {
        // For each parent, which of its children uses which: the top modules are those of the root.
        let mut uses: BTreeMap<&[String], BTreeMap<(&str, &str), Edge>> = BTreeMap::new();
        for edge in edges {
            let [from, to] = [edge.from, edge.to].map(|module| &self.source.modules[module].path[..]);
            let common = from.iter().zip(to).take_while(|(a, b)| a == b).count();
            let is_free = from.first().is_some_and(|top| self.layout.free.contains(&top.as_str()));
            // A file may use what its parent defines, and the parent uses it: that is no cycle.
            if common < from.len() && common < to.len() && (common == 0 || !is_free) {
                if common == 0 && self.floor(self.top(edge.from)) != self.floor(self.top(edge.to)) {
                    continue;
                }
                uses.entry(&from[..common]).or_default().entry((&from[common], &to[common])).or_insert(*edge);
            }
        }
        let mut breaches = Vec::new();
        for (parent, uses) in &uses {
            for (&(from, to), edge) in uses {
                if leads(uses, to, from) {
                    let parent = if parent.is_empty() { "the crate".to_owned() } else { parent.join("::") };
                    let place = self.place(edge.from, edge.line);
                    breaches.push(format!("{place}: in {parent}, `{from}` uses `{to}` in a cycle"));
                }
            }
        }
        breaches
    }

    /// (3) Where a module gives methods to a type of a lower module, lower modules do not call
    /// them, and the layout lists them.
    fn extensions(&self) -> Vec<String> {
        let mut found: BTreeSet<(&str, String, &str)> = BTreeSet::new();
        let mut at: BTreeMap<&str, Vec<(&str, String)>> = BTreeMap::new();
        for (module, gives) in self.source.modules.iter().enumerate() {
            for method in &gives.methods {
                let Some(top) = self.top(module) else { continue };
                let Some(of) = self.resolve(module, &method.of) else { continue };
                let home = self.top(of.module());
                if home != Some(top) && self.floor(home) < self.floor(Some(top)) {
                    let name = method.of.last().expect("a path has a segment").clone();
                    found.insert((top, name, &method.name));
                    at.entry(&method.name).or_default().push((top, self.place(module, method.line)));
                }
            }
        }
        let mut listed = BTreeSet::new();
        for (top, of, methods) in self.layout.extensions {
            listed.extend(methods.iter().map(|method| (*top, (*of).to_owned(), *method)));
        }
        let mut breaches = Vec::new();
        for (top, of, method) in found.difference(&listed) {
            breaches.push(format!(
                "{NOT_AS_LISTED}: `{top}` gives `{of}` the method `{method}`; add it to `extensions` of the layout"
            ));
        }
        for (top, of, method) in listed.difference(&found) {
            breaches.push(format!(
                "{NOT_AS_LISTED}: `{top}` gives `{of}` no method `{method}`; remove it from `extensions` of the layout"
            ));
        }
        for (top, methods) in self.layout.made_by_macros {
            for method in *methods {
                match self.named_in(top, method) {
                    Some(place) => at.entry(*method).or_default().push((*top, place)),
                    None => breaches.push(format!("`{top}` makes no method `{method}`")),
                }
            }
        }
        for (module, calls) in self.source.modules.iter().enumerate() {
            let Some(top) = self.top(module) else { continue };
            for (method, line) in &calls.calls {
                for (above, place) in at.get(method.as_str()).into_iter().flatten() {
                    if self.floor(Some(top)) < self.floor(Some(above)) {
                        let from = self.place(module, *line);
                        breaches.push(format!(
                            "{from}: `{top}` calls `{method}`, which `{above}` adds at {place}"
                        ));
                    }
                }
            }
        }
        breaches
    }

    /// Where a module names something that is no part of a longer path, as the argument of a macro
    /// is.
    fn named_in(&self, top: &str, name: &str) -> Option<String> {
        let modules = self.source.modules.iter().enumerate();
        modules.filter(|(module, _)| self.top(*module) == Some(top)).find_map(|(module, source)| {
            let mention = source.mentions.iter().find(|mention| mention.path == [name])?;
            Some(self.place(module, mention.line))
        })
    }
}

/// Whether a chain of uses leads from one to the other.
fn leads(uses: &BTreeMap<(&str, &str), Edge>, from: &str, to: &str) -> bool {
    let (mut seen, mut open) = (BTreeSet::from([from]), vec![from]);
    while let Some(at) = open.pop() {
        if at == to {
            return true;
        }
        open.extend(
            uses.keys()
                .filter(|(user, _)| *user == at)
                .map(|(_, used)| *used)
                .filter(|used| seen.insert(used)),
        );
    }
    false
}
