// Runs the Worker's own Python entry on Node: Pyodide for the interpreter, real sockets on loopback.
//
//   node host.mjs '{"source": "edge", "modules": "python_modules"}'
//
// Prints one JSON line when it listens: {"port", "import_ms", "sdk_import_ms"}: the import of the Worker, and before it of
// the SDK, which is the runtime's own matter. It stands in for the runtime's globals (Request with cf,
// a Response that may be a WebSocket, a fetch that can open one), for a key-value namespace and for rate limits.
// Beyond the Worker's own paths there are some for tests: POST /__configure ({"env", "cf", "limit"}: a new isolate with
// these variables), POST /__cron, GET /__reports and GET /__measure.
import http from "node:http";
import net from "node:net";
import tls from "node:tls";
import { loadPyodide } from "pyodide";

const options = JSON.parse(process.argv[2]);
const HOP_HEADERS = new Set(["connection", "host", "transfer-encoding", "keep-alive", "content-length"]);
const NodeRequest = globalThis.Request;
const NodeResponse = globalThis.Response;
const nodeFetch = globalThis.fetch;

class ImmutableHeaders extends Headers {
  #sealed = false;
  constructor(entries) {
    super(entries);
    this.#sealed = true;
  }
  #refuse() {
    if (this.#sealed) throw new TypeError("Can't modify immutable headers.");
  }
  set(name, value) {
    this.#refuse();
    return super.set(name, value);
  }
  append(name, value) {
    this.#refuse();
    return super.append(name, value);
  }
  delete(name) {
    this.#refuse();
    return super.delete(name);
  }
}

// An open upstream socket whose bytes nobody has read yet: the runtime's WebSocket, as far as a proxy sees it.
class RawWebSocket {
  constructor(socket, early) {
    this.socket = socket;
    this.early = early;
  }
  accept() {}
  close() {
    this.socket.destroy();
  }
}

const WorkerResponse = class Response extends NodeResponse {
  constructor(body, init = {}) {
    const switching = init?.status === 101;
    super(switching ? null : body, switching ? { ...init, status: 200 } : init);
    Object.defineProperty(this, "webSocket", { value: init?.webSocket ?? null });
    if (switching) Object.defineProperty(this, "status", { value: 101 });
  }
};

// The SDK tells these two by the names of their constructors.
const WorkerRequest = class Request extends NodeRequest {
  constructor(input, init) {
    super(input, init);
    Object.defineProperty(this, "cf", { value: init?.cf ?? input?.cf ?? null });
  }
};

function incomingRequest(message, body) {
  const { "x-test-cf": cf, ...headers } = message.headers;
  const request = new WorkerRequest(`http://${message.headers.host}${message.url}`, {
    method: message.method,
    body,
    duplex: "half",
    redirect: "manual",
    cf: cf ? JSON.parse(cf) : configured.cf,
  });
  // Node drops Upgrade and the like from a Request's headers; the runtime keeps them, and seals them.
  const sealed = new ImmutableHeaders(Object.entries(headers).map(([k, v]) => [k, String(v)]));
  Object.defineProperty(request, "headers", { value: sealed });
  return request;
}

async function workerFetch(input, init = {}) {
  const headers = new Headers(init.headers ?? input.headers);
  const url = new URL(typeof input === "string" ? input : input.url);
  if ((headers.get("upgrade") ?? "").toLowerCase() === "websocket") return openWebSocket(url, headers, init.signal);
  const answer = await nodeFetch(input, init);
  const plain = new WorkerResponse(answer.body, { status: answer.status, headers: answer.headers });
  Object.defineProperty(plain, "url", { value: answer.url });
  return plain;
}

// One HTTP/1.1 upgrade by hand, so that the bytes after it reach the client as the region sent them.
function openWebSocket(url, headers, signal) {
  return new Promise((resolve, reject) => {
    const secure = url.protocol === "https:";
    const port = Number(url.port || (secure ? 443 : 80));
    const socket = (secure ? tls : net).connect({ host: url.hostname, port, servername: url.hostname, noDelay: true });
    const fail = (why) => {
      socket.destroy();
      reject(why instanceof Error ? why : new TypeError("Network connection lost."));
    };
    const abort = () => fail(signal.reason);
    if (signal?.aborted) return abort();
    signal?.addEventListener("abort", abort);
    socket.on("error", () => fail());
    socket.on("close", () => fail());
    socket.on(secure ? "secureConnect" : "connect", () => {
      const lines = [...headers].filter(([name]) => !HOP_HEADERS.has(name)).map(([name, value]) => `${name}: ${value}`);
      socket.write(
        [`GET ${url.pathname}${url.search} HTTP/1.1`, `host: ${url.host}`, "connection: Upgrade", ...lines, "", ""].join("\r\n"),
      );
    });
    let head = Buffer.alloc(0);
    const read = (chunk) => {
      head = Buffer.concat([head, chunk]);
      const end = head.indexOf("\r\n\r\n");
      if (end < 0) return;
      const [status, ...lines] = head.subarray(0, end).toString("latin1").split("\r\n");
      const code = Number(status.split(" ")[1]);
      const answered = lines.map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 1).trim()]);
      signal?.removeEventListener("abort", abort);
      socket.off("data", read);
      socket.removeAllListeners("close");
      if (code === 101) {
        socket.pause();
        const webSocket = new RawWebSocket(socket, head.subarray(end + 4));
        return resolve(new WorkerResponse(null, { status: 101, headers: answered, webSocket }));
      }
      const length = Number(answered.find(([name]) => name.toLowerCase() === "content-length")?.[1] ?? 0);
      const finish = (body) => {
        socket.destroy();
        const kept = answered.filter(([name]) => !HOP_HEADERS.has(name.toLowerCase()));
        resolve(new WorkerResponse(body, { status: code, headers: kept }));
      };
      let body = head.subarray(end + 4);
      if (body.length >= length) return finish(body);
      socket.on("data", (more) => {
        body = Buffer.concat([body, more]);
        if (body.length >= length) finish(body);
      });
    };
    socket.on("data", read);
  });
}

class KeyValues {
  #entries = new Map();
  async put(key, value, { metadata = null, expirationTtl = 0 } = {}) {
    if (expirationTtl < 60) throw new Error("expirationTtl must be 60 or more");
    if (JSON.stringify(metadata).length > 1024) throw new Error("metadata is larger than 1024 bytes");
    this.#entries.set(key, { value, metadata });
  }
  async list({ prefix = "" } = {}) {
    const names = [...this.#entries.keys()].filter((name) => name.startsWith(prefix));
    return { keys: names.map((name) => ({ name, metadata: this.#entries.get(name).metadata })), list_complete: true };
  }
}

class Limit {
  #used = new Map();
  constructor(most) {
    this.most = most;
  }
  async limit({ key }) {
    const used = (this.#used.get(key) ?? 0) + 1;
    this.#used.set(key, used);
    return { success: used <= this.most };
  }
}

Object.assign(globalThis, { Request: WorkerRequest, Response: WorkerResponse, fetch: workerFetch });
let env = {};
const configured = { cf: null };
const python = await loadPyodide({ env: { PYTHONHASHSEED: "0", PYTHONDONTWRITEBYTECODE: "1" } });
python.registerJsModule("_pyodide_entrypoint_helper", {
  doAnImport: (name) => import(name),
  cloudflareWorkersModule: { env: {}, waitUntil() {} },
  cloudflareSocketsModule: {},
  workerEntrypoint: class WorkerEntrypoint {},
  patchWaitUntil() {},
});
python.registerJsModule("_cloudflare_compat_flags", {
  python_request_headers_preserve_commas: true,
  python_workflows_implicit_dependencies: true,
});
for (const [folder, root] of [["/session/metadata", options.source], ["/session/python_modules", options.modules]]) {
  python.FS.mkdirTree(folder);
  python.FS.mount(python.FS.filesystems.NODEFS, { root }, folder);
}
python.runPython(`
import sys
sys.path[:0] = ["/session/metadata", "/session/python_modules"]
import asyncio, time
started = time.perf_counter()
import workers
sdk_import_ms = (time.perf_counter() - started) * 1000
`);
const importing = performance.now();
python.runPython("import entry");
const importMs = performance.now() - importing;
const sdkImportMs = python.globals.get("sdk_import_ms");
await python.runPythonAsync(`
from workers import python_from_rpc, python_to_rpc
async def _fetch(ctx, env, request):
    return python_to_rpc(await entry.Default(ctx, env).fetch(python_from_rpc(request)))
def _reset():
    entry._isolate = entry._Isolate()
async def _cron(ctx, env):
    await entry.Default(ctx, env).scheduled(None)
def _measure(rounds):
    import time
    from repartee_edge.placement import Caller
    from repartee_edge.request import EdgeRequest
    router = entry._isolate.router
    headers = {"authorization": "Bearer dev", "upgrade": "websocket"}
    caller = Caller("NRT", "JP", "AS", "35.7", "139.7")
    request = EdgeRequest("GET", "/v1/voice/session", headers, caller)
    took = []
    for _ in range(rounds):
        started = time.perf_counter()
        router.decide(request, time.time(), time.monotonic())
        took.append((time.perf_counter() - started) * 1000)
    took.sort()
    return took[len(took) // 2]
def _measure_import(rounds):
    """The quickest of several imports of the Worker, SDK excepted: a machine that is busy makes single ones slow."""
    import time
    ours = [name for name in sys.modules if name.split(".")[0] in ("entry", "repartee_edge", "jwt")]
    kept = {name: sys.modules[name] for name in ours}
    quickest = float("inf")
    for _ in range(rounds):
        for name in ours:
            sys.modules.pop(name, None)
        started = time.perf_counter()
        __import__("entry")
        quickest = min(quickest, (time.perf_counter() - started) * 1000)
    sys.modules.update(kept)
    return quickest
`);
// What goes on behind a request: the runtime keeps it until it is done.
const ctx = {
  waitUntil(work) {
    const kept = work.copy?.() ?? work;
    Promise.resolve(kept).catch((error) => console.error("waitUntil:", error)).finally(() => kept.destroy?.());
  },
  passThroughOnException() {},
};
const pyFetch = python.globals.get("_fetch");
const pyReset = python.globals.get("_reset");
const pyCron = python.globals.get("_cron");
const pyMeasureImport = python.globals.get("_measure_import");
const pyMeasure = python.globals.get("_measure");
const handle = (message, body) => pyFetch(ctx, env, incomingRequest(message, body));

function configure({ env: variables, cf = null, limit = 1e9 }) {
  env = { ...variables, REPORTS: new KeyValues(), LIMIT_PER_KEY: new Limit(limit), LIMIT_PER_IP: new Limit(1e9) };
  configured.cf = cf;
  pyReset();
  return {};
}

async function forTests(message, body) {
  if (message.url === "/__configure") return configure(JSON.parse(body));
  if (message.url === "/__cron") return pyCron(ctx, env).then(() => ({}));
  if (message.url === "/__reports") return env.REPORTS.list();
  return { decision_ms: pyMeasure(500), import_ms: Math.min(importMs, pyMeasureImport(4)) };
}

const server = http.createServer(async (message, response) => {
  try {
    const parts = [];
    for await (const part of message) parts.push(part);
    if (message.url.startsWith("/__")) {
      response.end(JSON.stringify(await forTests(message, Buffer.concat(parts).toString())));
      return;
    }
    const body = ["GET", "HEAD"].includes(message.method) ? undefined : Buffer.concat(parts);
    const answer = await handle(message, body);
    response.writeHead(answer.status, Object.fromEntries(answer.headers));
    response.end(Buffer.from(await answer.arrayBuffer()));
  } catch (error) {
    console.error(error);
    response.writeHead(500).end(String(error));
  }
});

server.on("upgrade", async (message, client, early) => {
  client.on("error", () => client.destroy());
  let answer;
  try {
    answer = await handle(message);
  } catch (error) {
    console.error(error);
    return client.end("HTTP/1.1 500 Internal Server Error\r\nconnection: close\r\n\r\n");
  }
  const lines = [...answer.headers].map(([name, value]) => `${name}: ${value}`);
  if (answer.status !== 101) {
    const body = Buffer.from(await answer.arrayBuffer());
    client.write([`HTTP/1.1 ${answer.status} -`, ...lines, `content-length: ${body.length}`, "connection: close", "", ""].join("\r\n"));
    return client.end(body);
  }
  const { socket: region, early: first } = answer.webSocket;
  client.write([`HTTP/1.1 101 Switching Protocols`, ...lines, "", ""].join("\r\n"));
  client.write(first);
  region.write(early);
  region.on("error", () => region.destroy());
  region.on("close", () => client.destroySoon());
  client.on("close", () => region.destroySoon());
  client.setNoDelay(true);
  client.pipe(region);
  region.pipe(client);
});

server.listen(0, "127.0.0.1", () => 
  console.log(JSON.stringify({ port: server.address().port, import_ms: importMs, sdk_import_ms: sdkImportMs })),
);
