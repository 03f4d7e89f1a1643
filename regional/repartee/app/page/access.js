// The right to place a call: an API key is exchanged for a short-lived token, which alone goes into the socket.

import { Fault, faultOfResponse } from "/page/faults.js";

const STORED = "repartee.key";
const LOCAL_KEY = "dev";
const LOCAL_HOSTS = ["127.0.0.1", "localhost", "[::1]"];

/** {value, session}: a token, null where the server wants none, and the settings that it carries of these `settings` of
 *  a session. `ask(reason)` resolves to a key, or null when the user gives up. */
export async function token(ask, settings = {}) {
  let key = sessionStorage.getItem(STORED) ?? (LOCAL_HOSTS.includes(location.hostname) ? LOCAL_KEY : null);
  let refused = null;
  for (;;) {
    if (key === null) {
      key = await ask(refused?.detail ?? "");
      if (key === null) throw new Fault("key");
    }
    try {
      const secret = await exchange(key, settings);
      sessionStorage.setItem(STORED, key);
      return secret;
    } catch (fault) {
      if (fault.kind !== "key") throw fault;
      sessionStorage.removeItem(STORED);
      refused = key === LOCAL_KEY ? null : fault;
      key = null;
    }
  }
}

async function exchange(key, settings) {
  let response;
  try {
    response = await fetch("/v1/realtime/client_secrets", {
      method: "POST",
      headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
      body: JSON.stringify({ session: { type: "realtime", ...settings } }),
    });
  } catch {
    throw new Fault("unreachable");
  }
  // A region that was told to let anybody in on this machine knows no tokens.
  if (response.status === 404 || response.status === 405) return { value: null };
  if (!response.ok) throw await faultOfResponse(response);
  return response.json();
}

/** Why a call that was under way is over, where the connection does not say. */
export async function whyGone() {
  try {
    const response = await fetch("/readyz", { cache: "no-store" });
    return new Fault(response.ok ? "lost" : "moved");
  } catch {
    return new Fault("unreachable");
  }
}

/** Why a socket could not be opened: a browser does not tell, so the server is asked. */
export async function whyRefused() {
  try {
    const response = await fetch("/readyz", { cache: "no-store" });
    if (response.status === 503) {
      const fault = await faultOfResponse(response);
      return new Fault("starting", fault.detail, fault.retryAfterS);
    }
    return response.ok ? new Fault("full", "", 5) : new Fault("refused");
  } catch {
    return new Fault("unreachable");
  }
}
