// Two calls in one browser hear each other: their tabs tell one another.

const channel = "BroadcastChannel" in window ? new BroadcastChannel("repartee.calls") : null;

/** Says that this tab is in a call while `calling()` is true; `met` is called when another one is too. */
export function watchOtherTabs(calling, met) {
  if (!channel) return () => {};
  channel.onmessage = ({ data }) => {
    if (!calling()) return;
    if (data === "calling") channel.postMessage("here too");
    met();
  };
  return () => channel.postMessage("calling");
}
