//! What actors are sent.

/// A message: what it is called, and what answers it.
///
/// Nothing else is needed within a process, where messages are moved and never serialised. One that
/// leaves its process is also `Serialize` and `DeserializeOwned`, and so is its reply.
///
/// # Contract
///
/// - `NAME` is stable and belongs to one type only: it is what a message is known by between processes
///   and in metrics and logs. `crate.Message` is a good form.
/// - `VERSION` grows with every change of what its bytes mean; processes that disagree do not talk.
///
/// # Examples
///
/// ```
/// use mesh_core::Message;
///
/// struct Count { text: String }
///
/// impl Message for Count {
///     const NAME: &'static str = "words.Count";
///     type Reply = usize;
/// }
/// ```
pub trait Message: Send + 'static {
    /// The stable name of the type.
    const NAME: &'static str;
    /// The version of its bytes.
    const VERSION: u32 = 1;
    /// What a call is answered with. `()` where there is nothing to say.
    type Reply: Send + 'static;
}
