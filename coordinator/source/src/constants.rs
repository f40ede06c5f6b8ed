//! The constants of a script: what is assigned once, at the top level, with a value that can be read off.

use std::collections::BTreeMap;
use std::ops::Range;

use tree_sitter::{Node, Tree};

use crate::language::Language;
use crate::literal::{self, Literal};

/// Bytes of the largest script that is looked at.
pub const MAX_BYTES: usize = 2 * 1024 * 1024;

/// A name that is assigned once, at the top level of a script, with a literal or arithmetic of literals.
#[derive(Debug, Clone, PartialEq)]
pub struct Constant {
    /// The language it is written in.
    pub language: Language,
    /// Its name.
    pub name: String,
    /// What its value means.
    pub value: Literal,
    /// Its value as written: `2**19`.
    pub text: String,
    /// Where `text` stands, in bytes from the start of the script.
    pub span: Range<usize>,
    /// The line on which the assignment begins, from 1.
    pub line: u32,
    /// The comment behind it on the line where its value ends, without its mark.
    pub comment: Option<String>,
}

/// Why a script has no constants to show.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// More text than is looked at.
    #[error(
        "the script has {bytes} bytes, and no more than {MAX_BYTES} are looked at; split it, or move data out of it"
    )]
    TooLarge {
        /// Bytes of the script.
        bytes: usize,
    },
    /// Not a script of this language.
    #[error("no constants can be read, as the script has a syntax error in line {line}; correct it there")]
    Syntax {
        /// The line of the first syntax error, from 1.
        line: u32,
    },
    /// A text that takes the parser far longer than a script does.
    #[error(
        "the script is too tangled to be parsed; check that it is source text of the language its name says"
    )]
    Tangled,
    /// The grammar does not fit the parser: a fault of this program.
    #[error("the grammar cannot be used ({0}); report it, this is a fault of the program")]
    Grammar(String),
}

/// The constants of a script, in the order in which they stand: in Python `NAME = value` and `NAME: type = value` of
/// a module, in Rust `const NAME: type = value;` of a file, with names in upper case. What is bound twice at the top
/// level, in a branch or a loop of it or by `global`, is left out: which value holds is not known. A script that is
/// broken in places gives what stands outside of them.
///
/// # Errors
/// A script that is too large, or so broken that no constant is found.
pub fn constants(language: Language, source: &str) -> Result<Vec<Constant>, SourceError> {
    if source.len() > MAX_BYTES {
        return Err(SourceError::TooLarge { bytes: source.len() });
    }
    let tree = language.parse(source)?;
    let seen = Seen::of(&tree, source);
    let found: Vec<Constant> = assignments(language, &tree, source)
        .filter(|c| seen.bindings.get(c.name.as_str()) == Some(&1))
        .collect();
    if found.is_empty() && tree.root_node().has_error() {
        return Err(SourceError::Syntax { line: first_error(&tree) });
    }
    Ok(found.into_iter().map(|c| Constant { comment: seen.comment(&c, source), ..c }).collect())
}

/// What `text` means as the value of a constant; `None` if it is no such value, or more than that.
pub(crate) fn value(language: Language, text: &str) -> Option<Literal> {
    let text = text.trim();
    let source = match language {
        Language::Python => format!("A = {text}\n"),
        Language::Rust => format!("const A: A = {text};\n"),
    };
    if source.len() > MAX_BYTES {
        return None;
    }
    let tree = language.parse(&source).ok()?;
    let mut found = assignments(language, &tree, &source);
    let first = found.next().filter(|constant| constant.text == text)?;
    (!tree.root_node().has_error() && found.next().is_none()).then_some(first.value)
}

/// Every assignment of the top level that could be a constant, still without comments.
fn assignments<'a>(
    language: Language,
    tree: &'a Tree,
    source: &'a str,
) -> impl Iterator<Item = Constant> + use<'a> {
    let mut cursor = tree.root_node().walk();
    let statements: Vec<Node<'a>> = tree.root_node().named_children(&mut cursor).collect();
    statements.into_iter().filter_map(move |statement| assignment(language, statement, source))
}

fn assignment(language: Language, statement: Node<'_>, source: &str) -> Option<Constant> {
    let (name, value) = match (language, statement.kind()) {
        (Language::Python, "expression_statement") if !is_indented(statement, source) => {
            let assignment = statement.named_child(0).filter(|node| node.kind() == "assignment")?;
            (assignment.child_by_field_name("left")?, assignment.child_by_field_name("right")?)
        }
        (Language::Rust, "const_item") => {
            (statement.child_by_field_name("name")?, statement.child_by_field_name("value")?)
        }
        _ => return None,
    };
    if statement.has_error() || name.kind() != "identifier" {
        return None;
    }
    let name = source.get(name.byte_range()).filter(|name| is_constant(name))?;
    Some(Constant {
        language,
        name: name.to_owned(),
        value: literal::literal(language, value, source)?,
        text: source.get(value.byte_range())?.to_owned(),
        span: value.byte_range(),
        line: line(statement.start_position().row),
        comment: None,
    })
}

/// Whether the line of a statement begins with a blank: behind a syntax error, what stood in a function can look
/// like the top level.
fn is_indented(statement: Node<'_>, source: &str) -> bool {
    let before = source.get(..statement.start_byte()).unwrap_or_default();
    let line = before.rsplit('\n').next().unwrap_or_default();
    line.starts_with([' ', '\t', '\u{c}'])
}

fn is_constant(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_uppercase())
        && name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
}

/// The line of a row that counts from 0.
fn line(row: usize) -> u32 {
    u32::try_from(row).map_or(u32::MAX, |row| row.saturating_add(1))
}

/// The line where reading first failed, from 1.
fn first_error(tree: &Tree) -> u32 {
    let root = tree.root_node();
    let mut node = root;
    // The whole script can be one error; the place is then the first error in it, or where its last part ends.
    loop {
        let mut cursor = node.walk();
        let broken = |child: &Node<'_>| child.is_error() || child.is_missing() || child.has_error();
        match node.children(&mut cursor).find(broken) {
            Some(child) if !child.is_error() && !child.is_missing() => node = child,
            Some(child) => return line(child.start_position().row),
            None if node.is_error() => {
                let last =
                    node.child(u32::try_from(node.child_count()).unwrap_or(u32::MAX).saturating_sub(1));
                return line(last.unwrap_or(node).end_position().row);
            }
            None => return line(node.start_position().row),
        }
    }
}

/// What one walk over the whole tree finds beside the assignments.
struct Seen<'a> {
    /// How often each name is bound at the top level.
    bindings: BTreeMap<&'a str, u32>,
    /// Where the comments begin and end.
    comments: BTreeMap<usize, usize>,
}

impl<'a> Seen<'a> {
    fn of(tree: &Tree, source: &'a str) -> Self {
        let mut seen = Self { bindings: BTreeMap::new(), comments: BTreeMap::new() };
        let mut cursor = tree.walk();
        // The nodes above the one at the cursor, and how many of them have names of their own.
        let mut above: Vec<Node<'_>> = Vec::new();
        let mut scopes = 0;
        loop {
            let node = cursor.node();
            if matches!(node.kind(), "comment" | "line_comment" | "block_comment") {
                seen.comments.insert(node.start_byte(), node.end_byte());
            }
            if let Some(name) = binding(node, cursor.field_name(), &above, scopes == 0, source) {
                *seen.bindings.entry(name).or_default() += 1;
            }
            if cursor.goto_first_child() {
                scopes += usize::from(is_scope(node, above.last()));
                above.push(node);
                continue;
            }
            while !cursor.goto_next_sibling() {
                if !cursor.goto_parent() {
                    return seen;
                }
                let left = above.pop();
                scopes -= usize::from(left.is_some_and(|left| is_scope(left, above.last())));
            }
        }
    }

    /// The comment that begins behind a constant, before the line ends.
    fn comment(&self, constant: &Constant, source: &str) -> Option<String> {
        let (start, end) = self.comments.range(constant.span.end..).next()?;
        if source.get(constant.span.end..*start)?.contains('\n') {
            return None;
        }
        let comment = source.get(*start..*end)?;
        let inner = match comment.strip_prefix("/*") {
            Some(block) => block.trim_end_matches("*/"),
            None => comment.trim_start_matches(['#', '/']),
        };
        Some(inner.trim().to_owned())
    }
}

/// Whether names bound in `node` are not names of the top level.
fn is_scope(node: Node<'_>, above: Option<&Node<'_>>) -> bool {
    let is_body = || {
        above.is_some_and(|above| {
            matches!(above.kind(), "function_definition" | "class_definition" | "function_item")
        })
    };
    match node.kind() {
        "lambda" | "declaration_list" => true,
        "block" => is_body(),
        _ => false,
    }
}

/// The name that `node` binds at the top level, if it binds one.
fn binding<'a>(
    node: Node<'_>,
    field: Option<&str>,
    above: &[Node<'_>],
    is_top: bool,
    source: &'a str,
) -> Option<&'a str> {
    if !matches!(node.kind(), "identifier" | "dotted_name") {
        return None;
    }
    let parent = above.last()?;
    let binds = match (parent.kind(), field) {
        // From inside a function it is the top level that is bound.
        ("global_statement", _) => true,
        _ if !is_top => false,
        ("assignment", Some("left")) => parent.child_by_field_name("right").is_some(),
        (
            "augmented_assignment"
            | "for_statement"
            | "named_expression"
            | "function_definition"
            | "class_definition"
            | "aliased_import"
            | "import_statement"
            | "import_from_statement"
            | "const_item"
            | "static_item",
            Some("left" | "name" | "alias"),
        ) => true,
        ("pattern_list" | "tuple_pattern" | "list_pattern" | "list_splat_pattern", _) => true,
        ("as_pattern_target" | "delete_statement", _) => true,
        // `del A, B` is a list of what is deleted; any other list only reads.
        ("expression_list", _) => above.iter().rev().nth(1)?.kind() == "delete_statement",
        _ => false,
    };
    // `import a.b` binds `a`.
    if binds { source.get(node.byte_range())?.split('.').next() } else { None }
}
