// What a call is held over: server events in, client events out. A WebSocket and a peer connection are the two kinds.
//
// Dispatched are the server's events under their own type; "received" and "sent" with each event, for the log; and
// "started" {item} and "drained" of the agent's sound, "cut" {item, share?}, "away" and "back" while it connects anew,
// "silenced" when the browser plays nothing, and "end" with a Fault or null.

export class Line extends EventTarget {
  /** Asks in writing. */
  ask(text) {
    const content = [{ type: "input_text", text }];
    this.send({ type: "conversation.item.create", item: { type: "message", role: "user", content } });
    this.send({ type: "response.create" });
  }

  /** Tells the agent about the caller. */
  inform(metadata) {
    this.send({ type: "session.update", session: { type: "realtime", metadata } });
  }

  /** Sends an event; what cannot be sent any more is left. */
  send(event) {
    if (!this.post(JSON.stringify(event))) return;
    this.tell("sent", event);
  }

  receive(text) {
    const event = JSON.parse(text);
    this.tell("received", event);
    this.tell(event.type, event);
    return event;
  }

  tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}
