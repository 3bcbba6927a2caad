//! Clients ask, and ask again.

use super::super::client::{Request, Wish};
use super::super::process::Asker;
use super::{Check, World};
use conveyor_engine::time::Duration;
use conveyor_node::owner::Input;

impl World {
    pub(super) fn ask(&mut self) -> Check {
        let at = self.requests.iter().map(|request| request.at).min();
        let Some(place) = self
            .requests
            .iter()
            .position(|request| Some(request.at) == at)
        else {
            return Ok(());
        };
        if self.dies(100, "crash before a request is taken")? {
            return Ok(());
        }
        let request = self.requests.swap_remove(place);
        if let Wish::Object(object) = &request.wish {
            let object = object.clone();
            return self.change(request, &object);
        }
        if let (Wish::Control(run, _), true) = (&request.wish, self.abandons(&request.wish)) {
            self.ledger.doomed.insert(*run);
        }
        if let Wish::Vault { away } = request.wish {
            self.vault_away = away;
            return Ok(());
        }
        let Some(process) = &mut self.process else {
            return Ok(());
        };
        let ticket = process.ticket(Asker::Client(request.clone()));
        self.note(|| format!("ticket {ticket}: {:?}", request.wish));
        self.handle(match request.wish {
            Wish::Start(start) => Input::Start { ticket, start },
            Wish::Control(run, control) => Input::Control {
                ticket,
                run,
                control,
            },
            // They were taken above.
            Wish::Object(_) | Wish::Vault { .. } => return Ok(()),
        });
        Ok(())
    }

    pub(super) fn ask_again(&mut self, mut request: Request) {
        if let Wish::Start(start) = &mut request.wish {
            start.fresh = false;
        }
        request.at = self
            .now
            .after(Duration(1 + self.random.below(2_000) as u64));
        self.requests.push(request);
    }
}
