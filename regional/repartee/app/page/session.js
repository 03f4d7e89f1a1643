// The session protocol over one WebSocket: JSON events both ways, audio as binary frames.

import { faultOfClose } from "/page/faults.js";
import { whyRefused } from "/page/access.js";

const PATH = "/v1/voice/session?audio=binary&events=repartee";

/** Server events are dispatched under their own type, audio as "audio", the end as "end" with a Fault or null. */
export class Session extends EventTarget {
  /** Opens a session; throws a Fault. */
  static open(token) {
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    const protocols = token ? ["realtime", `openai-insecure-api-key.${token}`] : ["realtime"];
    const socket = new WebSocket(`${scheme}//${location.host}${PATH}`, protocols);
    socket.binaryType = "arraybuffer";
    return new Promise((resolve, reject) => {
      socket.onopen = () => resolve(new Session(socket));
      socket.onclose = async () => reject(await whyRefused());
    });
  }

  constructor(socket) {
    super();
    this.socket = socket;
    this.item = null;
    socket.onmessage = ({ data }) => this.receive(data);
    socket.onclose = ({ code, reason }) => this.tell("end", faultOfClose(code, reason));
  }

  /** Whether audio piles up unsent: the network does not keep up. */
  get behind() {
    return this.socket.bufferedAmount > 200_000;
  }

  send(event) {
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(event));
  }

  sendAudio(pcm) {
    if (this.socket.readyState === WebSocket.OPEN && !this.behind) this.socket.send(pcm);
  }

  ask(text) {
    const content = [{ type: "input_text", text }];
    this.send({ type: "conversation.item.create", item: { type: "message", role: "user", content } });
    this.send({ type: "response.create" });
  }

  close() {
    this.socket.onmessage = null;
    this.socket.close(1000);
  }

  receive(data) {
    if (typeof data !== "string") {
      if (this.item) this.tell("audio", { item: this.item, pcm: data });
      return;
    }
    const event = JSON.parse(data);
    // Binary audio belongs to the message that was announced last.
    if (event.type === "response.output_item.added" && event.item?.type === "message") this.item = event.item.id;
    this.tell(event.type, event);
  }

  tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}
