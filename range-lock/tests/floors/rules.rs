//! The rules: which room stands on which floor, and what a file may use.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::source::Source;

/// A crate's rooms, which are its top modules with their folders.
#[derive(Debug)]
pub(crate) struct House {
    /// From the ground up. A room uses rooms of lower floors, and of its own floor without a
    /// circle.
    pub(crate) floors: &'static [&'static [&'static str]],
    /// Rooms in which the files of the folder may use each other in circles.
    pub(crate) free: &'static [&'static str],
    /// Where a room gives methods to a type of a lower one: room, type, methods. No file of a room
    /// lower than the first may call them.
    pub(crate) extensions: &'static [(&'static str, &'static str, &'static [&'static str])],
    /// The same for methods that macros make, which are not parsed: room, methods.
    pub(crate) made_by_macros: &'static [(&'static str, &'static [&'static str])],
}

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
pub(crate) fn breaches(src: &Path, house: &House, change: &dyn Fn(&Path, String) -> String) -> Vec<String> {
    let source = Source::read(src, change);
    let checker = Checker { src, source: &source, house };
    let edges = checker.edges();
    let mut breaches = checker.rooms_without_floor();
    breaches.extend(checker.upward(&edges));
    breaches.extend(checker.circles(&edges));
    breaches.extend(checker.extensions());
    breaches
}

struct Checker<'a> {
    src: &'a Path,
    source: &'a Source,
    house: &'a House,
}

impl Checker<'_> {
    /// Which top module a module belongs to; `None` for the crate's root.
    fn room(&self, module: usize) -> Option<&str> {
        self.source.modules[module].path.first().map(String::as_str)
    }

    /// The root stands above all.
    fn floor(&self, room: Option<&str>) -> usize {
        let floors = self.house.floors;
        room.and_then(|room| floors.iter().position(|floor| floor.contains(&room))).unwrap_or(floors.len())
    }

    fn place(&self, module: usize, line: usize) -> String {
        let file = &self.source.modules[module].file;
        format!("{}:{line}", file.strip_prefix(self.src).unwrap_or(file).display())
    }

    fn rooms_without_floor(&self) -> Vec<String> {
        let rooms: BTreeSet<_> = self.source.modules[0].children.keys().map(String::as_str).collect();
        let listed: BTreeSet<_> = self.house.floors.iter().flat_map(|floor| floor.iter().copied()).collect();
        let missing = rooms.difference(&listed).map(|room| format!("`{room}` stands on no floor"));
        let gone = listed.difference(&rooms).map(|room| format!("there is no room `{room}`"));
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

    /// The modules that `path` names on its way, but for the root: a room that hands on what
    /// another one defines is used, too.
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

    /// (1) A room uses rooms of lower floors only, or of its own.
    fn upward(&self, edges: &BTreeSet<Edge>) -> Vec<String> {
        let upward = edges.iter().filter(|edge| {
            let (from, to) = (self.room(edge.from), self.room(edge.to));
            from.is_some() && from != to && self.floor(to) > self.floor(from)
        });
        upward
            .map(|edge| {
                let [from, to] = [edge.from, edge.to].map(|module| self.room(module).unwrap_or("the root"));
                format!("{}: `{from}` uses `{to}`, which stands above it", self.place(edge.from, edge.line))
            })
            .collect()
    }

    /// (1) The rooms of one floor, and (2) the files of one folder, use each other in no circle.
    fn circles(&self, edges: &BTreeSet<Edge>) -> Vec<String> {
        // For each parent, which of its children uses which: the rooms are those of the root.
        let mut uses: BTreeMap<&[String], BTreeMap<(&str, &str), Edge>> = BTreeMap::new();
        for edge in edges {
            let [from, to] = [edge.from, edge.to].map(|module| &self.source.modules[module].path[..]);
            let common = from.iter().zip(to).take_while(|(a, b)| a == b).count();
            let is_free = from.first().is_some_and(|room| self.house.free.contains(&room.as_str()));
            // A file may use what its parent defines, and the parent uses it: that is no circle.
            if common < from.len() && common < to.len() && (common == 0 || !is_free) {
                if common == 0 && self.floor(self.room(edge.from)) != self.floor(self.room(edge.to)) {
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
                    breaches.push(format!("{place}: in {parent}, `{from}` uses `{to}` in a circle"));
                }
            }
        }
        breaches
    }

    /// (3) Where a room gives methods to a type of a lower room, rooms below do not call them.
    fn extensions(&self) -> Vec<String> {
        let mut found: BTreeMap<(&str, String), BTreeSet<&str>> = BTreeMap::new();
        let mut at: BTreeMap<&str, Vec<(&str, String)>> = BTreeMap::new();
        for (module, gives) in self.source.modules.iter().enumerate() {
            for method in &gives.methods {
                let Some(room) = self.room(module) else { continue };
                let Some(of) = self.resolve(module, &method.of) else { continue };
                let home = self.room(of.module());
                if home != Some(room) && self.floor(home) < self.floor(Some(room)) {
                    let name = method.of.last().expect("a path has a segment").clone();
                    found.entry((room, name)).or_default().insert(&method.name);
                    at.entry(&method.name).or_default().push((room, self.place(module, method.line)));
                }
            }
        }
        let listed: BTreeMap<(&str, String), BTreeSet<&str>> = self
            .house
            .extensions
            .iter()
            .map(|(room, of, methods)| ((*room, (*of).to_owned()), methods.iter().copied().collect()))
            .collect();
        let mut breaches = Vec::new();
        if found != listed {
            breaches.push(format!(
                "methods that rooms give to types of lower rooms:\n{found:?}\nlisted:\n{listed:?}"
            ));
        }
        for (room, methods) in self.house.made_by_macros {
            for method in *methods {
                match self.named_in(room, method) {
                    Some(place) => at.entry(*method).or_default().push((*room, place)),
                    None => breaches.push(format!("`{room}` makes no method `{method}`")),
                }
            }
        }
        for (module, calls) in self.source.modules.iter().enumerate() {
            let Some(room) = self.room(module) else { continue };
            for (method, line) in &calls.calls {
                for (above, place) in at.get(method.as_str()).into_iter().flatten() {
                    if self.floor(Some(room)) < self.floor(Some(above)) {
                        let from = self.place(module, *line);
                        breaches.push(format!(
                            "{from}: `{room}` calls `{method}`, which `{above}` adds at {place}"
                        ));
                    }
                }
            }
        }
        breaches
    }

    /// Where a room names something that is no part of a longer path, as the argument of a macro
    /// is.
    fn named_in(&self, room: &str, name: &str) -> Option<String> {
        let modules = self.source.modules.iter().enumerate();
        modules.filter(|(module, _)| self.room(*module) == Some(room)).find_map(|(module, source)| {
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
