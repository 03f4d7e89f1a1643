// @openai/agents-realtime: a RealtimeSession over a WebSocket.
import { RealtimeAgent, RealtimeSession, tool } from "@openai/agents-realtime";
import { FORECAST, speak, tell, TOOL } from "./driver.mjs";

const [url, ...options] = process.argv.slice(2);
const forecast = tool({ ...TOOL, strict: false, execute: async () => FORECAST });
const agent = new RealtimeAgent({
  name: "desk",
  instructions: "You are the front desk of a small bank.",
  tools: options.includes("tool") ? [forecast] : [],
});
const session = new RealtimeSession(agent, { transport: "websocket", model: "gpt-any" });
session.on("error", (error) => tell("error", { error: JSON.stringify(error.error ?? error) + String(error.error?.message) }));
await session.connect({ apiKey: "dev", url: `${url}?model=gpt-any` });
await speak((pcm) => session.sendAudio(pcm.buffer.slice(pcm.byteOffset, pcm.byteOffset + pcm.byteLength)));
session.close();
process.exit(0);
