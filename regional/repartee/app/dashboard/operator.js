// What is asked of the server, with an operator's key: JSON, recordings, and the stream of figures.

import { askForKey } from "/page/key-view.js";

const STORED = "repartee.key";
const LOCAL_KEY = "dev";
const LOCAL_HOSTS = ["127.0.0.1", "localhost", "[::1]"];
const AGAIN_MS = 2_000;

export class Refused extends Error {}

export class Operator {
  constructor(find) {
    this.find = find;
    this.asking = null;
  }

  /** The answer to GET; asks for another key while the server refuses the one there is. */
  async get(path, options = {}) {
    for (;;) {
      const key = sessionStorage.getItem(STORED) ?? (LOCAL_HOSTS.includes(location.hostname) ? LOCAL_KEY : "");
      const headers = key ? { authorization: `Bearer ${key}` } : {};
      const response = await fetch(path, { headers, cache: "no-store", ...options });
      if (response.status !== 401 && response.status !== 403) return response;
      const had = sessionStorage.getItem(STORED) ?? "";
      this.asking ??= this.askAnew(had ? await saidIn(response) : "").finally(() => {
        this.asking = null;
      });
      await this.asking;
    }
  }

  async askAnew(reason) {
    const given = await askForKey(this.find, reason);
    if (given === null) throw new Refused("A key is needed to see figures.");
    sessionStorage.setItem(STORED, given);
  }

  async json(path) {
    const response = await this.get(path);
    if (!response.ok) throw new Error((await saidIn(response)) || `HTTP status ${response.status}`);
    return response.json();
  }

  /** Follows the stream until it is refused: `since()` says from when on, `react(name, data)` takes each event. */
  async follow(path, since, react) {
    for (;;) {
      try {
        const response = await this.get(`${path}?since=${since()}`);
        if (!response.ok) throw new Error((await saidIn(response)) || `HTTP status ${response.status}`);
        for await (const [name, data] of events(response.body)) react(name, data);
      } catch (error) {
        if (error instanceof Refused) throw error;
        react("lost", { message: error.message });
        await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
      }
    }
  }
}

async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let held = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    held += value;
    const whole = held.split("\n\n");
    held = whole.pop();
    for (const event of whole) {
      const lines = event.split("\n");
      const name = lines.find((line) => line.startsWith("event: "))?.slice(7) ?? "part";
      const data = lines.find((line) => line.startsWith("data: "))?.slice(6);
      if (data) yield [name, JSON.parse(data)];
    }
  }
}

async function saidIn(response) {
  try {
    return (await response.json()).error?.message ?? "";
  } catch {
    return "";
  }
}
