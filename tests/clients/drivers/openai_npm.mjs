// The openai package for Node.
import OpenAI from "openai";
import { OpenAIRealtimeWS } from "openai/realtime/ws";
import { FORECAST, speak, tell, TOOL } from "./driver.mjs";

const [url, ...options] = process.argv.slice(2);
const client = new OpenAI({ apiKey: "dev", baseURL: url.replace(/^ws/, "http").replace(/\/realtime$/, "") });
const realtime = new OpenAIRealtimeWS({ model: "gpt-any" }, client);
const calls = [];
realtime.on("error", (error) => tell("error", { error: String(error?.message ?? error) }));
realtime.on("response.function_call_arguments.done", (event) => calls.push(event.call_id));
realtime.on("response.done", () => {
  if (!calls.length) return;
  for (const call_id of calls.splice(0)) {
    realtime.send({ type: "conversation.item.create", item: { type: "function_call_output", call_id, output: FORECAST } });
  }
  realtime.send({ type: "response.create" });
});
realtime.socket.on("open", async () => {
  const tools = options.includes("tool") ? [{ type: "function", ...TOOL }] : [];
  realtime.send({ type: "session.update", session: { type: "realtime", tools } });
  await speak((pcm) => realtime.send({ type: "input_audio_buffer.append", audio: pcm.toString("base64") }));
  realtime.close();
  process.exit(0);
});
