//! The results of a whole batch, which a `map` takes apart.

use std::fmt::Debug;
use std::sync::{Arc, Weak};
use std::time::Duration;

use farm_core::codec::{Form, decode_form};
use farm_core::{Data, Farm, Stage, Stats, TaskError, TaskFn, TaskHandle, TaskOptions};
use farm_core::backend::{Deliver, ArgumentArena, Backend, Batch, Batching, PoolRef, Loans, Payload, Task, wake_here};

use super::changing::{Changing, check_values};
use super::keep;
use crate::forms;

/// The number of items of a map.
const ITEMS: usize = 3;

/// Checks that each outcome of a map is a value like any other, or an error.
pub(super) fn check<T: Data + Debug>(changing: &Changing) {
    let nothing = Vec::<T>::new();
    // Only items that are known to come back from the compact form go in batches.
    let (form, bytes) = forms::encode(&nothing).expect("it does not refuse");
    decode_form::<Vec<T>>(&bytes, form).expect("it is a sequence").clear();
    let length = u32::try_from(changing.bytes.len()).expect("they are few").to_le_bytes();
    let result = [&length, &changing.bytes[..]].concat();
    let results = [&Batch::time(Duration::ZERO), &*result.repeat(ITEMS)].concat();
    let pool = Answering { results: changing.payload(&results), form: changing.form };
    let outcomes = pool.map_each(keep::<Vec<T>>, (0..ITEMS).map(|_| Vec::new()));
    assert_eq!(outcomes.len(), ITEMS);
    for outcome in outcomes {
        match outcome {
            Ok(values) => check_values(values),
            Err(TaskError::Decode { stage: Stage::Result, reason, .. }) => {
                assert!(!reason.contains("panicked"), "{reason}");
            }
            Err(other) => panic!("{other}"),
        }
    }
}

/// A pool that answers each batch with the same results.
struct Answering {
    results: Payload,
    form: Form,
}

impl Batching for Answering {
    fn options(&self, options: &TaskOptions) -> Option<TaskOptions> {
        Some(options.clone())
    }

    fn accept(
        &self,
        task: Task,
        slot: Arc<dyn Deliver>,
        loans: Loans,
    ) -> Option<Weak<dyn PoolRef>> {
        let results = self.results.clone().in_form(self.form);
        wake_here(slot.deliver(task.items, Ok(results), loans));
        None
    }

    fn failed(&self) {}

    fn with_arena(&self, body: &mut dyn FnMut(Option<&mut dyn ArgumentArena>)) {
        body(None);
    }

    fn ahead(&self) -> usize {
        ITEMS
    }
}

impl Backend for Answering {
    fn batching(&self) -> Option<&dyn Batching> {
        Some(self)
    }
}

impl Farm for Answering {
    fn submit_with<A, R, F>(&self, _: TaskOptions, _: F, _: A) -> TaskHandle<R>
    where
        A: Data,
        R: Data,
        F: TaskFn<A, R>,
    {
        unreachable!("items go in batches")
    }

    fn workers(&self) -> usize {
        1
    }

    fn in_flight(&self) -> usize {
        ITEMS
    }

    fn stats(&self) -> Stats {
        Stats::default()
    }

    fn shutdown(self) {}

    fn terminate(self) {}

}
