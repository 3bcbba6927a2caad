use super::ast::{Collection, Mode, Node};
use super::value::Value;
use std::sync::Arc;

/// What an expression, or all expressions of a template, name.
///
/// Variables of `map` and its like are not among them: they hide what else goes by the name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct References {
    pub(super) roots: Vec<Arc<str>>,
    pub(super) steps: Vec<StepReference>,
    pub(super) needs: Vec<Arc<str>>,
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

    /// Takes in what another expression names.
    pub(super) fn merge(&mut self, other: &References) {
        for root in &other.roots {
            self.root(root);
        }
        for need in &other.needs {
            self.need(need);
        }
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

    /// Records what a tree reads of the steps that it names.
    pub(super) fn collect(&mut self, node: &Node) {
        if let Some((index, path, optional)) = chain(node) {
            self.add_use(index, StepUse { path, optional });
            self.collect_indexes(node);
            return;
        }
        match node {
            Node::Constant(_) | Node::Root(_) | Node::Member { .. } | Node::Local { .. } => {}
            Node::Select { operand, .. } => self.collect(operand),
            Node::Index { operand, index, .. } => {
                self.collect(operand);
                self.collect(index);
            }
            Node::List(items) => items.iter().for_each(|(item, _)| self.collect(item)),
            Node::Map(entries) => {
                for (key, value, _) in entries {
                    self.collect(key);
                    self.collect(value);
                }
            }
            Node::And(sides) | Node::Or(sides) => sides.iter().for_each(|side| self.collect(side)),
            Node::If(parts) => parts.iter().for_each(|part| self.collect(part)),
            Node::Call { arguments, .. } => {
                arguments.iter().for_each(|argument| self.collect(argument));
            }
            Node::Loop(each) => {
                self.collect(&each.range);
                each.filter.iter().for_each(|filter| self.collect(filter));
                self.collect(&each.body);
            }
        }
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

/// The step that a chain of members starts from, the constant names along it, and whether it
/// provides for absence.
fn chain(node: &Node) -> Option<(usize, Vec<Arc<str>>, bool)> {
    match node {
        Node::Member {
            of: Collection::Steps,
            index,
            mode,
        } => Some((*index, Vec::new(), *mode != Mode::Plain)),
        Node::Select {
            operand,
            field,
            mode,
        } => {
            let (index, mut path, optional) = chain(operand)?;
            if !ends(operand) {
                path.push(Arc::clone(field));
            }
            Some((index, path, optional || *mode != Mode::Plain))
        }
        Node::Index {
            operand,
            index: by,
            optional: marked,
        } => {
            let (index, mut path, optional) = chain(operand)?;
            if let (Node::Constant(Value::Text(text)), false) = (&**by, ends(operand)) {
                path.push(text.as_str().into());
            }
            Some((index, path, optional || *marked))
        }
        _ => None,
    }
}

/// Whether the chain has met an index that is no constant name: what follows is inside of it.
fn ends(node: &Node) -> bool {
    match node {
        Node::Select { operand, .. } => ends(operand),
        Node::Index { operand, index, .. } => {
            !matches!(&**index, Node::Constant(Value::Text(_))) || ends(operand)
        }
        _ => false,
    }
}
