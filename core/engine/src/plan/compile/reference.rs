//! What expressions read of steps: the steps exist, come before, and have what is read of them.

use super::Compiler;
use super::draft::{Draft, Given};
use super::graph::{Graph, ancestry, open_above};
use super::locate::Written;
use super::member::FAILURE;
use super::place::Reader;
use crate::expr::{References, StepUse};
use crate::nearest::nearest;
use crate::plan::types::StepIndex;
use crate::source::{Node, Problem};

/// What one expression, or one template, names.
pub(super) struct Reference<'n> {
    pub(super) reader: Reader,
    pub(super) node: &'n Node,
    pub(super) pointer: String,
    pub(super) written: Written,
    pub(super) references: References,
}

/// What `steps.X` has.
const MEMBERS: [&str; 4] = ["state", "outputs", "failure", "attempts"];

impl<'n> Compiler<'_, '_, 'n> {
    pub(super) fn check_references(&mut self, drafts: &[Draft<'n>], graph: Option<&Graph>) {
        let references = std::mem::take(&mut self.references);
        let mut pairs = Vec::new();
        let mut asked = Vec::new();
        for (place, reference) in references.iter().enumerate() {
            for step in reference.references.step_references() {
                let Some(index) = self.named(reference, &step.id) else {
                    continue;
                };
                for used in &step.uses {
                    self.check_use(reference, &drafts[index as usize], used);
                }
                match reference.reader {
                    Reader::Step(reader) if reader < self.main && index < self.main => {
                        pairs.push((index, reader));
                        asked.push(place);
                    }
                    // Any step of `spec.steps` has ended by then.
                    _ if index < self.main => {}
                    _ => {
                        let message =
                            format!("`{}` is a `finally` step; nothing reads it", step.id);
                        self.refuse(reference, (&step.id, ""), message, None);
                    }
                }
            }
            for id in reference.references.needs() {
                let Some(index) = self.named(reference, id) else {
                    continue;
                };
                if let Reader::Step(reader) = reference.reader
                    && drafts[reader as usize].parents_known
                    && !drafts[reader as usize].parents.contains(&index)
                {
                    let message = format!("`needs.{id}`: the step does not wait for `{id}` itself");
                    self.refuse(reference, (id, ""), message, None);
                }
            }
        }
        for reference in &references {
            self.check_predicates(reference, drafts);
        }
        // With a cycle there is no before and after.
        let Some(graph) = graph else { return };
        let open = open_above(drafts, graph);
        let answers = ancestry(drafts, graph, &pairs);
        for ((answer, (index, reader)), place) in answers.into_iter().zip(&pairs).zip(asked) {
            if answer || open[*reader as usize] && index != reader {
                continue;
            }
            let (id, own) = (drafts[*index as usize].id(), drafts[*reader as usize].id());
            let message = if index == reader {
                format!("the step `{own}` reads itself")
            } else {
                format!(
                    "`steps.{id}` is not an ancestor of `{own}`: nothing says that it ends first"
                )
            };
            self.refuse(&references[place], (id, ""), message, None);
        }
    }

    /// `any_P` and `all_P` are over the instances of a fan-out (SEMANTICS 3).
    fn check_predicates(&mut self, reference: &Reference<'n>, drafts: &[Draft<'n>]) {
        let members = reference.references.members();
        for used in members.filter(|used| &*used.root == "needs") {
            let [id, name, ..] = &used.path[..] else {
                continue;
            };
            let plain = name
                .strip_prefix("any_")
                .or_else(|| name.strip_prefix("all_"));
            let (Some(plain), Some(index)) = (plain, self.index.get(id)) else {
                continue;
            };
            if drafts[*index as usize].fan {
                continue;
            }
            let message = format!("`{name}` is over instances, and `{id}` is no fan-out");
            let (at, pointer) = self.locate_reference(reference, id, name);
            let problem = Problem {
                pointer,
                ..Problem::new(at, message)
            };
            self.report.foreseen(problem.allowed(plain.to_owned()));
        }
    }

    fn named(&mut self, reference: &Reference<'n>, id: &str) -> Option<StepIndex> {
        let index = self.index.get(id).copied();
        if index.is_none() {
            let near = nearest(id, self.index.keys().take(5_000).map(|name| &**name));
            let near = near.map(str::to_owned);
            self.refuse(
                reference,
                (id, ""),
                format!("no step has the id `{id}`"),
                near.as_deref(),
            );
        }
        index
    }

    fn refuse(
        &mut self,
        reference: &Reference<'n>,
        (id, name): (&str, &str),
        message: String,
        near: Option<&str>,
    ) {
        let (at, pointer) = self.locate_reference(reference, id, name);
        let problem = Problem {
            pointer,
            ..Problem::new(at, message)
        };
        self.report.error(problem.nearest(near));
    }

    fn locate_reference(&self, reference: &Reference<'n>, id: &str, name: &str) -> (u32, String) {
        let place = (reference.node, &*reference.pointer);
        self.locate_step(place, reference.written, id, name)
    }

    fn check_use(&mut self, reference: &Reference<'n>, of: &Draft<'n>, used: &StepUse) {
        let mut path = used.path.iter().map(|name| &**name);
        let Some(member) = path.next() else { return };
        let id = of.id();
        if !MEMBERS.contains(&member) {
            let message = format!("`steps.{id}` has no `{member}`");
            let (at, pointer) = self.locate_reference(reference, id, member);
            let problem = Problem {
                pointer,
                ..Problem::new(at, message)
            };
            let problem = problem
                .allowed(MEMBERS.join(", "))
                .nearest(nearest(member, MEMBERS));
            self.report.error(problem);
            return;
        }
        let Some(name) = path.next() else { return };
        let (what, known, refused) = match (member, &of.given) {
            ("failure", _) => ("failure", FAILURE.to_vec(), true),
            ("outputs", _) if of.fan => {
                let message = format!(
                    "`steps.{id}.outputs` is a list, an entry for each instance; it has no `{name}`"
                );
                self.refuse(reference, (id, name), message, None);
                return;
            }
            ("outputs", Given::Only(names)) => ("outputs", names.clone(), !used.optional),
            ("outputs", Given::Declared(names)) => ("outputs", names.clone(), false),
            _ => return,
        };
        if known.contains(&name) {
            return;
        }
        let declared = matches!(of.given, Given::Declared(_)) && what == "outputs";
        let message = if declared {
            format!("the step `{id}` does not declare the output `{name}`")
        } else if what == "failure" {
            format!("`steps.{id}.failure` has no `{name}`")
        } else {
            format!("the step `{id}` has no output `{name}`")
        };
        let (at, pointer) = self.locate_reference(reference, id, name);
        let near = nearest(name, known.iter().copied());
        let mut problem = Problem {
            pointer,
            ..Problem::new(at, message)
        }
        .nearest(near);
        if !known.is_empty() {
            problem = problem.allowed(known.join(", "));
        }
        if refused {
            self.report.error(problem);
        } else {
            self.report.warning(problem);
        }
    }
}
