use super::Client;
use crate::Error;
use conveyor_proto::v1;
use futures_util::stream::{self, Stream, StreamExt as _};
use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Runs, newest first, page by page as they are asked for.
///
/// A [`Stream`]; [`Runs::next`] needs no trait.
pub struct Runs(Pin<Box<dyn Stream<Item = Result<v1::Run, Error>> + Send>>);

impl fmt::Debug for Runs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Runs(..)")
    }
}

impl Stream for Runs {
    type Item = Result<v1::Run, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.as_mut().poll_next(context)
    }
}

impl Runs {
    /// The next run; `None` after the oldest. An error is the end.
    pub async fn next(&mut self) -> Option<Result<v1::Run, Error>> {
        self.0.next().await
    }
}

struct Listing {
    client: Client,
    request: v1::ListRunsRequest,
    page: VecDeque<v1::Run>,
    /// Whether nothing follows the page.
    over: bool,
}

impl Listing {
    async fn next(&mut self) -> Option<Result<v1::Run, Error>> {
        while self.page.is_empty() && !self.over {
            match self.client.list_runs(self.request.clone()).await {
                Ok(answer) => {
                    self.page.extend(answer.runs);
                    self.over = answer.next_page_token.is_empty();
                    self.request.page_token = answer.next_page_token;
                }
                Err(error) => {
                    self.over = true;
                    return Some(Err(error));
                }
            }
        }
        self.page.pop_front().map(Ok)
    }
}

impl Client {
    /// All runs that fit the request's filters, newest first: [`Client::list_runs`], page after page.
    #[must_use]
    pub fn runs(&self, request: v1::ListRunsRequest) -> Runs {
        let listing = Listing {
            client: self.clone(),
            request,
            page: VecDeque::new(),
            over: false,
        };
        let runs = stream::unfold(listing, |mut listing| async {
            let run = listing.next().await?;
            Some((run, listing))
        });
        Runs(Box::pin(runs))
    }
}
