//! `[upload]`: what bodies may look like while they are read.

use std::time::Duration;

use bartizan_ratelimit::{UploadLayer, UploadRules};

use crate::config::problem::Problem;
use crate::config::requests::{attended, is_at};
use crate::config::section::section;
use crate::config::setting::{Mode, Size};
use crate::config::surroundings::Surroundings;

/// A table with the bounds of a body, between options of its own: `[upload]` and its routes have
/// the same bounds with the same defaults.
macro_rules! bounds {
    (
        $(#[doc = $about:literal])+
        $name:ident at $path:literal {
            $($before:tt)*
        } and {
            $($after:tt)*
        }
    ) => {
        section! {
            $(#[doc = $about])+
            $name {
                $($before)*
                /// How many bytes a body may have.
                max_body: Size = "2MiB",
                /// How deep a JSON document may be.
                json_depth: u32 = "64",
                /// How many values and names a JSON document may have.
                json_values: u64 = "100000",
                /// How many bytes each string or number of a JSON document may have.
                json_text: Size = "1MiB",
                /// How many bytes a second a body must bring on average.
                min_rate: Size = "240B",
                /// How long a client that was faster may be silent at most.
                window: Duration = "5s",
                /// How long is waited for the first bytes.
                grace: Duration = "5s",
                /// Lets a body be as large as it likes.
                allow_any_size: bool = "false",
                /// Lets a JSON document look as it likes.
                allow_any_json: bool = "false",
                /// Lets a body take as long as it likes.
                allow_any_pace: bool = "false",
                $($after)*
            }
        }

        impl $name {
            pub(crate) fn rules(&self) -> Result<UploadRules, Problem> {
                let mut rules = UploadRules::builder()
                    .with_max_body(self.max_body.0)
                    .with_json(self.json_depth, self.json_values, self.json_text.0)
                    .with_min_rate(self.min_rate.0, self.window)
                    .with_grace(self.grace);
                if self.allow_any_size {
                    rules = rules.allow_any_size();
                }
                if self.allow_any_json {
                    rules = rules.allow_any_json();
                }
                if self.allow_any_pace {
                    rules = rules.allow_any_pace();
                }
                rules.build().map_err(|error| self.refuse($path, &error))
            }
        }
    };
}

bounds! {
    /// Measures bodies while they are read: their size, their pace, and JSON documents in them.
    Upload at "upload" {} and {
        /// Bounds of their own for some routes.
        route: Vec<UploadRoute>,
        /// Whether refusals reach the client.
        mode: Mode = "enforce",
    }
}

bounds! {
    /// Bounds of their own for some routes: all of them, with the same defaults. Calls of gRPC are
    /// measured where their method is named here, and nowhere else.
    UploadRoute at "upload.route" {
        /// Route templates, as `entrance.routes` has them, or gRPC methods.
        templates: Vec<String>,
    } and {}
}

impl Upload {
    pub(crate) fn build(&self, with: &Surroundings) -> Result<UploadLayer, Problem> {
        let mut layer = UploadLayer::new(self.rules()?);
        if !self.route.is_empty() {
            let routes = self
                .route
                .iter()
                .map(|route| Ok((route.templates.clone(), route.rules()?)));
            let routes = routes.collect::<Result<Vec<_>, Problem>>()?;
            layer = layer.with_rules_for(move |inspection| {
                let mut routes = routes.iter();
                let found = routes.find(|(templates, _)| is_at(templates, inspection));
                found.map(|(_, rules)| *rules)
            });
        }
        Ok(attended!(layer, self.mode, with))
    }
}
