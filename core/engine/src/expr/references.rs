use super::ast::{Collection, Mode, Node};
use super::value::Value;
use std::collections::BTreeSet;
use std::sync::Arc;

/// What an expression, or all expressions of a template, name.
///
/// Variables of `map` and its like are not among them: they hide what else goes by the name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct References {
    pub(super) roots: Vec<Arc<str>>,
    pub(super) steps: Vec<StepReference>,
    pub(super) needs: Vec<Arc<str>>,
    members: BTreeSet<MemberUse>,
}

/// A step that an expression names as `steps.X`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepReference {
    /// The step's id.
    pub id: Arc<str>,
    /// Where its id first stands, in bytes from the start of the expression's source.
    pub offset: usize,
    /// What is read of it, each once.
    pub uses: Vec<StepUse>,
}

/// One thing that is read of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepUse {
    /// The names after `steps.X` as far as they are constant: `["outputs", "digest"]`. Empty for
    /// the whole step. Indexes by number end it: what a fan-out gives is a list.
    pub path: Vec<Arc<str>>,
    /// Whether absence is provided for: `.?` somewhere in the path, or `has()`.
    pub optional: bool,
}

/// One thing that is read of a root other than `steps`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MemberUse {
    /// The root: `inputs`, `needs`, the name of a `foreach`.
    pub root: Arc<str>,
    /// The names after it, as in [`StepUse::path`]; never empty.
    pub path: Vec<Arc<str>>,
    /// As [`StepUse::optional`].
    pub optional: bool,
}

impl References {
    /// The roots named, `steps` and `needs` apart, in order of first mention without doubles.
    /// Nothing says that they exist.
    pub fn roots(&self) -> impl Iterator<Item = &str> {
        self.roots.iter().map(|name| &**name)
    }

    /// Whether the root `name` is named: `matrix`, `attempt`, the name of a `foreach`.
    #[must_use]
    pub fn names(&self, name: &str) -> bool {
        self.roots.iter().any(|root| &**root == name)
    }

    /// The ids of the steps named as `steps.X`, in order of first mention without doubles.
    pub fn steps(&self) -> impl Iterator<Item = &str> {
        self.steps.iter().map(|step| &*step.id)
    }

    /// The steps named as `steps.X`, with what is read of each.
    #[must_use]
    pub fn step_references(&self) -> &[StepReference] {
        &self.steps
    }

    /// The steps named as `needs.X`, in order of first mention without doubles.
    #[must_use]
    pub fn needs(&self) -> &[Arc<str>] {
        &self.needs
    }

    /// What is read of roots other than `steps`, each once, by root and path.
    pub fn members(&self) -> impl Iterator<Item = &MemberUse> {
        self.members.iter()
    }

    /// Whether that is among [`References::members`].
    #[must_use]
    pub fn reads(&self, member: &MemberUse) -> bool {
        self.members.contains(member)
    }

    /// Takes in what another expression names.
    pub(super) fn merge(&mut self, other: &References) {
        for root in &other.roots {
            self.root(root);
        }
        for need in &other.needs {
            self.need(need);
        }
        self.members.extend(other.members.iter().cloned());
        for step in &other.steps {
            let index = self.step(&step.id, || step.offset);
            for use_ in &step.uses {
                self.add_use(index, use_.clone());
            }
        }
    }

    pub(super) fn root(&mut self, name: &str) -> usize {
        place(&mut self.roots, name)
    }

    pub(super) fn need(&mut self, name: &str) -> usize {
        place(&mut self.needs, name)
    }

    pub(super) fn step(&mut self, id: &str, offset: impl FnOnce() -> usize) -> usize {
        self.steps
            .iter()
            .position(|step| &*step.id == id)
            .unwrap_or_else(|| {
                self.steps.push(StepReference {
                    id: id.into(),
                    offset: offset(),
                    uses: Vec::new(),
                });
                self.steps.len() - 1
            })
    }

    fn add_use(&mut self, index: usize, use_: StepUse) {
        let uses = &mut self.steps[index].uses;
        if !uses.contains(&use_) {
            uses.push(use_);
        }
    }

    fn add_chain(&mut self, chain: Chain) {
        let Chain { base, path, .. } = chain;
        let optional = chain.optional;
        let (root, path) = match base {
            Base::Step(index) => return self.add_use(index, StepUse { path, optional }),
            Base::Root(_) if path.is_empty() => return,
            Base::Root(index) => (Arc::clone(&self.roots[index]), path),
            Base::Need(index) => {
                let id = Arc::clone(&self.needs[index]);
                let path = std::iter::once(id).chain(path).collect();
                (Collection::Needs.name().into(), path)
            }
        };
        self.members.insert(MemberUse {
            root,
            path,
            optional,
        });
    }

    /// Records what a tree reads of what it names.
    pub(super) fn collect(&mut self, node: &Node) {
        if let Some(chain) = Chain::of(node) {
            self.add_chain(chain);
            self.collect_indexes(node);
            return;
        }
        node.for_each_child(&mut |child| self.collect(child));
    }

    /// What the indexes along a chain name.
    fn collect_indexes(&mut self, node: &Node) {
        match node {
            Node::Select { operand, .. } => self.collect_indexes(operand),
            Node::Index { operand, index, .. } => {
                self.collect_indexes(operand);
                self.collect(index);
            }
            _ => {}
        }
    }
}

fn place(names: &mut Vec<Arc<str>>, name: &str) -> usize {
    names
        .iter()
        .position(|known| &**known == name)
        .unwrap_or_else(|| {
            names.push(name.into());
            names.len() - 1
        })
}

/// Where a chain of members starts.
#[derive(Clone, Copy, Debug)]
pub(super) enum Base {
    Step(usize),
    Need(usize),
    Root(usize),
}

/// A chain of members: where it starts, the constant names along it, and whether it provides for
/// absence.
pub(super) struct Chain {
    pub(super) base: Base,
    pub(super) path: Vec<Arc<str>>,
    pub(super) optional: bool,
    /// Whether `path` is all of it: no index is computed.
    pub(super) whole: bool,
}

impl Chain {
    pub(super) fn of(node: &Node) -> Option<Chain> {
        let start = |base, optional| Chain {
            base,
            path: Vec::new(),
            optional,
            whole: true,
        };
        Some(match node {
            Node::Root(index) => start(Base::Root(*index), false),
            Node::Member { of, index, mode } => {
                let base = match of {
                    Collection::Steps => Base::Step(*index),
                    Collection::Needs => Base::Need(*index),
                };
                start(base, *mode != Mode::Plain)
            }
            Node::Select {
                operand,
                field,
                mode,
            } => Chain::of(operand)?.then(Some(field), *mode != Mode::Plain),
            Node::Index {
                operand,
                index,
                optional,
            } => {
                let name: Option<Arc<str>> = match &**index {
                    Node::Constant(Value::Text(text)) => Some(text.as_str().into()),
                    _ => None,
                };
                Chain::of(operand)?.then(name.as_ref(), *optional)
            }
            _ => return None,
        })
    }

    /// What follows an index that is no constant name is inside of what it finds.
    fn then(mut self, name: Option<&Arc<str>>, optional: bool) -> Chain {
        match name {
            Some(name) if self.whole => self.path.push(Arc::clone(name)),
            Some(_) => {}
            None => self.whole = false,
        }
        self.optional |= optional;
        self
    }
}
