// What the Node clients' programs share: a microphone that never stops, told over stdin what to say.
import { readFile } from "node:fs/promises";
import { createInterface } from "node:readline";

const FRAME_MS = 20;
const FRAME_BYTES = 48 * FRAME_MS;
export const FORECAST = JSON.stringify({ forecast: "sunny" });
export const TOOL = {
  name: "weather_forecast",
  description: "The weather forecast for a city.",
  parameters: {
    type: "object",
    properties: { city: { type: "string" } },
    required: ["city"],
    additionalProperties: false,
  },
};

export function tell(kind, fields = {}) {
  process.stdout.write(JSON.stringify({ kind, ...fields }) + "\n");
}

/** The microphone, until `quit`. */
export async function speak(send) {
  const frames = [];
  let over = false;
  createInterface({ input: process.stdin }).on("line", async (line) => {
    const [command, path] = line.trim().split(" ");
    if (command === "quit") over = true;
    if (command !== "say") return;
    const pcm = await readFile(path);
    for (let at = 0; at < pcm.length; at += FRAME_BYTES) {
      const frame = Buffer.alloc(FRAME_BYTES);
      pcm.copy(frame, 0, at, Math.min(at + FRAME_BYTES, pcm.length));
      frames.push(frame);
    }
  });
  tell("ready");
  let due = Date.now();
  while (!over) {
    send(frames.shift() ?? Buffer.alloc(FRAME_BYTES));
    due += FRAME_MS;
    await new Promise((resolve) => setTimeout(resolve, Math.max(due - Date.now(), 0)));
  }
}
