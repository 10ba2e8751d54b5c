//! Parts of a key that have to be asked for.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

/// What a closure asks for: some bytes, or none if there is no key.
pub(super) type Asking = Pin<Box<dyn Future<Output = Option<Vec<u8>>> + Send>>;

/// What closures are still asked for, in the order of the key's parts.
pub(crate) struct Questions(Vec<Question>);

enum Question {
    Asked(Asking),
    Answered(Option<Vec<u8>>),
}

/// What closures have answered, in the order of the key's parts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answers(std::vec::IntoIter<Option<Vec<u8>>>);

impl Questions {
    pub(super) fn new() -> Self {
        Self(Vec::new())
    }

    pub(super) fn add(&mut self, asking: Asking) {
        self.0.push(Question::Asked(asking));
    }

    /// Asks all of them at once; ready when the last one was answered.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Answers> {
        let mut is_open = false;
        for question in &mut self.0 {
            if let Question::Asked(asking) = question {
                match asking.as_mut().poll(cx) {
                    Poll::Ready(answer) => *question = Question::Answered(answer),
                    Poll::Pending => is_open = true,
                }
            }
        }
        if is_open {
            return Poll::Pending;
        }
        let answers = std::mem::take(&mut self.0);
        let answers = answers.into_iter().map(|question| match question {
            Question::Answered(answer) => answer,
            Question::Asked(_) => None,
        });
        Poll::Ready(Answers(answers.collect::<Vec<_>>().into_iter()))
    }
}

impl Answers {
    /// The next answer.
    pub(super) fn next(&mut self) -> Option<Vec<u8>> {
        self.0.next().flatten()
    }
}

impl fmt::Debug for Questions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} questions", self.0.len())
    }
}
