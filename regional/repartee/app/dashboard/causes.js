// Why a turn was slow, in words.

const CAUSES = {
  tool: () => "waited for a tool",
  event_loop: () => "the worker’s event loop was late",
  hedged: ({ vendor }) => `${vendor || "the model"} was asked a second time`,
  speculation_missed: () => "the reply begun early did not fit",
  vendor_tail: ({ vendor }) => `${vendor || "vendor"} slower than usual`,
  vendor_slow: ({ vendor }) => `${vendor || "vendor"} slower than its budget`,
  provider_failed: ({ vendor }) => `${vendor || "a vendor"} failed`,
  cold_connection: ({ vendor }) => `no warm connection to ${vendor || "the vendor"}`,
  network_jitter: () => "the caller’s network was uneven",
  client_buffer: () => "the caller’s buffer was deep",
  none: () => "no one stage stands out",
};

/** In words, with the vendor's name where one is to blame. */
export function causeOf(turn) {
  return (CAUSES[turn.cause] ?? (() => String(turn.cause).replaceAll("_", " ")))(turn);
}
