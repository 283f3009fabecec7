//! The source of a crate as a tree of modules, with what each module defines, imports and mentions.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{Span, TokenStream, TokenTree};
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{Attribute, ImplItem, Item, UseTree, Visibility};

/// A module: a file, or one that stands inside a file.
#[derive(Debug, Default)]
pub(crate) struct Module {
    /// Where it stands: empty for the crate's root, `["leaf", "entry"]` for `leaf::entry`.
    pub(crate) path: Vec<String>,
    pub(crate) file: PathBuf,
    pub(crate) children: BTreeMap<String, usize>,
    /// The names of its functions, types, constants and macros.
    pub(crate) items: Vec<String>,
    pub(crate) imports: Vec<Import>,
    pub(crate) mentions: Vec<Mention>,
    /// The methods that it gives a type, by the path of the type.
    pub(crate) methods: Vec<Method>,
    /// The methods that it calls, by name.
    pub(crate) calls: Vec<(String, usize)>,
}

/// `use path as name`; a glob has no name.
#[derive(Debug)]
pub(crate) struct Import {
    pub(crate) path: Vec<String>,
    pub(crate) name: Option<String>,
    pub(crate) line: usize,
}

/// A path that stands somewhere in the code.
#[derive(Debug)]
pub(crate) struct Mention {
    pub(crate) path: Vec<String>,
    pub(crate) line: usize,
}

#[derive(Debug)]
pub(crate) struct Method {
    pub(crate) of: Vec<String>,
    pub(crate) name: String,
    pub(crate) line: usize,
}

/// All modules of a crate, its root first.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) modules: Vec<Module>,
}

impl Source {
    /// Reads the crate whose sources stand in `src`. `change` may alter the text of a file, which
    /// tests use to plant faults.
    pub(crate) fn read(src: &Path, change: &dyn Fn(&Path, String) -> String) -> Source {
        let mut source = Source { modules: Vec::new() };
        source.read_file(src, &src.join("lib.rs"), Vec::new(), change);
        source
    }

    fn read_file(
        &mut self,
        folder: &Path,
        file: &Path,
        path: Vec<String>,
        change: &dyn Fn(&Path, String) -> String,
    ) -> usize {
        let text = fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let text = change(file, text);
        let parsed = syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        self.read_module(folder, file, path, &parsed.items, change)
    }

    /// Reads a module whose submodules have their files in `folder`.
    fn read_module(
        &mut self,
        folder: &Path,
        file: &Path,
        path: Vec<String>,
        items: &[Item],
        change: &dyn Fn(&Path, String) -> String,
    ) -> usize {
        let index = self.modules.len();
        let mut module = Module { path: path.clone(), file: file.to_owned(), ..Module::default() };
        let mut reader = Reader { module: &mut module };
        let mut children = Vec::new();
        for item in items {
            if is_left_out(attributes(item)) {
                continue;
            }
            match item {
                Item::Mod(child) => children.push(child),
                item => reader.visit_item(item),
            }
        }
        self.modules.push(module);
        for child in children {
            let name = child.ident.to_string();
            let path: Vec<_> = path.iter().cloned().chain([name.clone()]).collect();
            let child = match &child.content {
                Some((_, items)) => self.read_module(&folder.join(&name), file, path, items, change),
                None => {
                    let files = [folder.join(format!("{name}.rs")), folder.join(&name).join("mod.rs")];
                    let file = files.iter().find(|file| file.exists());
                    let file = file.unwrap_or_else(|| panic!("{}: `{name}` has no file", folder.display()));
                    self.read_file(&folder.join(&name), file, path, change)
                }
            };
            self.modules[index].children.insert(name, child);
        }
        index
    }
}

/// What is compiled for tests, models' tests or documentation only is left out; what is compiled
/// under some feature or in a model is not.
fn is_left_out(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg") && attribute.parse_args::<TokenStream>().is_ok_and(asks_for_test)
    })
}

fn asks_for_test(condition: TokenStream) -> bool {
    let mut tokens = condition.into_iter().peekable();
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Ident(name) if name == "test" || name == "doctest" => return true,
            TokenTree::Ident(name) if name == "all" => {
                if let Some(TokenTree::Group(group)) = tokens.next() {
                    if asks_for_test(group.stream()) {
                        return true;
                    }
                }
            }
            // `any(test, ...)` may hold without it, and `not(test)` does.
            TokenTree::Ident(name) if name == "any" || name == "not" => drop(tokens.next()),
            _ => {}
        }
    }
    false
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::ExternCrate(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::ForeignMod(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Union(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

struct Reader<'m> {
    module: &'m mut Module,
}

impl Reader<'_> {
    fn define(&mut self, name: &syn::Ident) {
        self.module.items.push(name.to_string());
    }

    fn import(&mut self, before: &[String], tree: &UseTree) {
        let with =
            |name: &syn::Ident| -> Vec<String> { before.iter().cloned().chain([name.to_string()]).collect() };
        let line = line(tree.span());
        match tree {
            UseTree::Path(path) => self.import(&with(&path.ident), &path.tree),
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.import(before, tree)),
            UseTree::Glob(_) => {
                self.module.imports.push(Import { path: before.to_vec(), name: None, line });
            }
            UseTree::Name(name) if name.ident == "self" => {
                let path = before.to_vec();
                let name = path.last().cloned();
                self.module.imports.push(Import { path, name, line });
            }
            UseTree::Name(name) => {
                let path = with(&name.ident);
                let name = Some(name.ident.to_string());
                self.module.imports.push(Import { path, name, line });
            }
            UseTree::Rename(rename) => {
                let path = if rename.ident == "self" { before.to_vec() } else { with(&rename.ident) };
                let name = Some(rename.rename.to_string());
                self.module.imports.push(Import { path, name, line });
            }
        }
    }

    /// The paths and method calls in a macro's arguments, which are not parsed.
    fn read_tokens(&mut self, tokens: TokenStream) {
        let tokens: Vec<_> = tokens.into_iter().collect();
        let mut at = 0;
        while at < tokens.len() {
            match &tokens[at] {
                TokenTree::Group(group) => self.read_tokens(group.stream()),
                TokenTree::Ident(name) => {
                    let is_call =
                        at > 0 && matches!(&tokens[at - 1], TokenTree::Punct(dot) if dot.as_char() == '.');
                    let start = name.span();
                    let mut path = vec![name.to_string()];
                    while let [TokenTree::Punct(one), TokenTree::Punct(two), TokenTree::Ident(next), ..] =
                        &tokens[at + 1..]
                    {
                        if one.as_char() != ':' || two.as_char() != ':' {
                            break;
                        }
                        path.push(next.to_string());
                        at += 3;
                    }
                    if is_call {
                        self.module.calls.push((path.swap_remove(0), line(start)));
                    } else if path != ["crate"] {
                        // `pub(crate)` uses nothing.
                        self.mention(path, start);
                    }
                }
                _ => {}
            }
            at += 1;
        }
    }

    fn mention(&mut self, path: Vec<String>, span: Span) {
        if let [.., of, method] = &path[..] {
            if of.starts_with(char::is_uppercase) {
                self.module.calls.push((method.clone(), line(span)));
            }
        }
        self.module.mentions.push(Mention { path, line: line(span) });
    }
}

fn line(span: Span) -> usize {
    span.start().line
}

impl<'a> Visit<'a> for Reader<'_> {
    fn visit_attribute(&mut self, _: &'a Attribute) {} // Documentation is left out.

    fn visit_item(&mut self, item: &'a Item) {
        if is_left_out(attributes(item)) {
            return;
        }
        match item {
            Item::Const(item) => self.define(&item.ident),
            Item::Enum(item) => self.define(&item.ident),
            Item::Fn(item) => self.define(&item.sig.ident),
            Item::Static(item) => self.define(&item.ident),
            Item::Struct(item) => self.define(&item.ident),
            Item::Trait(item) => self.define(&item.ident),
            Item::Type(item) => self.define(&item.ident),
            Item::Union(item) => self.define(&item.ident),
            Item::Macro(item) => item.ident.iter().for_each(|name| self.define(name)),
            Item::Use(item) => {
                return self.import(&[], &item.tree);
            }
            Item::Impl(item) if item.trait_.is_none() => {
                if let syn::Type::Path(of) = &*item.self_ty {
                    let of: Vec<_> =
                        of.path.segments.iter().map(|segment| segment.ident.to_string()).collect();
                    for method in &item.items {
                        if let ImplItem::Fn(method) = method {
                            if !is_left_out(&method.attrs) {
                                self.module.methods.push(Method {
                                    of: of.clone(),
                                    name: method.sig.ident.to_string(),
                                    line: line(method.sig.ident.span()),
                                });
                            }
                        }
                    }
                }
            }
            _ => {}
        }
        visit::visit_item(self, item);
    }

    fn visit_impl_item_fn(&mut self, method: &'a syn::ImplItemFn) {
        if !is_left_out(&method.attrs) {
            visit::visit_impl_item_fn(self, method);
        }
    }

    fn visit_path(&mut self, path: &'a syn::Path) {
        let names = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        self.mention(names, path.span());
        visit::visit_path(self, path);
    }

    fn visit_expr_path(&mut self, path: &'a syn::ExprPath) {
        // `<Type>::method`.
        if let (Some(_), Some(method)) = (&path.qself, path.path.segments.last()) {
            self.module.calls.push((method.ident.to_string(), line(method.ident.span())));
        }
        visit::visit_expr_path(self, path);
    }

    fn visit_expr_method_call(&mut self, call: &'a syn::ExprMethodCall) {
        self.module.calls.push((call.method.to_string(), line(call.method.span())));
        visit::visit_expr_method_call(self, call);
    }

    fn visit_macro(&mut self, call: &'a syn::Macro) {
        self.read_tokens(call.tokens.clone());
        visit::visit_macro(self, call);
    }

    fn visit_visibility(&mut self, _: &'a Visibility) {} // `pub(in crate::a)` uses nothing.
}
