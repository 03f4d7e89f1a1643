// Everything that can go wrong, in words that say what to do.

export class Fault extends Error {
  /** `kind` is a key of WORDS; `detail` is shown after it; `retryAfterS` is the server's own wish. */
  constructor(kind, detail = "", retryAfterS = null) {
    super(WORDS[kind]?.text ?? kind);
    this.kind = kind;
    this.detail = detail;
    this.retryAfterS = retryAfterS;
  }
}

const SITE_SETTINGS = "open the site settings beside the address, allow it, and try again";

// `action` is what the notice offers: "start" places the call anew, "key" asks for another API key, "microphone" opens
// one in the call that goes on, "resume" has the browser play again.
export const WORDS = {
  denied: {
    text: `The microphone is not allowed on this page. To talk, ${SITE_SETTINGS}. You can type meanwhile.`,
    action: "microphone",
  },
  "no-microphone": { text: "No microphone was found. Plug one in, or type.", action: "microphone" },
  "microphone-busy": { text: "Another program holds the microphone. Close it, or type.", action: "microphone" },
  "microphone-lost": { text: "The microphone was unplugged. Plug it in, or type.", action: "microphone" },
  "microphone-replaced": { text: "The microphone was unplugged; another one is used now." },
  microphone: { text: "The microphone could not be opened. You can type meanwhile.", action: "microphone" },
  silenced: { text: "The browser has paused this page’s sound.", action: "resume" },
  "another-tab": { text: "Another tab is in a call too: the two hear each other. End one of them, or use headphones." },
  insecure: {
    text: "Browsers give the microphone only to pages served over https, or from this machine (http://127.0.0.1). You can type meanwhile.",
  },
  "insecure-sound": {
    text: "Browsers play the agent’s voice only in pages served over https, or from this machine (http://127.0.0.1), unless there is WebRTC.",
    action: "start",
  },
  audio: { text: "This browser could not start audio. Try a current Chrome, Edge, Firefox or Safari.", action: "start" },
  key: { text: "The API key was refused.", action: "key" },
  ticket: { text: "The server did not accept the session’s ticket. It may have aged: start again.", action: "start" },
  full: { text: "Every line is taken just now.", action: "start" },
  starting: { text: "The server is still warming up its connections.", action: "start" },
  limited: { text: "Too many calls were started in a short time.", action: "start" },
  unreachable: { text: "The server cannot be reached. Is it running, and is this machine online?", action: "start" },
  lost: { text: "The connection was lost. What was said is kept above.", action: "start" },
  moved: { text: "The server is going down for maintenance and ended the call. Another one will take it.", action: "start" },
  ended: { text: "The server ended the call.", action: "start" },
  refused: { text: "The server refused the call.", action: "start" },
  server: { text: "The agent could not answer." },
};

/** The fault that a WebSocket's close means; null for a good end. */
export function faultOfClose(code, reason) {
  if (code === 1000) return null;
  if (code === 1001 || code === 1012) return new Fault("moved", reason);
  if (code === 1006) return new Fault("lost");
  if (code === 1013) return new Fault("full", reason);
  if (code === 1008 || code === 4001 || code === 4401) return new Fault("ticket", reason);
  return new Fault("ended", reason || `code ${code}`);
}

/** The fault that a call's end means, by the worker's own words; null for a good end. */
export function faultOfEnd(why, message) {
  if (why === "agent_hung_up" || why === "transferred" || why === "client_gone") return null;
  if (why === "drained" || why === "line_lost") return new Fault("moved");
  return new Fault("ended", message);
}

/** The fault that an HTTP response means. */
export async function faultOfResponse(response) {
  const retryAfterS = Number.parseInt(response.headers.get("retry-after"), 10) || null;
  const detail = await saidIn(response);
  if (response.status === 401 || response.status === 403) return new Fault("key", detail);
  if (response.status === 429) return new Fault("limited", detail, retryAfterS);
  if (response.status === 503) return new Fault("full", detail, retryAfterS ?? 5);
  return new Fault("refused", detail || `HTTP status ${response.status}`, retryAfterS);
}

async function saidIn(response) {
  try {
    const body = await response.json();
    const said = body.error?.message ?? body.message ?? body.reason ?? body.error ?? "";
    return typeof said === "string" ? said : "";
  } catch {
    return "";
  }
}
