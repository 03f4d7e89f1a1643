// Which way a call goes: WebRTC where it can, a WebSocket otherwise, within one click.

import { NoPeer, PeerLine } from "/page/peer-line.js";
import { SocketLine } from "/page/socket-line.js";

// A network that lets none through is not asked again for each call of this page.
let blocked = null;

/** A Line. `permit` resolves to a token, a new one each time: one lets in once. Throws a Fault. */
export async function connect(permit, context) {
  let why = blocked;
  if (!why) {
    try {
      return await PeerLine.open(permit, context);
    } catch (error) {
      if (!(error instanceof NoPeer)) throw error;
      why = blocked = error.message;
    }
  }
  return SocketLine.open(await permit(), context, why);
}
