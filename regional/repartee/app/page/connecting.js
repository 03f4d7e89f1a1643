// Which way a call goes: WebRTC where it can, a WebSocket otherwise, within one click.

import { NoPeer, PeerLine } from "/page/peer-line.js";
import { SocketLine } from "/page/socket-line.js";

// A network that lets none through is not asked again for each call of this page.
let blocked = null;

// Longer settings do not fit into a token.
const MOST_CARRIED_CHARS = 2000;

/** A Line to an agent that knows of the caller what `metadata` says. `permit(settings)` resolves to {value, session}: a
 *  token, a new one each time as one lets in once, and the settings that it carries. Throws a Fault. */
export async function connect(permit, context, metadata) {
  const settings = Object.keys(metadata).length ? { metadata } : {};
  let why = blocked;
  if (!why) {
    try {
      return await PeerLine.open(permit, context, settings);
    } catch (error) {
      if (!(error instanceof NoPeer)) throw error;
      why = blocked = error.message;
    }
  }
  return openSocket(permit, context, settings, why);
}

async function openSocket(permit, context, settings, why) {
  const carried = JSON.stringify(settings).length <= MOST_CARRIED_CHARS ? settings : {};
  const { value, session } = await permit(carried);
  const line = await SocketLine.open(value, context, why);
  // A region that gives tokens by itself puts nothing into them: there the agent learns it once the call has begun.
  if (settings.metadata && !session?.metadata) line.inform(settings.metadata);
  return line;
}
